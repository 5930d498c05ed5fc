"""What is left of invitations that are deleted past retention: sums by day, and ids of imported scores."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
oldest_reader = "0001"

_COUNTERS = [
    *(f"s{score}" for score in range(11)),
    *("operators", "suspects", "imported", "operator_promoters", "operator_detractors"),
]
_TABLES = ("dropped_answers", "dropped_invited", "dropped_journeys", "dropped_imports", "retention")


def _series() -> list[sa.Column[object]]:
    return [
        sa.Column("program", sa.Text, primary_key=True),
        sa.Column("dimension", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
    ]


def _counts(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer, nullable=False) for name in names]


def upgrade() -> None:
    op.create_table("dropped_answers", *_series(), *_counts(*_COUNTERS))
    op.create_table("dropped_invited", *_series(), *_counts("invited", "answered"))
    op.create_table(
        "dropped_journeys",
        *_series(),
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("stage", "detail")),
        sa.Column("amount", sa.Numeric, nullable=False),
    )
    op.create_table("dropped_imports", sa.Column("invitation_id", sa.Uuid, primary_key=True))
    op.create_table("retention", sa.Column("dropped_before", sa.Uuid, primary_key=True))
    op.execute("INSERT INTO retention VALUES ('00000000-0000-0000-0000-000000000000')")
    op.create_index(
        "purchases_at", "purchases", ["at"], postgresql_using="brin", postgresql_with={"autosummarize": "on"}
    )


def downgrade() -> None:
    """Forget the sums: scores stay, and `earshot verify` names the days of which answers were deleted."""
    op.drop_index("purchases_at", "purchases")
    for table in _TABLES:
        op.drop_table(table)
