"""Reports in the documented forms of many mail servers; the end of a file's name is its expected reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.dispatcher.channels.feedback import dsn

CORPUS = sorted((Path(__file__).parent / "corpus").rglob("*.eml"))
READINGS = {
    "hard": ["hard_bounce"],
    "soft": ["soft_bounce"],
    "us": ["undelivered"],  # about our server, address or content: the person is not suppressed
    "delivered": ["delivered"],
    "none": [],
}
OURS = "0198d3a0-0000-7000-8000-00000000beef.1"


def test_corpus_holds_at_least_sixty_mails_of_twelve_servers() -> None:
    assert len(CORPUS) >= 60
    assert len({path.parent for path in CORPUS}) >= 12


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_report_of_a_mail_server_is_read_as_its_name_says(path: Path) -> None:
    found = dsn.receipts(path.read_bytes())
    assert [each.kind for each in found] == READINGS[path.suffixes[-2][1:]]
    assert {str(each.reference) for each in found} <= {OURS}


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_line_ends_of_smtp_change_no_reading(path: Path) -> None:
    with_crlf = dsn.receipts(path.read_bytes().replace(b"\n", b"\r\n"))
    assert [each.kind for each in with_crlf] == [each.kind for each in dsn.receipts(path.read_bytes())]
