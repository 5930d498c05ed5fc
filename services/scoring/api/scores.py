"""The JSON API of scores: figures, changes, funnel, returns, annotations, benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from uuid_utils.compat import uuid7

from services.scoring.api.funnel_schemas import FunnelOut, ReturnGroupOut, ReturnsOut
from services.scoring.api.score_schemas import (
    AnnotationIn,
    AnnotationOut,
    BenchmarkIn,
    BenchmarkOut,
    ChangeOut,
    ChangesOut,
    DifferenceOut,
    Nps,
    SampleOut,
    SeriesOut,
)
from services.scoring.domain.changes import WHOLE
from services.scoring.domain.comparison import difference, smallest_sample
from services.scoring.domain.dimensions import OWN_DIMENSIONS
from services.scoring.domain.employees import FEWEST_ANSWERS, with_enough_answers
from services.scoring.domain.funnel import funnel, returns
from services.scoring.domain.journeys import RETURN_WITHIN, JourneyParts
from services.scoring.domain.periods import Days
from services.scoring.domain.score import CONFIDENCE, Figure
from services.scoring.domain.slices import Slice, split_segment
from services.scoring.domain.stores.names import NO_STORES
from services.scoring.repository import benchmarks
from services.scoring.repository.annotations import Annotation, add_annotation, read_annotations, remove_annotation
from services.scoring.repository.benchmarks import Benchmark
from services.scoring.repository.programs import programs_by_use
from services.scoring.repository.scores import comparisons, dimensions, figures, journeys
from services.scoring.repository.scores.counting import ANSWER_DIMENSIONS
from services.scoring.repository.scores.figures import MOST_COUNTED, TooManyToCount
from services.scoring.repository.stores import listed
from services.scoring.web.scopes import sees_employees, visible
from services.scoring.web.score_queries import ChangesQuery, NpsQuery, PeriodQuery, SampleQuery, SegmentQuery
from shared.clock import Clock
from shared.contract.vocabulary import EMPLOYEE
from shared.database.session import Session, Sessions
from shared.web import strict_input
from shared.web.audit.acts import note, note_unchanged
from shared.web.problems import INVALID_REQUEST, Forbidden, NotFound, Unprocessable
from shared.web.staff.tickets import staff_scope
from shared.web.strict_input import ShortText, SingleValued
from shared.zones import local_day

TOO_MANY = f"There are {{}}, and at most {MOST_COUNTED} are counted: choose fewer days, or one segment."
DEFAULT_DAYS = 90


@dataclass(frozen=True, slots=True)
class ScoreApi:
    """Scores per employee are in it only if they are counted (`employees`)."""

    sessions: Sessions
    clock: Clock
    employees: bool = False

    def router(self) -> APIRouter:
        reading = APIRouter(dependencies=[Depends(SingleValued())])
        reading.add_api_route("/nps", self.nps, methods=["GET"])
        reading.add_api_route("/nps/moves", self.moves, methods=["GET"])
        reading.add_api_route("/nps/sample", self.sample, methods=["GET"])
        reading.add_api_route("/funnel", self.funnel, methods=["GET"])
        reading.add_api_route("/returns", self.returns, methods=["GET"])
        reading.add_api_route("/annotations", self.annotations, methods=["GET"])
        strict = APIRouter(dependencies=[Depends(strict_input.refuse_parameters)])
        strict.add_api_route("/annotations", self.annotate, methods=["POST"], status_code=HTTPStatus.CREATED)
        strict.add_api_route("/annotations/{annotation_id}", self.erase_annotation, methods=["DELETE"], status_code=204)
        strict.add_api_route("/benchmarks", self.benchmarks, methods=["GET"])
        strict.add_api_route("/benchmarks/{name}", self.put_benchmark, methods=["PUT"])
        strict.add_api_route("/benchmarks/{name}", self.erase_benchmark, methods=["DELETE"], status_code=204)
        router = APIRouter(prefix="/v1", tags=["score"])
        router.include_router(reading)
        router.include_router(strict)
        return router

    async def nps(self, query: Annotated[NpsQuery, Query()]) -> Nps:
        """Read the score with its intervals, of everything or by dimensions and period; days are inclusive."""
        split = query.by.split(",") if query.by else []
        async with self.sessions.begin() as session:
            selected = replace(await _slice(session, query), definition=query.definition)
            await self._check_dimensions(session, split, selected)
            try:
                series = await figures.series(session, selected, dimensions=split, period=query.period)
            except TooManyToCount as error:
                raise Unprocessable("Too many answers to be counted one by one", TOO_MANY.format(error)) from error
        if EMPLOYEE in (*split, selected.dimension):
            series = with_enough_answers(series)
        whole = series or ([] if query.by or query.period else [Figure()])
        page, following = query.page(whole)
        return Nps(
            **query.model_dump(exclude={"period", "after", "limit"}),
            confidence=CONFIDENCE,
            series=[SeriesOut.of(each, query.definition) for each in page],
            next=following,
        )

    async def moves(self, query: Annotated[ChangesQuery, Query()]) -> ChangesOut:
        """Compare with the previous period or the same days last year: the whole, and what changed significantly."""
        async with self.sessions.begin() as session:
            selected = visible(Slice(query.program, stores=await listed.names(session)))
            now = await self._days(session, query)
            then = now.against(query.against)
            before, after = [await figures.whole(session, selected.during(days)) for days in (then, now)]
            moved = await comparisons.changes(session, selected, now=now, then=then)
        return ChangesOut(
            program=query.program,
            from_=now.first,
            to=now.last,
            before_from=then.first,
            before_to=then.last,
            before=SeriesOut.of(before, selected.definition),
            after=SeriesOut.of(after, selected.definition),
            difference=DifferenceOut.of(difference(before.tally, after.tally)),
            compared=moved.compared,
            by_chance=moved.by_chance,
            moved=[ChangeOut.of(each) for each in moved.significant],
        )

    async def sample(self, query: Annotated[SampleQuery, Query()]) -> SampleOut:
        """Compute how many answers a margin of error needs."""
        async with self.sessions.begin() as session:
            asked = visible(Slice(query.program, query.from_, query.to, stores=NO_STORES))
            now = (await figures.whole(session, asked)).tally
        as_now = smallest_sample(query.margin, like=now) if now.n else None
        worst = smallest_sample(query.margin)
        return SampleOut(margin=query.margin, confidence=CONFIDENCE, at_worst=worst, as_now=as_now)

    async def funnel(self, query: Annotated[SegmentQuery, Query()]) -> FunnelOut:
        """Count who was asked in the period, was reached, opened the page and answered: by channel, step and send hour.

        A segment has no hours, and by channel and step only who answered.
        """
        async with self.sessions.begin() as session:
            selected = await _slice(session, query)
            return FunnelOut.of(funnel(await self._read_journeys(session, selected)), of_segment=not selected.is_whole)

    async def returns(self, query: Annotated[SegmentQuery, Query()]) -> ReturnsOut:
        """Count those asked in the period, and who of them bought again within 90 days; `silent` did not answer."""
        if staff_scope.get().stores is not None:
            raise Forbidden("You see only some stores", "Purchases are counted in all of them.")
        async with self.sessions.begin() as session:
            groups = returns(await self._read_journeys(session, await _slice(session, query)))
        return ReturnsOut(days=RETURN_WITHIN.days, groups=[ReturnGroupOut.of(group) for group in groups])

    async def annotations(self, query: Annotated[PeriodQuery, Query()]) -> list[AnnotationOut]:
        """Read annotations with the score before and after each."""
        selected = visible(Slice(query.program, stores=NO_STORES))  # no store by name
        async with self.sessions.begin() as session:
            days = await self._days(session, query)
            marked = await read_annotations(session, selected.program, days.first, days.last)
            effects = await comparisons.effects(session, selected, marked, days=days)
        return [AnnotationOut.of(effect, selected.definition) for effect in effects]

    async def annotate(self, body: AnnotationIn) -> dict[str, UUID]:
        """Add an annotation."""
        annotation = Annotation(uuid7(), body.program, body.day, body.text)
        async with self.sessions.begin() as session:
            await add_annotation(session, annotation)
        note(annotation.id)
        return {"id": annotation.id}

    async def erase_annotation(self, annotation_id: UUID) -> Response:
        """Delete an annotation."""
        async with self.sessions.begin() as session:
            if not await remove_annotation(session, annotation_id):
                raise NotFound("No such annotation")
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def benchmarks(self) -> list[BenchmarkOut]:
        """Read all benchmarks."""
        async with self.sessions.begin() as session:
            known = await benchmarks.read(session)
        return [BenchmarkOut(name=each.name, nps=each.nps, source=each.source) for each in known]

    async def put_benchmark(self, name: ShortText, body: BenchmarkIn) -> BenchmarkOut:
        """Add a benchmark, such as a competitor's score, or change it."""
        benchmark = Benchmark(name, body.nps, body.source)
        async with self.sessions.begin() as session:
            if await benchmarks.find(session, name) == benchmark:
                note_unchanged()
            await benchmarks.put(session, benchmark)
        return BenchmarkOut(name=name, nps=body.nps, source=body.source)

    async def erase_benchmark(self, name: str) -> Response:
        """Delete a benchmark."""
        async with self.sessions.begin() as session:
            if not await benchmarks.remove(session, name):
                raise NotFound("No such benchmark")
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _days(self, session: Session, query: PeriodQuery) -> Days:
        """Return the requested days, by default the last 90 up to today in the program's time zone.

        For all programs, today is the latest date in any of their zones.
        """
        programs = await programs_by_use(session)
        zones = {each.zone for id_, each in programs.items() if query.program in (None, id_)} or {"UTC"}
        today = max(local_day(self.clock.now(), zone) for zone in zones)
        return query.resolve_days(today, count=DEFAULT_DAYS)

    async def _check_dimensions(self, session: Session, split: list[str], selected: Slice) -> None:
        """Reject dimensions nothing was ever counted by: an empty result would look like a figure."""
        if len(split) > 2 or len({*split}) < len(split):
            raise Unprocessable(
                INVALID_REQUEST, "by takes one dimension, or two different ones with a comma between them."
            )
        known = {*OWN_DIMENSIONS, *await dimensions.names(session, selected.program)}
        known -= set() if sees_employees(counted=self.employees) else {EMPLOYEE}
        unknown = {*split, *([selected.dimension] if selected.dimension else [])} - known
        if unknown:
            raise Unprocessable(
                INVALID_REQUEST,
                f"No such dimension: {', '.join(sorted(unknown))}. There is {', '.join(sorted(known))}.",
            )
        if selected.dimension == EMPLOYEE and not with_enough_answers([await figures.whole(session, selected)]):
            raise Unprocessable("Too few answers", f"An employee has no figures below {FEWEST_ANSWERS} answers.")

    async def _read_journeys(self, session: Session, selected: Slice) -> JourneyParts:
        """Read journeys; rejects segments that only answers have: zeros would look as if nobody had been asked."""
        await self._check_dimensions(session, [], selected)
        if selected.segment and selected.segment[0] in ANSWER_DIMENSIONS - {WHOLE[0]}:
            raise Unprocessable(INVALID_REQUEST, f"Nobody was asked by {selected.segment[0]}: only answers have it.")
        if selected.counted_as is None:
            raise Unprocessable(INVALID_REQUEST, "You see some stores only: choose no segment, or one of these stores.")
        return await journeys.sums(session, selected)


async def _slice(session: Session, query: SegmentQuery) -> Slice:
    names = await listed.names(session)
    return visible(Slice(query.program, query.from_, query.to, split_segment(query.segment), stores=names))
