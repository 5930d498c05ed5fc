"""What the exports of other survey tools are assumed to look like; `docs/import.md` says the same in words.

Each field has the names its column may have. The columns of questions are named by their texts, so that `--map` says
which one is the score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from zoneinfo import ZoneInfo

from shared.tables.layout import TableOptions
from shared.tables.values import DateOrder


class PresetName(StrEnum):
    DELIGHTED = "delighted"
    TYPEFORM = "typeform"
    RETENTLY = "retently"
    SURVEYMONKEY = "surveymonkey"
    GOOGLE_FORMS = "google-forms"


@dataclass(frozen=True, slots=True)
class Preset:
    """`zone` is that of times that name none, None if the tool writes those of the account."""

    columns: Mapping[str, Sequence[str]]
    zone: str | None = None
    dates: DateOrder | None = None


_PRESETS: Mapping[PresetName, Preset] = {
    PresetName.DELIGHTED: Preset(
        {
            "external_id": ("Response ID", "Survey response ID", "id"),
            "score": ("Score",),
            "answered_at": ("Response time", "Responded at", "Created at", "created_at"),
            "comment": ("Comment",),
            "customer_id": ("Person ID", "person_id", "person", "Email", "Person Email"),
        },
        zone="UTC",
    ),
    PresetName.TYPEFORM: Preset(
        {
            "external_id": ("#", "Response ID", "Token"),
            "answered_at": ("Submit Date (UTC)", "Submitted At", "Submit Date"),
            "customer_id": ("customer_id", "user_id", "email"),
        },
        zone="UTC",
    ),
    PresetName.RETENTLY: Preset(
        {
            "external_id": ("Response ID", "Feedback ID", "id"),
            "score": ("Score", "NPS Score", "Rating"),
            "answered_at": ("Response date", "Date", "Created date", "createdDate"),
            "comment": ("Feedback", "Comment", "Comments"),
            "customer_id": ("Customer ID", "customerId", "Email"),
        },
    ),
    PresetName.SURVEYMONKEY: Preset(
        {
            "external_id": ("Respondent ID", "RespondentID"),
            "answered_at": ("End Date", "EndDate", "Date Modified"),
            "customer_id": ("Custom Data 1", "Email Address"),
        },
        dates="mdy",
    ),
    PresetName.GOOGLE_FORMS: Preset(
        {
            "answered_at": (
                "Timestamp",
                "Отметка времени",
                "Zeitstempel",
                "Horodateur",
                "Marca temporal",
                "Informazioni cronologiche",
                "Carimbo de data/hora",
            ),
            "customer_id": ("Email Address", "Username", "Email"),
        },
    ),
}
NEEDED = ("score", "answered_at")


def with_preset(options: TableOptions, name: PresetName | None, *, fields: Sequence[str]) -> TableOptions:
    """Add the columns of a preset, and those that have the names of fields; what was stated wins.

    All columns may be missing except those of NEEDED and those that were stated.
    """
    preset = _PRESETS[name] if name else Preset({})
    own: Mapping[str, Sequence[str]] = {each: (each,) for each in fields}
    columns = {**own, **preset.columns, **options.columns}
    return replace(
        options,
        columns=columns,
        optional=frozenset(columns) - {*NEEDED, *options.columns},
        unique=frozenset(fields),
        zone=options.zone or (ZoneInfo(preset.zone) if preset.zone else None),
        dates=options.dates or preset.dates,
    )
