"""One Apache Kafka broker (KRaft, no ZooKeeper) on a loopback port, for tests, the demo and benchmarks.

`python -m deploy.kafka.broker [FOLDER]` runs one in the foreground and prints its address; with a folder its topics
are kept. Needs Java 17 and, the first time, Maven to fetch the jars.
"""

from __future__ import annotations

import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from deploy.kafka.maven import FetchedFolder, MavenFailed
from deploy.kafka.security import LISTENER
from deploy.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from deploy.kafka.security import SecuredListener

FOLDER = Path(__file__).parent
JARS = FetchedFolder(FOLDER / "pom.xml", FOLDER / "jars")
START_SECONDS = 60.0
STOP_SECONDS = 15.0
JVM = ("-Xms64m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
QUICK_START = ("-XX:TieredStopAtLevel=1",)  # compiles less: starts with half the processor time, runs slower
CLUSTER_ID = "ZWFyc2hvdC1icm9rZXItMQ"


class BrokerFailed(Exception):
    """The broker did not start, or Maven could not fetch it; the message ends with their last output."""


def missing_tool() -> str | None:
    """Return in one line which program is missing and how to install it; None when a broker can be started."""
    return JARS.missing_tool()


def fetch() -> Path:
    """Return the folder of Kafka's jars; Maven fetches them unless they are there already. Raises BrokerFailed."""
    try:
        return JARS.fetch()
    except MavenFailed as error:
        raise BrokerFailed(str(error)) from error


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BrokerFailed(f"{command[0]} failed: {(done.stdout + done.stderr)[-2000:].strip()}")


class Broker:
    """One broker, as a context manager that starts and stops it. Without a folder its topics are lost at the end.

    `settings` are added to server.properties, `secured` adds a listener. Start the broker from a thread that outlives
    it: when that thread ends, the broker is killed.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        secured: SecuredListener | None = None,
        node: int = 1,
        jvm: Sequence[str] = ("-Xmx512m",),
    ) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="earshot-kafka-")
        self._folder = folder or Path(self._temporary.name if self._temporary else "")
        self._settings = dict(settings or {})
        self._node, self._jvm = node, jvm
        self._process: subprocess.Popen[bytes] | None = None
        self._jars = ""
        self._secured = secured
        self.port, self._controller_port, self._secured_port = free_ports(3)

    @property
    def url(self) -> str:
        return f"kafka://127.0.0.1:{self.port}"

    @property
    def secured_url(self) -> str:
        return f"kafka://127.0.0.1:{self._secured_port}"

    @property
    def log_folder(self) -> Path:
        """Where it stores its topics, a folder for each partition."""
        return self._folder / "log"

    @property
    def voter(self) -> str:
        """This broker in the form of `controller.quorum.voters`."""
        return f"{self._node}@127.0.0.1:{self._controller_port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the broker and return when it answers."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start the process without waiting; call `wait_until_ready` before you use it."""
        self.prepare()
        with (self._folder / "broker.log").open("ab") as output:
            self._process = subprocess.Popen(
                [*end_with_parent(), *self._java("kafka.Kafka"), str(self._folder / "server.properties")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def wait_until_ready(self, *, brokers: int = 1) -> None:
        """Wait until it answers requests and knows `brokers` brokers of its cluster; raises BrokerFailed."""
        deadline = time.monotonic() + START_SECONDS
        while _brokers_known(self.port) < brokers:
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise BrokerFailed(f"Kafka did not start: {self._log_tail()}")
            time.sleep(0.05)

    def wait(self) -> None:
        """Wait until the broker ends by itself, and raise BrokerFailed."""
        if self._process is not None:
            self._process.wait()
        raise BrokerFailed(f"Kafka ended: {self._log_tail()}")

    def stop(self) -> None:
        """Stop it with SIGTERM; a broker that has not ended after STOP_SECONDS is killed."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """Kill it with SIGKILL; acknowledged messages are there after the next start."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same port with the same topics."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._temporary:
            self.kill()  # nothing is kept, and an orderly stop takes seconds
            self._temporary.cleanup()
        else:
            self.stop()

    def join(self, settings: Mapping[str, str]) -> None:
        """Add settings that depend on the other brokers of its cluster."""
        self._settings |= settings

    def prepare(self) -> None:
        """Fetch the jars, write server.properties and format the data folder."""
        self._jars = str(fetch() / "*")
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._secured and not self._secured.ca_file.exists():
            self._secured.make_certificates()
        properties = self._folder / "server.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
        if not (self.log_folder / "meta.properties").exists():
            _run([*self._java("kafka.tools.StorageTool", *QUICK_START), *_format_arguments(properties, self._secured)])

    def _java(self, main: str, *options: str) -> list[str]:
        return ["java", *JVM, *self._jvm, *options, "-cp", self._jars, main]

    def _properties(self) -> dict[str, str]:
        listeners = f"PLAINTEXT://127.0.0.1:{self.port}"
        if self._secured:
            listeners += f",{LISTENER}://127.0.0.1:{self._secured_port}"
        return {
            "process.roles": "broker,controller",
            "node.id": str(self._node),
            "controller.quorum.voters": self.voter,
            "controller.listener.names": "CONTROLLER",
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{self._controller_port}",
            "advertised.listeners": listeners,
            "log.dirs": str(self.log_folder),
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            "log.cleaner.dedupe.buffer.size": "2097152",  # of the heap; the default of 128 MB is for large topics
            "offsets.topic.num.partitions": "2",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "2",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            # short, because a killed broker can restart only when its old registration has expired
            "broker.heartbeat.interval.ms": "500",
            "broker.session.timeout.ms": "1500",
            **(self._secured.settings() if self._secured else {}),
            **self._settings,
        }

    def _log_tail(self) -> str:
        return (self._folder / "broker.log").read_text(errors="replace")[-2000:].strip()


def _format_arguments(properties: Path, secured: SecuredListener | None) -> list[str]:
    users = ["--add-scram", secured.credentials] if secured else []
    return ["format", "--ignore-formatted", "--cluster-id", CLUSTER_ID, "--config", str(properties), *users]


def end_with_parent() -> list[str]:
    """Return what to put before a command, so that its process ends when the thread that started it does."""
    # setpriv (util-linux) asks the kernel to kill the broker when the thread that started it ends
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []


def _brokers_known(port: int) -> int:
    """Count the brokers in a Metadata response (v1, KIP-4); 0 while the broker does not answer."""
    request = struct.pack(">hhih", 3, 1, 1, -1) + struct.pack(">i", 0)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as answer:
                return _broker_count(answer)
    except OSError:
        return 0


def _broker_count(answer: IO[bytes]) -> int:
    head = answer.read(12)
    return int(struct.unpack(">iii", head)[2]) if len(head) == 12 else 0


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if problem := missing_tool():
        sys.exit(problem)
    folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None
    try:
        with Broker(folder) as broker:
            print(broker.url, flush=True)
            broker.wait()
    except KeyboardInterrupt:
        sys.exit(0)
    except BrokerFailed as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
