"""A real schema registry for tests: Apicurio Registry in memory, with the API of Confluent's."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import AbstractContextManager
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
import pytest

from deploy.kafka.broker import end_with_parent
from deploy.kafka.maven import FetchedFolder
from deploy.ports import free_ports

APP = FetchedFolder(Path(__file__).parent / "pom.xml", Path(__file__).parent / "app")
START_SECONDS = 60.0
JVM = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class SchemaRegistryServer(AbstractContextManager["SchemaRegistryServer"]):
    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def __enter__(self) -> Self:
        [runner] = APP.fetch().glob("*-runner.jar")
        address = ("-Dquarkus.http.host=127.0.0.1", f"-Dquarkus.http.port={self.port}")
        command = [*end_with_parent(), "java", *JVM, *address, "-jar", str(runner)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, "the schema registry ended"
            assert time.monotonic() < deadline, "the schema registry did not start"
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/subjects", timeout=1).status_code == HTTPStatus.OK
        except httpx2.TransportError:
            return False

    def register(self, subject: str, schema: Any, *, kind: str = "AVRO", references: Any = ()) -> int:
        """Register a schema and return its id."""
        body = {"schema": json.dumps(schema), "schemaType": kind, "references": list(references)}
        reply = httpx2.post(f"{self.url}/subjects/{subject}/versions", json=body, timeout=20)
        return int(reply.raise_for_status().json()["id"])


def require_schema_registry() -> None:
    """Skip where it cannot be started; under EARSHOT_REQUIRE_KAFKA=1 that is a failure."""
    lacking = APP.missing_tool()
    if lacking and os.environ.get("EARSHOT_REQUIRE_KAFKA") == "1":
        pytest.fail(f"a schema registry is required here, but {lacking}")
    if lacking:
        pytest.skip(lacking)
