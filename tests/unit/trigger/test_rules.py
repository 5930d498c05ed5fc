"""The rules: what each lets pass and what it stops."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.trigger.domain.deciding.cadence import CadenceDay, next_day
from services.trigger.domain.deciding.cases import Decision, DecisionFacts
from services.trigger.domain.deciding.decide import decide, updated_touchpoint
from services.trigger.domain.deciding.suppressions import KnownSuppression
from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.program import CompiledProgram, compile_program
from services.trigger.domain.programs.quotas import QuotaKey
from services.trigger.domain.programs.segments import Segment, default_segments, reported_segments
from services.trigger.domain.programs.timing import first_send_time
from services.trigger.domain.respondents import ANY_PROGRAM, ContactCause, Respondent
from services.trigger.domain.sampling import SPREAD, sample, spread_of
from services.trigger.domain.touchpoints import TouchpointKey, TouchpointKind, TouchpointRecord, TriggerPayload
from shared.contract.cloudevents import Event
from shared.contract.events import Consent, Customer, CustomerRef, Order, OrderDelivered, OrderRef, PurchaseCompleted
from shared.contract.vocabulary import ChannelKind
from tests.unit.trigger.test_decide import NOW, sent

ANN = Respondent("c1", email="ann@shop.example")
KEY = TouchpointKey("c1", TouchpointKind.ORDER, "1")
DELIVERY = sent(OrderDelivered(customer=CustomerRef(id="c1"), order=OrderRef(id="1")), id_="d1")


def purchase(order: str = "1", *, at: datetime = NOW, **written: Any) -> Event[TriggerPayload]:
    payload = {"customer": Customer(id="c1"), "order": Order(id=order, amount=Decimal(20)), **written}
    return sent(PurchaseCompleted.model_validate(payload), at=at)


def program(id_: str = "shop", **written: Any) -> CompiledProgram:
    document = {"id": id_, "brand": {"name": "Shop"}, "starts_on": ["crm.purchase.completed"], **written}
    return compile_program(1, ProgramDocument.model_validate(document))


def decided(
    asking: CompiledProgram, respondent: Respondent = ANN, *, event: Event[TriggerPayload] | None = None, **facts: Any
) -> Decision:
    return decide(event or purchase(), [asking], DecisionFacts(respondent, **{"touchpoint": None, **facts}), now=NOW)


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


@pytest.mark.parametrize(
    ("cap", "happened", "reason"),
    [
        ({"days": 30}, (ContactCause.INVITATION, "other", 29), "quarantined"),
        ({"days": 30}, (ContactCause.INVITATION, "other", 30), "asked"),
        ({"days": 30, "scope": "program"}, (ContactCause.INVITATION, "other", 1), "asked"),
        ({"days": 30, "scope": "program"}, (ContactCause.INVITATION, "shop", 1), "quarantined"),
        ({"days": 30, "scope": "group"}, (ContactCause.INVITATION, "sister", 1), "quarantined"),
        ({"days": 30, "scope": "group"}, (ContactCause.INVITATION, "other", 1), "asked"),
        ({"days": 30, "after": "answer"}, (ContactCause.INVITATION, "shop", 1), "asked"),
        ({"days": 30, "after": "answer"}, (ContactCause.ANSWER, "shop", 1), "quarantined"),
        ({"days": 30, "after": "decline"}, (ContactCause.DECLINE, "shop", 1), "quarantined"),
        (
            {"days": 30, "after": "unsubscribe", "scope": "program"},
            (ContactCause.UNSUBSCRIBE, ANY_PROGRAM, 1),
            "quarantined",
        ),
    ],
)
def test_cap_counts_its_cause_in_its_scope(
    cap: dict[str, Any], happened: tuple[ContactCause, str, int], reason: str
) -> None:
    cause, where, days = happened
    asking = program(quarantine="0", group="nps", caps=[{"name": "rest", **cap}])
    groups = {"shop": "nps", "sister": "nps"}
    decision = decided(asking, ANN.with_contact(cause, where, ago(days)), groups=groups)
    assert decision.reason.value == reason
    assert decision.trail[0].facts.get("cap") == ("rest" if reason == "quarantined" else None)


def test_delaying_cap_asks_when_it_ends_and_not_later_than_the_maximum_age() -> None:
    cap = {"name": "rest", "days": 10, "then": "delay"}
    asking = program(quarantine="0", caps=[cap], at="10:00", time_zone="Europe/Moscow")
    soon = decided(asking, ANN.with_contact(ContactCause.INVITATION, "shop", ago(5)))
    assert soon.send_at == datetime(2026, 3, 7, 7, tzinfo=UTC)
    assert soon.trail[0].facts["delayed_by"] == "rest"
    late = decided(asking, ANN.with_contact(ContactCause.INVITATION, "shop", ago(1)))
    assert (late.reason.value, late.trail[0].facts["too_long_to_wait"]) == ("quarantined", True)


def test_cap_may_delay_to_the_end_of_the_maximum_age_and_not_a_second_beyond() -> None:
    """max_age limits both the age of an event and the delay of a survey."""
    asking = program(quarantine="0", max_age="7d", caps=[{"name": "rest", "days": 10, "then": "delay"}])
    at_the_end = decided(asking, ANN.with_contact(ContactCause.INVITATION, "shop", ago(3)))
    assert (at_the_end.reason.value, at_the_end.send_at) == ("asked", NOW + timedelta(days=7))
    beyond = decided(asking, ANN.with_contact(ContactCause.INVITATION, "shop", ago(3) + timedelta(seconds=1)))
    assert beyond.reason.value == "quarantined"


@pytest.mark.parametrize("names", [("long", "short"), ("short", "long")])
def test_of_several_delaying_caps_the_longest_counts(names: tuple[str, str]) -> None:
    days = {"short": 8, "long": 10}
    caps = [{"name": name, "days": days[name], "then": "delay"} for name in names]
    decision = decided(program(quarantine="0", caps=caps), ANN.with_contact(ContactCause.INVITATION, "shop", ago(5)))
    assert (decision.send_at, decision.trail[0].facts["delayed_by"]) == (NOW + timedelta(days=5), "long")


def test_quarantine_is_counted_to_the_day_the_survey_goes_out() -> None:
    respondent = ANN.with_contact(ContactCause.INVITATION, "shop", ago(85))
    assert decided(program(), respondent).reason.value == "quarantined"
    assert decided(program(delay="6d"), respondent).reason.value == "asked"


@pytest.mark.parametrize(
    ("moment", "zone", "expected"),
    [
        (datetime(2026, 3, 1, 6, 59, tzinfo=UTC), "Europe/Moscow", datetime(2026, 3, 1, 7, tzinfo=UTC)),
        (datetime(2026, 3, 1, 7, 0, tzinfo=UTC), "Europe/Moscow", datetime(2026, 3, 1, 7, tzinfo=UTC)),
        (datetime(2026, 3, 1, 7, 1, tzinfo=UTC), "Europe/Moscow", datetime(2026, 3, 2, 7, tzinfo=UTC)),
        (datetime(2026, 3, 28, 12, tzinfo=UTC), "Europe/Berlin", datetime(2026, 3, 29, 8, tzinfo=UTC)),
    ],
)
def test_survey_waits_for_the_time_of_day_of_the_customer(moment: datetime, zone: str, expected: datetime) -> None:
    assert first_send_time(moment, at=time(10), zone=zone, now=moment) == expected


def test_delivery_completes_the_purchase_it_follows() -> None:
    asking = program(delay_from="delivery", delay="2d", conditions={"field": "order.amount", "value": 20})
    first = decided(asking, touchpoint=TouchpointRecord(KEY))
    assert (first.reason.value, first.trail[0].facts) == ("waiting", {"for": "crm.order.delivered"})
    kept = updated_touchpoint(TouchpointRecord(KEY), purchase(), first, invitation_id=None)
    second = decided(asking, event=DELIVERY, touchpoint=kept)
    assert (second.reason.value, second.send_at) == ("asked", NOW + timedelta(days=2))


def test_purchase_completes_the_delivery_that_came_first() -> None:
    asking = program(delay_from="delivery", delay="2d")
    first = decided(asking, event=DELIVERY, touchpoint=TouchpointRecord(KEY))
    assert (first.reason.value, first.trail[0].facts) == ("waiting", {"for": "crm.purchase.completed"})
    kept = updated_touchpoint(TouchpointRecord(KEY), DELIVERY, first, invitation_id=None)
    old_purchase = purchase(at=ago(20))
    second = decided(asking, event=old_purchase, touchpoint=kept)
    assert (second.reason.value, second.send_at) == ("asked", NOW + timedelta(days=2))
    done = updated_touchpoint(kept, old_purchase, second, invitation_id=None)
    assert decided(asking, event=DELIVERY, touchpoint=done).reason.value == "duplicate"


def test_delivery_in_the_future_counts_as_now() -> None:
    asking = program(delay_from="delivery", delay="2d")
    kept = TouchpointRecord(KEY, delivered_at=NOW + timedelta(days=400))
    assert decided(asking, touchpoint=kept).send_at == NOW + timedelta(days=2)


def test_event_in_the_future_counts_as_now_and_its_trail_says_so() -> None:
    early = decided(program(delay="2d"), event=purchase(at=NOW + timedelta(hours=3)))
    assert (early.reason.value, early.send_at) == ("asked", NOW + timedelta(days=2))
    assert early.trail[0].facts["ahead_s"] == 3 * 3600
    assert "ahead_s" not in decided(program()).trail[0].facts


def test_delivery_starts_nothing_where_no_program_waits_for_it() -> None:
    assert decided(program(), event=DELIVERY).reason.value == "no_program"


def test_historic_event_asks_nobody() -> None:
    assert decided(program(), event=purchase(attributes={"historic": True})).reason.value == "historic"


def test_holdout_keeps_the_same_customers_out_for_ever() -> None:
    asking = program(holdout="20%")
    people = [Respondent(f"c{n}", email="a@b.test") for n in range(500)]
    held = [decided(asking, person).reason.value == "holdout" for person in people]
    assert 70 < sum(held) < 130
    assert held == [decided(asking, person, event=purchase("2")).reason.value == "holdout" for person in people]


def test_sample_is_drawn_for_each_order() -> None:
    asking = program(sample=0.25)
    drawn = [decided(asking, event=purchase(str(n))).reason.value == "asked" for n in range(500)]
    assert 90 < sum(drawn) < 160


def test_holdout_depends_on_program_and_customer_and_a_sample_also_on_the_order() -> None:
    """The numbers are fixed, because customers in a holdout must stay there in every release."""
    held = decided(program(holdout=0.6))
    assert (held.reason.value, held.trail[0].facts) == ("holdout", {"holdout": 0.6, "drawn": 0.5911})
    out = decided(program(sample=0.5), event=purchase("48213"))
    assert (out.reason.value, out.trail[0].facts) == ("sampled_out", {"sample": 0.5, "drawn": 0.8779})
    assert decided(program(holdout=sample("holdout", "shop", "c1"))).reason.value == "asked"
    edge = decided(program(sample=sample("sample", "shop", "c1", "48213")), event=purchase("48213"))
    assert edge.reason.value == "sampled_out"


@pytest.mark.parametrize(
    ("stopped", "reason"),
    [
        ((), "asked"),
        ((ChannelKind.EMAIL,), "asked"),
        ((ChannelKind.SMS,), "asked"),
        ((ChannelKind.EMAIL, ChannelKind.SMS), "suppressed"),
        ((None,), "suppressed"),
    ],
)
def test_survey_is_suppressed_when_no_channel_is_left(stopped: Sequence[ChannelKind | None], reason: str) -> None:
    both = Respondent("c1", email="ann@shop.example", phone="+79161234567", consent=Consent(email=True, sms=True))
    suppressions = [KnownSuppression(channel, None, "hard_bounce", NOW + timedelta(seconds=1)) for channel in stopped]
    assert decided(program(), both, suppressions=suppressions).reason.value == reason
    over = [KnownSuppression(channel, None, "hard_bounce", NOW) for channel in stopped]  # it ends at that moment
    assert decided(program(), both, suppressions=over).reason.value == "asked"


def test_quota_stops_at_its_limit_for_each_value_of_its_segment() -> None:
    asking = program(quotas=[{"name": "per-store", "by": "store", "limit": 2}], time_zone="Asia/Tokyo")
    event = purchase(touchpoint={"store": "Riverside"})
    used = {QuotaKey("shop", "per-store", "Riverside", date(2026, 3, 1)): 2}
    full = decided(asking, event=event, quotas_used=used)
    assert (full.reason.value, full.trail[0].facts["store"]) == ("over_quota", "Riverside")
    assert decided(asking, event=purchase(touchpoint={"store": "Hill"}), quotas_used=used).reason.value == "asked"


def test_quota_of_none_asks_nobody_and_of_one_somebody() -> None:
    reasons = [decided(program(quotas=[{"name": "a day", "limit": limit}])).reason.value for limit in (0, 1)]
    assert reasons == ["over_quota", "asked"]


@pytest.mark.parametrize(("used", "reason"), [(1, "asked"), (2, "over_quota"), (3, "over_quota")])
def test_quota_counts_by_the_day_of_the_program_and_not_of_the_customer(used: int, reason: str) -> None:
    asking = program(quotas=[{"name": "a day", "limit": 2}], time_zone="America/New_York")
    there = Respondent("c1", email="ann@shop.example", time_zone="Pacific/Kiritimati")  # it is 2 March there already
    key = QuotaKey("shop", "a day", "", date(2026, 3, 1))
    assert decided(asking, there, quotas_used={key: used}).reason.value == reason
    for other in (date(2026, 2, 28), date(2026, 3, 2)):
        assert decided(asking, there, quotas_used={key._replace(day=other): 9}).reason.value == "asked"


@pytest.mark.parametrize(
    ("found", "value"),
    [
        (17, "<18"),
        (18, "18\N{EN DASH}24"),
        (Decimal("24.9"), "18\N{EN DASH}24"),
        (49, "35\N{EN DASH}49"),
        (50, "50+"),
        (True, None),
        ("old", None),
        (None, None),
    ],
)
def test_number_is_reported_by_its_range(found: object, value: str | None) -> None:
    segment = Segment(name="age", field="customer.attributes.age", ranges=[18, 25, 35, 50])
    assert segment.value({"customer.attributes.age": found}) == value  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("employee", "reported"),
    [
        ("e-17", {"store": "Riverside", "employee": "e-17"}),
        (" 0042 ", {"store": "Riverside", "employee": "0042"}),
        ("Anna", {"store": "Riverside"}),
        ("Anna Petrova 2", {"store": "Riverside"}),
        ("7" * 51, {"store": "Riverside"}),
        (None, {"store": "Riverside"}),
    ],
)
def test_employee_is_reported_by_a_code_and_under_one_name(employee: str | None, reported: dict[str, str]) -> None:
    named = [Segment(name="store", field="touchpoint.store"), Segment(name="clerk", field="touchpoint.employee")]
    values = {"store": "Riverside"} | ({} if employee is None else {"clerk": employee.strip()})
    assert reported_segments(named, values) == reported
    assert reported_segments(named[:1], {"store": "Riverside"}) == {"store": "Riverside"}


def test_employee_is_no_default_segment() -> None:
    assert [each.name for each in default_segments()] == ["store", "region", "channel", "device", "stage"]


def test_segments_are_the_declared_ones_and_go_into_the_request() -> None:
    segments = [
        "store",
        {"name": "tier", "field": "customer.attributes.tier"},
        {"name": "gift", "field": "attributes.gift"},
    ]
    decision = decided(
        program(segments=segments),
        Respondent("c1", email="a@b.test", attributes={"tier": " gold "}),
        event=purchase(touchpoint={"store": "Riverside", "region": "south"}, attributes={"gift": True}),
    )
    assert decision.case is not None
    assert decision.case.segments == {"store": "Riverside", "tier": "gold", "gift": "true"}


def test_locale_falls_back_along_the_declared_chain() -> None:
    asking = program(fallback={"be": "uk", "uk": "ru", "kk": "ru"})
    assert [asking.locale_for(wanted) for wanted in ("be-BY", "kk", "uk", "de", "ru")] == ["ru", "ru", "ru", "en", "ru"]
    assert program(fallback={"be": "uk", "uk": "be"}).locale_for("be") == "en"


def test_every_respondent_is_due_once_in_each_cadence() -> None:
    cadence = timedelta(days=7)
    days = [date(2026, 3, 1) + timedelta(days=n) for n in range(14)]
    turns = [CadenceDay.of(day, cadence=cadence) for day in days]
    for spread in (0, 1, SPREAD // 3, SPREAD - 1, spread_of("c1")):
        mine = [turn for turn in turns if turn.first <= spread < turn.last]
        assert len(mine) == 2
        assert mine[1].day - mine[0].day == cadence
        assert mine[1].period == mine[0].period + 1


def test_respondents_are_spread_evenly_over_a_cadence() -> None:
    places = [spread_of(f"customer {n}") for n in range(7000)]
    sizes = [
        sum(turn.first <= place < turn.last for place in places)
        for turn in (CadenceDay.of(date(2026, 3, 1) + timedelta(days=n), cadence=timedelta(days=7)) for n in range(7))
    ]
    assert sum(sizes) == 7000
    assert min(sizes) > 850


@pytest.mark.parametrize(
    ("done_until", "day"),
    [
        (None, date(2026, 3, 10)),
        (date(2026, 3, 9), date(2026, 3, 10)),
        (date(2026, 3, 7), date(2026, 3, 8)),
        (date(2026, 3, 10), None),
        (date(2025, 3, 10), date(2026, 3, 4)),
    ],
)
def test_missed_days_are_made_up_once_for_everybody(done_until: date | None, day: date | None) -> None:
    assert next_day(done_until, today=date(2026, 3, 10), cadence=timedelta(days=7)) == day
