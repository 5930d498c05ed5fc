"""Steps that wait for their time (`due`), those that a sender has (`held`), and those of stopped programs (`halted`).

What happened is in `attempts`. An open invitation has at most one row of `due`, `held` or `halted`. Leases are in
machine time, due times in business time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from services.dispatcher.domain.chain import first_due
from services.dispatcher.domain.steps import LeasedStep, PlannedStep, StepResult, StepState
from services.dispatcher.repository.programs.states import STOPPED
from shared.contract.events import SurveyRequested
from shared.contract.vocabulary import ChannelKind, Service
from shared.database import db
from shared.database.isolated import isolated
from shared.database.session import Session

LEASE = timedelta(seconds=30)

_PLAN = """gone_on AS (INSERT INTO due (invitation_id, step, channel, due_at)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::timestamptz[]) ON CONFLICT DO NOTHING)"""


def plan_statement(planned: Mapping[UUID, PlannedStep]) -> db.Write | None:
    """Return the statement that makes these the next steps of their invitations."""
    if not planned:
        return None
    steps = planned.values()
    columns = [each.number for each in steps], [each.channel for each in steps], [each.due_at for each in steps]
    return db.Write(_PLAN, ([*planned], *columns))


async def plan_first(session: Session, requests: Sequence[SurveyRequested]) -> None:
    """Plan the first step of each request that contacts its respondent."""
    planned = {request.invitation_id: first for request in requests if (first := first_due(request))}
    await db.write(session, plan_statement(planned))


# an array of places, since a join by place would be planned as a scan while the table is small
_CLAIM = """WITH claimed AS (
    DELETE FROM due WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM due WHERE channel = $1 AND due_at <= $2 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
    )) RETURNING invitation_id, step, channel, tries, due_at, account
)
INSERT INTO held (invitation_id, step, channel, tries, due_at, account, token, leased_until, revision)
SELECT c.*, $4, clock_timestamp() + $5::interval,
    coalesce((SELECT i.revision FROM invitations i WHERE i.id = c.invitation_id), 0)
FROM claimed c ON CONFLICT DO NOTHING
RETURNING invitation_id, step, tries, due_at, account"""


async def claim_due(session: Session, channel: ChannelKind, *, now: datetime, limit: int) -> list[LeasedStep]:
    """Lease due steps, the longest due first; steps locked by other transactions are skipped.

    One whose invitation has a step that is held is dropped: the end of that one plans what follows. The commit does
    not wait for the disk: if a crash of the server undoes the lease, the step is due again and cannot be marked by it.
    """
    token = uuid7()
    rows = await db.fetch(session, _CLAIM, channel, now, limit, token, LEASE)
    if rows:
        await db.commit_without_waiting(session)
    claimed = [LeasedStep(id_, step, token, channel, tries, due, account) for id_, step, tries, due, account in rows]
    return sorted(claimed, key=attrgetter("due_at"))


_NEXT = "SELECT due_at FROM due WHERE channel = $1 ORDER BY due_at LIMIT 1"


async def next_due(session: Session, channel: ChannelKind) -> datetime | None:
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


# a row locked by another transaction is losing its lease there: it is skipped, since waiting could deadlock
_OURS = """WITH ours AS MATERIALIZED (
    SELECT number, ours.place FROM unnest($1::uuid[]) WITH ORDINALITY AS m (invitation_id, number), LATERAL (
        SELECT h.ctid AS place FROM held h
        WHERE h.invitation_id = m.invitation_id AND h.token = ANY($2::uuid[]) AND NOT h.in_flight
        FOR UPDATE SKIP LOCKED
    ) ours
)"""
# a subquery, since a join with invitations would be planned as a scan of all open ones without statistics
_MARK = f"""{_OURS}
UPDATE held h SET in_flight = true, account = $3, leased_until = clock_timestamp() + $4::interval
FROM ours WHERE h.ctid = ours.place
    AND (SELECT i.state = 'open' AND i.revision = h.revision AND i.program <> ALL({STOPPED})
        FROM invitations i WHERE i.id = h.invitation_id)
RETURNING ours.number"""  # noqa: S608 - constants


async def mark_in_flight(session: Session, leased: Sequence[LeasedStep], *, account: str) -> set[tuple[UUID, int]]:
    """Put leased steps in flight; return the keys of those that may be sent, and give back the others.

    One may not be sent if its lease was lost, its invitation has ended, its program was stopped, or what decides about
    it has changed since.
    """
    rows = await db.fetch(session, _MARK, *_columns(leased), account, LEASE)
    return await _give_back_others(session, leased, rows)


_MOVE = f"""{_OURS}, moved AS (
    DELETE FROM held h USING ours WHERE h.ctid = ours.place
    RETURNING ours.number, h.invitation_id, h.step, h.channel, h.tries, h.account
)
INSERT INTO due (invitation_id, step, channel, tries, account, due_at, reason)
SELECT h.invitation_id, h.step, h.channel, h.tries, h.account, m.due_at, m.reason
FROM moved h JOIN unnest($3::timestamptz[], $4::text[]) WITH ORDINALITY AS m (due_at, reason, number) USING (number)
WHERE (SELECT i.state = 'open' FROM invitations i WHERE i.id = h.invitation_id) ON CONFLICT DO NOTHING"""  # noqa: S608 - constants


async def move(session: Session, moves: Sequence[tuple[LeasedStep, datetime, str | None]]) -> None:
    """Give leased steps back, each with its new due time and the reason; steps of closed invitations are dropped."""
    if not moves:
        return
    leased = [step for step, _, _ in moves]
    times = [due_at for _, due_at, _ in moves]
    await db.fetch(session, _MOVE, *_columns(leased), times, [reason for _, _, reason in moves])


async def give_back(session: Session, leased: Sequence[LeasedStep]) -> None:
    """Give leased steps back, due as they were."""
    await move(session, [(each, each.due_at, None) for each in leased])


_DROP = f"{_OURS} DELETE FROM held h USING ours WHERE h.ctid = ours.place"  # noqa: S608 - constants


async def drop(session: Session, leased: Sequence[LeasedStep]) -> None:
    """Delete leased steps of invitations that have ended."""
    if leased:
        await db.fetch(session, _DROP, *_columns(leased))


_HALT = f"""{_OURS}, halted AS (
    DELETE FROM held h USING ours WHERE h.ctid = ours.place
    RETURNING ours.number, h.invitation_id, h.step, h.channel, h.tries, h.due_at, h.account
)
INSERT INTO halted (invitation_id, step, channel, tries, due_at, account, program)
SELECT h.invitation_id, h.step, h.channel, h.tries, h.due_at, h.account, p.program
FROM halted h JOIN unnest($3::text[]) WITH ORDINALITY AS p (program, number) USING (number) ON CONFLICT DO NOTHING"""  # noqa: S608 - constants


async def halt(session: Session, halted: Sequence[tuple[LeasedStep, str]]) -> None:
    """Put aside leased steps of stopped programs, each with its program."""
    if halted:
        await db.fetch(session, _HALT, *_columns([step for step, _ in halted]), [program for _, program in halted])


_STOP = """WITH planned AS (DELETE FROM due WHERE invitation_id = ANY($1::uuid[])),
halted AS (DELETE FROM halted WHERE invitation_id = ANY($1::uuid[]))
DELETE FROM held WHERE invitation_id = ANY($1::uuid[]) AND NOT in_flight"""


async def stop(session: Session, invitations: Collection[UUID]) -> None:
    """Delete the steps of closed invitations, but those in flight, which end as their provider says."""
    await db.fetch(session, _STOP, list(invitations))


_END = f"""WITH ended AS (
    DELETE FROM held h USING unnest($1::uuid[]) WITH ORDINALITY AS e (invitation_id, number)
    WHERE h.invitation_id = e.invitation_id AND h.token = ANY($2::uuid[])
        AND (h.in_flight OR (SELECT h.revision = i.revision AND i.program <> ALL({STOPPED})
            FROM invitations i WHERE i.id = h.invitation_id))
    RETURNING h.step, h.channel, h.due_at, e.*
), again AS (
    INSERT INTO due (invitation_id, step, channel, tries, account, due_at, reason)
    SELECT invitation_id, e.step, e.channel, a.tries, a.account, coalesce(a.due_at, e.due_at), a.reason
    FROM unnest($3::uuid[], $4::int[], $5::text[], $6::timestamptz[], $7::text[])
        AS a (invitation_id, tries, account, due_at, reason) JOIN ended e USING (invitation_id) ON CONFLICT DO NOTHING
), called AS (
    INSERT INTO open_calls (call_task, invitation_id, step) SELECT c.call_task, invitation_id, e.step
    FROM unnest($8::uuid[], $9::uuid[]) AS c (invitation_id, call_task) JOIN ended e USING (invitation_id)
)
SELECT number FROM ended"""  # noqa: S608 - constants


async def end(session: Session, results: Sequence[StepResult]) -> set[tuple[UUID, int]]:
    """End leased steps of locked invitations, return the keys of those whose lease was still held.

    One that is tried again is due again, and a call opens. A step that was not sent is not ended if its program was
    stopped or what decides about it has changed since its lease: it is given back.
    """
    leased = [each.leased for each in results]
    again = [each for each in results if each.state is StepState.PLANNED]
    called = [each for each in results if each.call_task is not None]
    rows = await db.fetch(
        session,
        _END,
        *_columns(leased),
        [each.leased.invitation_id for each in again],
        [each.tries for each in again],
        [each.account for each in again],
        [each.due_at for each in again],
        [each.reason for each in again],
        [each.leased.invitation_id for each in called],
        [each.call_task for each in called],
    )
    return await _give_back_others(session, leased, rows)


_END_ADOPTED = """WITH ended AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::int[]) AS e (invitation_id, step)
), planned AS (
    DELETE FROM due d USING ended e WHERE d.invitation_id = e.invitation_id AND d.step <= e.step
), halted AS (
    DELETE FROM halted d USING ended e WHERE d.invitation_id = e.invitation_id AND d.step <= e.step
)
DELETE FROM held h USING ended e WHERE h.invitation_id = e.invitation_id AND h.step <= e.step"""


async def end_adopted(session: Session, ended: Collection[tuple[UUID, int]]) -> None:
    """Delete steps of locked invitations whose attempts were found in the log, and those before them."""
    await db.fetch(session, _END_ADOPTED, [invitation for invitation, _ in ended], [step for _, step in ended])


_BRING = """WITH earlier AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::timestamptz[]) AS p (invitation_id, step, due_at)
), halted AS (
    UPDATE halted d SET due_at = p.due_at FROM earlier p
    WHERE d.invitation_id = p.invitation_id AND d.step = p.step AND d.due_at > p.due_at
)
UPDATE due d SET due_at = p.due_at FROM earlier p
WHERE d.invitation_id = p.invitation_id AND d.step = p.step AND d.due_at > p.due_at"""


async def bring_forward(session: Session, planned: Mapping[UUID, PlannedStep]) -> None:
    """Make planned steps due earlier."""
    steps = planned.values()
    await db.fetch(session, _BRING, [*planned], [each.number for each in steps], [each.due_at for each in steps])


_FREE_LEASES = """WITH expired AS MATERIALIZED (
    SELECT ctid FROM held WHERE NOT in_flight AND leased_until < clock_timestamp() FOR UPDATE SKIP LOCKED
), freed AS (
    DELETE FROM held h USING expired WHERE h.ctid = expired.ctid
    RETURNING h.invitation_id, h.step, h.channel, h.tries, h.account, h.due_at
), again AS (
    INSERT INTO due (invitation_id, step, channel, tries, account, due_at) SELECT * FROM freed h
    WHERE (SELECT i.state = 'open' FROM invitations i WHERE i.id = h.invitation_id) ON CONFLICT DO NOTHING
)
SELECT 1 FROM freed"""
_LOST = """SELECT invitation_id, step, token, channel, tries, due_at, account FROM held
WHERE in_flight AND leased_until < clock_timestamp() ORDER BY invitation_id LIMIT $1"""
_END_UNREADABLE = """WITH ended AS (
    DELETE FROM held WHERE token = ANY($1::uuid[]) AND in_flight AND leased_until < clock_timestamp()
        AND invitation_id = ANY($2::uuid[])
    RETURNING invitation_id, step, tries, channel
)
INSERT INTO attempts (id, invitation_id, step, try, channel, provider, state, reason, at)
SELECT n.id, e.invitation_id, e.step, e.tries + 1, e.channel, 'none', 'unknown', 'not_read', clock_timestamp()
FROM ended e JOIN unnest($2::uuid[], $3::uuid[]) AS n (invitation_id, id) USING (invitation_id)"""


async def free_expired_leases(session: Session) -> int:
    return len(await db.fetch(session, _FREE_LEASES))


async def lost_in_flight(session: Session, *, limit: int) -> list[LeasedStep]:
    """Return steps in flight whose lease has ended: their sender was lost, and a provider may have accepted them.

    A step that cannot be read is ended here as `unknown`, since nothing else could end it.
    """
    lost, unreadable = list[LeasedStep](), list[asyncpg.Record]()
    for row in await db.fetch(session, _LOST, limit):
        with isolated("stored_step", service=Service.DISPATCHER, invitation_id=str(row["invitation_id"])) as guarded:
            lost.append(_leased(row))
        if guarded.error is not None:
            unreadable.append(row)
    if unreadable:
        ids = [row["invitation_id"] for row in unreadable]
        await db.fetch(session, _END_UNREADABLE, [row["token"] for row in unreadable], ids, [uuid7() for _ in ids])
    return lost


def _columns(leased: Sequence[LeasedStep]) -> tuple[list[UUID], list[UUID]]:
    """Return the invitations, and the tokens, which are few: every step of a claim has the same."""
    # compares by identity first, where a set would hash every token in Python
    tokens = groupby(step.token for step in leased)
    return [step.invitation_id for step in leased], [token for token, _ in tokens]


async def _give_back_others(
    session: Session, leased: Sequence[LeasedStep], rows: Sequence[asyncpg.Record]
) -> set[tuple[UUID, int]]:
    """Return the keys of the leased steps with these numbers, which begin with 1; give back the others."""
    kept = {leased[row["number"] - 1].key for row in rows}
    if len(kept) < len(leased):
        await give_back(session, [each for each in leased if each.key not in kept])
    return kept
