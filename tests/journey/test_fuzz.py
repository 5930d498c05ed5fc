"""A short `make fuzz`: malformed inputs at every door of a running Earshot cause no error, stall, end or loss."""

from __future__ import annotations

from tests.fuzz import run


async def test_no_malformed_input_breaks_a_running_earshot() -> None:
    """Mails are fuzzed with the reader alone, in the dispatcher's tests: the mailbox is read once a minute."""
    report = await run.run(1000, seed=4, mails=False)
    found = {name: getattr(report, name) for name in run.FOUND}
    assert found == {name: [] for name in run.FOUND}
    assert report.inputs > 900
    assert {name for name, door in report.doors.items() if door.inputs} == {
        *("api", "events", "files", "forms", "hooks", "links", "log", "pages", "source hooks"),
    }
