"""Text messages are filled in and shortened; the prices of their parts."""

from __future__ import annotations

from decimal import Decimal

import pytest

from services.dispatcher.domain.sms_prices import SmsPrice, read_price
from services.dispatcher.messages.sms_text import fit_sms
from shared.contract.sms import sms_segments

LINK = "https://example.com/s/abcdefghijklmnopqrstuv.3"


@pytest.mark.parametrize("word", ["question", "вопрос", "😀😀"])
def test_question_is_cut_before_the_links(word: str) -> None:
    values = {"brand": "Kofe", "question": " ".join([word] * 100), "link": LINK, "stop": f"Stop: {LINK}"}
    text = fit_sms("{brand}: {question} {link} {stop}", values)
    assert text.startswith("Kofe: ")
    assert text.endswith(f"... {LINK} Stop: {LINK}")
    assert sms_segments(text) <= 3
    assert sms_segments(text.replace("...", f" {word}...")) == 4, "no more is cut than must be"


def test_other_words_are_cut_when_the_question_is_gone() -> None:
    values = {"brand": "Kofe", "question": "why", "about": "order " * 90, "link": LINK}
    text = fit_sms("{brand}: {about} {question} {link}", values)
    assert text.startswith("Kofe: order order")
    assert text.endswith(f"... {LINK}")
    assert "why" not in text


def test_link_alone_when_no_word_fits() -> None:
    link = "https://example.com/" + "a" * 600
    assert fit_sms("{question} {link} {stop}", {"question": "question", "link": link, "stop": ""}) == link


def test_values_are_not_filled_in_again() -> None:
    assert fit_sms("{brand} {link}", {"brand": "{link}", "link": "x"}) == "{link} x"


def test_price_of_a_message_is_that_of_its_parts() -> None:
    assert read_price("4.10 RUB").of(3) == SmsPrice(Decimal("12.30"), "RUB")
    assert str(read_price("4.10 RUB")) == "4.10 RUB"


@pytest.mark.parametrize("text", ["", "4.10", "RUB 4.10", "4,10 RUB", "-1 RUB", "nan RUB", "1e9 RUB", "4.10 rub"])
def test_what_is_no_price_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"such as RU:4\.10 RUB"):
        read_price(text)
