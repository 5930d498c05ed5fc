"""A real Keycloak in memory for tests, with a realm of one client and its users."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
import pytest

from deploy.kafka.broker import end_with_parent
from deploy.kafka.maven import FetchedFolder
from deploy.ports import free_ports

APP = FetchedFolder(Path(__file__).parent / "pom.xml", Path(__file__).parent / "keycloak")
START_SECONDS = 120.0
JVM = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_THREADS = "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory"
_PROPERTIES = (
    f"-Djava.util.concurrent.ForkJoinPool.common.threadFactory={_THREADS}",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Dpicocli.disable.closures=true",
)
_BUILT = 10  # the exit status of the first start, which only builds: start again
REALM, CLIENT, SECRET = "staff", "earshot", "secret of the client"
_ADMIN = "admin"
PASSWORD = "correct horse battery staple"
_GROUPS_CLAIM = {
    "name": "groups",
    "protocol": "openid-connect",
    "protocolMapper": "oidc-group-membership-mapper",
    "config": {"claim.name": "groups", "full.path": "false", "id.token.claim": "true", "userinfo.token.claim": "true"},
}


class Keycloak(AbstractContextManager["Keycloak"]):
    def __init__(self) -> None:
        self.port, self._management = free_ports(2)
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx2.Client(base_url=self.url, timeout=20)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def issuer(self) -> str:
        return f"{self.url}/realms/{REALM}"

    def __enter__(self) -> Self:
        [home] = APP.fetch().glob("keycloak-*")
        self._start(home)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._ended_within(0.2) == _BUILT:
                self._start(home, "-Dkc.config.built=true")
            assert self._ended_within(0) is None, "Keycloak ended"
            assert time.monotonic() < deadline, "Keycloak did not start"
        return self

    def _ended_within(self, seconds: float) -> int | None:
        """Return its exit status if it ends in time."""
        assert self._process is not None
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def _start(self, home: Path, *more: str) -> None:
        """Start Java as Keycloak's own script does, which would leave it running when the script is killed."""
        properties = (f"-Dkc.home.dir={home}", f"-Djboss.server.config.dir={home / 'conf'}", *_PROPERTIES, *more)
        main = ("-cp", str(home / "lib" / "quarkus-run.jar"), "io.quarkus.bootstrap.runner.QuarkusEntryPoint")
        http = ("--http-host=127.0.0.1", f"--http-port={self.port}", f"--http-management-port={self._management}")
        options = ("start-dev", "--cache=local", "--db=dev-mem", *http)
        self._process = subprocess.Popen(
            [*end_with_parent(), "java", *JVM, *properties, *main, *options],
            env=os.environ | {"KC_BOOTSTRAP_ADMIN_USERNAME": _ADMIN, "KC_BOOTSTRAP_ADMIN_PASSWORD": _ADMIN},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._http.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        try:
            return self._http.get("/realms/master").status_code == HTTPStatus.OK
        except httpx2.TransportError:
            return False

    def make_realm(self, *, earshot: str, groups: Sequence[str], users: Mapping[str, Sequence[str]]) -> None:
        """Make the realm: Earshot at this URL is its client, and users are in these groups."""
        client = {
            "clientId": CLIENT,
            "secret": SECRET,
            "redirectUris": [f"{earshot}/login/from/keycloak"],
            "protocolMappers": [_GROUPS_CLAIM],
            "attributes": {
                "pkce.code.challenge.method": "S256",
                "post.logout.redirect.uris": f"{earshot}/login",
                "backchannel.logout.url": f"{earshot}/login/backchannel/keycloak",
            },
        }
        self._ask(
            "POST",
            "/admin/realms",
            {
                "realm": REALM,
                "enabled": True,
                "groups": [{"name": name} for name in groups],
                "clients": [client],
                "users": [_user(name, of) for name, of in users.items()],
            },
        )

    def leave_group(self, user: str, group: str) -> None:
        [person] = self._ask("GET", f"/admin/realms/{REALM}/users?username={user}")
        [left] = self._ask("GET", f"/admin/realms/{REALM}/groups?search={group}")
        self._ask("DELETE", f"/admin/realms/{REALM}/users/{person['id']}/groups/{left['id']}")

    def log_out(self, user: str) -> None:
        """End all sessions of a user, as an administrator of Keycloak does."""
        [person] = self._ask("GET", f"/admin/realms/{REALM}/users?username={user}")
        self._ask("POST", f"/admin/realms/{REALM}/users/{person['id']}/logout")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        form = {"grant_type": "password", "client_id": "admin-cli", "username": _ADMIN, "password": _ADMIN}
        token = self._http.post("/realms/master/protocol/openid-connect/token", data=form).raise_for_status().json()
        headers = {"authorization": f"Bearer {token['access_token']}"}
        reply = self._http.request(method, path, json=body, headers=headers).raise_for_status()
        return reply.json() if reply.content else None


def _user(name: str, groups: Sequence[str]) -> dict[str, Any]:
    return {
        "username": name,
        "enabled": True,
        "firstName": name.title(),
        "lastName": "Petrova",
        "email": f"{name}@shop.example",
        "emailVerified": True,
        "credentials": [{"type": "password", "value": PASSWORD}],
        "groups": [f"/{group}" for group in groups],
    }


def require_keycloak() -> None:
    """Skip where it cannot be started; under EARSHOT_REQUIRE_KAFKA=1, which needs the same tools, that is a failure."""
    lacking = APP.missing_tool()
    if lacking and os.environ.get("EARSHOT_REQUIRE_KAFKA") == "1":
        pytest.fail(f"Keycloak is required here, but {lacking}")
    if lacking:
        pytest.skip(lacking)
