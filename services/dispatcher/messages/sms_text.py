"""The text of an SMS: filled in, and shortened until it has few segments."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping

from shared.contract.labels import filled
from shared.contract.sms import USUAL_SEGMENTS, sms_segments

_SHORTENED = ("question", "about", "topic", "store", "brand")


def fit_sms(template: str, values: Mapping[str, str]) -> str:
    """Fill in a template; words are cut off its values, first the question, until it fits. Links stay whole."""
    for name in _SHORTENED:
        if name in values and sms_segments(_filled(template, values)) > USUAL_SEGMENTS:
            values = {**values, name: _cut(template, values, name)}
    return _filled(template, values)


def _cut(template: str, values: Mapping[str, str], name: str) -> str:
    """Return as many words of a value as fit; none if the rest of the text does not fit either."""
    words = values[name].split()
    cuts = ["", *(f"{' '.join(words[:count])}..." for count in range(1, len(words)))]
    fitting = bisect_right(cuts, USUAL_SEGMENTS, key=lambda cut: sms_segments(_filled(template, {**values, name: cut})))
    return cuts[max(fitting - 1, 0)]


def _filled(template: str, values: Mapping[str, str]) -> str:
    return re.sub(" {2,}", " ", filled(template, values)).strip()
