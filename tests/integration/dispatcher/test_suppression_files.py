"""Opt-outs and bounces of another tool, from its files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from services.dispatcher.commands.suppression_files import SuppressionImport, with_names
from shared.contract.address_keys import AddressKeys
from shared.contract.vocabulary import InvitationOutcome, SuppressionReason, address_fingerprint
from shared.tables.layout import TableOptions
from shared.tables.report import FileReport, Refusals
from tests.integration.dispatcher.conftest import Chain, request

KEYS = AddressKeys({"k1": "secret"})
FILE = (
    "Email Address;customer_id;Reason;Phone number\r\n"
    "olga@example.com;r1;opt_out;+7 999 123-45-67\r\n"
    "ivan@example.com;;hard bounce;\r\n"
    ";guest@example.com;;\r\n"
    "nobody;;;\r\n"
    ";;;8 999 123-45-67\r\n"
    ";r9;hard_bounce;\r\n"
    ";;because;+14155550123\r\n"
    ";;;\r\n"
)


async def store(chain: Chain, path: Path) -> FileReport:
    job = SuppressionImport(path, with_names(TableOptions()), SuppressionReason.OPT_OUT)
    return await job.store(chain.database.sessions, KEYS, now=chain.clock.now())


async def test_people_of_a_file_are_suppressed_once_and_published(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "unsubscribed.csv"
    path.write_bytes(FILE.encode("cp1251"))
    report = await store(chain, path)
    assert (report.read, report.stored, report.known, report.refused) == (7, 3, 0, 4)
    with Refusals.of(path).path.open(newline="") as file:
        assert [line for line, _ in list(csv.reader(file))[1:]] == ["5", "6", "7", "8"]
    found = {each.respondent_id: each for each in await chain.published("respondent.suppressed")}
    assert found.keys() == {"r1", KEYS.pseudonym("ivan@example.com"), KEYS.pseudonym("guest@example.com")}
    olga, ivan = found["r1"], found[KEYS.pseudonym("ivan@example.com")]
    assert (olga.channel, olga.reason) == (None, SuppressionReason.OPT_OUT)
    expected = [KEYS.fingerprint(one).hex() for one in ("olga@example.com", "+79991234567")]
    assert olga.addresses == sorted(expected)
    assert (ivan.channel, ivan.reason, ivan.address) == (
        "email",
        SuppressionReason.HARD_BOUNCE,
        address_fingerprint("ivan@example.com").hex(),
    )
    again = await store(chain, path)
    assert (again.stored, again.known) == (0, 3)


async def test_open_survey_of_a_suppressed_person_ends(chain: Chain, tmp_path: Path) -> None:
    asked = request("r1")
    await chain.take(asked)
    path = tmp_path / "unsubscribed.jsonl"
    path.write_text('{"customer_id": "r1"}\n{"customer_id": true}\n[]\n')
    assert (await store(chain, path)).refused == 2
    (closed,) = await chain.published("invitation.closed")
    assert closed.outcome is InvitationOutcome.DECLINED


@pytest.mark.parametrize("text", ["", "id;name\n1;Ann\n", '{"customer_id": "7.91612E+10"}\n'])
async def test_file_that_names_nobody_stores_nothing(chain: Chain, tmp_path: Path, text: str) -> None:
    path = tmp_path / "people.jsonl"
    path.write_text(text)
    assert (await store(chain, path)).stored == 0
