"""Calls: a step of this channel publishes a task for the desk and sends nothing."""

from __future__ import annotations

from uuid import UUID

from services.dispatcher.messages.composer import about
from services.dispatcher.messages.texts import texts_of
from shared.contract.events import CallRequested, PlanStep, SurveyRequested

ACCOUNT = "desk"


def call_task(request: SurveyRequested, step: PlanStep, *, task_id: UUID, sent_before: int) -> CallRequested:
    summary = texts_of(request.locale).call_summary.format(about=about(request), sent=sent_before)
    return CallRequested(
        respondent_id=request.respondent_id,
        invitation_id=request.invitation_id,
        task_id=task_id,
        step=step.step,
        name=request.customer_name,
        phone=request.contact.phone or "",
        time_zone=request.time_zone,
        locale=request.locale,
        script=request.question,
        summary=summary,
        window=step.window,
        max_attempts=step.max_attempts,
        priority=request.call_priority.value,
        expires_at=request.expires_at,
    )
