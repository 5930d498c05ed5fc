"""Three Kafka brokers on loopback ports, each also a controller, for tests that kill some of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self

from deploy.kafka.broker import QUICK_START, Broker

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZE = 3
JVM = ("-Xmx256m", *QUICK_START)  # three fit on a small machine
_SETTINGS = {  # every topic has three replicas, and two acknowledge each write
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
}


class Cluster:
    """A context manager that starts three brokers and stops them; their topics are lost at the end.

    Start it from a thread that lives as long as the cluster: the brokers end with that thread.
    """

    def __init__(self) -> None:
        self.brokers = [Broker(node=node, jvm=JVM) for node in range(1, SIZE + 1)]
        voters = ",".join(broker.voter for broker in self.brokers)
        for broker in self.brokers:
            broker.join({**_SETTINGS, "controller.quorum.voters": voters})

    @property
    def url(self) -> str:
        return "kafka://" + ",".join(f"127.0.0.1:{broker.port}" for broker in self.brokers)

    def kill(self, brokers: Sequence[Broker]) -> None:
        """Kill these brokers with SIGKILL; those that do not run are skipped."""
        for broker in brokers:
            broker.kill()

    def start(self, brokers: Sequence[Broker] | None = None) -> None:
        """Start these brokers, or all, and wait until each knows the whole cluster; the other brokers must run."""
        wanted = self.brokers if brokers is None else brokers
        for broker in wanted:
            broker.launch()
        for broker in wanted:
            broker.wait_until_ready(brokers=SIZE)

    def __enter__(self) -> Self:
        try:
            with ThreadPoolExecutor(SIZE) as pool:  # a second each; this starts no broker
                list(pool.map(Broker.prepare, self.brokers))
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for broker in self.brokers:
            broker.__exit__()
