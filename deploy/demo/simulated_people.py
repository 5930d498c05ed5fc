"""Simulated people at the far end: respondents who follow the links they really receive, and a few operators.

What a person does is a function of their address and the business day, so a replay gives the same table every time.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any

import httpx

LINK = re.compile(r"https?://[^\s\"'<>]+/s/[\w-]{22}\.\d+")
_MADE_UP = re.compile(r"customer-(\d{7})@example\.com|\+7900(\d{7})")
OPERATORS = tuple(f"Operator {seat}" for seat in range(1, 9))
AT_ONCE = 50

_REASONS_SHARE, _CALL_BACK_SHARE = 0.7, 0.3
_UNREACHED = 0.8  # the luck of an operator whom nobody answers
_SCANNER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 HeadlessChrome/140.0.0.0 Safari/537.36"
_PHONE = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36"
_DESKTOP = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"
_COMMENTS = {
    True: ("Quick and friendly, thank you.", "They remembered my usual order.", "Всё отлично, спасибо!"),
    False: ("Waited far too long.", "The parcel came a day late.", "Никто не ответил на звонок.", "Fine, but pricey."),
}


class Habit(IntEnum):
    """Which contact a person answers."""

    EMAIL = 1
    REPEAT = 2
    SMS = 3
    OPERATOR = 4
    NEVER = 5


@dataclass(frozen=True, slots=True)
class Person:
    """A made-up customer, recognised by either address."""

    number: int

    @classmethod
    def behind(cls, address: str) -> Person | None:
        """Recognise somebody made up; None when it is an address of whoever tries things out, who answers himself."""
        found = _MADE_UP.fullmatch(address)
        return cls(int(found[1] or found[2])) if found else None

    @property
    def email(self) -> str:
        return f"customer-{self.number:07d}@example.com"

    @property
    def phone(self) -> str:
        return f"+7900{self.number:07d}"

    @property
    def habit(self) -> Habit:
        share = self._chance("habit")
        return next(habit for habit, upto in zip(Habit, (0.28, 0.42, 0.56, 0.78, 1.0), strict=True) if share < upto)

    @property
    def age(self) -> int:
        return 18 + int(60 * self._chance("age"))

    @property
    def browser(self) -> str:
        return _PHONE if self._chance("browser") < 0.7 else _DESKTOP

    @property
    def scanned(self) -> bool:
        """Whether the employer's mail gateway presses whatever a mail leads to."""
        return self._chance("scanner") < 0.05

    def score(self, at: datetime, *, warmth: float = 0.0) -> int:
        """0 to 10; a warm shop earns better ones."""
        satisfaction = self._chance("score", at) + warmth
        limits = (0.03, 0.05, 0.07, 0.09, 0.12, 0.16, 0.22, 0.34, 0.52, 0.76)
        return sum(satisfaction >= limit for limit in limits)

    def comment(self, at: datetime, score: int) -> str | None:
        if self._chance("comments", at) > 0.3:
            return None
        pool = _COMMENTS[score >= 9]
        return pool[int(self._chance("comment", at) * len(pool))]

    def chance(self, at: datetime, *words: str) -> float:
        return self._chance(*words, at)

    def _chance(self, *words: object) -> float:
        """Draw a number from 0 to 1 that is always the same for the same words on the same day."""
        parts = [word.date().isoformat() if isinstance(word, datetime) else str(word) for word in words]
        digest = hashlib.sha256("|".join((str(self.number), *parts)).encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64


Warmth = Callable[[str, datetime], float]


class SimulatedPeople:
    """Reads the mailbox and the desk, and does what these people would do, through the public doors.

    `warmth` is how well a store named in a text treats its customers at a time. Lifelike ones use browsers, have
    mail gateways that press buttons, and ask to be called back: for that the business clock must move. `reads_s` says
    how long they look at a page, 0 where time hurries; without it they are not lifelike.
    """

    def __init__(
        self,
        web: httpx.AsyncClient,
        *,
        dispatcher: str,
        scoring: str,
        warmth: Warmth,
        reads_s: Callable[[], float] | None = None,
    ) -> None:
        self._web, self._dispatcher, self._scoring, self._warmth = web, dispatcher, scoring, warmth
        self._lifelike, self._reads_s = reads_s is not None, reads_s
        self._cursor = 0
        self.received: dict[str, int] = {}

    async def read_mail(self) -> int:
        """Open what arrived since the last time; return how many messages there were."""
        read = 0
        while fresh := await self._unread():
            await _together(self._read(message) for message in fresh)
            self._cursor = fresh[-1]["cursor"]
            read += len(fresh)
        return read

    async def forget_old_mail(self) -> None:
        """Leave alone what arrived before: somebody read it, or never will."""
        while fresh := await self._unread():
            self._cursor = fresh[-1]["cursor"]

    async def _unread(self) -> list[dict[str, Any]]:
        parameters = {"limit": AT_ONCE, "after": self._cursor}
        answer = await self._web.get(f"{self._dispatcher}/v1/mailbox", params=parameters)
        messages: list[dict[str, Any]] = answer.raise_for_status().json()["messages"]
        return [message for message in messages if message["cursor"] > self._cursor]

    async def _read(self, message: Mapping[str, Any]) -> None:
        name = f"{message['channel']} {message['step']}"
        self.received[name] = self.received.get(name, 0) + 1
        person = Person.behind(message["to"])
        link = LINK.search(message["text"])
        if link is None or person is None:
            return
        if self._lifelike and person.scanned:
            await self._web.post(link.group(), data={"score": 0}, headers={"user-agent": _SCANNER})
        if int(message["step"]) != person.habit:
            return
        at = datetime.fromisoformat(message["at"])
        score = person.score(at, warmth=self._warmth(message["text"], at))
        await self._follow(link.group(), person, score=score, at=at)

    async def _follow(self, link: str, person: Person, *, score: int, at: datetime) -> None:
        browser = {"user-agent": person.browser} if self._lifelike else {}
        page = await self._web.get(link, params={"score": score}, headers=browser)
        if page.status_code != httpx.codes.OK:
            return  # withdrawn or expired since: a kind page says so
        if self._reads_s is not None:
            await asyncio.sleep(self._reads_s())
        sent = {**self._seen(page), "score": score}
        saved = await self._web.post(link, data=sent, headers=browser, follow_redirects=True)
        if saved.status_code != httpx.codes.OK:
            return
        comment = person.comment(at, score)
        reasons = re.findall(r'name="reasons"[^>]*value="([^"]+)"', saved.text)
        ticked = [reason for reason in reasons if person.chance(at, reason) < 0.4]
        if comment or (ticked and person.chance(at, "reasons") < _REASONS_SHARE):
            form = {**self._seen(saved), "score": str(score), "reasons": ticked, "comment": comment or ""}
            if self._lifelike and 'name="callback"' in saved.text and person.chance(at, "callback") < _CALL_BACK_SHARE:
                form |= {"callback": "1", "best_time": "any"}
            await self._web.post(link, data=form, headers=browser)

    def _seen(self, page: httpx.Response) -> dict[str, str]:
        """Return what a page remembers of having been shown: a proof of haste when the clock stands still."""
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
        return dict(hidden) if self._lifelike else {}

    async def work_desk(self, at: datetime) -> int:
        """Call whoever is due until nobody is; return how many calls there were."""
        before = self.received.get("call", 0)
        await _together(self._work_seat(operator, at) for operator in OPERATORS)
        return self.received.get("call", 0) - before

    async def make_one_call(self, at: datetime) -> None:
        """Let one operator call whoever is next."""
        if (task := await self._take(OPERATORS[0])) is not None:
            await self._call(task, OPERATORS[0], at)

    async def _work_seat(self, operator: str, at: datetime) -> None:
        while (task := await self._take(operator)) is not None:
            await self._call(task, operator, at)

    async def _take(self, operator: str) -> dict[str, Any] | None:
        answer = await self._web.post(f"{self._scoring}/v1/desk/take", json={"operator": operator})
        if answer.status_code == httpx.codes.NO_CONTENT:
            return None
        taken: dict[str, Any] = answer.raise_for_status().json()
        return taken

    async def _call(self, task: Mapping[str, Any], operator: str, at: datetime) -> None:
        self.received["call"] = self.received.get("call", 0) + 1
        person = Person.behind(task["phone"])
        task_url = f"{self._scoring}/v1/desk/{task['task_id']}"
        luck = person.chance(at, "call", str(task["try"])) if person else _UNREACHED
        if task["kind"] == "callback":
            ended = {"disposition": "answered"} if luck < 0.5 else {"disposition": "call_later", "minutes": 2880}
            sent = await self._web.post(f"{task_url}/outcome", json={"operator": operator, **ended})
        elif person is not None and person.habit is Habit.OPERATOR and luck < 0.7:
            score = person.score(at, warmth=self._warmth(task["summary"], at))
            words = person.comment(at, score)
            answer = {"operator": operator, "score": score, "reasons": [], "comment": words}
            sent = await self._web.post(f"{task_url}/answer", json=answer)
        else:
            disposition = "refused" if luck > 0.9 else "no_answer"
            sent = await self._web.post(f"{task_url}/outcome", json={"operator": operator, "disposition": disposition})
        if sent.status_code != httpx.codes.CONFLICT:  # answered online while the phone rang
            sent.raise_for_status()


async def _together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for one in work:
            tasks.create_task(one)


@dataclass(frozen=True, slots=True)
class Sale:
    event_id: str
    order: str
    store: str
    at: datetime
    amount: str
    currency: str
    touchpoint: Mapping[str, str] = field(default_factory=dict)  # what is known beside the store and its channel


def purchase(person: Person, sale: Sale, *, time_zone: str = "UTC") -> dict[str, Any]:
    """Make a purchase as a shop would send it: a structured CloudEvent."""
    return {
        "specversion": "1.0",
        "id": sale.event_id,
        "source": "sample-shop",
        "type": "crm.purchase.completed",
        "time": sale.at.isoformat(),
        "data": {
            "customer": {
                "id": f"customer-{person.number}",
                "name": _NAMES[person.number % len(_NAMES)],
                "email": person.email,
                "phone": person.phone,
                "locale": "ru" if person.number % 4 == 0 else "en",
                "time_zone": time_zone,
                "consent": {"email": True, "sms": True, "call": True},
                "attributes": {"age": person.age},
            },
            "order": {"id": sale.order, "amount": sale.amount, "currency": sale.currency},
            "touchpoint": {
                "store": sale.store,
                "channel": "online" if sale.store == "Online" else "store",
                **sale.touchpoint,
            },
        },
    }


_NAMES: Sequence[str] = ("Olga", "Rustam", "Elena", "Pavel", "Anna", "Mikhail", "Sofia", "Daniel")
