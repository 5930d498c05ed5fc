"""What an operator reads to a customer: the words of the program, or the usual ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from services.scoring.domain.calls import CallTask, TaskKind
from services.scoring.domain.invitations import Invitation
from services.scoring.web import texts
from shared.contract.labels import filled, mistake_in

_QUESTION = "{question}"


class CallScript(NamedTuple):
    """The text before the question, the question, and the text after it; `notice` has to be said in every call.

    `is_broken`: the program's words have a placeholder that means nothing, and are shown with it.
    """

    before: str
    question: str = ""
    after: str = ""
    notice: str = ""
    is_broken: bool = False

    @property
    def text(self) -> str:
        """The whole script, with the question in it and without the notice."""
        return f"{self.before}{self.question}{self.after}"


def script_of(task: CallTask, invitation: Invitation, *, operator: str, now: datetime) -> CallScript:
    """Return the script of a call."""
    if task.kind is TaskKind.CALLBACK:
        return callback_script(invitation, operator=operator, now=now)
    return survey_script(invitation, task.script, operator=operator, now=now)


def survey_script(invitation: Invitation, written: str, *, operator: str, now: datetime) -> CallScript:
    """Return the script of a call that asks the question.

    Where the program has none, it is the text `written` in the task, with a greeting if that begins with the question.
    """
    asked, values = invitation.content.question, _values(invitation, operator=operator, now=now)
    own = invitation.content.labels.get("call.script", "")
    if own:
        before, _, after = own.partition(_QUESTION)
        before, question, after = _spoken(before, values), asked, _spoken(after, {**values, "question": asked})
        before = before if _QUESTION in own else f"{before} "
    else:
        before, question, after = written.partition(asked)
        hello = texts.words_of(invitation)["hello"].format(brand=values["brand"], about=values["about"])
        before, question = before if before.strip() else f"{hello} ", question or asked
    return CallScript(before, question, after, *_notice(invitation, values, "call.script"))


def callback_script(invitation: Invitation, *, operator: str, now: datetime) -> CallScript:
    """Return the script of a call that the customer asked for."""
    values = _values(invitation, operator=operator, now=now)
    usual = texts.words_of(invitation)["hello_back"]
    before = _spoken(invitation.content.labels.get("call.back", usual), values)
    return CallScript(before, "", "", *_notice(invitation, values, "call.back"))


def _notice(invitation: Invitation, values: Mapping[str, str], script: str) -> tuple[str, bool]:
    """Return what has to be said in every call, and whether that or the script has a mistake."""
    labels = invitation.content.labels
    is_broken = any(name in labels and mistake_in(name, labels[name]) for name in (script, "call.notice"))
    return _spoken(labels.get("call.notice", ""), values), is_broken


def _values(invitation: Invitation, *, operator: str, now: datetime) -> Mapping[str, str]:
    brand, occasion = invitation.content.brand.name, invitation.occasion
    return {
        "about": texts.about(invitation, now=now),
        "brand": brand,
        "date": texts.day(invitation, occasion.time, now=now, within="order"),
        "first_name": invitation.name.strip().partition(" ")[0],
        "number": occasion.known_as or "",
        "operator": operator,
        "store": invitation.segments.get("store", brand),
    }


def _spoken(text: str, values: Mapping[str, str]) -> str:
    """Fill the placeholders; one without a value takes the comma and the space before it along."""
    for name, value in values.items():
        if not value:
            text = re.sub(rf",?\s*\{{{name}\}}", "", text)
    return filled(text, values)
