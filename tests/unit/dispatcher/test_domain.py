"""The rules of a chain, as tables of cases."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.dispatcher import domain
from services.dispatcher.domain import Planned, Result, SendMode, SkipReason, Step, StepState
from shared.events import Consent, Contact, PlanStep, Window
from shared.vocabulary import CallOutcome, ChannelKind, InvitationOutcome

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLIER = NOW - timedelta(hours=1)
DAYTIME = Window(start=time(9), end=time(21))


def step(number: int, state: StepState, *, days: int = 2, call_open: bool = False) -> Step:
    return Step(number, ChannelKind.EMAIL, state, EARLIER, timedelta(days=days), call_open)


@pytest.mark.parametrize("state", [StepState.SENT, StepState.UNKNOWN])
def test_next_step_waits_its_delay_after_a_contact(state: StepState) -> None:
    chain = [step(1, state), step(2, StepState.WAITING, days=3)]
    assert domain.follow(chain, 1, now=NOW) == Planned(2, NOW + timedelta(days=3))


@pytest.mark.parametrize("state", [StepState.SKIPPED, StepState.REFUSED, StepState.FAILED])
def test_next_step_takes_the_place_of_one_that_reached_nobody(state: StepState) -> None:
    chain = [step(1, state), step(3, StepState.WAITING), step(2, StepState.WAITING)]
    assert domain.follow(chain, 1, now=NOW) == Planned(2, EARLIER)


def test_chain_that_reached_nobody_ends_at_once() -> None:
    chain = [step(1, StepState.REFUSED), step(2, StepState.SKIPPED)]
    assert domain.follow(chain, 2, now=NOW) is InvitationOutcome.UNDELIVERABLE


@pytest.mark.parametrize("first", [StepState.SENT, StepState.UNKNOWN])
def test_chain_that_reached_somebody_waits_for_an_answer(first: StepState) -> None:
    assert domain.follow([step(1, first), step(2, StepState.SKIPPED)], 2, now=NOW) is None


@pytest.mark.parametrize(
    ("states", "outcome"),
    [
        ([StepState.PLANNED, StepState.WAITING], InvitationOutcome.UNDELIVERABLE),
        ([StepState.REFUSED, StepState.PLANNED], InvitationOutcome.UNDELIVERABLE),
        ([StepState.SENT, StepState.PLANNED], InvitationOutcome.EXPIRED),
        ([StepState.SENT, StepState.SKIPPED], InvitationOutcome.EXHAUSTED),
        ([StepState.UNKNOWN, StepState.SENT], InvitationOutcome.EXHAUSTED),
        ([StepState.SENT, StepState.IN_FLIGHT], InvitationOutcome.EXHAUSTED),
    ],
)
def test_outcome_at_expiry(states: list[StepState], outcome: InvitationOutcome) -> None:
    assert domain.outcome_at_expiry([step(n, state) for n, state in enumerate(states, 1)]) is outcome


@pytest.mark.parametrize(
    ("call", "last", "outcome"),
    [
        (CallOutcome.ANSWERED, StepState.SENT, InvitationOutcome.ANSWERED),
        (CallOutcome.REFUSED, StepState.WAITING, InvitationOutcome.DECLINED),
        (CallOutcome.DO_NOT_CALL, StepState.SENT, InvitationOutcome.DECLINED),
        (CallOutcome.UNREACHABLE, StepState.SENT, InvitationOutcome.EXHAUSTED),
        (CallOutcome.UNREACHABLE, StepState.PLANNED, None),
        (CallOutcome.WRONG_NUMBER, StepState.SENT, InvitationOutcome.EXHAUSTED),
        (CallOutcome.EXPIRED, StepState.SENT, InvitationOutcome.EXPIRED),
        (CallOutcome.WITHDRAWN, StepState.SENT, None),
    ],
)
def test_closed_call_ends_its_invitation(call: CallOutcome, last: StepState, outcome: InvitationOutcome | None) -> None:
    assert domain.after_call(call, [step(1, StepState.SENT), step(2, last)]) is outcome


def test_late_answer_changes_only_what_silence_ended() -> None:
    changed = {outcome for outcome in InvitationOutcome if domain.late_answer_counts(outcome)}
    assert changed == {InvitationOutcome.EXHAUSTED, InvitationOutcome.EXPIRED, InvitationOutcome.UNDELIVERABLE}


@pytest.mark.parametrize(
    ("channel", "contact", "consent", "suppressed", "reason"),
    [
        (ChannelKind.EMAIL, Contact(email="a@b.c"), Consent(email=True), False, None),
        (ChannelKind.CALL, Contact(phone="+1"), Consent(call=True), False, None),
        (ChannelKind.SMS, Contact(email="a@b.c"), Consent(sms=True), False, SkipReason.NO_ADDRESS),
        (ChannelKind.SMS, Contact(phone="+1"), Consent(sms=False), False, SkipReason.NO_CONSENT),
        (ChannelKind.SMS, Contact(phone="+1"), Consent(), False, SkipReason.NO_CONSENT),
        (ChannelKind.EMAIL, Contact(email="a@b.c"), Consent(email=True), True, SkipReason.SUPPRESSED),
    ],
)
def test_skip_reason(
    channel: ChannelKind, contact: Contact, consent: Consent, suppressed: object, reason: SkipReason | None
) -> None:
    assert domain.skip_reason(channel, contact, consent, suppressed=bool(suppressed)) is reason


def test_unknown_consent_leaves_what_was_known() -> None:
    changed = domain.merged_consent(Consent(email=True, sms=True), Consent(sms=False, call=True))
    assert changed == Consent(email=True, sms=False, call=True)


@pytest.mark.parametrize(
    ("result", "tries", "state"),
    [
        (Result.SENT, 1, StepState.SENT),
        (Result.REFUSED, 1, StepState.REFUSED),
        (Result.UNKNOWN, 1, StepState.UNKNOWN),
        (Result.NOT_STARTED, 9, StepState.PLANNED),
        (Result.NOT_ACCEPTED, 2, StepState.PLANNED),
        (Result.NOT_ACCEPTED, 3, StepState.FAILED),
    ],
)
def test_step_after_what_its_channel_said(result: Result, tries: int, state: StepState) -> None:
    assert domain.after_result(result, tries=tries, max_attempts=3) is state


def test_backoff_doubles() -> None:
    assert [domain.backoff(tries) for tries in (1, 2, 3)] == [timedelta(minutes=m) for m in (5, 10, 20)]


def test_endless_delay_stays_within_the_calendar() -> None:
    endless = PlanStep(step=1, channel=ChannelKind.EMAIL, delay_s=10**18)
    assert domain.delay_of(endless) == domain.LONGEST_DELAY


# --- contact hours


def local(zone: str, *parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("moment", "opening"),
    [
        ((2026, 3, 1, 8, 59), (2026, 3, 1, 9)),
        ((2026, 3, 1, 9), (2026, 3, 1, 9)),
        ((2026, 3, 1, 20, 59), (2026, 3, 1, 20, 59)),
        ((2026, 3, 1, 21), (2026, 3, 2, 9)),
        ((2026, 3, 29, 0, 30), (2026, 3, 29, 9)),  # the night the clock goes forward
        ((2026, 3, 28, 22), (2026, 3, 29, 9)),
        ((2026, 10, 24, 22), (2026, 10, 25, 9)),  # the night it goes back
    ],
)
def test_message_waits_for_the_respondents_hours(moment: tuple[int, ...], opening: tuple[int, ...]) -> None:
    found = domain.next_opening(local("Europe/Berlin", *moment), zone="Europe/Berlin", window=DAYTIME)
    assert found == local("Europe/Berlin", *opening)


def test_window_inside_the_missing_hour_opens_the_next_day() -> None:
    night = Window(start=time(2, 10), end=time(2, 50))
    found = domain.next_opening(local("Europe/Berlin", 2026, 3, 29, 0), zone="Europe/Berlin", window=night)
    assert found == local("Europe/Berlin", 2026, 3, 30, 2, 10)


def test_window_inside_the_repeated_hour_opens_in_both() -> None:
    night = Window(start=time(2, 30), end=time(2, 45))
    between = local("Europe/Berlin", 2026, 10, 25, 2, 50)
    found = domain.next_opening(between, zone="Europe/Berlin", window=night)
    assert found == local("Europe/Berlin", 2026, 10, 25, 2, 30, fold=1)


ZONES = ["America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe", "Europe/Moscow", "America/Sao_Paulo"]


@pytest.mark.parametrize("zone", ZONES)
def test_no_hour_of_a_year_opens_early_or_late(zone: str) -> None:
    for hours in range(0, 24 * 366, 5):
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
        opening = domain.next_opening(moment, zone=zone, window=DAYTIME)
        assert DAYTIME.start <= opening.astimezone(ZoneInfo(zone)).time() < DAYTIME.end
        assert timedelta(0) <= opening - moment <= timedelta(hours=13)


def test_no_window_means_any_hour() -> None:
    night = datetime(2026, 3, 1, 3, tzinfo=UTC)
    assert domain.next_opening(night, zone="UTC", window=None) == night


@pytest.mark.parametrize("zone", ["Nowhere/City", "", "../etc/passwd", "Europe", "x" * 300])
def test_invalid_zone_is_utc(zone: str) -> None:
    assert domain.time_zone(zone) == ZoneInfo("UTC")


def test_next_day_begins_at_midnight_utc() -> None:
    assert domain.next_day(NOW) == datetime(2026, 3, 2, tzinfo=UTC)


# --- where it goes


@pytest.mark.parametrize(
    ("mode", "address", "leaves"),
    [
        (SendMode.MAILBOX, "a@ours.test", False),
        (SendMode.ALLOWLIST, "a@OURS.test", True),
        (SendMode.ALLOWLIST, "a@theirs.test", False),
        (SendMode.ALLOWLIST, "a@notours.test", False),
        (SendMode.ALLOWLIST, "a@mail.ours.test", False),
        (SendMode.ALLOWLIST, "a@ours.test.", False),
        (SendMode.ALLOWLIST, "ours.test@theirs.test", False),
        (SendMode.ALLOWLIST, "a@+15550001", False),
        (SendMode.ALLOWLIST, "ours.test", False),
        (SendMode.ALLOWLIST, "+155500011", False),
        (SendMode.ALLOWLIST, "", False),
        (SendMode.ALLOWLIST, "+15550001", True),
        (SendMode.ALLOWLIST, "+15550002", False),
        (SendMode.LIVE, "a@theirs.test", True),
    ],
)
def test_what_may_leave_the_machine(mode: SendMode, address: str, leaves: object) -> None:
    assert domain.may_leave(mode, address, allowed=["ours.test", "+15550001"]) is leaves


# --- text messages


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("я" * 70, 1),
        ("я" * 71, 2),
        ("я" * 134, 2),
        ("я" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
        ("😀" * 66, 2),
        ("😀" * 67, 3),  # 134 units, but a pair is never parted
        ("a" * 152 + "€" + "a" * 151, 2),
        ("a" * 152 + "€" + "a" * 152, 3),  # 306 septets, but an escape is never parted from its character
    ],
)
def test_sms_segments(text: str, segments: int) -> None:
    assert domain.sms_segments(text) == segments


@pytest.mark.parametrize("word", ["question", "вопрос", "😀😀"])
def test_text_is_cut_before_its_link(word: str) -> None:
    link = "https://example.com/s/abcdefghijklmnopqrstuv.3"
    text = domain.fit_sms(" ".join([word] * 100), link)
    assert text.endswith(f"... {link}")
    assert domain.sms_segments(text) <= 2


def test_link_alone_when_no_word_fits() -> None:
    link = "https://example.com/" + "a" * 400
    assert domain.fit_sms("question", link) == link
