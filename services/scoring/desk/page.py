"""Template values of the call desk: the queue, the operator's current call, and notices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import quote

from services.scoring.desk.forms import MAX_LATER, Typed, reasons_field
from services.scoring.desk.practice import PRACTICE
from services.scoring.domain.calling.operators import Operator
from services.scoring.domain.calls import CallTask, TaskKind, masked
from services.scoring.domain.invitations import Invitation
from services.scoring.domain.phone_numbers import readable
from services.scoring.repository.calling.call_queue import MOST_COUNTED
from services.scoring.web import rendering, texts
from services.scoring.web.call_scripts import script_of
from shared.contract.event_words import event_in_words
from shared.contract.vocabulary import CallDisposition
from shared.database.db import Row
from shared.languages import formats
from shared.languages.current import current, gettext
from shared.languages.marking import mark
from shared.languages.zone_names import city_of
from shared.zones import current_zone, time_zone

OUTCOMES = [
    (CallDisposition.ANSWERED, mark("Talked")),
    (CallDisposition.NO_ANSWER, mark("No answer")),
    (CallDisposition.BUSY, mark("Busy")),
    (CallDisposition.MACHINE, mark("Machine")),
    (CallDisposition.REFUSED, mark("Refused")),
    (CallDisposition.WRONG_NUMBER, mark("Wrong number")),
    (CallDisposition.DO_NOT_CALL, mark("Do not call again")),
]
SURE = {  # outcomes that cannot be taken back: what they do is said, and pressed once more
    CallDisposition.REFUSED: mark("They are not asked about this purchase again."),
    CallDisposition.WRONG_NUMBER: mark("This number is never called again, and gets no more text messages."),
    CallDisposition.DO_NOT_CALL: mark("They are never called again."),
}
LABELS = {value.value: label for value, label in OUTCOMES}
LABELS[CallDisposition.CALL_LATER.value] = mark("Call later")
DELAYS = [
    (15, mark("in 15 minutes")),
    (60, mark("in 1 hour")),
    (180, mark("in 3 hours")),
    (1440, mark("tomorrow")),
    (4320, mark("in 3 days")),
]
NOTICES = {
    "none": mark("No call is due at the moment."),
    "taken": mark("Another operator has this call, or it is over. Take the next one."),
    "unreadable": mark(
        "This call is due, but this release of Earshot cannot read it. It waits: tell whoever runs Earshot."
    ),
    "lost": mark("Not saved: another operator has this call, or it is over. What you typed is below."),
    "over": mark("Not saved: the survey was withdrawn or is over. What you typed is below."),
    "long": mark("Not saved: the text is too long, there is room for 4000 characters. Shorten it and save again."),
    "long_note": mark("Not saved: the note is too long, there is room for 1000 characters. Shorten it and save again."),
    "score": mark("Not saved: choose a score from 0 to 10."),
    "when": mark("Not saved: choose a time from five minutes to two weeks ahead."),
    "typed": mark("Nothing is noted yet: the answer that you typed would be lost. Save it, or confirm the outcome."),
    "practised": mark("Practice: this would have been saved. Nothing is stored or counted."),
    "no_practice": mark("There is nothing to practise with before a program is published."),
    "name": mark("Enter your name first."),
    "paused": mark("You pause: end the pause to take a call."),
}


def label_of(disposition: str) -> str:
    """Return the label of an outcome; one of another release is shown as it is stored."""
    return LABELS.get(disposition, disposition)


def done_notice(
    task: CallTask | None, invitation: Invitation | None, query: Mapping[str, str], operator: Operator, now: datetime
) -> str | None:
    """Return what is stored of the call that this operator just ended, and the next step of its task."""
    if task is None:
        return None
    if query.get("said") == "answered":
        answer = invitation.answer if invitation else None
        if answer is None or not operator.is_(task.answered_by):
            return None
        return gettext("Saved: %(score)s of 10. The call is closed.", score=answer.score)
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


def count_shown(counted: int) -> str:
    """Return a count as it is shown: `1000+` for one that was counted no further."""
    return str(counted) if counted <= MOST_COUNTED else f"{MOST_COUNTED}+"


def queue_line(task: CallTask, operator: Operator, now: datetime, *, reason: str = "") -> dict[str, Any]:
    """Return the line of a call that can be taken; `reason` names the rule by which it has its priority."""
    return {
        "task_id": task.task_id,
        "name": short_name(task.name) or gettext("No name"),
        "phone": masked(task.phone),
        "there": there(task, now),
        "try": task.tries + 1,
        "why": why_first(task, reason),
        "callback": task.kind is TaskKind.CALLBACK,
        "appointment": f"{task.due_at.astimezone(time_zone(task.time_zone)):%H:%M}" if task.appointed else "",
        "mine": operator.is_(task.held_by),
    }


def why_first(task: CallTask, reason: str) -> str:
    """Say why a call comes before others that are due longer; "" for one in its usual place."""
    if task.kind is TaskKind.CALLBACK or task.appointed or task.priority <= 0:
        return ""
    return reason or gettext("calls of this program come first")


def is_of(task: CallTask, operator: Operator) -> bool:
    """Return whether the operator holds the call, or saved its answer and may correct it; all may practise."""
    return task.task_id == PRACTICE or operator.is_(task.held_by) or operator.is_(task.answered_by)


def there(task: CallTask, now: datetime) -> str:
    """Return the time of day where the customer is."""
    return f"{now.astimezone(time_zone(task.time_zone)):%H:%M}"


def short_name(name: str) -> str:
    """Return the first name and the first letter of the rest, such as `Ada L.`."""
    first, _, rest = name.strip().partition(" ")
    return f"{first} {rest.strip()[:1]}." if rest.strip() else first


def call_values(  # noqa: PLR0913 - what the page is about
    task: CallTask, invitation: Invitation, before: Sequence[Row], *, operator: Operator, link: str, now: datetime
) -> dict[str, Any]:
    """Return what the page of a call shows; `link` is the template of the address that dials."""
    here = now.astimezone(time_zone(task.time_zone))
    is_practice = task.task_id == PRACTICE
    return {
        "task": task,
        "invitation": invitation,
        "phone": readable(task.phone),
        "link": link.format(phone=quote(task.phone, safe="+")) if task.phone and not is_practice else "",
        "practice": is_practice,
        "name": short_name(task.name),
        "place": city_of(task.time_zone),
        "summary": _summary(task, invitation),
        "there": there(task, now),
        "earliest": f"{here + timedelta(minutes=5):%Y-%m-%dT%H:%M}",
        "latest": f"{here + MAX_LATER:%Y-%m-%dT%H:%M}",
        "try": task.tries + 1,
        "why": why_first(task, invitation.content.call_priority.reason),
        "tries": max(task.max_attempts, task.tries + 1),
        "before": [attempt_line(each, now) for each in before],
        "callback": task.kind is TaskKind.CALLBACK,
        "corrects": task.answered_by is not None,
        "about": texts.about(invitation, now=now),
        "script": script_of(task, invitation, operator=operator.name, now=now),
        "reasons": invitation.content.all_reasons,
        "extra": invitation.content.extra_answers(invitation.answer.extra) if invitation.answer else [],
        "lists": {field: list(scores) for field, scores in groupby(range(11), reasons_field)},
    }


def _summary(task: CallTask, invitation: Invitation) -> str:
    """Say what the call is about: as dispatcher says it in the customer's language, if that is the operator's, too."""
    if not task.summary or texts.language_of(invitation.locale) == current.get().locale.language:
        return task.summary
    occasion, store = invitation.occasion, invitation.segments.get("store")
    about = [event_in_words(occasion.type, occasion.known_as), formats.day(occasion.time), *([store] if store else [])]
    before = gettext("Steps of the plan before this call: %(num)s.", num=task.step - 1)
    return f"{', '.join(about)}. {before}"


def attempt_line(attempt: Row, now: datetime) -> dict[str, Any]:
    return {
        "at": rendering.moment(attempt["at"], current_zone.get(), now=now),
        "outcome": label_of(attempt["disposition"]),
        "operator": attempt["operator"],
        "note": attempt["note"],
    }


def lost_values(task: CallTask | None, invitation: Invitation | None, typed: Typed) -> dict[str, Any]:
    """Return what an operator typed of a call that is not theirs, and who has it."""
    texts_of = invitation.content.all_reasons if invitation else {}
    return {
        "typed": typed,
        "reasons": [texts_of.get(reason, reason) for reason in typed.reasons],
        "extra": invitation.content.extra_answers(typed.extra) if invitation else [],
        "holder": task.held_by.name if task and task.held_by else None,
    }


def saved_in(task: CallTask, invitation: Invitation) -> Typed | None:
    """Return the stored answer that its operator may correct."""
    answer = invitation.answer
    if task.answered_by is None or answer is None:
        return None
    return Typed(answer.score, answer.reasons, answer.comment or "", extra=answer.extra)
