"""Renders templates, and formats figures and dates for them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from babel.dates import format_date
from fastapi.responses import HTMLResponse

from services.scoring.domain.periods import Days
from services.scoring.domain.score import ScoreInterval
from shared.web.templates import template_environment
from shared.zones import local_day, time_zone

_MINUS, _SPACE = "−", "\N{NO-BREAK SPACE}"  # noqa: RUF001 - a real minus sign
NO_FIGURE = "–"  # noqa: RUF001 - a real dash


def signed(points: float | None) -> str:
    """Format a score in whole points, always with its sign."""
    if points is None:
        return NO_FIGURE
    whole = round(points)
    return f"+{whole}" if whole > 0 else str(whole).replace("-", _MINUS)


def interval(of: ScoreInterval | None) -> str:
    return "" if of is None else f"{signed(of.low)} … {signed(of.high)}"


def percent(share: float | None) -> str:
    return NO_FIGURE if share is None else f"{share * 100:.0f}{_SPACE}%"


def grouped(count: int) -> str:
    return f"{count:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def answers(count: int) -> str:
    return f"{grouped(count)} {'answer' if count == 1 else 'answers'}"


def date_range(days: Days) -> str:
    """Format the first and the last day, with the year only once when it is the same."""
    first = "d MMM" if days.first.year == days.last.year else "d MMM y"
    return f"{format_date(days.first, first, locale='en')} to {format_date(days.last, 'd MMM y', locale='en')}"


def moment(at: datetime, zone_name: str, *, now: datetime) -> str:
    """Format a time in the zone, with its day unless that is today there."""
    local = at.astimezone(time_zone(zone_name))
    if local.date() == local_day(now, zone_name):
        return f"today {local:%H:%M}"
    return f"{format_date(local.date(), 'd MMM', locale='en')} {local:%H:%M}"


_environment = template_environment(Path(__file__).parent.parent / "templates", lstrip_blocks=True)
_environment.filters |= {
    "signed": signed,
    "interval": interval,
    "percent": percent,
    "grouped": grouped,
    "answers": answers,
    "date_range": date_range,
}


def page(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(_environment.get_template(template).render(values), status)
