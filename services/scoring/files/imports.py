"""Imports scores of an older tool: counted on their own days under their own mode, stored once, never published."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from services.scoring.domain.answers import AnswerVersion, Entry
from services.scoring.domain.dimensions import BucketKey, answer_keys, segment_values
from services.scoring.domain.history import ImportedScore, PublishedProgram, answer_of, invitation_of
from services.scoring.domain.score import Tally
from services.scoring.repository import answers, invitations
from services.scoring.repository.invitations import LinkedInvitation
from services.scoring.repository.scores import buckets, dimensions
from shared.database import db


async def store(session: AsyncSession, program: PublishedProgram, scores: Sequence[ImportedScore]) -> int:
    """Store and count the scores that are not stored yet; returns how many."""
    known = await dimensions.admit(
        session, [value for said in scores for value in segment_values(program.id, said.segments or {})]
    )
    made_of = [(invitation_of(said, program, known=known), said) for said in reversed(scores)]
    each = {made.id: (made, said) for made, said in made_of}  # of repeated scores the first
    # no link was sent: a random fingerprint matches none
    added = await invitations.add(
        session, [LinkedInvitation(made, secrets.token_bytes(32)) for made, _ in each.values()]
    )
    versions = [
        AnswerVersion(made, Entry(made.id, said.at, said.score), None, answer_of(said, made, new_id=uuid7()))
        for made, said in each.values()
        if made.id in added
    ]
    changes: defaultdict[BucketKey, Tally] = defaultdict(Tally)
    for version in versions:
        for key in answer_keys(program.id, version.invitation.dimensions, version.after):
            changes[key] += version.after.tally
    await db.write(session, answers.add_statement(versions), buckets.add_statement(changes))
    return len(versions)
