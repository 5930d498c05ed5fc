"""Renders templates, and formats figures and dates for them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi.responses import HTMLResponse

from services.scoring.domain.periods import Days
from services.scoring.domain.score import ScoreInterval
from shared.contract.vocabulary import Role
from shared.languages import formats
from shared.languages.current import gettext, ngettext
from shared.web.templates import template_environment

_MINUS = "−"  # noqa: RUF001 - a real minus sign
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
    return NO_FIGURE if share is None else formats.percent(share)


def answers(count: int) -> str:
    return ngettext("%(count)s answer", "%(count)s answers", count, count=formats.grouped(count))


def date_range(days: Days) -> str:
    """Format the first and the last day, with the year only once when it is the same."""
    one_year = days.first.year == days.last.year
    first = formats.short_day(days.first) if one_year else formats.day(days.first)
    return gettext("%(first)s to %(last)s", first=first, last=formats.day(days.last))


def role_labels(roles: Iterable[Role]) -> str:
    return ", ".join(sorted(gettext(role.label) for role in roles))


def moment(at: datetime, zone: ZoneInfo, *, now: datetime) -> str:
    """Format a time in the zone, with its day unless that is today there."""
    local = at.astimezone(zone)
    if local.date() == now.astimezone(zone).date():
        return gettext("today %(time)s", time=f"{local:%H:%M}")
    return f"{formats.short_day(local.date())} {local:%H:%M}"


_environment = template_environment(Path(__file__).parent.parent / "templates", styles="scoring", lstrip_blocks=True)
_environment.filters |= {
    "signed": signed,
    "interval": interval,
    "percent": percent,
    "answers": answers,
    "date_range": date_range,
    "role_labels": role_labels,
}


def page(template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(_environment.get_template(template).render(values), status)
