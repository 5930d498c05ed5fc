"""Reads the audit log of a service."""

from __future__ import annotations

from typing import Any

from shared.database import db
from shared.database.audit.rows import AuditRow
from shared.database.audit.verify import verify
from shared.database.db import Database


async def audit_rows(database: Database) -> list[AuditRow]:
    async with database.sessions.begin() as session:
        found = await db.fetch(session, "SELECT * FROM audit_log ORDER BY number")
    return [AuditRow(*each) for each in found]


async def ended(database: Database) -> list[tuple[Any, ...]]:
    """Return action, subject, details and status of every act that has ended or was refused."""
    rows = await audit_rows(database)
    return [(each.action, each.subject, each.details, each.status) for each in rows if each.stage != "asked"]


async def everything_written(database: Database) -> str:
    """Return all columns of all rows as text, after a check of the chain."""
    async with database.sessions.begin() as session:
        await verify(session)
    return "\n".join(map(str, await audit_rows(database)))
