"""An identity provider, asked as its client: discovery, keys, a code for claims (OpenID Connect Core 1.0)."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from urllib.parse import quote_plus, urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import KeySet
from pydantic import AfterValidator, BaseModel, ValidationError

from services.scoring.domain.people.identity import Identity
from services.scoring.people.oidc.settings import ProviderSettings, checked_url
from services.scoring.people.oidc.tokens import InvalidToken, TokenReader, UnknownKey, read_keys
from shared.web.http_client import Call, HttpClient, MaybeSent, NotSent, Reply
from shared.web.staff.tickets import BegunLogIn

PATIENCE_S = 4.0  # for each answer; a log-in needs at most four
KEPT_S = 3600.0  # how long discovery and keys count
REFETCH_S = 60.0  # keys are fetched for the sake of an unknown one at most so often

_Claims = TypeVar("_Claims")
_Url = Annotated[str, AfterValidator(checked_url)]


class ProviderAway(Exception):
    """The provider does not answer as it has to: try again later. The text says what was wrong."""


class LogInFailed(Exception):
    """What came back does not belong to this log-in, or cannot be trusted: begin again. The text is for the log."""


class Metadata(BaseModel):
    """What a provider says about itself (OpenID Connect Discovery 1.0, RFC 9207, RP-Initiated Logout 1.0)."""

    issuer: str
    authorization_endpoint: _Url
    token_endpoint: _Url
    jwks_uri: _Url
    userinfo_endpoint: _Url | None = None
    end_session_endpoint: _Url | None = None
    id_token_signing_alg_values_supported: Sequence[str] = ("RS256",)
    token_endpoint_auth_methods_supported: Sequence[str] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


@dataclass(slots=True)
class Provider:
    """Discovery and keys are kept for an hour, keys also until a token names another; each exchange connects anew."""

    settings: ProviderSettings
    seconds: Callable[[], float] = time.monotonic
    patience_s: float = PATIENCE_S
    _metadata: Metadata | None = field(default=None, init=False)
    _metadata_at: float = field(default=0, init=False)
    _keys: KeySet | None = field(default=None, init=False)
    _keys_at: float = field(default=0, init=False)

    async def authorization_url(self, begun: BegunLogIn, *, callback: str) -> str:
        """Return the URL at which the provider asks who somebody is; raises ProviderAway."""
        async with self._connected() as http:
            metadata = await self._discover(http)
        return _with_query(
            metadata.authorization_endpoint,
            response_type="code",
            client_id=self.settings.client_id,
            redirect_uri=callback,
            scope=" ".join(self.settings.scopes),
            state=begun.state,
            nonce=begun.nonce,
            code_challenge=create_s256_code_challenge(begun.verifier),
            code_challenge_method="S256",
        )

    async def identity(self, begun: BegunLogIn, *, code: str, issuer: str, callback: str, now: datetime) -> Identity:
        """Exchange a code for who it is; `issuer` is the parameter `iss`, or "". Raises ProviderAway, LogInFailed."""
        async with self._connected() as http:
            metadata = await self._discover(http)
            needs_issuer = metadata.authorization_response_iss_parameter_supported
            if (issuer or needs_issuer) and issuer != self.settings.issuer:
                raise LogInFailed("the response names another issuer")
            form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback}
            tokens = await self._exchange(http, metadata, form | {"code_verifier": begun.verifier})
            access_token = tokens.get("access_token")

            read = partial(
                self._reader(metadata).id_token,
                str(tokens.get("id_token", "")),
                nonce=begun.nonce,
                access_token=access_token if isinstance(access_token, str) else None,
                now=now,
            )
            claims = await self._verified(http, metadata, read)
            if metadata.userinfo_endpoint is not None and isinstance(access_token, str):
                claims = await self._userinfo(http, metadata.userinfo_endpoint, access_token, claims)
        return self.settings.identity_of(claims)

    async def subject_of_logout(self, token: str, *, now: datetime) -> str:
        """Return whose sessions a logout token ends; raises ProviderAway and LogInFailed."""
        async with self._connected() as http:
            metadata = await self._discover(http)
            read = partial(self._reader(metadata).subject_of_logout, token, now=now)
            return await self._verified(http, metadata, read)

    async def log_out_url(self, *, back: str) -> str | None:
        """Return the URL at which somebody logs out of the provider, None if it has none; raises ProviderAway."""
        async with self._connected() as http:
            metadata = await self._discover(http)
        if metadata.end_session_endpoint is None:
            return None
        client_id = self.settings.client_id
        return _with_query(metadata.end_session_endpoint, client_id=client_id, post_logout_redirect_uri=back)

    async def ping(self) -> None:
        """Fetch what the provider says about itself, and its keys; raises ProviderAway."""
        async with self._connected() as http:
            keys = await self._fetched_keys(http, await self._discover(http), older_than=KEPT_S)
        if not keys:
            raise ProviderAway("none of its keys can be used")

    def _reader(self, metadata: Metadata) -> TokenReader:
        return TokenReader(metadata.issuer, self.settings.client_id, metadata.id_token_signing_alg_values_supported)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[HttpClient]:
        http = HttpClient(self.settings.issuer, max_connections=1)
        try:
            yield http
        finally:
            await http.close(within_s=0)

    async def _discover(self, http: HttpClient) -> Metadata:
        if self._metadata is None or self.seconds() - self._metadata_at > KEPT_S:
            url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
            try:
                found = Metadata.model_validate(await self._json(http, Call("GET", url)))
            except ValidationError as error:
                raise ProviderAway(f"its discovery document is invalid at {_places(error)}") from error
            if found.issuer != self.settings.issuer:
                raise ProviderAway(f"its discovery document is of another issuer, {found.issuer[:200]}")
            self._metadata, self._metadata_at = found, self.seconds()
        return self._metadata

    async def _verified(self, http: HttpClient, metadata: Metadata, read: Callable[[KeySet], _Claims]) -> _Claims:
        """Read a token with the provider's keys, once more with new ones if it names an unknown key."""
        try:
            try:
                return read(await self._fetched_keys(http, metadata, older_than=KEPT_S))
            except UnknownKey:
                return read(await self._fetched_keys(http, metadata, older_than=REFETCH_S))
        except InvalidToken as error:
            raise LogInFailed(f"the token is invalid: {error}") from error

    async def _fetched_keys(self, http: HttpClient, metadata: Metadata, *, older_than: float) -> KeySet:
        if self._keys is None or self.seconds() - self._keys_at > older_than:
            keys = read_keys(await self._json(http, Call("GET", metadata.jwks_uri)))
            self._keys, self._keys_at = keys, self.seconds()
        return self._keys

    async def _exchange(self, http: HttpClient, metadata: Metadata, form: dict[str, str]) -> dict[str, Any]:
        secret, methods = self.settings.client_secret.get_secret_value(), metadata.token_endpoint_auth_methods_supported
        headers = {}
        if secret and "client_secret_basic" in methods:
            pair = f"{quote_plus(self.settings.client_id)}:{quote_plus(secret)}"  # RFC 6749, 2.3.1
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            form["client_id"] = self.settings.client_id
            if secret:
                form["client_secret"] = secret
        reply = await self._reply(http, Call("POST", metadata.token_endpoint, form=form, headers=headers))
        if reply.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED):
            raise LogInFailed(f"the code was refused: {str(reply.json().get('error'))[:100]}")
        return _object(reply)

    async def _userinfo(self, http: HttpClient, url: str, access_token: str, claims: dict[str, Any]) -> dict[str, Any]:
        """Return the claims of an ID token with those of the userinfo, where a provider may put the groups."""
        more = await self._json(http, Call("GET", url, headers={"authorization": f"Bearer {access_token}"}))
        if more.get("sub") != claims["sub"]:
            raise LogInFailed("the userinfo is of somebody else")
        return {**more, **claims}

    async def _json(self, http: HttpClient, call: Call) -> dict[str, Any]:
        return _object(await self._reply(http, call))

    async def _reply(self, http: HttpClient, call: Call) -> Reply:
        try:
            return await http.send(call, within_s=self.patience_s)
        except NotSent as error:
            raise ProviderAway("it cannot be reached") from error
        except MaybeSent as error:
            raise ProviderAway("it did not answer in time, or with too much") from error


def _with_query(url: str, **query: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def _object(reply: Reply) -> dict[str, Any]:
    if reply.status != HTTPStatus.OK:
        raise ProviderAway(f"it answered with {reply.status}")
    return reply.json()


def _places(error: ValidationError) -> str:
    return ", ".join(sorted({".".join(map(str, each["loc"])) for each in error.errors()}))
