"""Contrast of colours."""

import pytest

from shared.contract.colors import contrast, text_on


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.01)
    assert contrast("#1d4ed8", "#1d4ed8") == 1


def test_text_on_every_colour_can_be_read() -> None:
    steps = [f"{value:02x}" for value in (*range(0, 256, 15),)]
    colors = [f"#{red}{green}{blue}" for red in steps for green in steps for blue in steps]
    assert min(contrast(text_on(color), color) for color in colors) >= 4.5
    assert (text_on("#ffe000"), text_on("#17202a")) == ("#000000", "#ffffff")
