"""Settings of an identity provider: how it is reached, and what its claims permit here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, field_validator, model_validator

from services.scoring.domain.people.identity import Identity, texts_at
from services.scoring.domain.people.scope import PersonScope
from shared.config import is_loopback
from shared.contract.vocabulary import Role

Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]


def checked_url(url: str) -> str:
    """Return a URL that nobody on the way can read or change: https, or on this machine; raises ValueError."""
    parts = urlsplit(url)
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url))):
        raise ValueError("this has to be an https:// URL")
    return url


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GroupLimits(_Part):
    programs: frozenset[Text] = frozenset()
    stores: frozenset[Text] = frozenset()
    regions: frozenset[Text] = frozenset()

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if not (self.programs or self.stores or self.regions):
            raise ValueError("limits that name nothing would limit nothing: name something, or leave them out")
        return self


class LimitClaims(_Part):
    """The claims that list programs, codes of stores and regions; "": none does."""

    programs: str = ""
    stores: str = ""
    regions: str = ""


class ProviderSettings(_Part):
    """A provider; `label` is on its button, `roles` and `limits` are by group, `groups` is the claim of the groups.

    `second_factor`: whether the provider always asks for one, or the values of `amr` or `acr` that say that it did.
    """

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
    label: Annotated[str, StringConstraints(min_length=1, max_length=40, strip_whitespace=True)]
    issuer: Text
    client_id: Text
    client_secret: SecretStr = SecretStr("")  # none: a public client
    scopes: tuple[Text, ...] = ("openid", "profile")
    groups: Text = "groups"
    roles: Annotated[Mapping[str, frozenset[Role]], Field(min_length=1)]
    limits: Mapping[str, GroupLimits] = {}
    limit_claims: LimitClaims = LimitClaims()
    second_factor: bool | frozenset[Text] = False

    @field_validator("issuer")
    @classmethod
    def _check_issuer(cls, issuer: str) -> str:
        return checked_url(issuer)

    @field_validator("scopes")
    @classmethod
    def _with_openid(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(("openid", *scopes)))

    def identity_of(self, claims: Mapping[str, Any]) -> Identity:
        """Return who has these claims, without a role where a claim that must limit the person is empty."""
        groups = texts_at(claims, self.groups)
        scope, is_limited = self._scope(claims, groups)
        roles = [self.roles[group] for group in groups if group in self.roles]
        return Identity(
            issuer=self.issuer,
            subject=str(claims["sub"]),
            login=str(claims.get("preferred_username", "")),
            name=str(claims.get("name", "")),
            roles=frozenset[Role]().union(*roles) if is_limited else frozenset(),
            scope=scope,
            has_second_factor=self._asked_for_second_factor(claims),
        )

    def _scope(self, claims: Mapping[str, Any], groups: frozenset[str]) -> tuple[PersonScope, bool]:
        """Return what all limits together leave to see, and whether there is one for every claim that must limit."""
        found: dict[str, frozenset[str]] = {}
        is_limited = True
        for kind, claim in self.limit_claims:
            of_claim = texts_at(claims, claim) if claim else frozenset()
            of_groups = (getattr(self.limits[group], kind) for group in groups if group in self.limits)
            found[kind] = of_claim.union(*of_groups)
            is_limited = is_limited and bool(found[kind] or not claim)
        return PersonScope(**found), is_limited

    def _asked_for_second_factor(self, claims: Mapping[str, Any]) -> bool:
        if isinstance(self.second_factor, bool):
            return self.second_factor
        return bool(self.second_factor & (texts_at(claims, "amr") | texts_at(claims, "acr")))


def issuer_label(providers: Mapping[str, ProviderSettings], issuer: str) -> str:
    """Return what people call an issuer, also one that is no longer configured; "" for ""."""
    return providers[issuer].label if issuer in providers else issuer
