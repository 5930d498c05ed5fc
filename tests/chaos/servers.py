"""PostgreSQL for a chaos run: the embedded one, or Debian's with a synchronous standby."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CalledProcessError
from typing import Protocol

from shared import database_url
from shared.database import embedded
from shared.database_url import Host
from tests.postgres_server import Server, free_port, own_folder

STANDBY = "standby"


class Postgres(Protocol):
    @property
    def admin_url(self) -> str: ...

    @property
    def data(self) -> Path:
        """The data folder of the server that accepts writes."""

    def restart(self, *, crash: bool = False) -> None:
        """Restart, which ends every session; returns when it accepts connections."""


@dataclass
class SingleServer:
    """The embedded server."""

    server: embedded.Embedded

    @property
    def admin_url(self) -> str:
        return self.server.admin_url

    @property
    def data(self) -> Path:
        return self.server.folder

    def restart(self, *, crash: bool = False) -> None:
        self.server.restart(crash=crash)


@dataclass
class PrimaryAndStandby:
    """A primary and its synchronous standby; the URL names both, and connects to the one that accepts writes."""

    primary: Server
    standby: Server
    hosts: tuple[Host, ...]

    @property
    def admin_url(self) -> str:
        return replace(database_url.parse(self.primary.url), hosts=self.hosts, target="read-write").text

    @property
    def data(self) -> Path:
        return self.primary.folder / "data"

    def restart(self, *, crash: bool = False) -> None:
        self.primary.restart(crash=crash)

    def fail_over(self) -> None:
        """Stop the primary and promote the standby."""
        self.primary.stop()
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary

    def add_standby(self) -> None:
        """Make the other server a standby of the primary, and make every commit wait for it."""
        shutil.rmtree(self.standby.folder / "data", ignore_errors=True)
        self.standby.copy_of(self.primary, name=STANDBY)
        self.standby.start()
        self.primary.configure(synchronous_standby_names=STANDBY)
        self.primary.reload()


@contextmanager
def open_single_server(folder: Path) -> Iterator[SingleServer]:
    server = embedded.start(folder)
    try:
        yield SingleServer(server)
    finally:
        server.stop()


@contextmanager
def open_primary_and_standby() -> Iterator[PrimaryAndStandby]:
    with ExitStack() as resources:
        folders = [resources.enter_context(own_folder()) for _ in range(2)]
        primary, standby = (Server(folder, free_port()) for folder in folders)
        for server in (primary, standby):
            resources.callback(_stop, server)
        primary.make()
        primary.configure(max_connections="100", fsync="on")
        primary.start()
        primary.make_database(embedded.DATABASE)
        pair = PrimaryAndStandby(primary, standby, tuple(Host("127.0.0.1", each.port) for each in (primary, standby)))
        pair.add_standby()
        yield pair


def _stop(server: Server) -> None:
    with suppress(CalledProcessError):  # it may be stopped already
        server.stop()
