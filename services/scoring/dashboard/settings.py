"""Forms of the dashboard: mark a day, set a target, add a benchmark. Each leads back to the view it was sent from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field
from uuid_utils.compat import uuid7

from services.scoring.repository import benchmarks, targets
from services.scoring.repository.annotations import Annotation, add_annotation, remove_annotation
from services.scoring.repository.benchmarks import Benchmark
from services.scoring.web.strict_input import ScorePoints, ShortText
from shared.database.db import Sessions


class _Sent(BaseModel):
    """`back` is an address of the dashboard, and of nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    back: Annotated[str, Field(pattern=r"^/(\?[^\s\\]*)?$", max_length=2000)] = "/"

    def done(self) -> Response:
        return RedirectResponse(self.back, HTTPStatus.SEE_OTHER)


class AnnotationForm(_Sent):
    """Without a program it is about all of them."""

    program: ShortText | None = None
    day: date
    text: ShortText


class TargetForm(_Sent):
    """Without a number the program's own document counts again."""

    program: ShortText
    nps: ScorePoints | None = None


class BenchmarkForm(_Sent):
    name: ShortText
    nps: ScorePoints
    source: ShortText


class BenchmarkName(_Sent):
    name: ShortText


@dataclass(frozen=True, slots=True)
class SettingsForms:
    sessions: Sessions

    def router(self) -> APIRouter:
        router = APIRouter(include_in_schema=False)
        router.add_api_route("/annotations", self.annotate, methods=["POST"])
        router.add_api_route("/annotations/{annotation_id}/remove", self.remove_annotation, methods=["POST"])
        router.add_api_route("/target", self.set_target, methods=["POST"])
        router.add_api_route("/benchmarks", self.put_benchmark, methods=["POST"])
        router.add_api_route("/benchmarks/remove", self.remove_benchmark, methods=["POST"])
        return router

    async def annotate(self, sent: Annotated[AnnotationForm, Form()]) -> Response:
        async with self.sessions.begin() as session:
            await add_annotation(session, Annotation(uuid7(), sent.program, sent.day, sent.text))
        return sent.done()

    async def remove_annotation(self, annotation_id: UUID, sent: Annotated[_Sent, Form()]) -> Response:
        async with self.sessions.begin() as session:
            await remove_annotation(session, annotation_id)
        return sent.done()

    async def set_target(self, sent: Annotated[TargetForm, Form()]) -> Response:
        async with self.sessions.begin() as session:
            await targets.put(session, sent.program, sent.nps)
        return sent.done()

    async def put_benchmark(self, sent: Annotated[BenchmarkForm, Form()]) -> Response:
        async with self.sessions.begin() as session:
            await benchmarks.put(session, Benchmark(sent.name, sent.nps, sent.source))
        return sent.done()

    async def remove_benchmark(self, sent: Annotated[BenchmarkName, Form()]) -> Response:
        async with self.sessions.begin() as session:
            await benchmarks.remove(session, sent.name)
        return sent.done()
