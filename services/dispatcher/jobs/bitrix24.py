"""Tasks in Bitrix24, by way of an incoming webhook.

Source: https://apidocs.bitrix24.com/api-reference/tasks/. The webhook's address is its secret. Two requests a second
are allowed; over that comes 503 with `QUERY_LIMIT_EXCEEDED`, and nothing was done.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from shared.web.client import Call, HttpClient, MaybeSent, NotSent, Reply

NAME = "bitrix24"
_WITHIN_S = 10.0
_COMPLETED = "5"


class Unanswered(Exception):
    """Bitrix24 said no, or nothing: whether it did what was asked is open. Ask again later, and look before adding."""


class TaskGone(Exception):
    """Somebody deleted the task there."""


@dataclass(frozen=True, slots=True)
class Bitrix24Task:
    title: str  # ours alone: a task whose reply was lost is found by it
    description: str
    deadline: datetime


@dataclass(frozen=True, slots=True)
class Bitrix24:
    """`http` leads to https://portal.bitrix24.ru/rest/1/code; `responsible` is a user's number."""

    http: HttpClient
    responsible: int

    async def add(self, task: Bitrix24Task) -> str:
        """Make a task and return its number; raises Unanswered."""
        fields = {
            "TITLE": task.title,
            "DESCRIPTION": task.description,
            "RESPONSIBLE_ID": self.responsible,
            "DEADLINE": task.deadline.isoformat(),
        }
        result = await self._call("tasks.task.add", {"fields": fields})
        return _number(result.get("task"))

    async def find(self, title: str) -> str | None:
        """Find a task made before; raises Unanswered."""
        result = await self._call("tasks.task.list", {"filter": {"TITLE": title}, "select": ["ID", "TITLE"]})
        found = result.get("tasks")
        return _number(found[0]) if isinstance(found, list) and found else None

    async def is_completed(self, number: str) -> bool:
        """Read a task again; raises TaskGone or Unanswered."""
        result = await self._call("tasks.task.get", {"taskId": number, "select": ["ID", "STATUS"]})
        task = result.get("task")
        if not isinstance(task, dict):
            raise TaskGone
        return str(task.get("status")) == _COMPLETED

    async def complete(self, number: str) -> None:
        """Close a task nobody needs any more; raises TaskGone or Unanswered."""
        await self._call("tasks.task.complete", {"taskId": number})

    async def _call(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            reply = await self.http.send(Call("POST", method, json=body), within_s=_WITHIN_S)
        except (NotSent, MaybeSent) as error:
            raise Unanswered from error
        result = reply.json().get("result")
        if reply.status != HTTPStatus.OK:
            raise TaskGone if _is_gone(reply) else Unanswered
        return result if isinstance(result, dict) else {}


def _is_gone(reply: Reply) -> bool:
    words = f"{reply.json().get('error')} {reply.json().get('error_description')}".lower()
    return reply.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND) and "not found" in words


def _number(task: Any) -> str:
    number = str(task.get("id")) if isinstance(task, dict) else ""
    if not re.fullmatch("[0-9]{1,20}", number):
        raise Unanswered
    return number
