"""The URLs of the staff pages, for the menu on each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

from shared.config import Settings
from shared.contract.vocabulary import Service
from shared.web import routes


@dataclass(frozen=True, slots=True)
class StaffPages:
    """The absolute URLs of one page of each service, and of the mailbox."""

    dashboard: str
    decisions: str
    mailbox: str
    invitations: str

    @classmethod
    def of(cls, settings: Settings) -> StaffPages:
        return cls(settings.dashboard_url, settings.decisions_url, settings.mailbox_url, settings.invitations_url)

    @property
    def menu(self) -> Mapping[str, str]:
        """The URL of every page by its label; without a setting it is derived from another page of the same service."""
        given = {"/decisions": self.decisions, "/mailbox": self.mailbox, "/invitations": self.invitations}
        beside = {
            Service.SCORING: f"{self.dashboard.rstrip('/')}/",
            Service.TRIGGER: self.decisions,
            Service.DISPATCHER: self.invitations,
        }
        pages = (prefix for prefix in routes.TABLE if prefix.label)
        return {p.label: given.get(p.path) or urljoin(beside[p.service], p.path[1:]) for p in pages}
