"""Runs a command between two rows of the audit logs of the services whose data it changes or exports."""

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog
import typer

from shared.config import Settings
from shared.contract.vocabulary import Service
from shared.database.audit import chain
from shared.database.audit.rows import Actor, ActorKind, Detail, Stage
from shared.database.opening import open_for_command
from shared.web.audit import acts
from shared.web.audit.acts import Act

log = structlog.get_logger()
INTERRUPTED = 130


class NotRecorded(Exception):
    """No audit log could be written, so that the command did nothing; the message says why."""


def run_recorded(
    work: Callable[[], Any],
    name: str,
    services: Sequence[Service],
    *,
    subject: str | None,
    details: Mapping[str, Detail],
) -> Any:
    """Run the work of a command; raises NotRecorded, before it begins, if no service's log can be written.

    A command of several services does what it can in those whose databases answer, and is recorded in these.
    """
    act = Act(Actor(ActorKind.COMMAND, _user()), f"earshot {name}", subject, details=dict(details))
    asked = asyncio.run(_ask(act, services))
    present, status = acts.current.set(act), 1
    try:
        result = work()
        status = 0
    except (typer.Exit, SystemExit) as error:
        status = _code(error)
        raise
    except KeyboardInterrupt:
        status = INTERRUPTED
        raise
    finally:
        acts.current.reset(present)
        asyncio.run(_end(act, asked, status=status))
    return result


async def _ask(act: Act, services: Sequence[Service]) -> dict[Service, int]:
    """Write the row before the work in each log that can be written; return the numbers of the rows."""
    numbers, away = dict[Service, int](), list[str]()
    for service in services:
        try:
            numbers[service] = await _append(service, act, Stage.ASKED)
        except Exception as error:  # noqa: BLE001 - `explain_away` raises what nobody expects
            from deploy.operations.error_messages import explain_away  # noqa: PLC0415 - only needed in a failure

            away.append(f"{service}: {explain_away(service, error, table='the audit log')}")
    if not numbers:
        raise NotRecorded("; ".join(away))
    return numbers


async def _end(act: Act, asked: Mapping[Service, int], *, status: int) -> None:
    for service, number in asked.items():
        try:
            details = act.details | ({"stored": False} if service in act.unchanged else {})
            await _append(service, replace(act, number=number, details=details), Stage.ENDED, status=status)
        except Exception:
            log.exception("audit.end_is_missing", service=service, number=number)


async def _append(service: Service, act: Act, stage: Stage, *, status: int | None = None) -> int:
    async with open_for_command(Settings(), service) as database, database.sessions.begin() as session:
        [number] = await chain.append(session, [act.row(stage, status=status)])
    return number


def _code(error: typer.Exit | SystemExit) -> int:
    code = error.exit_code if isinstance(error, typer.Exit) else error.code
    return code if isinstance(code, int) else 0 if code is None else 1


def _user() -> str:
    """Return the name of the user of the operating system, whatever the environment says.

    In a container, the user's number may have no name.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"
