"""Staff with every role, for clients of applications and of processes that the tests start."""

from __future__ import annotations

import httpx2

from deploy.program_ticket import ProgramTicket
from shared.config import Settings
from shared.contract.staff_scope import WHOLE, StaffScope
from shared.web.staff.gate import StaffAccess
from shared.web.staff.tickets import Ticket
from tests import keys

STAFF = ProgramTicket(Settings(_env_file=None), name="Olga of the tests")
PROCESS_STAFF = ProgramTicket(Settings(_env_file=None, ticket_keys=keys.TICKET_KEYS), name="Olga of the tests")


async def sees_everything(_ticket: Ticket) -> StaffScope:
    return WHOLE


ACCESS = StaffAccess.of(Settings(_env_file=None), sees_everything)
NOBODY = httpx2.Auth()  # sends no ticket
