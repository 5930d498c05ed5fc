"""The keys of the call desk: each operator may change them, or switch them off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from services.scoring.web import forms, rendering
from shared.languages.marking import mark
from shared.web.problems import Unprocessable
from shared.web.staff.menu import StaffPages

COOKIE = "desk_keys"
_OFF = "off"
_YEAR_S = 86_400 * 365
# By where a key is: a keyboard with Russian letters has these at the places of the Latin ones.
_PLACES = dict(zip("йцукенгшщзфывапролдячсмить", "qwertyuiopasdfghjklzxcvbnm", strict=True))


class Action(StrEnum):
    """What a key does; the value of most is a disposition."""

    NEXT = "next"
    CALL = "call"
    TEN = "ten"
    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    BUSY = "busy"
    MACHINE = "machine"
    REFUSED = "refused"
    WRONG_NUMBER = "wrong_number"
    DO_NOT_CALL = "do_not_call"
    CALL_LATER = "call_later"


LABELS = {
    Action.NEXT: mark("Take the next call"),
    Action.CALL: mark("Dial the number"),
    Action.TEN: mark("Score 10"),
    Action.ANSWERED: mark("Talked, after a call that was asked for"),
    Action.NO_ANSWER: mark("No answer"),
    Action.BUSY: mark("Busy"),
    Action.MACHINE: mark("Machine"),
    Action.REFUSED: mark("Refused"),
    Action.WRONG_NUMBER: mark("Wrong number"),
    Action.DO_NOT_CALL: mark("Do not call again"),
    Action.CALL_LATER: mark("Call later"),
}
DEFAULT: Mapping[Action, str] = {
    Action.NEXT: "N",
    Action.CALL: "C",
    Action.TEN: "T",
    Action.ANSWERED: "K",
    Action.NO_ANSWER: "A",
    Action.BUSY: "B",
    Action.MACHINE: "M",
    Action.REFUSED: "R",
    Action.WRONG_NUMBER: "W",
    Action.DO_NOT_CALL: "D",
    Action.CALL_LATER: "L",
}
_WRONG = mark("Not saved: give each line one letter from A to Z, and no letter twice.")


def chosen(request: Request) -> Mapping[Action, str]:
    """Return the letter of each action, none where the keys are switched off."""
    kept = request.cookies.get(COOKIE, "")
    if kept == _OFF:
        return {}
    letters = dict(zip(Action, kept, strict=False))
    return letters if _is_valid(letters) else DEFAULT


def _is_valid(letters: Mapping[Action, str]) -> bool:
    known = [letter for letter in letters.values() if letter.isascii() and letter.isupper() and len(letter) == 1]
    return len(letters) == len(Action) and len(set(known)) == len(Action)


@dataclass(frozen=True, slots=True)
class DeskKeys:
    staff_pages: StaffPages

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/desk", include_in_schema=False)
        router.add_api_route("/keys", self.show, methods=["GET"])
        router.add_api_route("/keys", self.choose, methods=["POST"])
        return router

    async def show(self, request: Request) -> Response:
        return self._page(chosen(request) or DEFAULT, on=bool(chosen(request)))

    async def choose(self, request: Request) -> Response:
        form = await forms.read(request)
        letters, on = {action: _letter(form, action) for action in Action}, "on" in form
        if not _is_valid(letters):
            return self._page(letters, on=on, wrong=_WRONG)
        response = RedirectResponse("/desk", status_code=303)
        response.set_cookie(
            COOKIE,
            "".join(letters.values()) if on else _OFF,
            max_age=_YEAR_S,
            httponly=True,
            samesite="strict",
            secure=self.staff_pages.dashboard.startswith("https://"),
        )
        return response

    def _page(self, letters: Mapping[Action, str], *, on: bool, wrong: str = "") -> Response:
        return rendering.page(
            "desk_keys.html",
            status=Unprocessable.status if wrong else 200,
            lines=[(action, LABELS[action], letters[action]) for action in Action],
            on=on,
            wrong=wrong,
            pages=self.staff_pages,
        )


def _letter(form: FormData, action: Action) -> str:
    """Return the letter typed for an action, as the one at the same place of a keyboard with Latin letters."""
    typed = form.get(action)
    letter = typed.strip().lower() if isinstance(typed, str) else ""
    return _PLACES.get(letter, letter).upper()
