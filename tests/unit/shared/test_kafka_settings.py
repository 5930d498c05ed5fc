"""Settings for a Kafka cluster: topics, and credentials as arguments of aiokafka."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest

from shared.contract.topics import CRM_EVENTS, NPS_UPDATES, SURVEY_ERASURES, TOPICS, create_commands
from shared.messaging.transport.kafka import KafkaSecurity
from shared.messaging.transport.kafka.connection import Connection, TokenFile

if TYPE_CHECKING:
    from pathlib import Path

WEEK_MS = str(7 * 24 * 3600 * 1000)


def test_only_programs_scores_and_staff_are_kept_for_good() -> None:
    compacted = {topic.name for topic in TOPICS if topic.settings["cleanup.policy"] == "compact"}
    deleted = [topic for topic in TOPICS if topic.name not in compacted and topic is not SURVEY_ERASURES]
    kept = {topic.settings.get("retention.ms") for topic in deleted}

    assert compacted == {"survey.programs", "nps.updates", "survey.staff", "survey.audit"}
    assert kept == {WEEK_MS}
    assert SURVEY_ERASURES.settings["retention.ms"] == str(400 * int(WEEK_MS) // 7)


def test_commands_create_the_topics() -> None:
    commands = create_commands(
        [CRM_EVENTS, NPS_UPDATES], bootstrap="kafka:9092", topic_prefix="acme.", replication_factor=3
    )

    start = "kafka-topics.sh --bootstrap-server kafka:9092 --create --if-not-exists --topic acme."
    sizes = " --partitions 6 --replication-factor 3 --config cleanup.policy="
    assert commands == [
        f"{start}crm.events{sizes}delete --config retention.ms={WEEK_MS} --config segment.ms=86400000",
        f"{start}nps.updates{sizes}compact --config segment.ms=86400000",
    ]


def test_several_addresses_are_all_tried() -> None:
    assert Connection("kafka://one:9092,two:9093").bootstrap == ["one:9092", "two:9093"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_passwords_reach_the_client(mechanism: Any) -> None:
    security = KafkaSecurity("SASL_PLAINTEXT", mechanism, username="earshot", password="secret")

    assert security.options() == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "earshot",
        "sasl_plain_password": "secret",
    }
    assert "secret" not in repr(security)


async def test_token_file_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "token"
    provider = KafkaSecurity("SASL_SSL", "OAUTHBEARER", token_file=file).options()["sasl_oauth_token_provider"]

    assert isinstance(provider, TokenFile)
    for token in ("first", "second"):
        file.write_text(f"{token}\n")
        assert await provider.token() == token


def test_tls_checks_the_broker() -> None:
    context = KafkaSecurity("SSL").options()["ssl_context"]

    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    "lacking",
    [{"mechanism": "OAUTHBEARER"}, {"mechanism": "PLAIN", "username": "earshot"}, {"mechanism": "SCRAM-SHA-512"}],
)
def test_incomplete_credentials_are_refused(lacking: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="needs"):
        KafkaSecurity("SASL_SSL", **lacking)
