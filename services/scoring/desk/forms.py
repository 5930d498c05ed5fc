"""Reads the forms of the call desk."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import unquote
from uuid import UUID

from fastapi import Request
from starlette.datastructures import FormData

from services.scoring.domain.answer_form import clean
from services.scoring.domain.answers import Entry
from services.scoring.domain.calls import CallTask
from shared.contract.vocabulary import Category, category_of
from shared.web.staff.tickets import person_name
from shared.zones import time_zone

COOKIE = "operator"
MIN_LATER, MAX_LATER = timedelta(minutes=4), timedelta(days=14)


def operator_of(request: Request) -> str:
    """Return who works at the desk: the person who is signed in, or whom a program named when it took a call."""
    return person_name() or name_of(unquote(request.cookies.get(COOKIE, "")))


def name_of(value: object) -> str:
    return clean(value).strip()[:100] if isinstance(value, str) else ""


def task_id_of(value: object) -> UUID | None:
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


def entry_of(form: FormData, task: CallTask, score: int, *, operator: str, at: datetime) -> Entry:
    """Return the entry of an answer given on the phone; missing reasons or comment keep the earlier ones."""
    reasons = tuple(reason for reason in form.getlist(reasons_field(score)) if isinstance(reason, str))
    return Entry(
        task.invitation_id,
        at,
        score,
        reasons=reasons or None,
        comment=comment_of(form) or None,
        step=task.step,
        task_id=task.task_id,
        operator=operator,
    )


def comment_of(form: FormData) -> str:
    comment = form.get("comment")
    return clean(comment) if isinstance(comment, str) else ""


def reasons_field(score: int) -> str:
    """Return the name of the form field with the reasons for a score; promoters have their own list of reasons."""
    return "reasons.promoter" if category_of(score) is Category.PROMOTER else "reasons.other"
