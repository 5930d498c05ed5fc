"""Whether what a respondent wrote may be quoted, and by what name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Self
from uuid import UUID

from msgspec import Struct

from services.scoring.domain.answer_form import clean
from services.scoring.domain.invitations import Answer, Invitation, InvitationState
from shared.contract.events import ProgramRef
from shared.contract.vocabulary import AnswerMode

LONGEST = 60  # characters of a name
_NAME = re.compile(r"[^\W\d_](?:[^\W\d_]|[ .,'’()-])*")  # noqa: RUF001 - an apostrophe, too. No digits: a street or a telephone number has some
_SITE = re.compile(r"\w{2}\.\w{2}")


class QuotedAnswer(Struct, frozen=True):
    """An answer with a consent to be quoted, as events name it; of an anonymous one all ids are made up."""

    respondent_id: str
    invitation_id: UUID
    customer_id: str
    answer_id: UUID
    program: ProgramRef

    @classmethod
    def of(cls, invitation: Invitation, answer: Answer) -> Self:
        return cls(
            invitation.respondent_id,
            answer.answer_id if invitation.anonymous else invitation.id,
            invitation.customer_id,
            answer.answer_id,
            ProgramRef(id=invitation.program, version=invitation.program_version, title=invitation.program_title),
        )


class NamedBy(StrEnum):
    """What a form says of the name to quote somebody by."""

    NOBODY = "nobody"
    FIRST = "first"
    OWN = "own"


class InvalidQuoteName(ValueError):
    """What was written is not a name, or more than one."""


def has_quotable_words(invitation: Invitation) -> bool:
    """Whether the answer counts and has a comment that the respondent typed."""
    answer = invitation.genuine_answer
    stands = invitation.state is InvitationState.OPEN and invitation.counted
    return stands and answer is not None and answer.comment is not None and answer.mode is AnswerMode.SELF


def first_name(invitation: Invitation) -> str:
    """Return the first word of the customer's name; an anonymous invitation has none."""
    return next(iter(invitation.name.split()), "")


def name_of(form: Mapping[str, str], invitation: Invitation) -> str:
    """Read the name from a form, "" for none; raises InvalidQuoteName. Anonymous answers are quoted without one."""
    by = form.get("by")
    if invitation.anonymous or by not in {NamedBy.FIRST, NamedBy.OWN}:
        return ""
    if by == NamedBy.FIRST:
        return first_name(invitation)
    name = " ".join(clean(form.get("name", "")).split())
    if len(name) > LONGEST or not _NAME.fullmatch(name) or _SITE.search(name):
        raise InvalidQuoteName
    return name
