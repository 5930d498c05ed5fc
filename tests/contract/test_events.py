"""Samples of every published event type still parse, are documented, and are valid CloudEvents."""

from __future__ import annotations

import json
import random
from pathlib import Path

import jsonschema_rs
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_structured_event
from cloudevents.core.formats.json import JSONFormat

from deploy import contract
from shared.contract import topics
from shared.contract.events import BY_TYPE
from shared.messaging import codec
from shared.messaging.codec import InvalidEvent
from shared.messaging.transport import Message
from tests import corpora

SAMPLES = sorted((Path(__file__).parent / "samples").glob("*.json"))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_of_every_published_version_parses(path: Path) -> None:
    sample = json.loads(path.read_text())
    event = codec.parse_body(path.read_bytes())
    written = json.loads(codec.encode(event).body)
    assert event.type == path.stem.rpartition(".")[0]
    assert _covers(written["data"], sample["data"])


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_what_is_written_is_what_pydantic_writes(path: Path) -> None:
    payload = codec.parse_body(path.read_bytes()).payload
    assert codec.encode_part(payload).decode() == payload.model_dump_json()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_event_stored_before_a_field_was_added_parses(path: Path) -> None:
    """Stored events of older versions lack every field that was added with a default."""
    sample = json.loads(path.read_text())
    fields = BY_TYPE[sample["type"]].model_fields
    added = [name for name in sample["data"] if name in fields and not fields[name].is_required()]
    for names in [*([name] for name in added), added]:
        data = {name: value for name, value in sample["data"].items() if name not in names}
        assert codec.parse_body(json.dumps({**sample, "data": data}).encode()).type == sample["type"]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_whatever_is_in_an_event_it_parses_or_is_invalid(path: Path) -> None:
    chance, sample = random.Random(corpora.SEED), json.loads(path.read_text())
    reasons = []
    for _ in range(corpora.SIZE // len(SAMPLES)):
        try:
            event = codec.parse_body(corpora.written(corpora.changed(sample, chance), chance))
        except InvalidEvent as error:
            reasons.append(str(error))
        else:
            assert codec.parse_body(codec.encode(event).body) == event
    assert len(reasons) > corpora.SIZE // len(SAMPLES) // 10
    assert not any("\0" in reason for reason in reasons)


def test_every_type_has_a_sample_of_its_version() -> None:
    wanted = {f"{name}.{model.schema_version}" for name, model in BY_TYPE.items()}
    assert wanted <= {path.stem for path in SAMPLES}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_satisfies_the_published_schema(path: Path) -> None:
    sample = json.loads(path.read_text())
    schema = json.loads(contract.documents()[f"{sample['type']}.json"])
    jsonschema_rs.validate(schema, sample["data"])


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_official_sdk_reads_what_is_written(path: Path) -> None:
    event = codec.parse_body(path.read_bytes())
    message = codec.encode(event)
    headers = {name: value.encode() for name, value in message.headers.items()}
    read = from_structured_event(KafkaMessage(headers=headers, key=message.key, value=message.body), JSONFormat())
    assert (read.get_id(), read.get_source(), read.get_type()) == (event.id, event.source, event.type)
    assert (read.get_time(), read.get_subject()) == (event.time, event.subject)


def test_documented_schemas_are_those_of_the_code() -> None:
    assert contract.drift() == []


def test_drift_is_seen(tmp_path: Path) -> None:
    contract.write(tmp_path)
    (tmp_path / "nps.updated.json").write_text("{}")
    (tmp_path / "left-over.json").write_text("{}")
    (tmp_path / "call.closed.json").unlink()
    assert contract.drift(tmp_path) == ["call.closed.json", "left-over.json", "nps.updated.json"]


def test_every_event_has_a_topic_with_settings() -> None:
    assert {model.topic for model in BY_TYPE.values()} == {topic.name for topic in topics.TOPICS}


def test_keys_are_what_the_topic_is_ordered_by() -> None:
    keys = {path.stem: codec.encode(codec.parse_body(path.read_bytes())).key for path in SAMPLES}
    assert keys.pop("audit.anchored.1") == "scoring|2026-03-01"
    assert keys.pop("nps.updated.1") == "after-purchase|store|Tverskaya|2026-03-01"
    assert keys.pop("staff.changed.1") == "0195a3f0-0000-7000-8000-000000000001"
    assert set(keys.values()) == {"C-1", "c-1", "after-purchase"}  # in crm.* events the case of ids counts


def test_personal_data_topics_are_never_compacted() -> None:
    personal = {"crm.events", "survey.requests", "survey.calls", "survey.messages", "survey.answers", "survey.quotes"}
    assert all(topic.retention is not None for topic in topics.TOPICS if topic.name in personal)


def test_message_without_topic_prefix_is_enough() -> None:
    sample = SAMPLES[0].read_bytes()
    assert codec.parse(Message("anything", "", sample)) == codec.parse_body(sample)


def _covers(written: object, sample: object) -> bool:
    if isinstance(sample, dict) and isinstance(written, dict):
        return all(name in written and _covers(written[name], value) for name, value in sample.items())
    if isinstance(sample, list) and isinstance(written, list):
        return len(sample) == len(written) and all(map(_covers, written, sample))
    return written == sample
