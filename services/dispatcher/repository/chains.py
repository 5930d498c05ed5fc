"""The steps of invitations as they stand: their plans, with what is planned, held and in the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from uuid import UUID

import asyncpg
import msgspec

from services.dispatcher.domain.chain import delay_of
from services.dispatcher.domain.steps import NO_PROVIDER, ChainStep, StepState, state_after
from shared.contract.vocabulary import AttemptState, ChannelKind, Service
from shared.database import db
from shared.database.isolated import isolated
from shared.database.session import Session

_INVITATIONS = """SELECT i.id, i.outcome, i.content,
    CASE WHEN i.content IS NULL THEN (i.request -> 'plan')::text END AS plan
FROM unnest($1::uuid[]) AS wanted (id) JOIN invitations i USING (id)"""
_PLANS = "SELECT digest, (document -> 'plan')::text AS plan FROM contents WHERE digest = ANY($1::bytea[])"
_STANDING = """SELECT invitation_id, step, 'planned' AS state, due_at, tries, reason, account, false AS call_open
FROM due WHERE invitation_id = ANY($1::uuid[])
UNION ALL SELECT invitation_id, step, 'planned', due_at, tries, 'program_stopped', account, false
FROM halted WHERE invitation_id = ANY($1::uuid[])
UNION ALL SELECT invitation_id, step, CASE WHEN in_flight THEN 'in_flight' ELSE 'leased' END, due_at, tries, NULL,
    account, false
FROM held WHERE invitation_id = ANY($1::uuid[])
UNION ALL (SELECT DISTINCT ON (a.invitation_id, a.step) a.invitation_id, a.step, a.state, NULL, a.try, a.reason,
    a.provider, EXISTS (SELECT FROM calls c WHERE c.invitation_id = a.invitation_id AND c.step = a.step)
FROM attempts a WHERE a.invitation_id = ANY($1::uuid[]) ORDER BY a.invitation_id, a.step, a.try DESC)"""


class _PlanStep(msgspec.Struct, frozen=True):
    step: int
    channel: ChannelKind
    delay_s: float


_PLAN = msgspec.json.Decoder(list[_PlanStep])
_RUNNING = {StepState.PLANNED, StepState.LEASED, StepState.IN_FLIGHT}


async def read(session: Session, invitations: Collection[UUID]) -> dict[UUID, list[ChainStep]]:
    """Read the steps of invitations, in order; an invitation with a step that cannot be read is left out."""
    if not invitations:
        return {}
    ids = list(invitations)
    known = await db.fetch(session, _INVITATIONS, ids)
    digests = list({row["content"] for row in known} - {None})
    plans = {row["digest"]: row["plan"] for row in await db.fetch(session, _PLANS, digests)} if digests else {}
    standing: dict[UUID, list[asyncpg.Record]] = defaultdict(list)
    for row in await db.fetch(session, _STANDING, ids):
        standing[row["invitation_id"]].append(row)
    found: dict[UUID, list[ChainStep]] = {}
    for row in known:
        with isolated("stored_step", service=Service.DISPATCHER, invitation_id=str(row["id"])):
            plan = _PLAN.decode(row["plan"] or plans[row["content"]])
            found[row["id"]] = _chain(plan, standing[row["id"]], row["outcome"])
    return found


def _chain(plan: list[_PlanStep], standing: list[asyncpg.Record], outcome: str | None) -> list[ChainStep]:
    rows = {row["step"]: row for row in sorted(standing, key=lambda row: row["state"] in _RUNNING)}  # running ones win
    return [_chain_step(step, rows.get(step.step), outcome) for step in sorted(plan, key=lambda step: step.step)]


def _chain_step(planned: _PlanStep, row: asyncpg.Record | None, outcome: str | None) -> ChainStep:
    """Return a step of the plan; one that did not begin waits, or was skipped because the invitation has ended."""
    number, channel, delay = planned.step, planned.channel, delay_of(planned.delay_s)
    if row is None:
        state = StepState.SKIPPED if outcome else StepState.WAITING
        return ChainStep(number, channel, state, None, delay, reason=outcome)
    is_running = row["state"] in _RUNNING
    return ChainStep(
        number,
        channel,
        StepState(row["state"]) if is_running else state_after(AttemptState(row["state"])),
        row["due_at"],
        delay,
        call_open=row["call_open"],
        tries=row["tries"],
        reason=row["reason"],
        account=None if row["account"] == NO_PROVIDER else row["account"],
    )
