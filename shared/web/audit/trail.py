"""Writes to the audit log what staff and API keys ask an application to change or export."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.database.audit import chain
from shared.database.audit.rows import NOBODY, Actor, ActorKind, NewRow, Stage
from shared.database.group_commit import GroupCommitter, in_transaction
from shared.database.session import Sessions
from shared.languages.marking import mark
from shared.web import routes
from shared.web.audit import acts
from shared.web.audit.acts import Act
from shared.web.audit.recorded_routes import LONGEST, RecordedRoutes
from shared.web.errors.pages import error_response
from shared.web.problems import Problem, Unavailable
from shared.web.rate_limit import RateLimit
from shared.web.staff.tickets import Ticket, signed_in

log = structlog.get_logger()

COUNTED_S = 60.0  # how often counted refusals are written
REFUSALS = 20  # refusals of one person or key that get rows of their own; then …
REFUSED_S = 10.0  # … one in this many seconds, and the others are counted
_NOT_WRITTEN = mark("The audit log cannot be written, without which nothing is changed and exported.")


class _Refusal(NamedTuple):
    actor: Actor
    action: str
    subject: str | None
    status: int


class AuditTrail:
    """The audit log of one application.

    Refusals at the log-in, and of clients that nobody knows, are counted and written by the minute: they cannot fill
    the log, and an attempt to log in costs no transaction.
    """

    def __init__(self, sessions: Sessions, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._sessions = sessions
        self._rows: GroupCommitter[NewRow, int] = GroupCommitter(in_transaction(sessions, chain.append))
        self._limit = RateLimit(per_second=1 / REFUSED_S, burst=REFUSALS, monotonic=monotonic)
        self._counts: Counter[_Refusal] = Counter()
        self._routes: RecordedRoutes | None = None

    def act_of(self, request: Scope, ticket: Ticket | None) -> Act | None:
        """Return the act that a request is, None for one that is not recorded."""
        method, path = request["method"], request["path"]
        query = request["query_string"].decode("latin-1")
        employees = routes.asked_of_employees(method, path, query)
        if employees is None and not routes.is_recorded(method, path) and not routes.is_search(method, path, query):
            return None  # as answers of respondents, of which there are many
        if self._routes is None:
            self._routes = RecordedRoutes(request["app"])
        route = self._routes.find(method, path)
        if route is None:
            return None
        is_stranger = routes.is_log_in(path)  # who may name any subject, and fill the counts with them
        subject = None if is_stranger else route.subject_in(path)
        act = Act(actor_of(request, ticket), route.action, subject)
        act.details |= {} if employees is None else {"of": employees[:LONGEST]}
        return act

    async def ask(self, act: Act) -> None:
        """Write the row before the work begins; raises Unavailable, after which it must not begin."""
        act.number = await self._write(act.row(Stage.ASKED))

    async def end(self, act: Act, status: int) -> None:
        """Write the row after the work; without it, the page says that the outcome is unknown."""
        try:
            await self._write(act.row(Stage.ENDED, status=status))
        except Unavailable:
            log.exception("audit.end_is_missing", number=act.number, status=status)

    async def enter(self, act: Act, status: int) -> None:
        """Write the one row of a request at the log-in, where nobody is known before; raises Unavailable.

        A refusal is counted, for the person whose log-in was tried.
        """
        if status >= HTTPStatus.BAD_REQUEST:
            self._count(act, status)
        elif act.actor != NOBODY or act.subject is not None:
            await self._write(act.row(Stage.ENDED, status=status))

    async def refuse(self, request: Scope, ticket: Ticket | None, problem: Problem) -> None:
        """Write that the gate let somebody not pass; the refusal stands even if that fails."""
        act = self.act_of(request, ticket)
        if act is None:
            return
        if act.actor == NOBODY or self._limit.take(act.actor):
            act.subject = None  # a stranger may name any, and fill the counts with them
            self._count(act, problem.status)
            return
        try:
            await self._write(act.row(Stage.REFUSED, status=int(problem.status)))
        except Unavailable:
            self._count(act, problem.status)

    def _count(self, act: Act, status: int) -> None:
        self._counts[_Refusal(act.actor, act.action, act.subject, int(status))] += 1

    async def write_counts(self) -> None:
        """Write how many refusals were counted since the last time."""
        counts, self._counts = self._counts, Counter()
        rows = [
            NewRow(Stage.REFUSED, each.actor, each.action, each.subject, details={"times": times}, status=each.status)
            for each, times in counts.items()
        ]
        try:
            if rows:
                async with self._sessions.begin() as session:
                    await chain.append(session, rows)
        except BaseException:
            self._counts.update(counts)
            raise

    async def _write(self, row: NewRow) -> int:
        try:
            return await self._rows.do(row)
        except Exception as error:
            log.exception("audit.not_written", action=row.action, stage=row.stage)
            raise Unavailable(mark("Try again shortly"), _NOT_WRITTEN, headers={"retry-after": "5"}) from error


def actor_of(request: Scope, ticket: Ticket | None) -> Actor:
    """Return who sent a request, by its API key or the ticket."""
    if key := request.get("state", {}).get("key"):
        return Actor(ActorKind.KEY, str(key))
    if ticket is None:
        return NOBODY
    return Actor(ActorKind.PERSON if ticket.session else ActorKind.PROGRAM, str(ticket.person))


class RecordedRequests:
    """Runs requests that change or export something between two rows of the audit log; it stands behind the gate.

    Without the first row a request is answered with 503. At the log-in there is only the second, without which the
    response is 503, too: no session begins unrecorded.
    """

    def __init__(self, app: ASGIApp, *, trail: AuditTrail) -> None:
        self._app, self._trail = app, trail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        act = self._trail.act_of(scope, signed_in.get()) if scope["type"] == "http" else None
        if act is None:
            await self._app(scope, receive, send)
            return
        present = acts.current.set(act)
        try:
            await self._run(act, scope, receive, send)
        finally:
            acts.current.reset(present)

    async def _run(self, act: Act, scope: Scope, receive: Receive, send: Send) -> None:
        is_entering = routes.is_log_in(scope["path"])
        if not is_entering:
            try:
                await self._trail.ask(act)
            except Unavailable as problem:
                await error_response(scope, problem)(scope, receive, send)
                return
        finish, replaced = self._trail.enter if is_entering else self._trail.end, False

        async def ending(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start":
                try:
                    await finish(act, message["status"])
                except Unavailable as problem:
                    replaced = True
                    await error_response(scope, problem)(scope, receive, send)
            if not replaced:
                await send(message)

        await self._app(scope, receive, ending)
