# ruff: noqa: RUF001 - Russian texts
"""Our texts in messages and on the unsubscribe page, per language; the question comes from the program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from shared.contract.events import SurveyRequested
from shared.contract.labels import usable
from shared.locales import primary_language

_MAIL, _SMS = "mail.", "sms."


@dataclass(frozen=True, slots=True)
class MailTexts:
    order: str
    order_without_number: str
    service: str
    order_topic: str
    service_topic: str
    subject: str
    reminder: str
    preheader: str
    scale: str
    confirm: str
    because: str
    unsubscribe: str
    privacy: str
    text_scale: str
    text_unsubscribe: str
    call_summary: str
    crm_title: str
    crm_text: str
    ask_title: str
    ask_text: str
    choices: Mapping[str, str] = field(hash=False)  # texts are a part of the mail bodies' cache key
    done_title: str
    done_texts: Mapping[str, str] = field(hash=False)
    again: str
    again_text: str
    again_early: str
    unknown_title: str
    unknown_text: str
    test_title: str
    test_text: str
    stop_confirmed: str
    sms_text: str
    sms_stop: str
    sms_reply: str


ENGLISH = MailTexts(
    order="Your order {number} of {date}",
    order_without_number="Your order of {date}",
    service="Your service request {number} of {date}",
    order_topic="your order of {date}",
    service_topic="your service request of {date}",
    subject="{brand}: one question about {topic}",
    reminder="{brand}: a reminder, one question about {topic}",
    preheader="One question, half a minute.",
    scale="0 not at all likely · 10 certain",
    confirm="A tap opens a page where you confirm it. One question, half a minute.",
    because="You get this because you are a customer of {brand}.",
    unsubscribe="Do not ask me again",
    privacy="Privacy",
    text_scale="Answer from 0 (not at all likely) to 10 (certain):",
    text_unsubscribe="Do not ask me again:",
    call_summary="{about}. Messages sent before, without an answer: {sent}.",
    crm_title="{brand}: ask {name} one question",
    crm_text="Call {phone}.\n\n{script}\n\nEnter the answer here: {link}\n\n{summary}",
    ask_title="Do not ask me again?",
    ask_text="Choose what {brand} should no longer send.",
    choices={
        "all": "Every question: no e-mail, no text message, no call",
        "email": "Every e-mail; after another purchase, a text message or a call may still come",
        "sms": "Every text message; an e-mail or a call may still come",
        "survey": "Only questions like this one: {about}",
    },
    done_title="Done",
    done_texts={
        "all": "{brand} will not ask you again.",
        "email": "{brand} will send you no more questions by e-mail, and will not ask this one again.",
        "sms": "{brand} will send you no more text messages, and will not ask this question again.",
        "survey": "{brand} will not ask you a question like this one again.",
    },
    again="You may ask me again",
    again_text="{brand} may ask you again.",
    again_early="If you opted out a moment ago, it is not stored here yet: wait a minute and press once more.",
    unknown_title="This link does not work",
    unknown_text="It may be incomplete: copy the whole address from the message.",
    test_title="This is a test message",
    test_text="A customer would unsubscribe here. This link unsubscribes nobody.",
    stop_confirmed="You will get no more text messages from us.",
    sms_text="{brand}: {about}. One question: {link} {stop}",
    sms_stop="Stop: {link}",
    sms_reply="Reply STOP to stop",
)
_WITHOUT_WORDS = replace(ENGLISH, sms_text="{brand}: {question} {link} {stop}")  # the question is in any language
RUSSIAN = MailTexts(
    order="Ваш заказ {number} от {date}",
    order_without_number="Ваш заказ от {date}",
    service="Ваше обращение {number} от {date}",
    order_topic="о заказе от {date}",
    service_topic="об обращении от {date}",
    subject="{brand}: один вопрос {topic}",
    reminder="{brand}: напоминаем, один вопрос {topic}",
    preheader="Один вопрос, полминуты.",
    scale="0 ни за что · 10 обязательно",
    confirm="Нажатие откроет страницу, где оценку нужно подтвердить. Один вопрос, полминуты.",
    because="Вы получили это письмо, потому что вы клиент {brand}.",
    unsubscribe="Больше не спрашивать",
    privacy="О персональных данных",
    text_scale="Ответьте от 0 (ни за что) до 10 (обязательно):",
    text_unsubscribe="Больше не спрашивать:",
    call_summary="{about}. Отправлено сообщений без ответа: {sent}.",
    crm_title="{brand}: один вопрос, {name}",
    crm_text="Позвоните: {phone}.\n\n{script}\n\nОтвет внесите здесь: {link}\n\n{summary}",
    ask_title="Больше не спрашивать?",
    ask_text="Скажите, чего {brand} больше не присылать.",
    choices={
        "all": "Никаких вопросов: ни писем, ни SMS, ни звонков",
        "email": "Никаких писем; после другой покупки SMS или звонок ещё возможны",
        "sms": "Никаких SMS; письмо или звонок ещё возможны",
        "survey": "Только вопросы вроде этого: {about}",
    },
    done_title="Готово",
    done_texts={
        "all": "{brand} больше не будет вас спрашивать.",
        "email": "{brand} больше не пришлёт вам писем с вопросами и не повторит этот вопрос.",
        "sms": "{brand} больше не пришлёт вам SMS и не повторит этот вопрос.",
        "survey": "{brand} больше не задаст вам такого вопроса.",
    },
    again="Можно снова спрашивать",
    again_text="{brand} снова может вас спрашивать.",
    again_early="Если вы отказались только что, отказ ещё не дошёл сюда: подождите минуту и нажмите ещё раз.",
    unknown_title="Ссылка не работает",
    unknown_text="Возможно, она неполная: скопируйте адрес из сообщения целиком.",
    test_title="Это проверочное сообщение",
    test_text="Здесь клиент отказался бы от вопросов. Эта ссылка никого не отписывает.",
    stop_confirmed="Больше не будем присылать вам SMS.",
    sms_text="{brand}: {about}. Один вопрос: {link} {stop}",
    sms_stop="Отказ: {link}",
    sms_reply="Для отказа ответьте СТОП",
)


def texts_of(locale: str) -> MailTexts:
    return {"en": ENGLISH, "ru": RUSSIAN}.get(primary_language(locale), _WITHOUT_WORDS)


def texts_for(request: SurveyRequested) -> MailTexts:
    return _texts_with(request.locale, tuple(request.labels.items()))


@lru_cache(maxsize=512)  # a program words its messages the same for everybody
def _texts_with(locale: str, labels: tuple[tuple[str, str], ...]) -> MailTexts:
    return worded(texts_of(locale), dict(labels))


def worded(texts: MailTexts, labels: Mapping[str, str]) -> MailTexts:
    """Replace the texts that a program says itself, by its labels `mail.…` and `sms.…`."""
    if not labels:
        return texts
    ours = {name: text for name, text in usable(labels).items() if name.startswith((_MAIL, _SMS))}
    own = {name.removeprefix(_MAIL).replace(_SMS, "sms_"): text for name, text in ours.items()}
    simple = {name: text for name, text in own.items() if "." not in name}
    nested = {part: {**getattr(texts, part), **_of(part, own)} for part in ("choices", "done_texts")}
    return replace(texts, **dict[str, Any](simple), **dict[str, Any](nested))


def _of(part: str, labels: Mapping[str, str]) -> Mapping[str, str]:
    return {name.partition(".")[2]: text for name, text in labels.items() if name.startswith(f"{part}.")}


TEST_MARKS: Mapping[str, str] = {"en": "[Test]", "ru": "[Проверка]"}  # by the languages of our texts


def language_of(locale: str) -> str:
    """Return the language of our texts for a locale: `ru`, or `en` for all other languages."""
    return "ru" if primary_language(locale) == "ru" else "en"
