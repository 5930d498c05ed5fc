"""Survey requests that name a link key which this process lacks: they are parked, and handled once it has the key.

A consumer that waited for the key would delay the answers and opt-outs behind the request in its topics.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from shared.contract.cloudevents import Event
from shared.contract.events import Payload, SurveyRequested
from shared.database.session import Sessions
from shared.health import NotReady
from shared.messaging import codec, parking
from shared.messaging.codec import InvalidEvent
from shared.messaging.transport import Message


@dataclass(frozen=True, slots=True)
class LinkKeys:
    """`known` are the ids of the keys that this process has; `sessions` are those of its service's database."""

    known: Collection[str]
    sessions: Sessions

    def parse(self, message: Message) -> Event[Payload]:
        """Parse a message; raises InvalidEvent, also for a request with an unknown link key."""
        event = codec.parse(message)
        if isinstance(event.payload, SurveyRequested) and event.payload.link_key not in self.known:
            raise InvalidEvent(parking.UNKNOWN_KEY.format(event.payload.link_key))
        return event

    async def check(self) -> None:
        """Raise NotReady while parked requests wait for a key."""
        async with self.sessions.begin() as session:
            waiting = await parking.count_waiting_for_keys(session)
        if waiting:
            keys, count = ", ".join(sorted(waiting)), sum(waiting.values())
            raise NotReady(f"link key {keys} is not in EARSHOT_LINK_KEYS: {count} requests wait for it")
