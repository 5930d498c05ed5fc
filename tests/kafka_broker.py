"""Real Kafka brokers for tests: the one at EARSHOT_TEST_KAFKA=host:port, or one of our own per test process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from deploy.kafka import broker
from deploy.kafka.cluster import JVM, Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def kafka_url() -> Iterator[str]:
    """Give a broker that is up, shared by all tests of this process: use topics of your own."""
    if address := os.environ.get("EARSHOT_TEST_KAFKA"):
        yield f"kafka://{address}"
        return
    require_broker()
    with broker.Broker(jvm=JVM) as own:
        yield own.url


@pytest.fixture(scope="module")
def restartable_kafka() -> Iterator[broker.Broker]:
    """Give a broker the tests of one module may kill and start again."""
    require_broker()
    with broker.Broker(jvm=JVM) as own:
        yield own


@pytest.fixture
def kafka_cluster() -> Iterator[Cluster]:
    """Give three brokers of its own to one test, which may kill some."""
    require_broker()
    with Cluster() as own:
        yield own


def require_broker() -> None:
    lacking = broker.missing_tool()
    if lacking and os.environ.get("EARSHOT_REQUIRE_KAFKA") == "1":
        pytest.fail(f"Kafka is required here, but {lacking}")
    if lacking:
        pytest.skip(lacking)
