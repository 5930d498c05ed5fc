"""The progress lines of the demo: business date, number of sales, contacts by channel, and NPS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from babel.dates import format_date
from rich.console import Console

from deploy.demo.terminal import in_terminal_language
from shared.languages.current import current, gettext, ngettext
from shared.languages.marking import mark

if TYPE_CHECKING:
    import httpx2

    from deploy.demo.shop import Shop
    from deploy.demo.simulated_people import SimulatedPeople
    from shared.clock import StoredClock


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
        series = await self._series()
        with in_terminal_language():
            day = format_date(self.clock.now(), "dd MMM", locale=current.get().locale)
            contacts, score = ", ".join(self._contacts()), score_text(series)
            text = mark("%(day)s: %(sold)s sold, %(contacts)s; %(score)s")
            line = gettext(text, day=day, sold=self.shop.sold, contacts=contacts, score=score)
        if line != self._last_line:
            self.console.print(line, soft_wrap=True)
        self._last_line = line

    def _contacts(self) -> Iterator[str]:
        received = self.people.received
        yield ngettext("%(num)s mail", "%(num)s mails", received.get("email 1", 0))
        yield ngettext("%(num)s repeat", "%(num)s repeats", received.get("email 2", 0))
        yield ngettext("%(num)s text message", "%(num)s text messages", received.get("sms 3", 0))
        yield ngettext("%(num)s call", "%(num)s calls", received.get("call", 0))

    async def _series(self) -> dict[str, Any] | None:
        answer = await self.web.get(f"{self.scoring_url}/v1/nps")
        return next(iter(answer.raise_for_status().json()["series"]), None)


def score_text(whole: dict[str, Any] | None) -> str:
    """Say the score with its number of answers and its interval, in rich's markup."""
    if not whole or not whole["n"]:
        return gettext("no score yet")
    nps, low, high = (f"{each:+.0f}" for each in (whole["nps"], whole["interval"]["low"], whole["interval"]["high"]))
    return ngettext(
        "%(num)s answer in all, NPS [bold]%(nps)s[/] (%(low)s … %(high)s)",
        "%(num)s answers in all, NPS [bold]%(nps)s[/] (%(low)s … %(high)s)",
        whole["n"],
        nps=nps,
        low=low,
        high=high,
    )
