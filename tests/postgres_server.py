"""Real PostgreSQL servers and PgBouncer of the distribution's packages, each in a folder and on a port of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.database import embedded

_ROOT = Path("/usr/lib/postgresql")
_PATIENCE_S = 60.0


def _binaries() -> Path | None:
    found = sorted(_ROOT.glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def is_installed() -> bool:
    """Say whether the distribution's PostgreSQL is here."""
    return _binaries() is not None


def require(*programs: str) -> None:
    """Skip where a program is missing; under EARSHOT_REQUIRE_POSTGRES=1 that is a failure."""
    there = {"postgresql": _binaries() is not None, "pgbouncer": _pgbouncer() is not None}
    if lacking := [program for program in programs if not there[program]]:
        reason = f"not installed here: {', '.join(lacking)}"
        if os.environ.get("EARSHOT_REQUIRE_POSTGRES") == "1":
            pytest.fail(f"PostgreSQL's own programs are required here, but {reason}")
        pytest.skip(reason)


def _pgbouncer() -> str | None:
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _unprivileged(*command: str) -> list[str]:
    """Neither program runs as root."""
    own = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"] if os.geteuid() == 0 else []
    return [*own, *command]


@contextmanager
def own_folder() -> Iterator[Path]:
    """Give a folder with a short path, for sockets, that the programs may write to."""
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL on 127.0.0.1; the role postgres needs no password."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        self._run("initdb", "--auth=trust", "--username=postgres", "--no-sync", "-D", str(self._data))
        self.configure(
            listen_addresses="127.0.0.1",
            port=str(self.port),
            unix_socket_directories=str(self.folder),
            fsync="off",
            max_connections="60",
        )

    def make_database(self, name: str) -> None:
        """Make a database of the server's own locale: servers before version 17 lack the one that Earshot chooses."""
        self._run("createdb", "--host=127.0.0.1", f"--port={self.port}", "--username=postgres", name)

    def copy_of(self, primary: Server, *, name: str) -> None:
        """Become a standby of a running server, known to it by this name."""
        source = f"host=127.0.0.1 port={primary.port} user=postgres application_name={name}"
        self._run("pg_basebackup", "-D", str(self._data), "-d", source, "--write-recovery-conf", "--checkpoint=fast")
        self.configure(port=str(self.port), unix_socket_directories=str(self.folder), synchronous_standby_names="")

    def configure(self, **settings: str) -> None:
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def start(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "-l", str(self.folder / "log"), "start")

    def reload(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "reload")

    def promote(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-w", "promote")

    def restart(self, *, crash: bool = False) -> None:
        mode = "immediate" if crash else "fast"
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "-l", str(self.folder / "log"), "restart")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")

    def put(self, name: str, content: bytes) -> None:
        """Write a file beside the data, for the server alone."""
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(path, "postgres", "postgres")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        command = _unprivileged(f"{_binaries()}/{program}", *arguments)
        with (self.folder / f"{program}.log").open("ab") as output:
            subprocess.run(command, check=True, cwd=self.folder, stdout=output, stderr=output, timeout=_PATIENCE_S)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    server.start()
    try:
        yield server
    finally:
        with suppress(subprocess.CalledProcessError):  # a test may have stopped it
            server.stop()


@contextmanager
def pgbouncer(server: Server, folder: Path, *, pool_mode: str, **settings: str) -> Iterator[int]:
    """Run PgBouncer in front of a server; give its port."""
    port = free_port()
    written: Mapping[str, str] = {
        "listen_addr": "127.0.0.1",
        "listen_port": str(port),
        "unix_socket_dir": "",
        "auth_type": "trust",
        "auth_file": str(folder / "users.txt"),
        "pool_mode": pool_mode,
        "pidfile": str(folder / "pgbouncer.pid"),
        "default_pool_size": "5",
        **settings,
    }
    lines = "".join(f"{name} = {value}\n" for name, value in written.items())
    (folder / "pgbouncer.ini").write_text(f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\n{lines}")
    (folder / "users.txt").write_text("".join(f'"{role}" ""\n' for role in ("postgres", *embedded.SCHEMAS)))
    program = _pgbouncer()
    assert program is not None
    with (folder / "pgbouncer.log").open("wb") as output:
        process = subprocess.Popen(
            _unprivileged(program, str(folder / "pgbouncer.ini")), cwd=folder, stdout=output, stderr=output
        )
    try:
        _wait_for_port(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=_PATIENCE_S)


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(0.1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError("PgBouncer does not listen")
