"""The limits on the sizes of functions, files and folders."""

from __future__ import annotations

import pytest

from tests import house


def test_functions_files_and_folders_stay_small() -> None:
    sizes = house.sizes()
    assert sizes.function_median <= 6
    assert sizes.function_p90 <= 15
    assert sizes.longest_file[0] <= 400, sizes.longest_file
    assert sizes.widest_folder[0] <= 20, sizes.widest_folder


def test_scoring_has_few_rooms_at_its_top() -> None:
    assert len(house.top_rooms("scoring")) <= 19


def test_a_seed_draws_the_same_sample_again() -> None:
    functions, docstrings = house.draw(7)
    assert house.draw(7) == (functions, docstrings)
    assert (len(functions), len(docstrings)) == (10, 20)


def test_what_is_drawn_is_printed_before_its_places(capsys: pytest.CaptureFixture[str]) -> None:
    house.main(["--seed", "7"])
    drawn, _, places = capsys.readouterr().out.partition("--- Places\n")
    assert drawn.count("--- Function") == 10
    assert drawn.count("--- Docstring") == 20
    assert places.count(".py:") == 30
    assert ".py:" not in drawn
