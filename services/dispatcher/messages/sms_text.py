"""The text of an SMS: filled in, and shortened until it has few segments."""

from __future__ import annotations

import re
from collections.abc import Mapping

from shared.contract.labels import filled
from shared.contract.sms import USUAL_SEGMENTS, sms_segments

_SHORTENED = ("question", "about", "topic", "store", "brand")


def fit_sms(template: str, values: Mapping[str, str]) -> str:
    """Fill in a template; words are cut off its values, first the question, until it fits. Links stay whole."""
    values = dict(values)
    text = _filled(template, values)
    for name in _SHORTENED:
        words = values.get(name, "").split()
        while words and sms_segments(text) > USUAL_SEGMENTS:
            words.pop()
            values[name] = f"{' '.join(words)}..." if words else ""
            text = _filled(template, values)
    return text


def _filled(template: str, values: Mapping[str, str]) -> str:
    return re.sub(" {2,}", " ", filled(template, values)).strip()
