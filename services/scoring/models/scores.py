"""Tables of daily answer and invitation counters, annotations, targets and benchmarks."""

from __future__ import annotations

import sqlalchemy as sa

from services.scoring.models.columns import metadata, series

SCORE_COLUMNS = [f"s{score}" for score in range(11)]

OTHER_COUNTERS = ["operators", "suspects", "imported", "operator_promoters", "operator_detractors"]

COUNTERS = [*SCORE_COLUMNS, *OTHER_COUNTERS]


def _zero(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default="0")


def _revisions() -> list[sa.Column[int]]:
    return [
        sa.Column("revision", sa.BigInteger, nullable=False, server_default="1"),
        sa.Column("published_revision", sa.BigInteger, nullable=False, server_default="0"),
    ]


buckets = sa.Table(
    "buckets",
    metadata,
    *series(),
    *(_zero(name) for name in COUNTERS),
    *_revisions(),
    sa.Index("buckets_unpublished", "program", postgresql_where=sa.text("revision > published_revision")),
)

invited = sa.Table(
    "invited",
    metadata,
    *series(),
    _zero("invited"),
    _zero("answered"),
    *_revisions(),
    sa.Index("invited_unpublished", "program", postgresql_where=sa.text("revision > published_revision")),
)

dimension_values = sa.Table(
    "dimension_values",
    metadata,
    sa.Column("program", sa.Text, primary_key=True),
    sa.Column("dimension", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, primary_key=True),
)

annotated = sa.Table(
    "annotations",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("program", sa.Text),  # NULL for an annotation of all programs
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)

targets = sa.Table(  # set by staff; overrides the target in the program's document
    "targets",
    metadata,
    sa.Column("program", sa.Text, primary_key=True),
    sa.Column("nps", sa.Integer, nullable=False),
)

benchmarks = sa.Table(
    "benchmarks",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("nps", sa.Integer, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
)

# `sequence` is incremented when the figures of a program change, and open dashboard pages then reload
changes = sa.Table(
    "changes",
    metadata,
    sa.Column("program", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False, server_default="1"),
)
