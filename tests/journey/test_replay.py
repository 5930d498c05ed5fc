"""The first 2,000 baskets of a real shop's year give the same table over either transport, and its counts agree."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.kafka.broker import Broker
from deploy.operations.replay import isolated_settings, read_baskets, replay
from deploy.operations.replay_report import ReplayReport, reconcile
from shared.contract.topics import TOPICS
from shared.contract.vocabulary import Service
from shared.messaging.transport.kafka import create_topics

BASKETS = 2000


async def replayed(urls: Mapping[str, str], folder: Path, events_url: str) -> ReplayReport:
    databases = {f"{service}_database_url": urls[service] for service in Service}
    async with asyncio.timeout(600):
        return await replay(read_baskets(BASKETS), isolated_settings(folder, events_url=events_url, **databases))


def test_year_is_the_one_documented() -> None:
    year = read_baskets()
    assert len(year) == 155_848
    assert len({basket.household for basket in year}) == 2469
    assert len({basket.store for basket in year}) == 457


@pytest.fixture(scope="module")
def reports() -> dict[str, ReplayReport]:
    """The reports so far: one replay over PostgreSQL serves both tests."""
    return {}


@pytest.mark.xdist_group("kafka")
async def test_replay_adds_up(urls: Mapping[str, str], tmp_path: Path, reports: dict[str, ReplayReport]) -> None:
    report = reports["postgres"] = await replayed(urls, tmp_path, urls["transport"])
    assert reconcile(report, events=BASKETS) == []
    assert report.decisions["asked"] > 500
    assert report.answers["self"] > 150
    assert report.answers["operator"] > 25


@pytest.mark.kafka
@pytest.mark.xdist_group("kafka")
async def test_replay_is_the_same_on_kafka(
    urls: Mapping[str, str],
    other_urls: Mapping[str, str],
    tmp_path: Path,
    broker: Broker,
    reports: dict[str, ReplayReport],
) -> None:
    await create_topics(broker.url, TOPICS)
    first, second = tmp_path / "postgres", tmp_path / "kafka"
    first.mkdir()
    second.mkdir()
    over_postgres = reports.get("postgres") or await replayed(urls, first, urls["transport"])
    over_kafka = await replayed(other_urls, second, broker.url)
    assert over_kafka == over_postgres
