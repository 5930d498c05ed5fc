"""The schemas of a registry, read over Confluent's REST API and kept; a log whose messages wait for their schemas.

Source: docs.confluent.io, "Schema Registry API Reference", `GET /schemas/ids/{id}` and
`GET /subjects/{subject}/versions/{version}`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import structlog

from services.trigger.domain.sources import avro
from services.trigger.domain.sources.avro import RegisteredSchema, UnusableSchema
from shared import metrics
from shared.contract.vocabulary import Service
from shared.health import Heartbeat
from shared.messaging.transport import Batch, Message, Readable
from shared.web.http_client import Call, HttpClient, MaybeSent, NotSent, Reply

log = structlog.get_logger()

WITHIN_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
UNKNOWN_S = 10.0  # how long a schema that the registry does not know is not asked for again
MOST_KEPT = 10_000
MOST_REFERENCES = 100


class RegistryUnavailable(Exception):
    """The registry does not answer as it should: try again later."""


@dataclass(slots=True)
class SchemaRegistry:
    """Reads each schema once; one that cannot be used is kept with the reason."""

    client: HttpClient
    known: dict[int, RegisteredSchema | UnusableSchema] = field(default_factory=dict)
    _ask_again_at: dict[int, float] = field(default_factory=dict)

    async def load(self, numbers: set[int]) -> None:
        """Read the schemas with these ids that are not known yet; raises RegistryUnavailable."""
        now = time.monotonic()
        missing = [each for each in numbers if each not in self.known or now >= self._ask_again_at.get(each, now + 1)]
        if len(self.known) + len(missing) > MOST_KEPT:
            self.known.clear()
            self._ask_again_at.clear()
            missing = list(numbers)
        found = await asyncio.gather(*(self._read(each) for each in missing))
        self.known.update(zip(missing, found, strict=True))

    async def load_for(self, messages: Sequence[Message]) -> None:
        """Read the schemas of these messages that are not known yet; raises RegistryUnavailable."""
        numbers = {avro.schema_id(message.body) for message in messages}
        await self.load({each for each in numbers if each is not None})

    async def ping(self) -> None:
        """Return when the registry answers and accepts the credentials; raises RegistryUnavailable."""
        status = (await self._send("subjects")).status
        if status != HTTPStatus.OK:
            raise RegistryUnavailable(f"HTTP {status}")

    async def _read(self, number: int) -> RegisteredSchema | UnusableSchema:
        reply = await self._get(f"schemas/ids/{number}")
        self._ask_again_at.pop(number, None)
        if reply is None:
            self._ask_again_at[number] = time.monotonic() + UNKNOWN_S
            return UnusableSchema("the registry does not know it")
        try:
            referenced = await self._referenced(reply)
            return avro.parse_schema(str(reply["schema"]), str(reply.get("schemaType", "AVRO")), referenced=referenced)
        except UnusableSchema as error:
            return error
        except (KeyError, TypeError):
            return UnusableSchema("its references cannot be read")

    async def _referenced(self, schema: Mapping[str, Any]) -> list[str]:
        """Return the texts of all schemas that a schema refers to, each after those it refers to itself."""
        found: list[str] = []
        await self._follow(schema, found, seen=set())
        return found

    async def _follow(self, schema: Mapping[str, Any], found: list[str], *, seen: set[str]) -> None:
        for each in schema.get("references") or ():
            path = "subjects/{}/versions/{}".format(
                *(quote(str(each[name]), safe="") for name in ("subject", "version"))
            )
            if path in seen:
                continue
            seen.add(path)
            if len(seen) > MOST_REFERENCES:
                raise UnusableSchema(f"more than {MOST_REFERENCES} references")
            reply = await self._get(path)
            if reply is None:
                raise UnusableSchema("the registry does not know a schema it refers to")
            await self._follow(reply, found, seen=seen)
            found.append(str(reply["schema"]))

    async def _get(self, path: str) -> dict[str, Any] | None:
        """Return the reply, None for 404; raises RegistryUnavailable for every other status and without a reply."""
        reply = await self._send(path)
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        found = reply.json()
        if reply.status != HTTPStatus.OK or "schema" not in found:
            raise RegistryUnavailable(f"HTTP {reply.status}")
        return found

    async def _send(self, path: str) -> Reply:
        try:
            return await self.client.send(Call("GET", path), within_s=WITHIN_S)
        except (NotSent, MaybeSent):
            raise RegistryUnavailable("no reply") from None


@dataclass(frozen=True, slots=True)
class SchemaLog:
    """A log whose batches are yielded once the schemas of their messages are known."""

    inner: Readable
    registry: SchemaRegistry

    async def read(
        self, group: str, topics: Sequence[str], *, limit: int = 500, heartbeat: Heartbeat | None = None
    ) -> AsyncGenerator[Batch, None]:
        """See Readable; while the registry cannot be reached, batches wait for it."""
        async with aclosing(self.inner.read(group, topics, limit=limit, heartbeat=heartbeat)) as batches:
            async for batch in batches:
                await self._load(batch.messages, heartbeat)
                yield batch

    async def _load(self, messages: Sequence[Message], heartbeat: Heartbeat | None) -> None:
        pause = FIRST_PAUSE_S
        while True:
            try:
                await self.registry.load_for(messages)
            except RegistryUnavailable as error:
                metrics.RETRIES.labels(Service.TRIGGER).inc()
                log.warning("schema_registry.unavailable", reason=str(error))
                if heartbeat is not None:
                    heartbeat.waits(f"schema registry: {error}")
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
            else:
                return
