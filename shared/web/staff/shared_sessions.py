"""Sessions of staff that the services of one process share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.web.staff.tickets import Ticket  # loads cryptography, which commands do not need

FindSession = Callable[["Ticket"], Awaitable["Ticket | None"]]


@dataclass(slots=True)
class SharedSessions:
    """Scoring's sessions for the other services of its process, where a session that has ended counts at once."""

    find: FindSession | None = None  # None until scoring has started
