"""Health and metrics: what each service answers on its own port about itself."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.health import Health
from shared.web.problems import Unavailable

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Operations:
    health: Health

    def router(self) -> APIRouter:
        router = APIRouter(tags=["operations"])
        router.add_api_route("/healthz", self.healthz, methods=["GET"])
        router.add_api_route("/livez", self.livez, methods=["GET"])
        router.add_api_route("/readyz", self.readyz, methods=["GET"])
        router.add_api_route("/metrics", self.metrics, methods=["GET"], response_class=PlainTextResponse)
        return router

    async def healthz(self) -> dict[str, str]:
        """The process answers requests."""
        return {"status": "ok"}

    async def livez(self) -> dict[str, str]:
        """No loop of the process is stuck; 503 names those that are, and only a restart helps them."""
        if silent := self.health.silent():
            log.error("loops.stuck", loops=silent)
            raise Unavailable("Not alive", f"These loops are stuck: {', '.join(silent)}.", loops=silent)
        return {"status": "alive"}

    async def readyz(self) -> dict[str, str | dict[str, str]]:
        """The process can do its work; 503 names what prevents it, each with the reason.

        Warnings name what prevents only a part of its work.
        """
        found = await self.health.state()
        if found.warnings:
            log.warning("ready.with_warnings", warnings=found.warnings)
        if problems := found.problems:
            log.warning("not.ready", problems=problems)
            text = "; ".join(f"{name}: {reason}" for name, reason in problems.items())
            raise Unavailable("Not ready", text, problems=problems, warnings=found.warnings)
        return {"status": "ready", **({"warnings": found.warnings} if found.warnings else {})}

    async def metrics(self) -> Response:
        """All metrics of this process, in the text format of Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
