"""Program documents: defaults, and the errors of invalid ones."""

from __future__ import annotations

import json
from datetime import time, timedelta

import pytest

from services.trigger.domain.programs.document import ProgramDocument
from services.trigger.domain.programs.program import CompiledProgram, by_priority, compile_program
from services.trigger.domain.programs.reading import InvalidProgram, read_program
from shared.contract.events import CallRetry, Window
from shared.contract.vocabulary import ChannelKind, UnansweredCall

SHORTEST = "id: shop\nbrand: {name: Shop}\nstarts_on: [crm.purchase.completed]\n"


def program(written: str = "", *, version: int = 1) -> CompiledProgram:
    return compile_program(version, read_program((SHORTEST + written).encode()))


def problems(written: str | bytes) -> dict[str, str]:
    with pytest.raises(InvalidProgram) as caught:
        read_program(written if isinstance(written, bytes) else written.encode())
    return {mistake.where: mistake.what for mistake in caught.value.mistakes}


def test_omitted_fields_have_defaults() -> None:
    document = program().document
    assert (document.max_age, document.quarantine) == (timedelta(days=7), timedelta(days=90))
    assert document.assume_consent == [ChannelKind.EMAIL]
    assert [(step.channel.value, step.after.days) for step in document.plan] == [
        ("email", 0),
        ("email", 3),
        ("sms", 2),
        ("call", 2),
    ]
    mail = Window(start=time(8), end=time(21))
    assert [step.window for step in document.plan] == [mail, mail, Window(), Window()]
    assert document.texts["en"].question == "How likely are you to recommend us to a friend or colleague?"
    assert document.texts["ru"].question == "Какова вероятность того, что вы порекомендуете нас другу или коллеге?"


def test_anonymous_program_calls_nobody() -> None:
    document = program("anonymous: true").document
    assert [step.channel.value for step in document.plan] == ["email", "email", "sms"]
    assert not document.call_back
    assert ProgramDocument.model_validate_json(document.model_dump_json()) == document


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("plan: [{channel: call}]", "plan: an anonymous survey goes by email or sms"),
        ("plan: [{channel: link}, {channel: sms}]", "plan: an anonymous survey goes by email or sms"),
        ("call_back: true", "call_back: an anonymous answer has nobody to call back"),
        ("segments: [store, customer.attributes.age]", "segments: customer.attributes.age may tell who answered"),
    ],
)
def test_anonymous_program_is_refused_what_tells_who_answered(written: str, problem: str) -> None:
    [(where, what)] = problems(f"{SHORTEST}anonymous: true\n{written}").items()
    assert f"{where}: {what}".startswith(problem)


def test_holidays_are_those_of_a_country_or_a_part_of_one() -> None:
    steps = program("plan: [{channel: call, holidays: RU}, {channel: call, holidays: US-CA}]").document.plan
    assert [step.holidays for step in steps] == ["RU", "US-CA"]


def test_window_may_be_set_or_removed() -> None:
    email = '{channel: email, window: {start: 10:00, end: "21:30"}}, {channel: email, window: null}, {channel: link}'
    windows = [step.window for step in program(f"plan: [{{channel: sms, window: null}}, {email}]").document.plan]
    assert windows == [None, Window(start=time(10), end=time(21, 30)), None, None]


@pytest.mark.parametrize(
    ("written", "duration", "normal"),
    [
        ("0", timedelta(), "0d"),
        ("90m", timedelta(minutes=90), "90m"),
        ("120m", timedelta(hours=2), "2h"),
        ("2 h", timedelta(hours=2), "2h"),
        ("3d", timedelta(days=3), "3d"),
        ("2w", timedelta(days=14), "14d"),
        ("45s", timedelta(seconds=45), "45s"),
    ],
)
def test_duration(written: str, duration: timedelta, normal: str) -> None:
    document = program(f"delay: {written}").document
    assert document.delay == duration
    assert document.model_dump(mode="json")["delay"] == normal


def test_stored_document_reads_back_the_same() -> None:
    document = program("conditions: {not: {field: order.amount, operator: between, value: [1, 2.5]}}").document
    stored = document.model_dump_json()
    assert ProgramDocument.model_validate_json(stored) == document
    assert read_program(stored.encode()) == document


def test_json_and_words_that_look_like_something_else_are_read() -> None:
    document = read_program(
        json.dumps({"id": "a", "title": "🙂", "brand": {"name": "no"}, "starts_on": ["crm.service.completed"]}).encode()
    )
    assert document.title == "🙂"
    assert program("title: no").document.title == "no"
    assert read_program(b"{id: a, brand: {name: x}, starts_on: [crm.service.completed]}").id == "a"


@pytest.mark.parametrize(
    ("written", "where", "what"),
    [
        (SHORTEST + "delay: soon", "delay", "such as 90m, 2h, 3d or 2w"),
        (SHORTEST + "delay: 4000d", "delay", "less than or equal"),
        (SHORTEST + "expires_after: 0", "expires_after", "greater than"),
        (SHORTEST + "time_zone: Mars", "time_zone", "Europe/Moscow"),
        (SHORTEST + "default_locale: de", "default_locale", "texts has no de, only en, ru"),
        (SHORTEST + "texts: {de: {thanks: {}}}", "texts.de.question", "Field required"),
        (SHORTEST + "texts: {en: words}", "texts.en", "expected fields with their values"),
        (SHORTEST + "texts: words", "texts", "expected fields with their values"),
        (
            SHORTEST + "texts: {en: {labels: {sms.text: '{brand}'}}}",
            "texts.en.labels",
            "sms.text: {link} is missing",
        ),
        (
            SHORTEST + "texts: {en: {labels: {call.script: 'Hello, {nme}'}}}",
            "texts.en.labels",
            "no such placeholder as {nme}; there are {about}, {brand}, {date}, {first_name}, {number}, {operator}",
        ),
        (
            SHORTEST + "texts: {en: {labels: {call.notice: 'Recorded {'}}}",
            "texts.en.labels",
            "call.notice: a brace that is not part of a placeholder",
        ),
        (
            SHORTEST + "texts: {en: {labels: {sms.text: '{lnk}'}}}",
            "texts.en.labels",
            "sms.text: no such placeholder as {lnk}",
        ),
        ("brand: {name: Shop, sms_sender: Магазин}", "brand.sms_sender", "Latin letters"),
        ("brand: {name: Shop, sms_senders: {ru: TheGreatShop}}", "brand.sms_senders.ru", "has at most 11"),
        (
            "id: shop\nstarts_on: [crm.purchase.completed]\nbrand: {name: Shop, sms_senders: {de: Laden}}",
            "brand",
            "sms_senders: texts has no de, only en, ru",
        ),
        (SHORTEST + "calls: {priority: 1001}", "calls.priority", "less than or equal"),
        (
            SHORTEST + "calls: {rules: [{name: a, priority: 1, conditions: {field: order.amont}}]}",
            "calls.rules.0.conditions.field",
            "did you mean order.amount",
        ),
        (SHORTEST + "plan: []", "plan", "at least 1"),
        (SHORTEST + "plan: [words]", "plan.0", "expected fields with their values"),
        (SHORTEST + "plan: [{channel: fax}]", "plan.0.channel", "'email', 'sms', 'call' or 'link'"),
        (SHORTEST + "conditions: {all: [{field: order.x, value: 1}]}", "conditions.all.0.field", "order.amount"),
        (SHORTEST + "colour: red", "colour", "no such field; docs/programs.md lists them all"),
        (SHORTEST + "delay_form: delivery", "delay_form", "no such field; did you mean delay_from?"),
        (
            SHORTEST + "conditions: [{field: order.amount, value: 5}]",
            "conditions",
            "expected fields with their values",
        ),
        (SHORTEST + "plan: [email]", "plan.0", "expected fields with their values"),
        ("id: Shop", "id", "match pattern"),
        ("id: shop", "brand", "Field required"),
        ("id: shop\nbrand: {name: Shop}", "starts_on", "expected either"),
        ("a: b: c", "document", "not allowed here"),
        (b"\xff", "document", "cannot be read as YAML"),
        ("id: \x07", "document", "cannot be read as YAML"),
        ("id: &a x\nbrand: *a", "document", "aliases are not allowed"),
        ("- id", "document", "expected fields with their values"),
        ("", "document", "expected fields with their values"),
        ("[" * 50_000, "document", "nested too deeply"),
        ("#" * 100_001, "document", "at most 100000"),
    ],
)
def test_wrong_document_names_the_place_and_what_would_be_right(written: str | bytes, where: str, what: str) -> None:
    assert what in problems(written)[where]


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (SHORTEST + "delay: soon", 4),
        (SHORTEST + "plan:\n  - channel: email\n  - channel: fax", 6),
        (SHORTEST + "conditions:\n  all:\n    - {field: order.x, value: 1}", 6),
        (SHORTEST + "default_locale: de", 4),
        (SHORTEST + "texts:\n  de:\n    thanks: {}", 5),
        (SHORTEST + "title: a: b", 4),
        (SHORTEST + "texts:\n  en:\n    labels:\n      sms.text: '{brand}'", 6),
        ("id: shop\nbrand:\n  name: Shop\n  sms_sender: Магазин", 4),
        ('{\n"id": "Shop"\n}', 2),
        ("id: shop", None),
    ],
)
def test_mistake_names_its_line(written: str, line: int | None) -> None:
    with pytest.raises(InvalidProgram) as caught:
        read_program(written.encode())
    assert caught.value.mistakes[0].line == line


@pytest.mark.parametrize(
    ("written", "where", "what"),
    [
        ("cadence: 36h", "starts_on", "expected either"),
        ("sample: 120%", "sample", "less than or equal to 1"),
        ("holdout: some", "holdout", "such as 25% or 0.25"),
        ("caps: [{name: a, days: 1, scope: group}]", "caps", "needs the program to have a group"),
        ("caps: [{name: a, days: 1}, {name: a, days: 2}]", "caps", "the name a is used twice"),
        ("quotas: [{name: a, limit: 1, by: planet}]", "quotas", "no segment planet, only store"),
        ("fallback: {kk: tr}", "fallback", "texts has no tr"),
        ("plan: [{channel: call, holidays: XX}]", "plan.0.holidays", "such as RU or DE"),
        ("plan: [{channel: call, holidays: DE-XX}]", "plan.0.holidays", "such as US-CA"),
        ("segments: [{name: age, field: customer.age}]", "segments.0.field", "no such field"),
        ("segments: [{name: age, field: order.amount, ranges: [5, 1]}]", "segments.0", "ranges: expected rising"),
        ("target: 101", "target", "less than or equal to 100"),
    ],
)
def test_setting_that_cannot_work_is_refused(written: str, where: str, what: str) -> None:
    assert what in problems(SHORTEST + written)[where]


def test_mistakes_come_in_the_order_of_their_lines() -> None:
    with pytest.raises(InvalidProgram) as refused:
        read_program(b"priority: high\nid: shop\ncolour: red\nbrand: {name: Shop}\nactive: perhaps\n")
    assert [mistake.line for mistake in refused.value.mistakes] == [1, 3, 5]


def test_list_too_long_is_refused_with_the_limit() -> None:
    written = f"conditions: {{field: touchpoint.store, operator: in, value: [{', '.join(['a'] * 1001)}]}}"
    assert "at most 1000" in str(problems(SHORTEST + written))


def test_cadence_is_whole_days_and_its_quarantine_a_day_shorter() -> None:
    relational = SHORTEST.replace("starts_on: [crm.purchase.completed]", "cadence: 90d")
    assert read_program(relational.encode()).quarantine == timedelta(days=89)
    assert "whole days" in problems(relational.replace("90d", "36h"))["cadence"]
    assert "only a purchase is delivered" in problems(relational + "delay_from: delivery")["delay_from"]
    follow_up = read_program(SHORTEST.replace("crm.purchase.completed", "survey.answered").encode())
    assert follow_up.quarantine == timedelta()


def test_conditions_are_bounded() -> None:
    leaf = "{field: order.amount, value: 1}"
    assert "at most 200" in problems(f"{SHORTEST}conditions: {{all: [{', '.join([leaf] * 201)}]}}")["conditions"]
    assert "10 levels" in problems(f"{SHORTEST}conditions: {'{not: ' * 10}{leaf}{'}' * 10}")["conditions"]


def test_retries_of_a_call_go_into_the_plan_and_others_have_defaults() -> None:
    call = "{channel: call, max_attempts: 6, retries: {no_answer: {after: 4h, limit: 3}, machine: {after: 1d}}}"
    found = program(f"plan: [{call}]")
    assert found.plan[0].retries == {
        UnansweredCall.NO_ANSWER: CallRetry(after_s=14_400, limit=3),
        UnansweredCall.MACHINE: CallRetry(after_s=86_400),
    }
    assert {outcome: each.retry.after_s for outcome, each in found.document.plan[0].all_retries.items()} == {
        "no_answer": 14_400,
        "busy": 900,
        "machine": 86_400,
    }
    assert program("plan: [{channel: call}]").plan[0].retries == {}
    assert ProgramDocument.model_validate_json(found.document.model_dump_json()) == found.document


@pytest.mark.parametrize(
    ("step", "where", "why"),
    [
        ("channel: sms, retries: {busy: {after: 1h}}", "plan.0", "only a call has them"),
        ("channel: call, retries: {busy: {after: 1h, limit: 4}}", "plan.0", "more than the 3 of max_attempts"),
        ("channel: call, retries: {busy: {after: 59s}}", "plan.0.retries.busy.after", "greater than or equal"),
        ("channel: call, retries: {busy: {after: 15d}}", "plan.0.retries.busy.after", "less than or equal"),
        ("channel: call, retries: {busy: {limit: 1}}", "plan.0.retries.busy.after", "required"),
        ("channel: call, retries: {busy: {after: 1h, limit: 0}}", "plan.0.retries.busy.limit", "greater than or equal"),
        ("channel: call, retries: {refused: {after: 1h}}", "plan.0.retries.refused", "no_answer"),
    ],
)
def test_retries_that_are_not_valid_are_named(step: str, where: str, why: str) -> None:
    found = problems(f"{SHORTEST}plan: [{{{step}}}]")
    assert [(place, why in what) for place, what in found.items() if place.startswith(where)] == [
        (next(iter(found)), True)
    ], found


@pytest.mark.parametrize(
    ("wanted", "locale"),
    [("ru", "ru"), ("ru-RU", "ru"), ("RU_ru", "ru"), ("pt-BR", "pt-BR"), ("pt", "en"), ("de", "en"), (None, "en")],
)
def test_nearest_locale_with_texts_is_chosen(wanted: str | None, locale: str) -> None:
    assert program("texts: {en: {}, ru: {}, pt-BR: {question: Sim}}").locale_for(wanted) == locale


def test_programs_are_tried_by_priority_and_only_active_ones() -> None:
    documents = [("a", 0, True), ("b", 5, True), ("c", 9, False), ("d", 5, True)]
    shop = program().document
    programs = {
        name: compile_program(1, shop.model_copy(update={"id": name, "priority": priority, "active": active}))
        for name, priority, active in documents
    }
    assert [found.id for found in by_priority(programs)] == ["b", "d", "a"]


def test_labels_word_buttons_and_small_print() -> None:
    labels = (
        "    labels: {send: Absenden, order: 'Ihre Bestellung {number}vom {date}', mail.unsubscribe: Nicht mehr fragen}"
    )
    texts = f"default_locale: de\ntexts:\n  de:\n    question: Empfehlen Sie uns weiter?\n{labels}\n"
    assert program(texts).document.texts["de"].labels["send"] == "Absenden"


@pytest.mark.parametrize(
    ("label", "why"),
    [("sennd: x", "no such label as sennd; did you mean send?"), ("send: '{brand}'", "no such placeholder as {brand}")],
)
def test_label_that_is_not_valid_is_named(label: str, why: str) -> None:
    texts = f"default_locale: de\ntexts: {{de: {{question: Empfehlen Sie uns weiter, labels: {{{label}}}}}}}\n"
    (found,) = problems(SHORTEST + texts).values()
    assert why in found
