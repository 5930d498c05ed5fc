"""What was sent becomes an entry: each field as it is read, and what makes a form invalid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from services.scoring.domain.answer_form import MAX_TEXT, Submission, bot_signals, clean, read_form, score_of
from services.scoring.domain.answers import Entry
from services.scoring.domain.bot_detection import BotSignals, Device
from services.scoring.domain.calls import BestTime, Callback
from services.scoring.domain.history import ImportedScore, PublishedProgram, invitation_of
from services.scoring.domain.invitations import ResolvedLink

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
INVITATION = invitation_of(ImportedScore("1", 9, NOW), PublishedProgram("shop", 1, "Shop", "UTC"), known=set())
ASKED = replace(INVITATION, content=INVITATION.content.model_copy(update={"call_back": True}), locale="ru")
SECOND_PAGE = [("comment", "")]


def read(*fields: tuple[str, str], resolved: ResolvedLink | None = None) -> Entry | None:
    submission = Submission(b"hash", NOW, step=2, fields=fields, user_agent=BROWSER, device=Device.DESKTOP)
    return read_form(submission, resolved or ResolvedLink(ASKED, links=1, soon=False))


def entry(*fields: tuple[str, str]) -> Entry:
    found = read(*fields)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "score"),
    [
        *((str(number), number) for number in range(11)),
        *((text, None) for text in ("", "11", "-1", "010", "9 ", "9\n", "٣", "10.0", "x")),
    ],
)
def test_score_is_a_whole_number_from_0_to_10(text: str, score: int | None) -> None:
    assert score_of(text) == score


def test_first_page_holds_the_score_alone() -> None:
    found = entry(("score", "9"), ("reasons", "taste"), ("extra.visit", "first"))
    assert (found.score, found.reasons, found.comment, found.extra, found.callback) == (9, None, None, {}, None)


def test_entry_knows_where_it_came_from() -> None:
    found = entry(("score", "9"))
    assert (found.invitation_id, found.at, found.step, found.device) == (ASKED.id, NOW, 2, Device.DESKTOP)
    assert isinstance(found.invitation_id, UUID)


def test_second_page_needs_no_score() -> None:
    assert entry(*SECOND_PAGE).score is None


def test_every_ticked_reason_is_read_in_order() -> None:
    assert entry(*SECOND_PAGE, ("reasons", "wait"), ("reasons", "price")).reasons == ("wait", "price")


def test_no_ticked_reason_is_none_of_them() -> None:
    assert entry(*SECOND_PAGE).reasons == ()


def test_extra_questions_are_read_by_their_names() -> None:
    assert entry(*SECOND_PAGE, ("extra.visit", "first\x00"), ("other", "x")).extra == {"visit": "first"}


def test_of_a_repeated_field_the_last_counts() -> None:
    assert entry(("score", "3"), ("score", "9")).score == 9


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("line\r\nnext\tcell", "line\nnext\tcell"),
        ("a\rb", "ab"),
        ("nul\x00, bell\x07, delete\x7f", "nul, bell, delete"),
        ("half \ud83d of a pair", "half  of a pair"),
        ("Привет 👋", "Привет 👋"),
    ],
)
def test_text_is_cleaned_of_what_cannot_be_stored(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned
    assert entry(("comment", text)).comment == cleaned


def test_text_of_the_greatest_length_is_read() -> None:
    assert entry(("comment", "x" * MAX_TEXT)).comment == "x" * MAX_TEXT


@pytest.mark.parametrize(
    "fields",
    [
        [("score", "11")],
        [("score", "")],
        [("comment", ""), ("score", "good")],
        [("comment", "x" * (MAX_TEXT + 1))],
        [("comment", ""), ("extra.visit", "x" * (MAX_TEXT + 1))],
        [("comment", ""), ("best_time", "midnight"), ("callback", "on")],
        [("comment", ""), ("best_time", ""), ("phone", "+7 916 123-45-67")],
    ],
)
def test_form_with_an_invalid_field_is_none(fields: list[tuple[str, str]]) -> None:
    assert read(*fields) is None


@pytest.mark.parametrize(
    ("fields", "callback"),
    [
        ([], None),
        ([("callback", "on"), ("phone", "+79161234567")], None),
        ([("best_time", "any")], Callback(wanted=False)),
        ([("best_time", "any"), ("phone", "  ")], Callback(wanted=False)),
        ([("best_time", "midnight")], Callback(wanted=False)),
        ([("best_time", "any"), ("callback", "on")], Callback(wanted=True)),
        ([("best_time", "morning"), ("phone", "8 (916) 123-45-67")], Callback(True, "+79161234567", BestTime.MORNING)),
        ([("best_time", "any"), ("phone", "call me")], Callback(True, "call me", dialable=False)),
    ],
)
def test_call_back_is_read_with_number_and_time(fields: list[tuple[str, str]], callback: Callback | None) -> None:
    assert entry(*SECOND_PAGE, *fields).callback == callback


def test_call_back_that_is_not_offered_is_not_read() -> None:
    found = read(*SECOND_PAGE, ("best_time", "midnight"), resolved=ResolvedLink(INVITATION, links=0, soon=False))
    assert found is not None
    assert found.callback is None


@pytest.mark.parametrize(
    ("shown", "dwell"),
    [
        (str(int(NOW.timestamp() * 1000) - 1500), timedelta(milliseconds=1500)),
        ("0", NOW - datetime(1970, 1, 1, tzinfo=UTC)),
        ("", None),
        ("-1", None),
        ("1" * 15, None),
        ("soon", None),
    ],
)
def test_dwell_is_the_time_since_the_form_was_shown(shown: str, dwell: timedelta | None) -> None:
    found = entry(("score", "9"), ("shown", shown)).signals
    assert found is not None
    assert found.dwell == dwell


@pytest.mark.parametrize(
    ("form", "user_agent", "signals"),
    [
        ({}, BROWSER, BotSignals(browser=True, links=2, soon=True)),
        ({}, "", BotSignals(links=2, soon=True)),
        ({"trap": ""}, "curl/8.5.0", BotSignals(trapped=True, links=2, soon=True)),
        ({}, "Googlebot/2.1", BotSignals(crawler=True, links=2, soon=True)),
    ],
)
def test_signals_tell_trap_crawler_and_browser(form: dict[str, str], user_agent: str, signals: BotSignals) -> None:
    resolved = ResolvedLink(ASKED, links=2, soon=True)
    assert bot_signals(form, resolved, user_agent=user_agent, at=NOW) == signals
