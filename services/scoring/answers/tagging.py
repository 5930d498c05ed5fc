"""Gives tags to answers, for the page of comments and the API."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from services.scoring.domain.comments.tags import MOST_TAGS, InvalidTag
from services.scoring.repository import answers, invitations
from services.scoring.repository.comments import tags
from shared.contract.staff_scope import StaffScope
from shared.database.session import Session
from shared.languages.current import gettext
from shared.web.audit.acts import note_unchanged


async def change_tags(
    session: Session, answer_id: UUID, *, add: Sequence[str] = (), remove: Sequence[str] = (), scope: StaffScope
) -> list[str] | None:
    """Change the tags of an answer, as `tag_of` returned them, and return all it has.

    None for an answer that may not be seen or has no comment; raises InvalidTag if it would have too many.
    """
    invitation_id = await answers.invitation_of(session, answer_id, scope=scope)
    if invitation_id is None:
        return None
    await invitations.lock(session, [invitation_id])  # an erasure takes the words and the tags
    if not await tags.may_have_some(session, answer_id):
        return None
    changes = [await tags.remove(session, answer_id, tag) for tag in remove]
    changes += [await tags.add(session, answer_id, tag) for tag in add]
    if not any(changes):
        note_unchanged()
    given = await tags.of(session, answer_id)
    if len(given) > MOST_TAGS:
        raise InvalidTag(gettext("An answer has at most %(most)s tags: take one away first.", most=MOST_TAGS))
    return given
