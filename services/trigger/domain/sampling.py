"""Deterministic sampling: the same keys give the same number on every machine and in every run."""

from __future__ import annotations

import hashlib


def sample(*keys: str) -> float:
    """Hash the keys to a number in [0, 1)."""
    digest = hashlib.sha256("\0".join(keys).encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:6]) / 2**48


SPREAD = 2**30


def spread_of(respondent_id: str) -> int:
    """Return the respondent's position within every cadence, from 0 to SPREAD - 1."""
    return int(sample("cadence", respondent_id) * SPREAD)
