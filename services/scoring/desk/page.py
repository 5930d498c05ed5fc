"""Template values of the call desk: the queue, the operator's current call, and notices."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from services.scoring.desk.forms import MAX_LATER, reasons_field
from services.scoring.domain.calls import CallTask, TaskKind, masked
from services.scoring.domain.invitations import Invitation
from services.scoring.domain.phone_numbers import readable
from services.scoring.web import rendering, texts
from shared.contract.vocabulary import CallDisposition
from shared.languages.current import gettext
from shared.languages.marking import mark
from shared.zones import time_zone

OUTCOMES = [
    (CallDisposition.ANSWERED, mark("Talked"), "K"),
    (CallDisposition.NO_ANSWER, mark("No answer"), "A"),
    (CallDisposition.BUSY, mark("Busy"), "B"),
    (CallDisposition.MACHINE, mark("Machine"), "M"),
    (CallDisposition.REFUSED, mark("Refused"), "R"),
    (CallDisposition.WRONG_NUMBER, mark("Wrong number"), "W"),
    (CallDisposition.DO_NOT_CALL, mark("Do not call again"), "D"),
]
LABELS = {value.value: label for value, label, _ in OUTCOMES}
LABELS[CallDisposition.CALL_LATER.value] = mark("Call later")
DELAYS = [
    (15, mark("in 15 minutes")),
    (60, mark("in 1 hour")),
    (180, mark("in 3 hours")),
    (1440, mark("tomorrow")),
    (4320, mark("in 3 days")),
]
NOTICES = {
    "answered": mark("Saved. The call is closed."),
    "none": mark("No call is due at the moment."),
    "taken": mark("Another operator has this call, or it is no longer due. Take the next one."),
    "lost": mark("Not saved: your time for this call is over, or the call was closed. Take the next one."),
    "over": mark("Not saved: the survey was withdrawn or is over."),
    "long": mark("Not saved: the text is too long, there is room for 4000 characters. Shorten it and save again."),
    "score": mark("Not saved: choose a score from 0 to 10."),
    "when": mark("Not saved: choose a time from five minutes to two weeks ahead."),
    "name": mark("Enter your name first."),
}


def outcome_notice(task: CallTask, query: Mapping[str, str], now: datetime) -> str | None:
    """Return a notice with the call's disposition and the next step of its task; None for an unknown disposition."""
    label = LABELS.get(query.get("noted", ""))
    if label is None:
        return None
    noted = gettext("Noted: %(outcome)s.", outcome=gettext(label).lower())
    return f"{noted} {_what_follows(task, now, moved='moved' in query)}"


def _what_follows(task: CallTask, now: datetime, *, moved: bool) -> str:
    if not task.open:
        return gettext("The call is closed.")
    if task.due_at >= task.expires_at:
        return gettext("The call expires before then and does not come back.")
    back = rendering.moment(task.due_at, time_zone(task.time_zone), now=now)
    if moved:
        text = mark("It is moved into the hours in which they may be called: it comes back %(time)s their time.")
        return gettext(text, time=back)
    return gettext("The call comes back %(time)s their time.", time=back)


def queue_line(task: CallTask, operator: str, now: datetime) -> dict[str, Any]:
    return {
        "task_id": task.task_id,
        "name": _short(task.name) or gettext("No name"),
        "phone": masked(task.phone),
        "there": f"{now.astimezone(time_zone(task.time_zone)):%H:%M}",
        "try": task.tries + 1,
        "callback": task.kind is TaskKind.CALLBACK,
        "appointment": f"{task.due_at.astimezone(time_zone(task.time_zone)):%H:%M}" if task.appointed else "",
        "mine": task.held_by is not None and task.held_by == operator,
    }


def _short(name: str) -> str:
    """Return the first name and the first letter of the rest, such as `Ada L.`."""
    first, _, rest = name.strip().partition(" ")
    return f"{first} {rest.strip()[:1]}." if rest.strip() else first


def call_values(task: CallTask, invitation: Invitation, now: datetime) -> dict[str, Any]:
    here = now.astimezone(time_zone(task.time_zone))
    return {
        "task": task,
        "invitation": invitation,
        "phone": readable(task.phone),
        "name": _short(task.name),
        "place": task.time_zone.rpartition("/")[2].replace("_", " "),
        "there": f"{here:%H:%M}",
        "earliest": f"{here + timedelta(minutes=5):%Y-%m-%dT%H:%M}",
        "latest": f"{here + MAX_LATER:%Y-%m-%dT%H:%M}",
        "try": task.tries + 1,
        "tries": max(task.max_attempts, task.tries + 1),
        "callback": task.kind is TaskKind.CALLBACK,
        "about": texts.about(invitation, now=now),
        "script": _script(task, invitation, now),
        "reasons": invitation.content.all_reasons,
        "lists": {field: list(scores) for field, scores in groupby(range(11), reasons_field)},
    }


def _script(task: CallTask, invitation: Invitation, now: datetime) -> tuple[str, str, str]:
    """Return the operator's script as the text before the question, the question, and the text after the question."""
    if task.kind is TaskKind.CALLBACK:
        return texts.words_of(invitation)["hello_back"].format(brand=invitation.content.brand.name), "", ""
    return texts.script(invitation, task.script, now=now)
