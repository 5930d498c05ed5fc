"""Contrast of colours, WCAG 2.2: a brand's colour is used for text only where it can be read."""

from __future__ import annotations

from functools import lru_cache

LEAST_CONTRAST = 4.5  # of text, WCAG 2.2, 1.4.3
WHITE, BLACK = "#ffffff", "#000000"


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two `#rrggbb` colours, from 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@lru_cache(maxsize=512)
def text_on(color: str) -> str:
    """Return white or black, whichever is better read on a colour: its contrast is at least 4.58."""
    return max(WHITE, BLACK, key=lambda text: contrast(text, color))


def _luminance(color: str) -> float:
    red, green, blue = (_linear(int(color[place : place + 2], 16) / 255) for place in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(value: float) -> float:
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
