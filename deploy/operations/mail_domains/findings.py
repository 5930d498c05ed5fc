"""`earshot doctor`: whether receivers can tell our mail from a forged one: SPF, DKIM, DMARC and their alignment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence

from deploy.operations.findings import Finding
from deploy.operations.mail_domains.policies import BrokenPolicy, check_spf, dmarc_policy, has_dkim_key
from deploy.operations.mail_domains.records import LONGEST_S, NotLookedUp, TxtRecords
from services.dispatcher.config import DispatcherSettings

_SPF_CURE = "publish one SPF record that includes that of your mail provider, with at most 10 lookups and ~all"
_DKIM_CURE = "publish the key of your mail provider, and name its selector in EARSHOT_DKIM_SELECTORS"
_DMARC_CURE = "publish one DMARC record, such as v=DMARC1; p=quarantine; rua=mailto:…"


async def examine(settings: DispatcherSettings, records: TxtRecords | None = None) -> AsyncIterator[Finding]:
    """Look up the domains of all senders, each within `LONGEST_S`; what is not looked up is never said to be fine."""
    senders, selectors = settings.sender_domains, settings.dkim_selectors
    try:
        known = records or TxtRecords.of_machine()
    except NotLookedUp as error:
        yield _unknown("the domains of our senders", error)
        return
    envelope, *_ = senders
    checks = [_within(f"SPF of {envelope}", _spf(known, envelope))]
    checks += [_within(f"DKIM of {sender}", _dkim(known, sender, selectors)) for sender in senders]
    checks += [_within(f"DMARC of {sender}", _dmarc(known, sender, envelope)) for sender in senders]
    for found in await asyncio.gather(*checks):
        for finding in found:
            yield finding


async def _within(what: str, check: Awaitable[Sequence[Finding]]) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(LONGEST_S):
            return await check
    except NotLookedUp as error:
        return [_unknown(what, error)]
    except TimeoutError:
        return [_unknown(what, NotLookedUp("no reply"))]


def _unknown(what: str, error: NotLookedUp) -> Finding:
    return Finding.note(f"{what} could not be looked up: {error}", "check the name servers of this machine")


async def _spf(records: TxtRecords, envelope: str) -> Sequence[Finding]:
    try:
        await check_spf(records, envelope)
    except BrokenPolicy as error:
        return [Finding.fail(f"SPF: {error}", _SPF_CURE)]
    return [Finding.ok(f"SPF: {envelope} has a record; see that it includes that of your mail provider")]


async def _dkim(records: TxtRecords, sender: str, selectors: Sequence[str]) -> Sequence[Finding]:
    if not selectors:
        return [Finding.note(f"DKIM of {sender} is not looked up: no selector is known", _DKIM_CURE)]
    keys = await asyncio.gather(*(has_dkim_key(records, sender, selector) for selector in selectors))
    present = [selector for selector, is_there in zip(selectors, keys, strict=True) if is_there]
    if not present:
        return [Finding.fail(f"DKIM: {sender} has no key for {', '.join(selectors)}", _DKIM_CURE)]
    return [Finding.ok(f"DKIM: {sender} has a key for {', '.join(present)}")]


async def _dmarc(records: TxtRecords, sender: str, envelope: str) -> Sequence[Finding]:
    try:
        found = await dmarc_policy(records, sender)
    except BrokenPolicy as error:
        return [Finding.fail(f"DMARC: {error}", _DMARC_CURE)]
    said, is_weak = f"DMARC: {sender} has the policy {found.policy}", found.policy == "none"
    policy = Finding.note(f"{said}: forged mail is delivered", _DMARC_CURE) if is_weak else Finding.ok(said)
    if found.aligns(envelope, sender):
        return [policy]
    apart = f"SPF of {envelope}, where bounces go, does not count for {sender} in From: DMARC rests on DKIM alone"
    return [policy, Finding.note(apart, f"sign with DKIM as {sender}, or send from one domain")]
