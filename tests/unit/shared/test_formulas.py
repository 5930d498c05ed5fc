"""Texts that a spreadsheet could take for formulas, in files that are exported and imported again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.tables.writing import with_formulas, without_formulas


@given(st.text(alphabet='=+-@;,|\n\r\t "ab＝'))  # noqa: RUF001 - a full-width sign
def test_exported_text_is_read_as_it_was(text: str) -> None:
    assert with_formulas(without_formulas(text)) == text


@pytest.mark.parametrize("text", ["'s-Hertogenbosch", "it's", "''=1", "'", ""])
def test_apostrophe_that_no_export_wrote_stays(text: str) -> None:
    assert with_formulas(text) == text
