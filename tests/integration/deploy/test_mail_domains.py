"""`earshot doctor` looks up SPF, DKIM and DMARC of our senders' domains, at a name server on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from dns.asyncresolver import Resolver

from deploy.operations import doctor
from deploy.operations.findings import Finding, Severity
from deploy.operations.mail_domains import findings
from deploy.operations.mail_domains.records import LONGEST_S, TxtRecords
from deploy.operations.replay import isolated_settings
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.domain.send_mode import SendMode

OK, NOTE, FAIL = Severity.OK, Severity.NOTE, Severity.FAIL
Zone = Mapping[str, Sequence[str] | None]  # TXT records by name, in the form of a zone file; None: no reply
SPF = {
    "shop.example": ['"v=spf1 include:_spf.post.example -all"'],
    "_spf.post.example": ['"v=spf1 ip4:192.0.2.1 -all"'],
}
KEY = {"pm._domainkey.shop.example": ['"k=rsa; p=MIGfMA0"']}
DMARC = {"_dmarc.shop.example": ['"v=DMARC1; p=reject"']}
RIGHT: Zone = {**SPF, **KEY, **DMARC}


class NameServer(asyncio.DatagramProtocol):
    """Answers for the names of a zone; a name that it lacks does not exist, `refused.…` is refused."""

    def __init__(self, zone: Zone) -> None:
        self.zone, self.asked = zone, list[str]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        name = query.question[0].name.to_text(omit_final_dot=True)
        self.asked.append(name)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        texts = self.zone.get(name, ())
        if texts is None:
            return
        if texts:
            response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "TXT", *texts))
        else:
            response.set_rcode(dns.rcode.SERVFAIL if name.startswith("refused.") else dns.rcode.NXDOMAIN)
        self.transport.sendto(response.to_wire(), addr)


@asynccontextmanager
async def name_server(zone: Zone) -> AsyncIterator[tuple[TxtRecords, NameServer]]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(zone), local_addr=("127.0.0.1", 0))
    resolver = Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], transport.get_extra_info("sockname")[1]
    try:
        yield TxtRecords(resolver), server
    finally:
        transport.close()


def sending(**more: object) -> DispatcherSettings:
    given = {"send": "live", "smtp_url": "smtp://127.0.0.1:1", "mail_from": "Shop <ask@shop.example>", **more}
    return DispatcherSettings(_env_file=None, **given)  # type: ignore[arg-type]


async def found(zone: Zone, *, selectors: tuple[str, ...] = ("pm",), **more: object) -> list[Finding]:
    async with name_server(zone) as (records, _):
        return [each async for each in findings.examine(sending(dkim_selectors=selectors, **more), records)]


def about(what: str, all_: Sequence[Finding]) -> Finding:
    [finding] = [each for each in all_ if each.text.startswith(what)]
    return finding


async def test_right_records_are_fine() -> None:
    right = await found(RIGHT)
    assert [(each.severity, each.cure) for each in right] == [(OK, "")] * 3
    assert [each.text for each in right][1:] == [
        "DKIM: shop.example has a key for pm",
        "DMARC: shop.example has the policy reject",
    ]


def spf(record: str, **more: Sequence[str]) -> Zone:
    return {**RIGHT, **more, "shop.example": [f'"{record}"']}


NESTED = {f"n{number}.example": [f'"v=spf1 include:n{number + 1}.example -all"'] for number in range(12)}
BROKEN_SPF: list[tuple[Zone, str]] = [
    ({**RIGHT, "shop.example": ['"google-site-verification=1"']}, "shop.example has no SPF record"),
    ({**KEY, **DMARC}, "shop.example has no SPF record"),
    ({**RIGHT, "shop.example": ['"v=spf1 -all"', '"v=spf1 mx -all"']}, "shop.example has 2 SPF records"),
    (spf("v=spf1 " + "a " * 11 + "-all"), "more than 10 lookups"),
    (spf("v=spf1 include:n0.example -all", **NESTED), "more than 10 lookups"),
    (spf("v=spf1 include:shop.example -all"), "more than 10 lookups"),
    (spf("v=spf1 redirect=gone.example"), "gone.example has no SPF record"),
    (spf("v=spf1 mx +all"), "allows every server"),
    (spf("v=spf10 mx -all"), "has no SPF record"),
]


@pytest.mark.parametrize(("zone", "why"), BROKEN_SPF)
async def test_broken_spf_is_a_fault(zone: Zone, why: str) -> None:
    finding = about("SPF", await found(zone))
    assert (finding.severity, why in finding.text, bool(finding.cure)) == (FAIL, True, True)


FINE_SPF: list[Zone] = [
    spf("v=spf1 " + "a " * 10 + "-all"),
    spf("V=SPF1 ?include:%{i}.spf.example ~all"),
    spf("v=spf1 redirect=gone.example -all"),
    {**RIGHT, "shop.example": ['"v=spf1 include:_spf." "post.example -all"', '"another"']},
]


@pytest.mark.parametrize("zone", FINE_SPF)
async def test_spf_that_receivers_can_evaluate_is_fine(zone: Zone) -> None:
    assert about("SPF", await found(zone)).severity is OK


@pytest.mark.parametrize(
    ("key", "selectors", "severity", "said"),
    [
        (['"v=DKIM1; p=MIGf"'], ("pm",), OK, "a key for pm"),
        (['"v=DKIM1; p=" "MIGf"'], ("old", "pm"), OK, "a key for pm"),
        (['"v=DKIM1; p="'], ("pm",), FAIL, "has no key for pm"),
        ([], ("pm", "s1"), FAIL, "has no key for pm, s1"),
        (['"k=rsa; p=MIGf"'], (), NOTE, "is not looked up: no selector is known"),
    ],
)
async def test_dkim_key_is_looked_up_by_its_selector(
    key: list[str], selectors: tuple[str, ...], severity: Severity, said: str
) -> None:
    finding = about("DKIM", await found({**RIGHT, "pm._domainkey.shop.example": key}, selectors=selectors))
    assert (finding.severity, said in finding.text) == (severity, True)


@pytest.mark.parametrize(
    ("record", "severity", "said"),
    [
        (['"v=DMARC1; p=none"'], NOTE, "policy none: forged mail is delivered"),
        (['"v=DMARC1; " "p = Quarantine"'], OK, "policy quarantine"),
        ([], FAIL, "has no DMARC record"),
        (['"v=DMARC1; p=reject"', '"v=DMARC1; p=none"'], FAIL, "has 2 DMARC records"),
        (['"v=DMARC1; rua=mailto:a@shop.example"'], FAIL, "names no policy"),
    ],
)
async def test_dmarc_policy(record: list[str], severity: Severity, said: str) -> None:
    finding = about("DMARC", await found({**RIGHT, "_dmarc.shop.example": record}))
    assert (finding.severity, said in finding.text) == (severity, True)


@pytest.mark.parametrize(
    ("dmarc", "sender", "apart"),
    [
        ("p=reject", "ask@mail.shop.example", False),
        ("p=reject; aspf=s", "ask@mail.shop.example", True),
        ("p=reject; aspf=s", "ask@shop.example", False),
        ("p=reject", "ask@tea.example", True),
        ("p=reject", "ask@notshop.example", True),
    ],
)
async def test_sender_of_another_domain_than_the_bounces_is_named(
    tmp_path: Path, dmarc: str, sender: str, *, apart: bool
) -> None:
    texts, record = tmp_path / "mail.yaml", [f'"v=DMARC1; {dmarc}"']
    texts.write_text(f"[{{brand: Tea, sender: {sender}}}]")
    records = {f"_dmarc.{domain}.example": record for domain in ("shop", "tea", "notshop")}
    said = [each.text for each in await found({**SPF, **records}, mail_texts=texts)]
    assert any("rests on DKIM alone" in text for text in said) is apart
    assert any(text.startswith(f"DMARC: {sender.partition('@')[2]} has the policy") for text in said)


async def test_policy_of_a_subdomain_is_that_of_the_domain_above() -> None:
    zone = {"_dmarc.shop.example": ['"v=DMARC1; p=reject; sp=none"']}
    assert "policy none" in about("DMARC", await found(zone, mail_from="ask@a.b.shop.example")).text


async def test_name_server_that_does_not_reply_is_a_warning_in_time() -> None:
    began = time.monotonic()
    silent = await found(dict.fromkeys(("shop.example", "pm._domainkey.shop.example", "_dmarc.shop.example")))
    assert time.monotonic() - began < LONGEST_S + 2
    assert [(each.severity, each.text) for each in silent] == [
        (NOTE, f"{what} of shop.example could not be looked up: no reply") for what in ("SPF", "DKIM", "DMARC")
    ]


async def test_refused_lookup_is_a_warning_and_not_a_missing_record() -> None:
    zone = {**RIGHT, "shop.example": ['"v=spf1 include:refused.example -all"']}
    finding = about("SPF", await found(zone))
    assert (finding.severity, "could not be looked up" in finding.text) == (NOTE, True)


async def test_name_server_that_is_away_is_a_warning() -> None:
    resolver = Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], 1
    away = [each async for each in findings.examine(sending(dkim_selectors="pm"), TxtRecords(resolver))]
    assert {each.severity for each in away} == {NOTE}
    assert all("could not be looked up" in each.text for each in away)


@pytest.mark.parametrize("more", [{"send": SendMode.MAILBOX}, {"smtp_url": ""}])
async def test_nothing_is_looked_up_where_no_mail_is_sent(tmp_path: Path, more: dict[str, object]) -> None:
    given = {"send": "live", "smtp_url": "smtp://127.0.0.1:1", "mail_from": "ask@shop.example", **more}
    settings = isolated_settings(tmp_path, **given)
    assert [each async for each in doctor.mail_domains(settings.dispatcher)] == []
