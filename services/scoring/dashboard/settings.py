"""Forms of the dashboard for annotations, targets and benchmarks; each redirects to the view it was sent from."""

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
from shared.database.db import Sessions
from shared.web.audit.acts import note
from shared.web.strict_input import ScorePoints, ShortText


class _SettingsForm(BaseModel):
    """`back` must be an address of the dashboard, so that the redirect cannot lead to another site."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    back: Annotated[str, Field(pattern=r"^/(\?[^\s\\]*)?$", max_length=2000)] = "/"

    def redirect(self) -> Response:
        return RedirectResponse(self.back, HTTPStatus.SEE_OTHER)


class AnnotationForm(_SettingsForm):
    """Without a program the annotation is shown for all programs."""

    program: ShortText | None = None
    day: date
    text: ShortText


class TargetForm(_SettingsForm):
    """Without a number the target of the program's document is used again."""

    program: ShortText
    nps: ScorePoints | None = None


class BenchmarkForm(_SettingsForm):
    name: ShortText
    nps: ScorePoints
    source: ShortText


class BenchmarkName(_SettingsForm):
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

    async def annotate(self, form: Annotated[AnnotationForm, Form()]) -> Response:
        annotation = Annotation(uuid7(), form.program, form.day, form.text)
        async with self.sessions.begin() as session:
            await add_annotation(session, annotation)
        note(annotation.id)
        return form.redirect()

    async def remove_annotation(self, annotation_id: UUID, form: Annotated[_SettingsForm, Form()]) -> Response:
        async with self.sessions.begin() as session:
            await remove_annotation(session, annotation_id)
        return form.redirect()

    async def set_target(self, form: Annotated[TargetForm, Form()]) -> Response:
        async with self.sessions.begin() as session:
            await targets.put(session, form.program, form.nps)
        note(form.program)
        return form.redirect()

    async def put_benchmark(self, form: Annotated[BenchmarkForm, Form()]) -> Response:
        async with self.sessions.begin() as session:
            await benchmarks.put(session, Benchmark(form.name, form.nps, form.source))
        note(form.name)
        return form.redirect()

    async def remove_benchmark(self, form: Annotated[BenchmarkName, Form()]) -> Response:
        async with self.sessions.begin() as session:
            await benchmarks.remove(session, form.name)
        note(form.name)
        return form.redirect()
