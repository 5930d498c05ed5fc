"""What scoring holds about a customer, for the page of a customer and the export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from services.scoring.desk.page import label_of
from services.scoring.repository import customers
from services.scoring.web.customer_data import places
from services.scoring.web.dimension_names import dimension_name
from shared.database.db import Row
from shared.database.session import Session
from shared.languages.current import gettext, lookup, lookup_in
from shared.languages.formats import quoted
from shared.languages.marking import mark
from shared.web.customers.held_data import Entry, Fact, HeldData, Kind

_STATES = {"withdrawn": mark("withdrawn"), "erased": mark("erased")}  # an open one may be answered or not


async def read_held(session: Session, ids: Sequence[str], most: int | None) -> HeldData:
    """Read what scoring holds about respondents."""
    rows, webhooks = await customers.read(session, ids, most=most), await customers.webhooks(session, ids)
    return HeldData([_fact(row) for row in rows["invitations"]], list(_entries(rows)), list(places(webhooks)))


def _fact(row: Row) -> Fact:
    lines = {
        lookup_in("person", "Name"): row["name"],
        gettext("Telephone"): row["phone"],
        gettext("Reported by"): ", ".join(f"{dimension_name(name)} {value}" for name, value in row["segments"].items()),
        gettext("State"): lookup(_STATES[row["state"]]) if row["state"] in _STATES else None,
    }
    return Fact(gettext("Survey of %(program)s", program=_program(row)), lines, dict(row))


def _entries(rows: Mapping[str, Sequence[Row]]) -> Iterator[Entry]:
    for row in (*rows["earlier_answers"], *rows["answers"]):
        yield Entry(row["answered_at"], Kind.ANSWER, _answer(row), dict(row))
    for row in rows["invitations"]:
        if row["opted_out_at"] is not None:
            no_more = gettext("Does not want to be asked by %(program)s any more", program=_program(row))
            yield Entry(row["opted_out_at"], Kind.OPT_OUT, no_more, {"respondent_id": row["respondent_id"]})
    for row in rows["page_views"]:
        by_program = gettext("Page opened by a program, such as a mail scanner, from step %(step)s", step=row["step"])
        by_person = gettext("Page opened from step %(step)s", step=row["step"])
        yield Entry(row["at"], Kind.PAGE, by_program if row["automatic"] else by_person, dict(row))
    for row in rows["calls"]:
        due = gettext("A call back is due") if row["kind"] == "callback" else gettext("A call is due")
        yield Entry(row["due_at"], Kind.CALL, due, dict(row))
    for row in rows["call_attempts"]:
        result = lookup(label_of(row["disposition"]))
        called = gettext("Called by %(operator)s: %(result)s", operator=row["operator"], result=result)
        called += f", {quoted(row['note'])}" if row["note"] else ""
        yield Entry(row["at"], Kind.CALL, called, dict(row))


def _program(row: Row) -> str:
    return str(row["program_title"] or row["program"])


def _answer(row: Row) -> str:
    parts = [f"{row['score']}, {quoted(row['comment'])}" if row["comment"] else str(row["score"])]
    if row["operator"]:
        parts.append(gettext("taken by %(operator)s", operator=row["operator"]))
    if not row["stands"]:
        parts.append(gettext("version %(version)s, replaced", version=row["version"]))
    return " · ".join(parts)
