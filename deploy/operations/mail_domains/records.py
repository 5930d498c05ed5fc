"""TXT records of the domain name system."""

from __future__ import annotations

from dataclasses import dataclass

import dns.exception
from dns.asyncresolver import Resolver
from dns.resolver import NXDOMAIN, LifetimeTimeout, NoResolverConfiguration

LONGEST_S = 3.0


class NotLookedUp(Exception):
    """No name server has answered; the text says why."""


@dataclass(frozen=True, slots=True)
class TxtRecords:
    resolver: Resolver

    @classmethod
    def of_machine(cls) -> TxtRecords:
        """Return the records that this machine's name servers know; raises NotLookedUp."""
        try:
            return cls(Resolver())
        except NoResolverConfiguration:
            raise NotLookedUp("this machine has no name server") from None

    async def at(self, name: str) -> list[str]:
        """Return the records of a name, each of one piece; none if the name does not exist. Raises NotLookedUp."""
        try:
            answer = await self.resolver.resolve(
                name, "TXT", lifetime=LONGEST_S, raise_on_no_answer=False, search=False
            )
        except NXDOMAIN:
            return []
        except LifetimeTimeout:
            raise NotLookedUp("no reply") from None
        except (dns.exception.DNSException, OSError) as error:
            raise NotLookedUp(type(error).__name__) from None
        return [b"".join(record.strings).decode("ascii", "replace") for record in answer]
