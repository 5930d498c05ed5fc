"""What trigger knows about customers: who somebody means, and all that is stored about them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec

from services.trigger.domain.consents import ConsentStatement
from services.trigger.domain.deciding.batch import InstallationSettings
from services.trigger.domain.deciding.explanations import title
from services.trigger.domain.deciding.stored_decision import StoredDecision
from services.trigger.domain.respondents import Respondent, email_address, phone_number
from services.trigger.handlers.identities import search_ids
from services.trigger.repository import customers, decisions, respondents, touchpoints
from shared.contract.event_words import event_in_words
from shared.contract.events import CustomerErased
from shared.contract.vocabulary import ConsentPurpose, Service
from shared.database.compared_clock import MOST_APART_S
from shared.database.session import Session
from shared.languages import formats
from shared.languages.current import current, gettext, lookup
from shared.languages.marking import mark
from shared.web.customers.held_data import Entry, Fact, HeldData, Kind

_MOST_APART = timedelta(seconds=MOST_APART_S)  # of the clocks of two services
_PURPOSES = {ConsentPurpose.SURVEY: mark("surveys"), ConsentPurpose.OFFERS: mark("offers")}
_ATTRIBUTES = {"age": mark("age"), "region": mark("region")}  # others are called as their source calls them
_CHANNELS = {"email": mark("E-mail"), "sms": mark("SMS"), "call": mark("Call")}


@dataclass(frozen=True, slots=True)
class FoundCustomer:
    """`shares` says that only an address is shared with somebody who was found; `respondent` may have no row."""

    id: str
    respondent: Respondent | None
    shares: bool = False


async def find(session: Session, typed: str, *, settings: InstallationSettings) -> list[FoundCustomer]:
    """Find customers by an id, an address, a telephone number, or the number or id of an order.

    After them are the others who share an address with them. A telephone number without its country code is of the
    country of the settings, else of that of the page's language.
    """
    region = settings.phone_region or current.get().country
    email, phone = email_address(typed), phone_number(typed, region=region)
    emails, phones = [email or typed] if "@" in typed else [], [phone] if phone else []
    meant = {
        *await _known(session, await search_ids(session, typed, None, keys=settings.address_keys)),
        *await customers.with_addresses(session, emails=emails, phones=phones),
        *await customers.of_order(session, typed),
    }
    found = await _load(session, meant)
    shared = await customers.with_addresses(
        session,
        emails=[each.respondent.email for each in found if each.respondent and each.respondent.email],
        phones=[each.respondent.phone for each in found if each.respondent and each.respondent.phone],
    )
    return [*found, *await _load(session, set(shared) - meant, shares=True)]


async def known(session: Session, ids: Sequence[str]) -> list[FoundCustomer]:
    """Return those of these respondents of whom something is stored."""
    return await _load(session, await _known(session, ids))


async def _known(session: Session, ids: Sequence[str]) -> set[str]:
    """Return which of these ids have a row or a decision."""
    decided = await decisions.search(session, respondents=ids, event_id=None, limit=customers.MOST_FOUND)
    return {each.id for each in await respondents.load(session, ids)} | {each.respondent_id for each in decided}


async def _load(session: Session, ids: Collection[str], *, shares: bool = False) -> list[FoundCustomer]:
    known = {each.id: each for each in await respondents.load(session, ids)}
    return [FoundCustomer(id_, known.get(id_), shares) for id_ in sorted(ids)]


async def read_held(session: Session, ids: Sequence[str], most: int | None) -> HeldData:
    """Read what trigger holds about respondents: details and decisions."""
    known = await respondents.load(session, ids)
    decided = await decisions.search(session, respondents=ids, event_id=None, limit=most)
    known_as = await touchpoints.known_as(session, decided)
    return HeldData([_fact(each) for each in known], [_entry(each, known_as[each.id]) for each in decided])


def _fact(respondent: Respondent) -> Fact:
    lines = {
        gettext("Name"): respondent.name,
        gettext("E-mail"): respondent.email,
        gettext("Telephone"): respondent.phone,
        gettext("Language"): respondent.locale,
        gettext("Time zone"): respondent.time_zone,
        **{
            gettext("Consent, %(channel)s", channel=lookup(label)): _consent(respondent, channel)
            for channel, label in _CHANNELS.items()
        },
        gettext("Attributes"): ", ".join(f"{_attribute(name)} {each}" for name, each in respondent.attributes.items()),
        gettext("Purchases"): str(respondent.purchases or ""),
        gettext("Last purchase"): respondent.last_purchase_at,
        gettext("Last asked"): respondent.last_asked_at,
        gettext("Last answered"): respondent.last_answered_at,
        gettext("Addresses from"): respondent.address_source,
        gettext("Erased"): respondent.erased_at,
    }
    stored = {**msgspec.structs.asdict(respondent), "consent": respondent.consent.model_dump()}
    return Fact(respondent.id, lines, stored)


def _attribute(name: str) -> str:
    return lookup(_ATTRIBUTES[name]) if name in _ATTRIBUTES else name


def _consent(respondent: Respondent, channel: str) -> str:
    """Say what was stated about a channel, with the proof where there is one."""
    known = {None: gettext("unknown"), True: gettext("yes"), False: gettext("no")}
    stated = respondent.statements.get(channel, ())
    return "; ".join(map(_statement, stated)) or known[getattr(respondent.consent, channel)]


def _statement(stated: ConsentStatement) -> str:
    purposes = ", ".join(lookup(_PURPOSES[purpose]) for purpose in stated.purposes)
    given = gettext("yes") if stated.given else gettext("no")
    proof = [each for each in (stated.source, formats.quoted(stated.text) if stated.text else "") if each]
    return ", ".join([f"{given} ({purposes})", formats.moment(stated.at), *proof])


def _entry(decision: StoredDecision, known_as: str | None) -> Entry:
    if decision.type == CustomerErased.type:
        return Entry(decision.event_time, Kind.DECISION, gettext("The data were erased"), _stored(decision))
    outcome = title(decision.reason, event_type=decision.type)
    path = f"/decisions?{urlencode({'event': decision.event_id})}"
    return Entry(
        decision.event_time,
        Kind.DECISION,
        f"{outcome} ({event_in_words(decision.type, known_as)}, {decision.source})",
        _stored(decision),
        path,
    )


def _stored(decision: StoredDecision) -> Mapping[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(decision).items() if name != "digest"}


@dataclass(frozen=True, slots=True)
class Erasure:
    """When a service erased a respondent; `places` have `name` and `done`."""

    at: datetime
    places: Sequence[Mapping[str, str]] = ()


async def erasures(session: Session, ids: Sequence[str]) -> dict[tuple[str, Service], Erasure]:
    """Return what is known of the last erasure of each of these respondents, by respondent and service.

    A confirmation from before it is of an earlier erasure.
    """
    erased = {each.id: each.erased_at for each in await respondents.load(session, ids) if each.erased_at is not None}
    told = [row for row in await customers.erasures(session, ids) if row["respondent_id"] in erased]
    return {
        **{(id_, Service.TRIGGER): Erasure(at) for id_, at in erased.items()},
        **{
            (row["respondent_id"], Service(row["service"])): Erasure(row["at"], row["places"])
            for row in told
            if row["at"] >= erased[row["respondent_id"]] - _MOST_APART
        },
    }
