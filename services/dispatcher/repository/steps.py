"""Steps: claim, mark, end and plan them. Leases are in machine time, due times in business time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from services.dispatcher.domain.addresses import OF_ADDRESS
from services.dispatcher.domain.chain import delay_of, first_due
from services.dispatcher.domain.steps import ChainStep, LeasedStep, PlannedStep, SendFacts, StepResult, StepState
from services.dispatcher.repository import addresses
from services.dispatcher.repository.addresses import TargetAddress
from shared.contract.address_keys import AddressKeys
from shared.contract.events import PlanStep, SurveyRequested
from shared.contract.vocabulary import ChannelKind, Service
from shared.database import db
from shared.database.isolated import isolated

LEASE = timedelta(seconds=30)


_INSERT = """INSERT INTO steps (invitation_id, step, channel, state, delay_s, due_at)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[])
ON CONFLICT DO NOTHING"""


async def insert(session: AsyncSession, requests: Sequence[SurveyRequested]) -> None:
    """Store the plans of requests: the first step of each is planned, each other one waits for the step before it.

    A step `link` has happened: the shop got the link with the decision.
    """
    rows = [
        (request.invitation_id, step, *_initial(step, first_due(request)))
        for request in requests
        for step in request.plan
    ]
    await db.fetch(
        session,
        _INSERT,
        [invitation for invitation, *_ in rows],
        [step.step for _, step, *_ in rows],
        [step.channel for _, step, *_ in rows],
        [state for *_, state, _ in rows],
        [int(delay_of(step).total_seconds()) for _, step, *_ in rows],
        [due_at for *_, due_at in rows],
    )


def _initial(step: PlanStep, first: tuple[int, datetime] | None) -> tuple[StepState, datetime | None]:
    if not step.channel.contacts:
        return StepState.SENT, None
    if first is not None and first[0] == step.step:
        return StepState.PLANNED, first[1]
    return StepState.WAITING, None


_CLAIM = """WITH due AS MATERIALIZED (
    SELECT ctid FROM steps
    WHERE state = 'planned' AND channel = $1 AND due_at <= $2
    ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE steps s SET state = 'leased', token = $4, leased_until = clock_timestamp() + $5::interval
FROM due WHERE s.ctid = due.ctid
RETURNING s.invitation_id, s.step, s.token, s.channel, s.tries, s.due_at, s.account"""


async def claim_due(session: AsyncSession, channel: ChannelKind, *, now: datetime, limit: int) -> list[LeasedStep]:
    """Lease due steps, the longest due first; steps locked by other transactions are skipped."""
    rows = await db.fetch(session, _CLAIM, channel, now, limit, uuid7(), LEASE)
    return sorted((_leased(row) for row in rows), key=lambda step: step.due_at)


_NEXT = "SELECT due_at FROM steps WHERE state = 'planned' AND channel = $1 ORDER BY due_at LIMIT 1"


async def next_due(session: AsyncSession, channel: ChannelKind) -> datetime | None:
    """Return when the first planned step of the channel is or was due; None if none is planned."""
    rows = await db.fetch(session, _NEXT, channel)
    return rows[0]["due_at"] if rows else None


def _leased(row: asyncpg.Record) -> LeasedStep:
    return LeasedStep(
        invitation_id=row["invitation_id"],
        step=row["step"],
        token=row["token"],
        channel=ChannelKind(row["channel"]),
        tries=row["tries"],
        due_at=row["due_at"],
        account=row["account"],
    )


_FACTS = """SELECT i.id, i.request::text, (
    SELECT count(*) FROM steps b
    WHERE b.invitation_id = i.id AND b.state IN ('sent', 'unknown') AND b.channel <> 'link'
) AS sent_before, EXISTS (
    SELECT FROM suppressions s
    WHERE s.respondent_id = i.respondent_id AND (s.channel IS NULL OR s.channel = $2)
      AND (s.program IS NULL OR s.program = i.program) AND (s.until IS NULL OR s.until > $3)
      AND (s.reason <> ALL($4::text[]) OR (s.address IS NULL AND NOT EXISTS (
          SELECT FROM bound_addresses b WHERE b.suppression_id = s.id
      )))
) AS suppressed, i.respondent_id, i.program, i.request #>> $5::text[] AS address
FROM unnest($1::uuid[]) AS claimed (id) JOIN invitations i USING (id) WHERE i.expires_at > $3"""


async def facts(
    session: AsyncSession,
    leased: Sequence[LeasedStep],
    channel: ChannelKind,
    *,
    address_keys: AddressKeys,
    now: datetime,
) -> dict[UUID, SendFacts]:
    """Read what decides whether leased steps are sent; invitations past their expiry are left out.

    These must be statements after the one that claims: they see changes committed before the claim took its locks, and
    later changes wait for the claim and then release the lease.
    """
    path = ["contact", "email" if channel is ChannelKind.EMAIL else "phone"]
    ids = [step.invitation_id for step in leased]
    rows = await db.fetch(session, _FACTS, ids, channel, now, list(OF_ADDRESS), path)
    targets = [
        TargetAddress(row["id"], row["respondent_id"], row["program"], row["address"]) for row in rows if row["address"]
    ]
    bound = await addresses.among_bound(session, targets, channel, address_keys, now=now)
    return {
        row["id"]: SendFacts(row["request"], row["suppressed"] or row["id"] in bound, row["sent_before"])
        for row in rows
    }


# a row locked by another transaction is losing its lease there: it is skipped, since waiting could deadlock
_OURS = """WITH ours AS MATERIALIZED (
    SELECT ours.* FROM unnest($1::uuid[], $2::int[], $3::uuid[]) AS m (invitation_id, step, token), LATERAL (
        SELECT s.ctid AS place, s.invitation_id, s.step FROM steps s
        WHERE s.invitation_id = m.invitation_id AND s.step = m.step AND s.token = m.token AND s.state = 'leased'
        FOR UPDATE SKIP LOCKED
    ) ours
)"""
# without statistics, a join with invitations would be planned as a scan of all open ones
_MARK = f"""{_OURS}
UPDATE steps s SET state = 'in_flight', account = $4, leased_until = clock_timestamp() + $5::interval
FROM ours WHERE s.ctid = ours.place AND (SELECT i.state = 'open' FROM invitations i WHERE i.id = s.invitation_id)
RETURNING s.invitation_id, s.step"""  # noqa: S608 - constants


async def mark_in_flight(session: AsyncSession, leased: Sequence[LeasedStep], *, account: str) -> set[tuple[UUID, int]]:
    """Put leased steps in flight; return the keys of those whose lease was still held and whose invitation is open."""
    return _keys(await db.fetch(session, _MARK, *_columns(leased), account, LEASE))


_MOVE = f"""{_OURS}
UPDATE steps s SET state = 'planned', due_at = m.due_at, reason = m.reason, token = NULL, leased_until = NULL
FROM ours JOIN unnest($1::uuid[], $2::int[], $4::timestamptz[], $5::text[]) AS m (invitation_id, step, due_at, reason)
    USING (invitation_id, step)
WHERE s.ctid = ours.place"""  # noqa: S608 - constants


async def move(session: AsyncSession, moves: Sequence[tuple[LeasedStep, datetime, str | None]]) -> None:
    """Give leased steps back, each with its new due time and the reason."""
    if not moves:
        return
    leased = [step for step, _, _ in moves]
    times = [due_at for _, due_at, _ in moves]
    await db.fetch(session, _MOVE, *_columns(leased), times, [reason for _, _, reason in moves])


_LOSE_LEASES = """UPDATE steps SET state = 'planned', token = NULL, leased_until = NULL
WHERE invitation_id = ANY($1::uuid[]) AND state IN ('planned', 'leased')"""


async def release_leases(session: AsyncSession, invitations: Collection[UUID]) -> None:
    """Release leases, so that steps are checked again; updating planned rows, too, conflicts with claims under way."""
    await db.fetch(session, _LOSE_LEASES, list(invitations))


_STOP = """UPDATE steps s SET state = 'skipped', reason = c.outcome, token = NULL, leased_until = NULL
FROM unnest($1::uuid[], $2::text[]) AS c (id, outcome)
WHERE s.invitation_id = c.id AND s.state IN ('waiting', 'planned', 'leased')"""


async def stop(session: AsyncSession, outcomes: Mapping[UUID, str]) -> None:
    """Skip every step that is waiting, planned or leased, with the invitation's outcome as reason."""
    await db.fetch(session, _STOP, list(outcomes), list(outcomes.values()))


_END = """UPDATE steps s SET state = e.state, tries = e.tries, account = e.account, reason = e.reason,
    due_at = coalesce(e.due_at, s.due_at), call_task = e.call_task, token = NULL, leased_until = NULL
FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::text[], $5::int[], $6::text[], $7::text[], $8::timestamptz[],
    $9::uuid[]) AS e (invitation_id, step, token, state, tries, account, reason, due_at, call_task)
WHERE s.invitation_id = e.invitation_id AND s.step = e.step AND s.token = e.token AND s.state IN ('leased', 'in_flight')
RETURNING s.invitation_id, s.step"""


async def end(session: AsyncSession, results: Sequence[StepResult]) -> set[tuple[UUID, int]]:
    """Store the results of leased steps; return the keys of those whose lease was still held."""
    rows = await db.fetch(
        session,
        _END,
        *_columns([each.leased for each in results]),
        [each.state for each in results],
        [each.tries for each in results],
        [each.account for each in results],
        [each.reason for each in results],
        [each.due_at for each in results],
        [each.call_task for each in results],
    )
    return _keys(rows)


_CHAINS = """SELECT invitation_id, step, channel, state, due_at, delay_s, call_task
FROM unnest($1::uuid[]) AS wanted (invitation_id) JOIN steps USING (invitation_id) ORDER BY invitation_id, step"""


async def chains(session: AsyncSession, invitations: Collection[UUID]) -> dict[UUID, list[ChainStep]]:
    """Read the steps of invitations, in order; an invitation with a step that cannot be read is left out."""
    found: dict[UUID, list[ChainStep]] = {}
    rows = await db.fetch(session, _CHAINS, list(invitations))
    for invitation, steps in groupby(rows, key=itemgetter("invitation_id")):
        with isolated("stored_step", service=Service.DISPATCHER, invitation_id=str(invitation)):
            found[invitation] = [_chain_step(row) for row in steps]
    return found


def _chain_step(row: asyncpg.Record) -> ChainStep:
    return ChainStep(
        number=row["step"],
        channel=ChannelKind(row["channel"]),
        state=StepState(row["state"]),
        due_at=row["due_at"],
        delay=timedelta(seconds=row["delay_s"]),
        call_open=row["call_task"] is not None,
    )


_PLAN = """gone_on AS (UPDATE steps s SET state = 'planned', due_at = p.due_at
FROM unnest($1::uuid[], $2::int[], $3::timestamptz[]) AS p (invitation_id, step, due_at)
WHERE s.invitation_id = p.invitation_id AND s.step = p.step AND s.state = 'waiting')"""


def plan_statement(planned: Mapping[UUID, PlannedStep]) -> db.Write | None:
    """Return the statement that plans waiting steps."""
    if not planned:
        return None
    following = planned.values()
    return db.Write(_PLAN, ([*planned], [each.number for each in following], [each.due_at for each in following]))


_FREE_LEASES = """WITH expired AS MATERIALIZED (
    SELECT invitation_id, step FROM steps
    WHERE state = 'leased' AND leased_until < clock_timestamp() FOR UPDATE SKIP LOCKED
)
UPDATE steps s SET state = 'planned', token = NULL, leased_until = NULL
FROM expired WHERE s.invitation_id = expired.invitation_id AND s.step = expired.step RETURNING 1"""
_LOST = """SELECT invitation_id, step, token, channel, tries, due_at, account FROM steps
WHERE state = 'in_flight' AND leased_until < clock_timestamp() ORDER BY invitation_id LIMIT $1"""
_END_UNREADABLE = """UPDATE steps SET state = 'unknown', reason = 'not_read', token = NULL, leased_until = NULL
WHERE token = ANY($1::uuid[]) AND state = 'in_flight' AND leased_until < clock_timestamp()"""


async def free_expired_leases(session: AsyncSession) -> int:
    return len(await db.fetch(session, _FREE_LEASES))


async def lost_in_flight(session: AsyncSession, *, limit: int) -> list[LeasedStep]:
    """Return steps in flight whose lease has ended: their sender was lost, and a provider may have accepted them.

    A step that cannot be read is ended here as `unknown`, since nothing else could end it.
    """
    lost, unreadable = list[LeasedStep](), list[UUID]()
    for row in await db.fetch(session, _LOST, limit):
        with isolated("stored_step", service=Service.DISPATCHER, invitation_id=str(row["invitation_id"])) as guarded:
            lost.append(_leased(row))
        if guarded.error is not None:
            unreadable.append(row["token"])
    if unreadable:
        await db.fetch(session, _END_UNREADABLE, unreadable)
    return lost


_CLOSE_CALLS = """UPDATE steps s SET call_task = NULL
FROM unnest($1::uuid[], $2::uuid[]) AS c (invitation_id, task)
WHERE s.invitation_id = c.invitation_id AND s.call_task = c.task"""
_RECALL = """UPDATE steps s SET call_task = NULL
FROM (SELECT invitation_id, step, call_task FROM steps WHERE invitation_id = ANY($1::uuid[])) AS o
WHERE s.invitation_id = o.invitation_id AND s.step = o.step AND o.call_task IS NOT NULL
RETURNING o.invitation_id, o.call_task"""


async def close_calls(session: AsyncSession, tasks: Sequence[tuple[UUID, UUID]]) -> None:
    """Store that the desk has closed calls, given as (invitation, task)."""
    await db.fetch(session, _CLOSE_CALLS, [invitation for invitation, _ in tasks], [task for _, task in tasks])


async def recall_calls(session: AsyncSession, invitations: Collection[UUID]) -> list[tuple[UUID, UUID]]:
    """Remove open calls from steps; return them as (invitation, task)."""
    rows = await db.fetch(session, _RECALL, list(invitations))
    return [(row["invitation_id"], row["call_task"]) for row in rows]


_HISTORY = """SELECT step, channel, state, due_at, tries, reason, account, call_task IS NOT NULL AS call_open FROM steps
WHERE invitation_id = $1 ORDER BY step"""


async def history(session: AsyncSession, invitation_id: UUID) -> list[asyncpg.Record]:
    return await db.fetch(session, _HISTORY, invitation_id)


def _columns(leased: Sequence[LeasedStep]) -> tuple[list[UUID], list[int], list[UUID]]:
    return [step.invitation_id for step in leased], [step.step for step in leased], [step.token for step in leased]


def _keys(rows: Sequence[asyncpg.Record]) -> set[tuple[UUID, int]]:
    return {(invitation_id, step) for invitation_id, step in rows}
