"""A loopback identity provider that signs whatever a test wants, and remembers what it was asked."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.responses import JSONResponse, Response

from services.scoring.people.oidc.settings import ProviderSettings
from tests.fakes import Gateway, gateway

CLIENT, SECRET = "earshot", "secret of the client: 100 %"
KEY, OTHER_KEY = (RSAKey.generate_key(2048, {"kid": kid}) for kid in ("one", "two"))
OLGA = {
    "sub": "f81d4fae",
    "name": "Olga Petrova",
    "preferred_username": "olga",
    "realm_access": {"roles": ["nps-supervisors"]},
}


@dataclass
class FakeProvider:
    """`claims` are put over those of an ID token, `metadata` over the discovery document; None takes one away."""

    gateway: Gateway
    now: Callable[[], datetime]
    keys: list[RSAKey] = field(default_factory=lambda: [KEY])
    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    replies: dict[str, Response | None] = field(default_factory=dict)  # by path; None: none
    userinfo: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, dict[str, str]] = field(default_factory=dict)  # the parameters of log-ins by code
    sign: Callable[[dict[str, Any]], str] | None = None

    @property
    def issuer(self) -> str:
        return self.gateway.url

    def settings(self, **more: Any) -> ProviderSettings:
        given = {"id": "fake", "label": "Company account", "issuer": self.issuer, "client_id": CLIENT}
        roles = {"nps-supervisors": ["supervisor"], "it": ["administrator"]}
        return ProviderSettings.model_validate(
            given | {"client_secret": SECRET, "groups": "realm_access.roles", "roles": roles} | more
        )

    def agree(self, url: str) -> dict[str, str]:
        """Do what a person at the provider does: return the parameters with which the browser is sent back."""
        asked = dict(parse_qsl(urlsplit(url).query))
        code = secrets.token_urlsafe()
        self.asked[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.issuer}

    def respond(self, given: dict[str, str]) -> Response | None:
        path = self.gateway.paths[-1]
        if path in self.replies:
            return self.replies[path]
        return {
            "GET /.well-known/openid-configuration": self._discovery,
            "GET /keys": lambda _given: JSONResponse({"keys": [key.as_dict(private=False) for key in self.keys]}),
            "GET /userinfo": lambda _given: JSONResponse({"sub": OLGA["sub"]} | self.userinfo),
            "POST /token": self._tokens,
        }[path](given)

    def _discovery(self, _given: dict[str, str]) -> Response:
        found = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?tenant=7",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "end_session_endpoint": f"{self.issuer}/logout",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "authorization_response_iss_parameter_supported": True,
        }
        return JSONResponse({name: value for name, value in (found | self.metadata).items() if value is not None})

    def _tokens(self, given: dict[str, str]) -> Response:
        asked = self.asked.pop(given.get("code", ""), None)
        challenge = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
        if asked is None or asked["code_challenge"] != base64.urlsafe_b64encode(challenge).decode().rstrip("="):
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse(
            {"access_token": "opaque", "token_type": "Bearer", "id_token": self.token(nonce=asked["nonce"])}
        )

    def token(self, **more: Any) -> str:
        now = int(self.now().timestamp())
        standard = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 60}
        claims = {name: value for name, value in (OLGA | standard | more | self.claims).items() if value is not None}
        if self.sign is not None:
            return self.sign(claims)
        return jwt.encode({"alg": "RS256", "kid": self.keys[-1].kid}, claims, self.keys[-1], algorithms=["RS256"])


@asynccontextmanager
async def fake_provider(now: Callable[[], datetime]) -> AsyncIterator[FakeProvider]:
    async with gateway() as server:
        fake = FakeProvider(server, now)
        server.answer = fake.respond
        yield fake


async def begin(web: httpx2.AsyncClient, provider: str = "fake", **form: str) -> str:
    """Press the button of a provider; return the URL to which the page leads."""
    going = await web.post(f"/login/with/{provider}", data=form)
    assert going.status_code == 200, going.text
    (url,) = re.findall(r'content="0; url=([^"]+)"', going.text)
    return html.unescape(url)


async def come_back(web: httpx2.AsyncClient, answer: dict[str, str], provider: str = "fake") -> httpx2.Response:
    """Be sent back by a provider, and send what the page there says."""
    shown = await web.get(f"/login/from/{provider}", params=answer)
    assert (shown.status_code, "set-cookie" in shown.headers) == (200, False)
    hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', shown.text)
    return await web.post(f"/login/from/{provider}", data={name: html.unescape(value) for name, value in hidden})


async def enter_with(web: httpx2.AsyncClient, fake: FakeProvider, **form: str) -> httpx2.Response:
    """Log in at a provider."""
    return await come_back(web, fake.agree(await begin(web, **form)))
