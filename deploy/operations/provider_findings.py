"""`earshot doctor`: whether each identity provider answers."""

from __future__ import annotations

from collections.abc import AsyncIterator

from deploy.operations.findings import Finding
from services.scoring.config import ScoringSettings


async def examine(settings: ScoringSettings) -> AsyncIterator[Finding]:
    if not settings.oidc:
        return
    from services.scoring.people.oidc.provider import Provider, ProviderAway  # noqa: PLC0415 - loads cryptography

    for each in settings.oidc:
        try:
            await Provider(each).ping()
        except ProviderAway as error:
            cure = f"check issuer of {each.id} in EARSHOT_OIDC, and whether {each.issuer} is reached from here"
            yield Finding.fail(f"nobody can log in with {each.label}: {error}", cure)
        else:
            yield Finding.ok(f"the identity provider {each.id} answers")
