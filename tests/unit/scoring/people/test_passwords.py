"""Which passwords are taken."""

from __future__ import annotations

import pytest

from services.scoring.domain.people.passwords import WeakPassword, check_password

KNOWN = ["olga", "Olga", "Petrova", "Ольга", "Riverside", "Отзыв о заказе"]


@pytest.mark.parametrize(
    "password",
    [
        "correcthorsebatterystaple",
        "Correct Horse Battery Staple 7",
        "thequickbrownfox",
        "to be or not to be, that is",
        "В лесу родилась елочка",
        "d ktce hjlbkfcm tkjxrf",  # the same in the Latin letters of its keys
        "мой пароль 123456",
        "olga petrova olga",
        "ОльгаОльгаОльга 1985",
        "Riverside2026!!",
        "Riverside-riverside 2026",
        "отзыв о заказе 2026",
        "earshot earshot 77",
        "passwordpassword",
        "Winter2026Winter2026!",
        "Зима2026-Зима2026-Зима",
        "Владивосток-2026",
        "йцукенгшщзхъфыва",
        "пароль1234567890",
        "солнышкосолнышко",
        "jumpsoverthelazydog1",  # in the midst of a sentence
        "itwasthebestoftimes",
        "itwasthebestoftimes 2026!",
        "xelyjtvuyjdtymt 77",
        "ghbdtngfhjkm2026",  # two words and a year, in the keys of the other alphabet
        "приветпароль2026",
        "любимаякошка2026",
        "k.,bvfzrjirf2026",
        "ыгььукрщдшвфн2026",
        "summerholiday2026",
        "aaaaaaaaaaaaaaaaaaaa",
        "qwertyuiop[]asdf",
        "1-2-3-4-5-6-7-8-9",
        "q-w-e-r-t-y-u-i-o-p",
        "admin-password-2026",
        "пароль-админ-2026",
        "summer-winter-2026",
    ],
)
def test_password_that_many_would_try_is_refused(password: str) -> None:
    with pytest.raises(WeakPassword):
        check_password(password, known=KNOWN)


@pytest.mark.parametrize(
    "password",
    [
        "velvet harbour tidy comet",
        "the cat and the dog and the cow",
        "на кухне й кофе ё чай",
        "корова лампа сорок туман",
        "x#9$kQ!2&vR*7@p",
        "olgas velvet harbour comet",
        "вельветовая гавань комета",
        "question of velvet harbours",
        "ein müder Fußgänger " * 2 + "trägt viele Straußenfedern über die große Brücke nach Hause",  # ß has two keys
    ],
)
def test_password_of_words_that_do_not_belong_together_is_taken(password: str) -> None:
    check_password(password, known=KNOWN)
