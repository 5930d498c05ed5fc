"""Every topic of Earshot, with the settings to create it in a Kafka cluster."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTITIONS = 6
RETENTION = timedelta(days=7)
SEGMENT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic; without a retention it is compacted: the latest message of each key is kept for ever."""

    name: str
    partitions: int = PARTITIONS
    retention: timedelta | None = RETENTION

    @property
    def settings(self) -> dict[str, str]:
        """Kafka's topic configuration."""
        # Kafka neither deletes from nor compacts the segment it writes to, which by default lasts a week: a topic with
        # few messages would keep personal data for two weeks.
        segment = {"segment.ms": _milliseconds(SEGMENT)}
        if self.retention is None:
            return {"cleanup.policy": "compact", **segment}
        return {"cleanup.policy": "delete", "retention.ms": _milliseconds(self.retention), **segment}


CRM_EVENTS = Topic("crm.events")
SURVEY_REQUESTS = Topic("survey.requests")
SURVEY_PROGRAMS = Topic("survey.programs", retention=None)
SURVEY_DELIVERIES = Topic("survey.deliveries")
SURVEY_CALLS = Topic("survey.calls")
SURVEY_ANSWERS = Topic("survey.answers")
SURVEY_QUOTES = Topic("survey.quotes")
SURVEY_MESSAGES = Topic("survey.messages")
NPS_UPDATES = Topic("nps.updates", retention=None)
NPS_ALERTS = Topic("nps.alerts")
SURVEY_STAFF = Topic("survey.staff", partitions=1, retention=None)
SURVEY_AUDIT = Topic("survey.audit", retention=None)
SURVEY_ERASURES = Topic("survey.erasures", partitions=1, retention=timedelta(days=400))  # longer than backups are kept

TOPICS = (
    CRM_EVENTS,
    SURVEY_REQUESTS,
    SURVEY_PROGRAMS,
    SURVEY_DELIVERIES,
    SURVEY_CALLS,
    SURVEY_ANSWERS,
    SURVEY_QUOTES,
    SURVEY_MESSAGES,
    NPS_UPDATES,
    NPS_ALERTS,
    SURVEY_STAFF,
    SURVEY_AUDIT,
    SURVEY_ERASURES,
)


def create_commands(
    topics: Sequence[Topic] = TOPICS,
    *,
    bootstrap: str = "$BOOTSTRAP",
    topic_prefix: str = "",
    replication_factor: int | None = None,
) -> list[str]:
    """Return one `kafka-topics.sh --create` line per topic; by default with the cluster's replication factor."""
    replicas = f" --replication-factor {replication_factor}" if replication_factor else ""
    return [
        f"kafka-topics.sh --bootstrap-server {bootstrap} --create --if-not-exists"
        f" --topic {topic_prefix}{topic.name} --partitions {topic.partitions}{replicas}"
        + "".join(f" --config {name}={value}" for name, value in topic.settings.items())
        for topic in topics
    ]


def _milliseconds(duration: timedelta) -> str:
    return str(duration // timedelta(milliseconds=1))
