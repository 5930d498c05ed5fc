"""Secrets that production needs."""

from __future__ import annotations

from shared.config import DEVELOPMENT_ADDRESS_KEYS, DEVELOPMENT_LINK_KEYS, Settings


def problems_of_secrets(settings: Settings) -> list[str]:
    """Return why production does not start, and what to set: a line for each secret that is not set."""
    problems: list[str] = []
    if settings.link_secrets == DEVELOPMENT_LINK_KEYS:
        problems.append(
            "EARSHOT_LINK_KEYS is the development key: set id:secret, for example k1:$(openssl rand -hex 32)"
        )
    if settings.address_fingerprints.keys == DEVELOPMENT_ADDRESS_KEYS:
        problems.append(
            "EARSHOT_ADDRESS_KEYS is the development key: set id:secret, for example a1:$(openssl rand -hex 32)"
        )
    if not settings.staff_secret.get_secret_value():
        problems.append("EARSHOT_STAFF_SECRET is empty: set one, or staff pages serve this machine only")
    return problems
