"""Synchronizes the calls of the desk with tasks in Bitrix24. Its API is never called inside a transaction."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import structlog

from services.dispatcher.handlers import close_invitations
from services.dispatcher.jobs.bitrix24 import Bitrix24, Bitrix24Task, EntityGone, Unanswered
from services.dispatcher.messages.composer import about
from services.dispatcher.messages.texts import texts_of
from services.dispatcher.repository.crm import crm_tasks
from services.dispatcher.repository.crm.crm_tasks import CrmTask
from shared.clock import Clock
from shared.contract.events import SurveyRequested
from shared.contract.vocabulary import Service
from shared.database.isolated import Guarded, isolated
from shared.database.session import Sessions

log = structlog.get_logger()

TASKS_AT_ONCE = 3  # every two seconds, with one row of fields: Bitrix24 allows two requests a second


@dataclass(frozen=True, slots=True)
class CrmTasks:
    """Creates a task for each open call, closes it when the call is over, and ends the call when the task is done."""

    sessions: Sessions
    clock: Clock
    crm: Bitrix24
    desk_url: str

    async def __call__(self) -> int:
        async with self.sessions.begin() as session:
            due = await crm_tasks.take_due(session, limit=TASKS_AT_ONCE)
        for task in due:
            try:
                with self._guarded(task) as guarded:
                    await self._handle(task)
            except Unanswered:
                log.warning("crm.unanswered", invitation_id=str(task.invitation_id), tries=task.tries)
                break  # the tasks are due again later
            except EntityGone:
                await self._finish(task)
            else:
                if guarded.error is not None:
                    await self._finish(task)  # no task can be made of the stored request; the desk has the call anyway
        return 0  # never runs again at once, since the CRM limits requests

    def _guarded(self, task: CrmTask) -> AbstractContextManager[Guarded]:
        passing = (Unanswered, EntityGone)
        id_ = str(task.invitation_id)
        return isolated("crm_task", service=Service.DISPATCHER, passing=passing, outages=True, invitation_id=id_)

    async def _handle(self, task: CrmTask) -> None:
        if not task.is_open:
            if task.number is not None:
                await self.crm.complete(task.number)
            await self._finish(task)
        elif task.number is None:
            await self._make(task)
        elif await self.crm.is_completed(task.number):
            await self._done(task)
        else:
            await self._settle(task, task.number)

    async def _make(self, task: CrmTask) -> None:
        """Create the task; from the second try on it is searched for first, since only the reply may have been lost."""
        wanted = self._wanted(task)
        number = await self.crm.find(wanted.title) if task.tries > 1 else None
        await self._settle(task, number or await self.crm.add(wanted))

    def _wanted(self, task: CrmTask) -> Bitrix24Task:
        request = SurveyRequested.model_validate_json(task.request)
        words = texts_of(request.locale)
        title = words.crm_title.format(brand=request.brand.name, name=request.customer_name or request.customer_id)
        text = words.crm_text.format(
            phone=request.contact.phone or "",
            script=request.question,
            link=f"{self.desk_url.rstrip('/')}/{task.call_task}",
            summary=about(request),
        )
        return Bitrix24Task(f"{title} · {task.call_task.hex[-8:]}", text, request.expires_at)

    async def _settle(self, task: CrmTask, number: str) -> None:
        async with self.sessions.begin() as session:
            await crm_tasks.settle(session, task, number=number)

    async def _done(self, task: CrmTask) -> None:
        """End a call whose task is done without an answer here: it reached nobody. A later answer still counts."""
        async with self.sessions.begin() as session:
            await close_invitations.end_call(session, task.invitation_id, reason="done_in_crm", now=self.clock.now())
            await crm_tasks.finish(session, task.call_task)

    async def _finish(self, task: CrmTask) -> None:
        async with self.sessions.begin() as session:
            await crm_tasks.finish(session, task.call_task)
