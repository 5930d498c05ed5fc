"""Stores scores of another survey tool as answers with the mode `imported`, without publishing answer events."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence

from uuid_utils.compat import uuid7

from services.scoring.domain.answers import AnswerVersion, Entry
from services.scoring.domain.dimensions import BucketKey, answer_keys, segment_values
from services.scoring.domain.history import ImportedScore, PublishedProgram, answer_of, invitation_of
from services.scoring.domain.invitations import Invitation
from services.scoring.domain.score import Tally
from services.scoring.repository import answers, invitations, withdrawals
from services.scoring.repository.invitations import LinkedInvitation
from services.scoring.repository.retention import limits
from services.scoring.repository.scores import buckets, dimensions
from shared.database import db
from shared.database.session import Session


async def store(session: Session, program: PublishedProgram, scores: Sequence[ImportedScore]) -> int:
    """Store and count the scores that are not stored yet; return the number of scores stored."""
    await withdrawals.lock_requests(session, alone=False)
    known = await dimensions.admit(
        session, [value for score in scores for value in segment_values(program.id, score.segments or {})]
    )
    pairs = [(invitation_of(score, program, known=known), score) for score in reversed(scores)]
    new = {invitation.id: (invitation, score) for invitation, score in pairs}  # keeps the first of repeated scores
    for id_ in await limits.dropped_imports(session, new):
        del new[id_]
    # imported invitations have no answer link, so their fingerprint is random
    added = await invitations.add(
        session, [LinkedInvitation(invitation, secrets.token_bytes(32)) for invitation, _ in new.values()]
    )
    versions = [_version(invitation, score) for invitation, score in new.values() if invitation.id in added]
    changes: defaultdict[BucketKey, Tally] = defaultdict(Tally)
    for version in versions:
        for key in answer_keys(program.id, version.invitation.dimensions, version.after):
            changes[key] += version.after.tally
    await db.write(session, answers.add_statement(versions), buckets.add_statement(changes))
    return len(versions)


def _version(invitation: Invitation, score: ImportedScore) -> AnswerVersion:
    entry = Entry(invitation.id, score.at, score.score)
    return AnswerVersion(invitation, entry, None, answer_of(score, invitation, new_id=uuid7()))
