"""Tokens that identity providers sign: ID tokens (OpenID Connect Core 1.0, 3.1.3.7) and logout tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet, OctKey

from shared.web.staff.tickets import CLOCKS_DIFFER

ASYMMETRIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
LOGOUT = "http://schemas.openid.net/event/backchannel-logout"
LONGEST_SUBJECT = 255  # ASCII characters, says the specification
_UNREADABLE = (JoseError, ValueError, KeyError, TypeError, AttributeError, OverflowError)


class InvalidToken(Exception):
    """A token is not what it has to be: take nothing from it."""


class UnknownKey(InvalidToken):
    """No known key has the id that a token names: fetch the keys anew and try once more."""


def read_keys(document: Mapping[str, Any]) -> KeySet:
    """Return the public keys of a JWK set (RFC 7517) that may sign, without those that cannot be read."""
    listed = document.get("keys")
    keys = (_key(each) for each in listed if isinstance(each, dict)) if isinstance(listed, list) else ()
    return KeySet([key for key in keys if key is not None])


def _key(described: dict[str, Any]) -> Key | None:
    if described.get("use", "sig") != "sig":
        return None
    try:
        key = JWKRegistry.import_key(described)
    except _UNREADABLE:
        return None
    return None if isinstance(key, OctKey) else key


@dataclass(frozen=True, slots=True)
class TokenReader:
    """Reads what a provider signed for a client, with one of these algorithms that is asymmetric."""

    issuer: str
    client_id: str
    algorithms: Sequence[str]

    def id_token(
        self, text: str, keys: KeySet, *, nonce: str, access_token: str | None, now: datetime
    ) -> dict[str, Any]:
        """Return the claims of an ID token of this log-in; raises InvalidToken."""
        return self._read(text, keys, now=now, nonce=nonce, access_token=access_token)

    def subject_of_logout(self, text: str, keys: KeySet, *, now: datetime) -> str:
        """Return whose sessions a logout token ends (Back-Channel Logout 1.0, 2.6); raises InvalidToken."""
        claims = self._read(text, keys, now=now)
        events = claims.get("events")
        if not isinstance(events, dict) or LOGOUT not in events or "nonce" in claims:
            raise InvalidToken("it is no logout token")
        return str(claims["sub"])

    def _read(self, text: str, keys: KeySet, *, now: datetime, **params: str | None) -> dict[str, Any]:
        options = {
            "iss": {"essential": True, "value": self.issuer},
            "aud": {"essential": True, "value": self.client_id},
        }
        allowed = [each for each in self.algorithms if each in ASYMMETRIC]
        if not allowed:  # joserfc would take its own list instead of an empty one
            raise InvalidToken("the provider names no asymmetric algorithm")
        try:
            token = jwt.decode(text, keys, algorithms=allowed)
            claims = CodeIDToken(token.claims, token.header, options, params | {"client_id": self.client_id})
            claims.validate(now=int(now.timestamp()), leeway=int(CLOCKS_DIFFER.total_seconds()))
        except InvalidKeyIdError as error:
            raise UnknownKey(str(error)) from error
        except _UNREADABLE as error:
            raise InvalidToken(repr(error)) from error
        subject = claims["sub"]
        if not (subject and subject.isascii() and subject.isprintable() and len(subject) <= LONGEST_SUBJECT):
            raise InvalidToken("its subject is none")
        return dict(claims)
