"""Reads the forms of the call desk."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import unquote
from uuid import UUID

from fastapi import Request
from starlette.datastructures import FormData

from services.scoring.domain.answer_form import MAX_TEXT, clean
from services.scoring.domain.answers import Entry
from services.scoring.domain.calls import CallTask
from shared.contract.vocabulary import Category, category_of
from shared.zones import time_zone

COOKIE = "operator"
MIN_LATER, MAX_LATER = timedelta(minutes=4), timedelta(days=14)


def operator_of(request: Request) -> str:
    return name_of(unquote(request.cookies.get(COOKIE, "")))


def name_of(value: object) -> str:
    return clean(value).strip()[:100] if isinstance(value, str) else ""


def task_id_of(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def delay_of(form: FormData, task: CallTask, now: datetime) -> timedelta:
    """Read the delay until the next call, given in minutes or as the respondent's local time. Raises ValueError."""
    at = form.get("at")
    if isinstance(at, str) and at:
        later = datetime.fromisoformat(at).replace(tzinfo=time_zone(task.time_zone)) - now
    else:
        later = timedelta(minutes=int(str(form.get("minutes", "60"))))
    if not MIN_LATER <= later <= MAX_LATER:
        raise ValueError("the delay is too short or too long")
    return later


def entry_of(form: FormData, task: CallTask, score: int, *, operator: str, at: datetime) -> Entry:
    """Read an answer that was given on the phone; without reasons or comment, earlier ones are kept."""
    comment = form.get("comment")
    reasons = tuple(reason for reason in form.getlist(reasons_field(score)) if isinstance(reason, str))
    return Entry(
        task.invitation_id,
        at,
        score,
        reasons=reasons or None,
        comment=clean(comment)[:MAX_TEXT] if isinstance(comment, str) and comment else None,
        step=task.step,
        task_id=task.task_id,
        operator=operator,
    )


def reasons_field(score: int) -> str:
    """Return the form field of the reasons for this score: an id may have another text in the other list."""
    return "reasons.promoter" if category_of(score) is Category.PROMOTER else "reasons.other"
