"""The settings of all three services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.dispatcher.config import DispatcherSettings
from services.scoring.config import ScoringSettings
from services.trigger.config import TriggerSettings
from shared.config import DEVELOPMENT_ADDRESS_KEYS, DEVELOPMENT_LINK_KEYS, DEVELOPMENT_TICKET_KEYS
from shared.contract.vocabulary import Service

ALL = (Service.SCORING, Service.TRIGGER, Service.DISPATCHER)
_DEMO_SETTINGS: Mapping[str, object] = {  # they override the environment
    "environment": "development",
    "database_url": "",
    "database_pooled": "",
    "trigger_database_url": "",
    "dispatcher_database_url": "",
    "scoring_database_url": "",
    "migrate_on_start": True,
    "events_url": "",
    "crm_events_url": "",
    "topic_prefix": "",
    "kafka_protocol": "PLAINTEXT",
    "crm_kafka_protocol": "",
    "sources": None,
    "oidc": (),
    "host": "127.0.0.1",
    "public_host": "",
    "short_url": "",
    "unsubscribe_url": "",
    "dashboard_url": "",
    "decisions_url": "",
    "mailbox_url": "",
    "invitations_url": "",
    "desk_url": "",
    "hooks_url": "",
    "link_keys": DEVELOPMENT_LINK_KEYS,
    "address_keys": DEVELOPMENT_ADDRESS_KEYS,
    "ticket_keys": DEVELOPMENT_TICKET_KEYS,
    "send": "mailbox",
    "staff_send": "off",
}


@dataclass(frozen=True, slots=True)
class AllSettings:
    trigger: TriggerSettings
    dispatcher: DispatcherSettings
    scoring: ScoringSettings

    @classmethod
    def from_environment(cls, **overrides: object) -> AllSettings:
        return cls(TriggerSettings(**overrides), DispatcherSettings(**overrides), ScoringSettings(**overrides))  # type: ignore[arg-type]

    @classmethod
    def for_demo(cls, **overrides: object) -> AllSettings:
        """Return the settings of a demo or a replay: nothing is sent, and configured databases and logs stay unused.

        Ports, logging and limits are taken from the environment.
        """
        port = overrides.get("scoring_port", cls.from_environment().scoring.scoring_port)
        return cls.from_environment(**{**_DEMO_SETTINGS, "public_url": f"http://127.0.0.1:{port}", **overrides})

    def port(self, service: Service) -> int:
        return int(getattr(self.trigger, f"{service}_port"))
