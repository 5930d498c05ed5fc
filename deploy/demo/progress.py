"""The progress lines of the demo: business date, number of sales, contacts by channel, and NPS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console

from shared.contract.vocabulary import counted

if TYPE_CHECKING:
    import httpx2

    from deploy.demo.shop import Shop
    from deploy.demo.simulated_people import SimulatedPeople
    from shared.clock import StoredClock

_CONTACTS = {"email 1": "mail", "email 2": "repeat", "sms 3": "text message", "call": "call"}


@dataclass(slots=True)
class DemoProgress:
    web: httpx2.AsyncClient
    scoring_url: str
    clock: StoredClock
    shop: Shop
    people: SimulatedPeople
    console: Console = field(default_factory=lambda: Console(highlight=False))
    _last_line: str = ""

    async def print_if_changed(self) -> None:
        contacts = ", ".join(counted(self.people.received.get(name, 0), word) for name, word in _CONTACTS.items())
        line = f"{self.clock.now():%d %b}: {self.shop.sold} sold, {contacts}; {await self._score()}"
        if line != self._last_line:
            self.console.print(line, soft_wrap=True)
        self._last_line = line

    async def _score(self) -> str:
        answer = await self.web.get(f"{self.scoring_url}/v1/nps")
        whole = next(iter(answer.raise_for_status().json()["series"]), None)
        if not whole or not whole["n"]:
            return "no score yet"
        low, high = whole["interval"]["low"], whole["interval"]["high"]
        return f"{counted(whole['n'], 'answer')} in all, NPS [bold]{whole['nps']:+.0f}[/] ({low:+.0f} … {high:+.0f})"
