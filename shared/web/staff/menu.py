"""The URLs of the staff pages, for the menu on each of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from shared.config import Settings
from shared.contract.vocabulary import Service
from shared.web import routes
from shared.web.staff.done_acts import DoneAct, just_done
from shared.web.staff.tickets import Ticket, signed_in

asked_path: ContextVar[str] = ContextVar("asked_path", default="")
"""The path of the request that this task answers, as far as the gate let it pass."""


@dataclass(frozen=True, slots=True)
class MenuPage:
    label: str
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class MenuGroup:
    """A group of the menu with the pages that the person may open, at least one."""

    label: str
    pages: Sequence[MenuPage]
    is_current: bool

    @property
    def url(self) -> str:
        return self.pages[0].url


@dataclass(frozen=True, slots=True)
class StaffPages:
    """The absolute URLs of one page of each service, and of the mailbox; `service` shows the pages with them."""

    service: Service
    dashboard: str
    decisions: str
    mailbox: str
    invitations: str

    @classmethod
    def of(cls, settings: Settings, service: Service) -> StaffPages:
        urls = settings.dashboard_url, settings.decisions_url, settings.mailbox_url, settings.invitations_url
        return cls(service, *urls)

    @property
    def groups(self) -> Sequence[MenuGroup]:
        """The groups of the menu that have a page which the person who is signed in may open; all without one."""
        here = routes.find(asked_path.get())
        shown = [(group, self._pages(group)) for group in routes.Group if group is not routes.Group.PERSON]
        return [
            MenuGroup(group, pages, is_current=here is not None and here.group is group)
            for group, pages in shown
            if pages
        ]

    @property
    def of_person(self) -> Sequence[MenuPage]:
        """The pages in the person's own menu, beside the account."""
        return self._pages(routes.Group.PERSON)

    @property
    def home(self) -> str:
        """The first page of the menu."""
        return next((group.url for group in self.groups), self.account)

    @property
    def person(self) -> Ticket | None:
        """Who is signed in."""
        return signed_in.get()

    @property
    def done(self) -> DoneAct | None:
        """What the person who is signed in has just done, if this page says so."""
        return just_done(asked_path.get())

    @property
    def account(self) -> str:
        return self._shown("/account")

    @property
    def log_out(self) -> str:
        """Where a form logs out; empty on a page of another address, from which no form is taken."""
        return "/account/log-out" if self.shares_address_with(Service.SCORING) else ""

    @property
    def find(self) -> str:
        """Where a form finds a customer; empty for who may not, and on a page of another address."""
        return "/customers" if self.opens("/customers") and self.shares_address_with(Service.TRIGGER) else ""

    def shares_address_with(self, other: Service) -> bool:
        """Say whether the pages of another service are at the same address, so that a form or a frame may name them."""
        pages = {Service.TRIGGER: self.decisions, Service.DISPATCHER: self.invitations, Service.SCORING: self.dashboard}
        return urlsplit(pages[self.service])[:2] == urlsplit(pages[other])[:2]

    def opens(self, path: str) -> bool:
        """Say whether the person who is signed in may open a page; without one, everybody may."""
        person, prefix = signed_in.get(), routes.find(path)
        return person is None or (prefix is not None and _may_read(person, prefix))

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

    def _pages(self, group: routes.Group) -> Sequence[MenuPage]:
        here = routes.find(asked_path.get())
        listed = (p for p in routes.TABLE if p.group is group and p.label)
        return [MenuPage(p.label, self._shown(p.path), is_current=p is here) for p in listed if self.opens(p.path)]

    def _shown(self, path: str) -> str:
        """Return a path of this service as it is, so that it is opened at the address where the page is seen."""
        return path if routes.service_of(path) is self.service else self.url(path)

    def start(self, person: Ticket) -> str:
        """Return the URL of the first page in the menu of a person."""
        first = next((p.path for p in routes.TABLE if p.label and _may_read(person, p)), "/account")
        return self.url(first)


def _may_read(person: Ticket, prefix: routes.Prefix) -> bool:
    return person.has_any(prefix.reads) and (prefix.scoped_reads or not person.is_scoped)
