"""How programs of this installation, such as the demo's shop, send requests to its staff paths."""

from __future__ import annotations

from collections.abc import Collection, Generator
from datetime import UTC, datetime
from uuid import UUID

import httpx2

from shared.config import Settings
from shared.contract.vocabulary import Role
from shared.web.staff.tickets import Ticket, TicketSigner, ticket_cookie

_NOBODY = UUID(int=0)


class ProgramTicket(httpx2.Auth):
    """Signs a ticket for each request with the keys of the settings; it belongs to no person and no session."""

    def __init__(self, settings: Settings, *, name: str = "A program", roles: Collection[Role] = tuple(Role)) -> None:
        self._signer = TicketSigner(settings.ticket_secrets)
        self._cookie = ticket_cookie(https=settings.dashboard_url.startswith("https://"))
        self._name, self._roles = name, frozenset(roles)

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        own = request.headers.get("cookie")
        request.headers["cookie"] = f"{own}; {self.header()}" if own else self.header()
        yield request

    def header(self) -> str:
        """Return a `Cookie` header."""
        ticket = Ticket(_NOBODY, self._name, self._roles, datetime.now(UTC))
        return f"{self._cookie.name}={self._signer.sign(ticket)}"
