"""The URLs of the staff pages, for the menu on each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

from shared.config import Settings
from shared.contract.vocabulary import Service
from shared.web import routes
from shared.web.staff.tickets import Ticket, signed_in


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
        """The URL by its label of every page that the person who is signed in may read; of all pages without one."""
        person = signed_in.get()
        pages = (prefix for prefix in routes.TABLE if prefix.label)
        return {p.label: self.url(p.path) for p in pages if person is None or _may_read(person, p)}

    @property
    def person(self) -> Ticket | None:
        """Who is signed in."""
        return signed_in.get()

    @property
    def account(self) -> str:
        return self.url("/account")

    def url(self, path: str) -> str:
        """Return the URL of a path of staff pages, which may have a query, at the service that answers it.

        Without a setting of its own, the URL of a page is derived from another page of the same service.
        """
        given = {"/decisions": self.decisions, "/mailbox": self.mailbox, "/invitations": self.invitations}
        beside = {
            Service.SCORING: f"{self.dashboard.rstrip('/')}/",
            Service.TRIGGER: self.decisions,
            Service.DISPATCHER: self.invitations,
        }
        service = routes.service_of(path.partition("?")[0])
        return given.get(path) or urljoin(beside[service], f"./{path[1:]}")  # "./": `x:y` is a path, too

    def may_write(self, path: str) -> bool:
        """Say whether the person who is signed in may change what is behind a path; without one, everybody may."""
        person, prefix = signed_in.get(), routes.find(path)
        if person is None or prefix is None:
            return person is None
        return person.has_any(prefix.writes) and (prefix.scoped_writes or not person.is_scoped)

    def start(self, person: Ticket) -> str:
        """Return the URL of the first page in the menu of a person."""
        first = next((p.path for p in routes.TABLE if p.label and _may_read(person, p)), "/account")
        return self.url(first)


def _may_read(person: Ticket, prefix: routes.Prefix) -> bool:
    return person.has_any(prefix.reads) and (prefix.scoped_reads or not person.is_scoped)
