"""Simulated respondents, who follow the links in the messages they get, and simulated operators at the desk.

What a person does depends only on their number and the business day, so every replay gives the same table.
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

import httpx2

LINK = re.compile(r"https?://[^\s\"'<>]+/s/[\w-]{22}\.\d+")
_MADE_UP_ADDRESS = re.compile(r"customer-(\d{7})@example\.com|\+7900(\d{7})")
OPERATORS = tuple(f"Operator {seat}" for seat in range(1, 9))
PAGE = 50

_REASONS_SHARE, _CALL_BACK_SHARE = 0.7, 0.3
_NO_ANSWER = 0.8  # in place of a random number, for a real phone number: the simulated call is not answered
_SCANNER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 HeadlessChrome/140.0.0.0 Safari/537.36"
_PHONE = "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36"
_DESKTOP = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36"
_COMMENTS = {
    True: ("Quick and friendly, thank you.", "They remembered my usual order.", "Всё отлично, спасибо!"),
    False: ("Waited far too long.", "The parcel came a day late.", "Никто не ответил на звонок.", "Fine, but pricey."),
}


class Habit(IntEnum):
    """The step of the plan at which a person answers."""

    EMAIL = 1
    REPEAT = 2
    SMS = 3
    OPERATOR = 4
    NEVER = 5


@dataclass(frozen=True, slots=True)
class Person:
    """A made-up customer; mail address and phone number are made from the number."""

    number: int

    @classmethod
    def from_address(cls, address: str) -> Person | None:
        """Return the person with this mail address or phone number; None if it is not a made-up one."""
        found = _MADE_UP_ADDRESS.fullmatch(address)
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
    def has_mail_scanner(self) -> bool:
        """Whether a mail gateway opens the links of this person's mails and submits the forms behind them."""
        return self._chance("scanner") < 0.05

    def score(self, at: datetime, *, quality: float = 0.0) -> int:
        """Return a score from 0 to 10; a higher `quality` makes it higher."""
        satisfaction = self._chance("score", at) + quality
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
        """Return a number from 0 to 1 that depends only on the person, the words and the day."""
        parts = [word.date().isoformat() if isinstance(word, datetime) else str(word) for word in words]
        digest = hashlib.sha256("|".join((str(self.number), *parts)).encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64


StoreQuality = Callable[[str, datetime], float]


class SimulatedPeople:
    """Reads the mailbox and the desk, and answers and calls over the public HTTP interfaces.

    `quality` maps the text of a message and a time to the quality of the store named in the text. `reading_time_s`
    returns how long people look at a page. If it is given, people also send a browser's user agent and the forms'
    hidden fields, have mail scanners and ask for call backs: for this the business clock must run.
    """

    def __init__(
        self,
        web: httpx2.AsyncClient,
        *,
        dispatcher: str,
        scoring: str,
        quality: StoreQuality,
        reading_time_s: Callable[[], float] | None = None,
    ) -> None:
        self._web, self._dispatcher, self._scoring, self._quality = web, dispatcher, scoring, quality
        self._lifelike, self._reading_time_s = reading_time_s is not None, reading_time_s
        self._cursor = 0
        self.received: dict[str, int] = {}

    async def read_mail(self) -> int:
        """Read the messages that arrived since the last call; return how many there were."""
        read = 0
        while fresh := await self._unread():
            await _run_all(self._read(message) for message in fresh)
            self._cursor = fresh[-1]["cursor"]
            read += len(fresh)
        return read

    async def skip_old_mail(self) -> None:
        """Skip what is in the mailbox now, without acting on it."""
        while fresh := await self._unread():
            self._cursor = fresh[-1]["cursor"]

    async def _unread(self) -> list[dict[str, Any]]:
        parameters = {"limit": PAGE, "after": self._cursor}
        answer = await self._web.get(f"{self._dispatcher}/v1/mailbox", params=parameters)
        messages: list[dict[str, Any]] = answer.raise_for_status().json()["messages"]
        return [message for message in messages if message["cursor"] > self._cursor]

    async def _read(self, message: Mapping[str, Any]) -> None:
        name = f"{message['channel']} {message['step']}"
        self.received[name] = self.received.get(name, 0) + 1
        person = Person.from_address(message["to"])
        link = LINK.search(message["text"])
        if link is None or person is None:
            return
        if self._lifelike and person.has_mail_scanner:
            await self._web.post(link.group(), data={"score": 0}, headers={"user-agent": _SCANNER})
        if int(message["step"]) != person.habit:
            return
        at = datetime.fromisoformat(message["at"])
        score = person.score(at, quality=self._quality(message["text"], at))
        await self._follow(link.group(), person, score=score, at=at)

    async def _follow(self, link: str, person: Person, *, score: int, at: datetime) -> None:
        browser = {"user-agent": person.browser} if self._lifelike else {}
        page = await self._web.get(link, params={"score": score}, headers=browser)
        if page.status_code != httpx2.codes.OK:
            return  # withdrawn or expired since
        if self._reading_time_s is not None:
            await asyncio.sleep(self._reading_time_s())
        sent = {**self._hidden_fields(page), "score": score}
        saved = await self._web.post(link, data=sent, headers=browser, follow_redirects=True)
        if saved.status_code != httpx2.codes.OK:
            return
        comment = person.comment(at, score)
        reasons = re.findall(r'name="reasons"[^>]*value="([^"]+)"', saved.text)
        ticked = [reason for reason in reasons if person.chance(at, reason) < 0.4]
        if comment or (ticked and person.chance(at, "reasons") < _REASONS_SHARE):
            form = {**self._hidden_fields(saved), "score": str(score), "reasons": ticked, "comment": comment or ""}
            if self._lifelike and 'name="callback"' in saved.text and person.chance(at, "callback") < _CALL_BACK_SHARE:
                form |= {"callback": "1", "best_time": "any"}
            await self._web.post(link, data=form, headers=browser)

    def _hidden_fields(self, page: httpx2.Response) -> dict[str, str]:
        """Return a form's hidden fields; none without `reading_time_s`, because they would show an instant answer."""
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.text)
        return dict(hidden) if self._lifelike else {}

    async def work_desk(self, at: datetime) -> int:
        """Let all operators call until no call is due; return how many calls they made."""
        before = self.received.get("call", 0)
        await _run_all(self._work_seat(operator, at) for operator in OPERATORS)
        return self.received.get("call", 0) - before

    async def make_one_call(self, at: datetime) -> None:
        """Let one operator make the next call that is due."""
        if (task := await self._take(OPERATORS[0])) is not None:
            await self._call(task, OPERATORS[0], at)

    async def _work_seat(self, operator: str, at: datetime) -> None:
        while (task := await self._take(operator)) is not None:
            await self._call(task, operator, at)

    async def _take(self, operator: str) -> dict[str, Any] | None:
        answer = await self._web.post(f"{self._scoring}/v1/desk/take", json={"operator": operator})
        if answer.status_code == httpx2.codes.NO_CONTENT:
            return None
        taken: dict[str, Any] = answer.raise_for_status().json()
        return taken

    async def _call(self, task: Mapping[str, Any], operator: str, at: datetime) -> None:
        self.received["call"] = self.received.get("call", 0) + 1
        person = Person.from_address(task["phone"])
        task_url = f"{self._scoring}/v1/desk/{task['task_id']}"
        chance = person.chance(at, "call", str(task["try"])) if person else _NO_ANSWER
        if task["kind"] == "callback":
            ended = {"disposition": "answered"} if chance < 0.5 else {"disposition": "call_later", "minutes": 2880}
            sent = await self._web.post(f"{task_url}/outcome", json={"operator": operator, **ended})
        elif person is not None and person.habit is Habit.OPERATOR and chance < 0.7:
            score = person.score(at, quality=self._quality(task["summary"], at))
            comment = person.comment(at, score)
            answer = {"operator": operator, "score": score, "reasons": [], "comment": comment}
            sent = await self._web.post(f"{task_url}/answer", json=answer)
        else:
            disposition = "refused" if chance > 0.9 else "no_answer"
            sent = await self._web.post(f"{task_url}/outcome", json={"operator": operator, "disposition": disposition})
        if sent.status_code != httpx2.codes.CONFLICT:  # the respondent answered online meanwhile
            sent.raise_for_status()


async def _run_all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for each in work:
            tasks.create_task(each)


@dataclass(frozen=True, slots=True)
class Sale:
    event_id: str
    order: str
    store: str
    at: datetime
    amount: str
    currency: str
    touchpoint: Mapping[str, str] = field(default_factory=dict)  # further fields beside store and channel


def purchase(person: Person, sale: Sale, *, time_zone: str = "UTC") -> dict[str, Any]:
    """Return a purchase as a structured CloudEvent."""
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
