"""Writes answers into fields of Bitrix24's contacts, companies and deals, and empties them after an erasure.

Its API is never called inside a transaction. A write may be repeated, so one whose reply was lost is simply made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import structlog

from services.dispatcher.domain.crm_fields import CrmEntity, CrmFields
from services.dispatcher.jobs.bitrix24 import Bitrix24, EntityGone, Unanswered
from services.dispatcher.repository.crm import crm_fields
from services.dispatcher.repository.crm.crm_fields import CrmFieldsRow
from shared.contract.vocabulary import Service
from shared.database.isolated import isolated
from shared.database.session import Sessions

log = structlog.get_logger()

_ROWS_AT_ONCE = 1  # every two seconds, with three tasks: Bitrix24 allows two requests a second


@dataclass(frozen=True, slots=True)
class CrmFieldWrites:
    sessions: Sessions
    crm: Bitrix24
    fields: CrmFields

    async def __call__(self) -> int:
        names = json.dumps({entity: list(self.fields.of(entity).values()) for entity in CrmEntity})
        async with self.sessions.begin() as session:
            due = await crm_fields.take_due(session, limit=_ROWS_AT_ONCE, names=names)
        for row in due:
            ids = {"entity": row.entity.value, "entity_id": row.entity_id}
            try:
                with isolated(
                    "crm_fields", service=Service.DISPATCHER, passing=(Unanswered, EntityGone), outages=True, **ids
                ):
                    await self._handle(row)
            except Unanswered:
                log.warning("crm.unanswered", tries=row.tries, **ids)
                break  # the rows are due again later
            except EntityGone:
                await self._end(row, crm_fields.delete)
        return 0  # never runs again at once, since the CRM limits requests

    async def _handle(self, row: CrmFieldsRow) -> None:
        if values := self._values(row):
            await self.crm.update(row.entity, row.entity_id, values)
        await self._end(row, crm_fields.delete if row.erased else crm_fields.settle)

    def _values(self, row: CrmFieldsRow) -> dict[str, str | int]:
        if row.erased:
            return dict.fromkeys(row.written, "")
        date = row.answered_at.isoformat(timespec="seconds")
        values: dict[str, str | int] = {"score": row.score, "group": row.category, "date": date}
        return {name: values[value] for value, name in self.fields.of(row.entity).items()}

    async def _end(self, row: CrmFieldsRow, how: Callable[..., Coroutine[Any, Any, None]]) -> None:
        async with self.sessions.begin() as session:
            await how(session, row)
