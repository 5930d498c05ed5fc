"""A document is the same after it was split into a shape and values; documents that differ in values share a shape."""

from __future__ import annotations

from typing import Any

import pytest

from services.trigger.domain.shapes import joined, split

OWN = ("at", "attributes")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"at": 1},
        {"at": None, "rule": "asked"},
        {"trail": [{"facts": {"at": "2026", "until": "2027"}}, {"facts": {"at": "2028"}}], "nothing": []},
        {"attributes": {"$": 0, "at": [1, {"at": 2}]}},
        {"$": "a field of this name"},
        {"rule": {"at": {"$": 1}}},
    ],
)
def test_a_document_is_split_and_joined(document: Any) -> None:
    assert joined(*split(document, own=OWN)) == document


def test_only_the_own_fields_are_values() -> None:
    first, second = (split({"rule": "asked", "facts": {"at": at}}, own=OWN) for at in (1, 2))
    assert first.shape == second.shape
    assert (first.values, second.values) == ([1], [2])
    assert split({"rule": "holdout", "facts": {"at": 1}}, own=OWN).shape != first.shape
