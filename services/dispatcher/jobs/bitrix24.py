"""Tasks and fields in Bitrix24, over an incoming webhook whose URL is the secret.

Source: https://apidocs.bitrix24.com/api-reference/, tasks and crm. Two requests a second are allowed; more are
refused with 503 and `QUERY_LIMIT_EXCEEDED`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from services.dispatcher.domain.crm_fields import CrmEntity
from shared.web.http_client import Call, HttpClient, MaybeSent, NotSent, Reply

NAME = "bitrix24"
_WITHIN_S = 10.0
_COMPLETED = "5"


class Unanswered(Exception):
    """Bitrix24 refused a request or did not reply; it may have been carried out. Try later, `find` before `add`."""


class EntityGone(Exception):
    """The task, contact, company or deal was deleted in Bitrix24."""


@dataclass(frozen=True, slots=True)
class Bitrix24Task:
    title: str  # unique, so that a task whose reply was lost can be found
    description: str
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Bitrix24:
    """The base URL of `http` is like https://portal.bitrix24.ru/rest/1/code; `responsible` is a user's id."""

    http: HttpClient
    responsible: int

    async def add(self, task: Bitrix24Task) -> str:
        """Create a task and return its id; raises Unanswered."""
        fields = {
            "TITLE": task.title,
            "DESCRIPTION": task.description,
            "RESPONSIBLE_ID": self.responsible,
            "DEADLINE": task.deadline.isoformat(),
        }
        result = await self._call("tasks.task.add", {"fields": fields})
        return _number(result.get("task"))

    async def find(self, title: str) -> str | None:
        """Return the id of a task by its title; raises Unanswered."""
        result = await self._call("tasks.task.list", {"filter": {"TITLE": title}, "select": ["ID", "TITLE"]})
        found = result.get("tasks")
        return _number(found[0]) if isinstance(found, list) and found else None

    async def is_completed(self, number: str) -> bool:
        """Say whether a task is completed; raises EntityGone or Unanswered."""
        result = await self._call("tasks.task.get", {"taskId": number, "select": ["ID", "STATUS"]})
        task = result.get("task")
        if not isinstance(task, dict):
            raise EntityGone
        return str(task.get("status")) == _COMPLETED

    async def complete(self, number: str) -> None:
        """Complete a task; raises EntityGone or Unanswered."""
        await self._call("tasks.task.complete", {"taskId": number})

    async def update(self, entity: CrmEntity, id_: str, fields: Mapping[str, str | int]) -> None:
        """Set fields of a contact, company or deal; may be repeated. Raises EntityGone or Unanswered."""
        await self._call(f"crm.{entity}.update", {"id": id_, "fields": dict(fields)})

    async def _call(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the result, empty if it is no object; a reply of 200 without a result is no success."""
        try:
            reply = await self.http.send(Call("POST", method, json=body), within_s=_WITHIN_S)
        except (NotSent, MaybeSent) as error:
            raise Unanswered from error
        result = reply.json().get("result")
        if reply.status != HTTPStatus.OK:
            raise EntityGone if _is_gone(reply) else Unanswered
        if result is None or result is False:
            raise Unanswered
        return result if isinstance(result, dict) else {}


def _is_gone(reply: Reply) -> bool:
    words = f"{reply.json().get('error')} {reply.json().get('error_description')}".lower()
    return reply.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND) and "not found" in words


def _number(task: Any) -> str:
    number = str(task.get("id")) if isinstance(task, dict) else ""
    if not re.fullmatch("[0-9]{1,20}", number):
        raise Unanswered
    return number
