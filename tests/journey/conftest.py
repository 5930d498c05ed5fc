from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest

from deploy.kafka.broker import Broker
from deploy.kafka.cluster import JVM
from tests.journey.stage import Stage, open_stage
from tests.kafka_broker import require_broker


@pytest.fixture
async def stage(urls: Mapping[str, str], tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(urls, tmp_path) as opened:
        yield opened


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A broker without topics, which the test may kill."""
    require_broker()
    with Broker(jvm=JVM) as own:
        yield own
