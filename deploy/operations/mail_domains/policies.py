"""What a domain publishes about its mail: SPF (RFC 7208), DKIM keys (RFC 6376) and DMARC (RFC 7489)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploy.operations.mail_domains.records import TxtRecords

MOST_LOOKUPS = 10
_COUNTED = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})


class BrokenPolicy(Exception):
    """A record is missing or receivers reject it; the text says why."""


async def check_spf(records: TxtRecords, domain: str) -> None:
    """Raise BrokenPolicy unless the domain has one SPF record that receivers can evaluate, and NotLookedUp."""
    await _count_lookups(records, domain, 0)
    if {"all", "+all"} & {*(await _spf_terms(records, domain))}:
        raise BrokenPolicy(f"the SPF record of {domain} allows every server (+all)")


async def _count_lookups(records: TxtRecords, domain: str, counted: int) -> int:
    terms = await _spf_terms(records, domain)
    has_all = any(term.lstrip("+-~?") == "all" for term in terms)
    for term in terms:
        name, *rest = re.split("[:=/]", term.lstrip("+-~?"), maxsplit=1)
        if name not in _COUNTED or (name == "redirect" and has_all):  # RFC 7208, 6.1
            continue
        counted += 1
        if counted > MOST_LOOKUPS:
            raise BrokenPolicy(f"the SPF record needs more than {MOST_LOOKUPS} lookups, after which receivers give up")
        if name in ("include", "redirect") and rest and "%" not in rest[0]:
            counted = await _count_lookups(records, rest[0], counted)
    return counted


async def _spf_terms(records: TxtRecords, domain: str) -> list[str]:
    found = [words for text in await records.at(domain) if (words := text.lower().split()) and words[0] == "v=spf1"]
    if not found:
        raise BrokenPolicy(f"{domain} has no SPF record")
    if len(found) > 1:
        raise BrokenPolicy(f"{domain} has {len(found)} SPF records, so receivers take none")
    return found[0][1:]


async def has_dkim_key(records: TxtRecords, domain: str, selector: str) -> bool:
    """Whether a selector has a key that is not revoked; raises NotLookedUp."""
    return any(_tags(text).get("p") for text in await records.at(f"{selector}._domainkey.{domain}"))


@dataclass(frozen=True, slots=True)
class DmarcPolicy:
    """`organization` is the highest domain with a record; domains below it belong together."""

    policy: str
    organization: str
    strict_spf: bool

    def aligns(self, envelope: str, sender: str) -> bool:
        """Whether an SPF pass of the envelope's domain counts for the domain in From."""
        if self.strict_spf:
            return envelope == sender
        return f".{envelope}".endswith(f".{self.organization}")


async def dmarc_policy(records: TxtRecords, domain: str) -> DmarcPolicy:
    """Return the policy of a domain, or of the nearest domain above it; raises BrokenPolicy and NotLookedUp."""
    labels = domain.split(".")
    names = [".".join(labels[start:]) for start in range(len(labels) - 1)]
    known = {name: record for name in names if (record := await _dmarc_record(records, name)) is not None}
    if not known:
        raise BrokenPolicy(f"{domain} has no DMARC record")
    nearest, *_, highest = *known, *known
    tags = known[nearest]
    policy = tags.get("p", "").lower()
    if policy not in ("none", "quarantine", "reject"):
        raise BrokenPolicy(f"the DMARC record of {nearest} names no policy")
    policy = policy if nearest == domain else tags.get("sp", policy).lower()
    return DmarcPolicy(policy, highest, tags.get("aspf", "r").lower() == "s")


async def _dmarc_record(records: TxtRecords, domain: str) -> dict[str, str] | None:
    found = [tags for text in await records.at(f"_dmarc.{domain}") if (tags := _tags(text)).get("v") == "DMARC1"]
    if len(found) > 1:
        raise BrokenPolicy(f"{domain} has {len(found)} DMARC records, so receivers take none")
    return found[0] if found else None


def _tags(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in text.split(";"))
    return {name.strip().lower(): "".join(value.split()) for name, _, value in pairs}
