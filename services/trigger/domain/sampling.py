"""Chance that is no chance: the same words draw the same number, on every machine and in every run."""

from __future__ import annotations

import hashlib


def sample(*words: str) -> float:
    """Draw a number from 0 to 1, 1 excluded."""
    digest = hashlib.sha256("\0".join(words).encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:6]) / 2**48


SPREAD = 2**30


def spread_of(respondent_id: str) -> int:
    """Give a respondent their place in every cadence, from 0 to 2**30 - 1."""
    return int(sample("cadence", respondent_id) * SPREAD)
