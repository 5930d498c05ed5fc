"""Forms of the dashboard for annotations, targets and benchmarks.

Each redirects to the view it was sent from, which says what was done and offers to undo it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import date
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Response
from pydantic import Field
from uuid_utils.compat import uuid7

from services.scoring.dashboard.returning import ReturningForm
from services.scoring.repository import benchmarks, targets
from services.scoring.repository.annotations import Annotation, add_annotation, remove_annotation
from services.scoring.repository.benchmarks import Benchmark
from services.scoring.web import rendering
from shared.database.session import Sessions
from shared.languages.current import gettext
from shared.web.audit.acts import note, note_unchanged
from shared.web.staff.done_acts import UNCHANGED, refuse_changed
from shared.web.strict_input import ScorePoints, ShortText


class _SettingsForm(ReturningForm):
    replaces: Annotated[str, Field(max_length=500)] | None = None  # of a form that undoes: what is to be stored

    def unchanged(self) -> Response:
        """Return to the view, which says that what the form sets was so already."""
        note_unchanged()
        self.tell(gettext(UNCHANGED))
        return self.redirect()


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
        form.tell(
            gettext("You added the annotation %(text)s.", text=form.text), undo=f"/annotations/{annotation.id}/remove"
        )
        return form.redirect()

    async def remove_annotation(self, annotation_id: UUID, form: Annotated[_SettingsForm, Form()]) -> Response:
        async with self.sessions.begin() as session:
            removed = await remove_annotation(session, annotation_id)
        if removed is None:
            note_unchanged()
            form.tell(gettext("The annotation was removed before."))
        else:
            again = {"program": removed.program, "day": removed.day, "text": removed.text}
            form.tell(gettext("You removed the annotation %(text)s.", text=removed.text), undo="/annotations", **again)
        return form.redirect()

    async def set_target(self, form: Annotated[TargetForm, Form()]) -> Response:
        async with self.sessions.begin() as session:
            before = await targets.own(session, form.program)
            refuse_changed(expected=form.replaces, stored=_text(before))
            await targets.put(session, form.program, form.nps)
        note(form.program)
        if form.nps == before:
            return form.unchanged()
        said = (
            gettext("You removed the target.")
            if form.nps is None
            else gettext("You set the target to %(score)s.", score=rendering.signed(form.nps))
        )
        form.tell(said, undo="/target", program=form.program, nps=before, replaces=_text(form.nps))
        return form.redirect()

    async def put_benchmark(self, form: Annotated[BenchmarkForm, Form()]) -> Response:
        benchmark = Benchmark(form.name, form.nps, form.source)
        async with self.sessions.begin() as session:
            before = await benchmarks.find(session, form.name)
            refuse_changed(expected=form.replaces, stored=_text(before))
            await benchmarks.put(session, benchmark)
        note(form.name)
        if benchmark == before:
            return form.unchanged()
        said = gettext("You saved the benchmark %(name)s.", name=form.name)
        if before is None:
            form.tell(said, undo="/benchmarks/remove", name=form.name, replaces=_text(benchmark))
        else:
            form.tell(said, undo="/benchmarks", **asdict(before), replaces=_text(benchmark))
        return form.redirect()

    async def remove_benchmark(self, form: Annotated[BenchmarkName, Form()]) -> Response:
        async with self.sessions.begin() as session:
            before = await benchmarks.find(session, form.name)
            refuse_changed(expected=form.replaces, stored=_text(before))
            await benchmarks.remove(session, form.name)
        note(form.name)
        if before is None:
            note_unchanged()
            form.tell(gettext("The benchmark was removed before."))
        else:
            said = gettext("You removed the benchmark %(name)s.", name=form.name)
            form.tell(said, undo="/benchmarks", **asdict(before), replaces=_text(None))
        return form.redirect()


def _text(stored: int | Benchmark | None) -> str:
    """Write what is stored, to be compared."""
    if isinstance(stored, Benchmark):
        return f"{stored.nps} {stored.source}"
    return "none" if stored is None else str(stored)
