"""Who works at the call desk, by the request that they send."""

from __future__ import annotations

from fastapi import Request

from services.scoring.domain.calling.operators import Operator
from shared.web.staff.tickets import signed_in


def acting_operator(request: Request, named: str) -> Operator:
    """Return the person who is signed in, or the operator whom a program with a key or a ticket has `named`."""
    ticket = signed_in.get()
    if ticket is None:
        return Operator.named(named, by=request.state.key)
    if ticket.session is None:
        return Operator.named(named, by=ticket.person)
    return Operator(ticket.person, ticket.name)
