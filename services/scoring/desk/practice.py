"""A made-up call with which operators practise: nothing of it is stored, so nothing counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from services.scoring.domain.calls import CallTask
from services.scoring.domain.invitations import Invitation
from services.scoring.repository import programs
from shared.contract.samples import NoSample, sample_of_program
from shared.database.session import Session
from shared.locales import primary_language
from shared.web.links import SAMPLE_KEY

PRACTICE = UUID("00000000-0000-7000-8000-000000000001")  # the id of the made-up call, which no other can have
_MAX_ATTEMPTS = 3


async def practice_call(
    session: Session, *, within: Sequence[str] | None, languages: Sequence[str], now: datetime
) -> tuple[CallTask, Invitation] | None:
    """Make up a call of the first program, of all or of those `within`; None if there is no program to ask with.

    It is in the first of the `languages` in which there is a program, else in the language of the program.
    """
    documents = await programs.documents(session, within=within)
    in_languages = [(each, locale) for language in languages for each in documents for locale in _in(each, language)]
    for document, locale in [*in_languages, *((each, each.get("default_locale", "")) for each in documents)]:
        try:
            request = sample_of_program(document, locale=locale, link_key=SAMPLE_KEY, when=now)
        except NoSample:
            continue
        invitation = Invitation.of(request, program_zone=request.time_zone, dimensions={})
        return _task(invitation, now), invitation
    return None


def _in(document: Mapping[str, Any], language: str) -> list[str]:
    """Return the locales of a program that are in a language."""
    return [locale for locale in document.get("texts", {}) if primary_language(locale) == language]


def _task(invitation: Invitation, now: datetime) -> CallTask:
    return CallTask(
        task_id=PRACTICE,
        invitation_id=invitation.id,
        respondent_id=invitation.respondent_id,
        open=True,
        outcome=None,
        step=1,
        phone=invitation.phone,
        name=invitation.name,
        script=invitation.content.question,
        summary="",
        time_zone=invitation.time_zone,
        hours=None,
        tries=0,
        max_attempts=_MAX_ATTEMPTS,
        appointed=False,
        priority=0,
        due_at=now,
        expires_at=invitation.expires_at,
        held_by=None,
    )
