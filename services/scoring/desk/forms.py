"""Reads the forms of the call desk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import unquote
from uuid import UUID

from fastapi import Request
from starlette.datastructures import FormData

from services.scoring.domain.answer_form import MAX_TEXT, clean, extra_in, score_of
from services.scoring.domain.answers import Entry
from services.scoring.domain.calling.operators import Operator
from services.scoring.domain.calls import CallTask
from services.scoring.web.operators import acting_operator
from shared.contract.vocabulary import Category, category_of
from shared.zones import time_zone

COOKIE = "operator"
MAX_NOTE = 1000
MIN_LATER, MAX_LATER = timedelta(minutes=4), timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Typed:
    """What an operator typed about a call: shown again until it is stored."""

    score: int | None = None
    reasons: tuple[str, ...] = ()
    comment: str = ""
    note: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)  # answers to extra questions

    @property
    def too_long(self) -> bool:
        return any(len(text) > MAX_TEXT for text in (self.comment, *self.extra.values()))

    @property
    def has_answer(self) -> bool:
        """Whether there is a score or text of an answer, which no outcome of a call stores."""
        return self.score is not None or bool(self.comment) or any(self.extra.values())


def operator_at_desk(request: Request, named: str = "") -> Operator:
    """Return who works at the desk; a program may have `named` them at present, or when it took a call.

    The name is "" if it did neither.
    """
    return acting_operator(request, named or name_of(unquote(request.cookies.get(COOKIE, ""))))


def name_of(value: object) -> str:
    return clean(value).strip()[:100] if isinstance(value, str) else ""


def id_of(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def delay_of(form: FormData, task: CallTask, now: datetime) -> timedelta:
    """Return the delay to the next call, from `at` in the respondent's local time or `minutes`; raises ValueError."""
    at = form.get("at")
    if isinstance(at, str) and at:
        later = datetime.fromisoformat(at).replace(tzinfo=time_zone(task.time_zone)) - now
    else:
        later = timedelta(minutes=int(str(form.get("minutes", "60"))))
    if not MIN_LATER <= later <= MAX_LATER:
        raise ValueError("the delay is too short or too long")
    return later


def typed_in(form: FormData) -> Typed:
    """Return what a form says: score, the reasons of its list, comment and extra answers, or the note about a call."""
    sent = form.get("score")
    score = score_of(sent) if isinstance(sent, str) else None
    ticked = form.getlist(reasons_field(score)) if score is not None else []
    reasons = tuple(reason for reason in ticked if isinstance(reason, str))
    extra = extra_in([(name, value) for name, value in form.multi_items() if isinstance(value, str)])
    return Typed(score, reasons, _text(form, "comment"), _text(form, "note"), extra)


def _text(form: FormData, name: str) -> str:
    text = form.get(name)
    return clean(text).strip() if isinstance(text, str) else ""


def entry_of(typed: Typed, task: CallTask, *, operator: Operator, at: datetime, whole: bool) -> Entry:
    """Return the entry of an answer given on the phone.

    Unless what was typed is the `whole` answer, as in a correction, what is left empty keeps what was said earlier.
    """
    return Entry(
        task.invitation_id,
        at,
        typed.score,
        reasons=typed.reasons if whole else typed.reasons or None,
        comment=typed.comment if whole else typed.comment or None,
        extra=typed.extra if whole else {question: said for question, said in typed.extra.items() if said},
        step=task.step,
        task_id=task.task_id,
        operator=operator,
    )


def reasons_field(score: int) -> str:
    """Return the name of the form field with the reasons for a score; promoters have their own list of reasons."""
    return "reasons.promoter" if category_of(score) is Category.PROMOTER else "reasons.other"
