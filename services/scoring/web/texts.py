"""Texts of the pages respondents see, by language; question, reasons and thanks are the brand's, from the request."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from services.scoring.domain.invitations import Invitation
from shared.contract.labels import usable
from shared.locales import day_in, first_tag, language_tag, plural_form, primary_language
from shared.zones import time_zone

_EN = {
    "title": "One question",
    "order": "Your order {number}of {date}",
    "service": "Your service {number}of {date}",
    "lowest": "0 not at all likely",
    "highest": "10 certain",
    "send": "Send",
    "after": "One tap more if you like: after sending you can say why. You can change your answer until {date}.",
    "readers": "{brand} reads your answer together with your name.",
    "anonymous": "Your answer is anonymous: {brand} reads it without your name and cannot see who gave it.",
    "privacy": "Privacy",
    "stop": "Do not ask me again",
    "saved": "Thanks, your answer {score} is saved.",
    "given": "Your answer so far is {score}. Send another to change it.",
    "doubted": "A mail program may have opened this link and left a score. It does not count: please choose yours.",
    "change": "Change",
    "why_promoter": "What did you like most?",
    "why_other": "What should we mend first?",
    "comment": "Tell us more (optional)",
    "more_one": "{n} more question, if you like:",
    "more_other": "{n} more questions, if you like:",
    "callback_title": "Shall we talk?",
    "callback": "Call me back at {number}",
    "callback_to": "Call me back",
    "number": "Phone number",
    "other_number": "Another number",
    "number_wrong": "This is no phone number we can call. Correct it (+…) and send again: all the rest is still here.",
    "number_missing": "Which number shall we call? Write it and send again: all the rest is as you wrote it.",
    "best_time": "Best time",
    "time_any": "Any time",
    "time_morning": "Morning",
    "time_afternoon": "Afternoon",
    "time_evening": "Evening",
    "callback_stopped": "You asked us to send you no more surveys, and we send none. "
    "If you ask for a call, we call you about this answer.",
    "callback_noted": "We will call you back.",
    "review_text": "Would you tell others, too? It takes a minute.",
    "review": "Write a review",
    "quote_title": "May we quote you?",
    "quote_text": "{brand} may show others what you wrote in the comment. "
    "You can take this back by this link at any time.",
    "quote_yes": "Yes, my words may be quoted",
    "quote_nobody": "Without a name",
    "quote_first": "As {name}",
    "quote_own": "By another name:",
    "quote_save": "Save",
    "quote_wrong": "Write a name of at most 60 letters, without address, number or site: all the rest is still here.",
    "quote_nothing": "There is nothing to quote: write a comment first.",
    "quote_saved": "Your words may be quoted.",
    "quote_withdraw": "Do not quote me any more",
    "quote_withdrawn": "Your words are not quoted.",
    "busy": "One moment, please",
    "busy_text": "This page was opened very often just now. Wait {seconds} seconds and try again.",
    "hello": "Hello, this is {brand}. {about}. One question, it takes a minute:",
    "hello_back": "Hello, this is {brand}. You asked us to call you back.",
    "thanks": "Thank you",
    "change_until": "You can change your answer until {date}.",
    "moment": "One moment",
    "moment_text": "We are looking for your survey. This page tries again by itself in a few seconds.",
    "unknown": "This link does not work",
    "unknown_text": "Perhaps part of it was lost when it was copied: please open it from the message you got. "
    "If we asked you some time ago, that survey is over. Thank you for coming.",
    "test": "This is a test message",
    "test_text": "A customer would answer here. This link asks nobody, and nothing is counted.",
    "withdrawn": "This survey was withdrawn",
    "withdrawn_text": "There is nothing to answer any more. Thank you for coming.",
    "expired": "This survey is over",
    "expired_text": "Answers were taken until {date}. Thank you for coming.",
    "expired_saved": "Your answer {score} is saved. Thank you.",
    "invalid": "Your answer was not understood",
    "invalid_text": "Please choose a number from 0 to 10 and send it again. A comment has room for 4000 characters.",
    "too_long": "Your text is too long: there is room for 4000 characters. Shorten it and send again: nothing is lost.",
    "back": "Back to the question",
    "unsent": "Not sent yet: there is no connection. What you wrote is kept here: send it again.",
    "stop_title": "Shall we stop asking you?",
    "stop_text": "{brand} will not send you surveys any more, by any channel.",
    "stop_yes": "Do not ask me again",
    "stop_sure": "I am a person, and I am sure",
    "stopped": "We will not ask you again",
    "stopped_text": "{brand} sends you no more surveys, by any channel. "
    "It may take a few minutes until every part of our system knows.",
    "stopped_back": "You may ask me again",
    "stopped_answer": "Answer this survey all the same",
}
_RU = {
    "title": "Один вопрос",
    "order": "Ваш заказ {number}от {date}",
    "service": "Ваше обращение {number}от {date}",
    "lowest": "0 ни за что",
    "highest": "10 обязательно",
    "send": "Отправить",
    "after": "После отправки можно одним касанием сказать почему. Изменить ответ можно до {date}.",
    "readers": "Ваш ответ вместе с вашим именем прочтёт {brand}.",  # noqa: RUF001 - Cyrillic it is
    "anonymous": "Ваш ответ анонимный: {brand} прочтёт его без вашего имени и не увидит, кто его дал.",  # noqa: RUF001 - Cyrillic it is
    "privacy": "Конфиденциальность",
    "stop": "Больше не спрашивать",
    "saved": "Спасибо, ваша оценка {score} сохранена.",
    "given": "Ваша оценка сейчас: {score}. Отправьте другую, чтобы её изменить.",
    "doubted": "Возможно, эту ссылку открыла почтовая программа и оставила оценку. "
    "Она не учитывается: поставьте, пожалуйста, свою.",
    "change": "Изменить",
    "why_promoter": "Что понравилось больше всего?",
    "why_other": "Что нам исправить в первую очередь?",
    "comment": "Расскажите подробнее (необязательно)",
    "more_one": "Ещё {n} вопрос, если хотите:",
    "more_few": "Ещё {n} вопроса, если хотите:",
    "more_many": "Ещё {n} вопросов, если хотите:",
    "more_other": "Ещё {n} вопроса, если хотите:",
    "callback_title": "Поговорим?",
    "callback": "Перезвоните мне: {number}",
    "callback_to": "Перезвоните мне",
    "number": "Номер телефона",
    "other_number": "Другой номер",
    "number_wrong": "По этому номеру мы не сможем позвонить. Исправьте (+…) и отправьте ещё раз: остальное на месте.",
    "number_missing": "По какому номеру позвонить? Впишите его и отправьте ещё раз: остальное на месте.",  # noqa: RUF001 - Cyrillic it is
    "best_time": "Когда удобно",
    "time_any": "В любое время",  # noqa: RUF001 - Cyrillic it is
    "time_morning": "Утром",
    "time_afternoon": "Днём",
    "time_evening": "Вечером",
    "callback_stopped": "Вы просили больше не присылать опросы, и мы их не пришлём. "
    "Если попросите перезвонить, мы позвоним вам по этому ответу.",
    "callback_noted": "Мы вам перезвоним.",
    "review_text": "Расскажете и другим? Это займёт минуту.",
    "review": "Оставить отзыв",
    "quote_title": "Можно вас процитировать?",
    "quote_text": "{brand} сможет показать другим то, что вы написали в комментарии. "
    "Передумать можно в любое время по этой же ссылке.",
    "quote_yes": "Да, мои слова можно цитировать",
    "quote_nobody": "Без имени",
    "quote_first": "Под именем {name}",
    "quote_own": "Под другим именем:",
    "quote_save": "Сохранить",
    "quote_wrong": "Впишите имя до 60 букв, без адреса, номера и сайта: остальное на месте.",
    "quote_nothing": "Цитировать пока нечего: сначала напишите комментарий.",
    "quote_saved": "Ваши слова можно цитировать.",
    "quote_withdraw": "Больше не цитировать меня",
    "quote_withdrawn": "Ваши слова не цитируются.",
    "busy": "Минуту, пожалуйста",
    "busy_text": "Эту страницу только что открывали очень часто. Попробуйте через {seconds} с.",  # noqa: RUF001 - Cyrillic it is
    "hello": "Здравствуйте, это {brand}. {about}. Один вопрос, всего на минуту:",
    "hello_back": "Здравствуйте, это {brand}. Вы просили вам перезвонить.",
    "thanks": "Спасибо",
    "change_until": "Изменить ответ можно до {date}.",
    "moment": "Одну минуту",
    "moment_text": "Ищем ваш опрос. Через несколько секунд страница попробует ещё раз сама.",
    "unknown": "Ссылка не работает",
    "unknown_text": "Возможно, часть её потерялась при копировании: откройте её, пожалуйста, из нашего сообщения. "
    "Если мы спрашивали вас давно, тот опрос уже завершён. Спасибо, что зашли.",
    "test": "Это проверочное сообщение",
    "test_text": "Здесь отвечал бы клиент. Эта ссылка никого не спрашивает и ничего не считает.",
    "withdrawn": "Опрос отозван",
    "withdrawn_text": "Отвечать больше не нужно. Спасибо, что зашли.",
    "expired": "Опрос завершён",
    "expired_text": "Ответы принимались до {date}. Спасибо, что зашли.",
    "expired_saved": "Ваша оценка {score} сохранена. Спасибо.",
    "invalid": "Мы не поняли ответ",
    "invalid_text": "Выберите число от 0 до 10 и отправьте ещё раз. Комментарий вмещает 4000 знаков.",
    "too_long": "Слишком длинно: помещается 4000 знаков. Сократите и отправьте ещё раз: всё на месте.",
    "back": "Вернуться к вопросу",
    "unsent": "Пока не отправлено: нет связи. Всё написанное на месте: отправьте ещё раз.",
    "stop_title": "Больше не спрашивать вас?",
    "stop_text": "{brand} больше не будет присылать вам опросы ни по одному каналу.",
    "stop_yes": "Больше не спрашивать",
    "stop_sure": "Я человек и решил точно",
    "stopped": "Мы больше не будем спрашивать",
    "stopped_text": "{brand} не будет присылать вам опросы ни по одному каналу. "
    "Через несколько минут об этом узнают все части нашей системы.",  # noqa: RUF001 - Cyrillic it is
    "stopped_back": "Можно снова спрашивать",
    "stopped_answer": "Всё же ответить на этот опрос",
}
LANGUAGES: Mapping[str, Mapping[str, str]] = {"en": _EN, "ru": _RU}


def language_of(locale: str) -> str:
    """Return the language of a locale if there are texts in it, else English."""
    language = primary_language(locale)
    return language if language in LANGUAGES else "en"


def preferred(accept_language: str) -> str:
    """Return the language of an Accept-Language header, for visitors whose invitation is unknown."""
    return language_of(first_tag(accept_language))


def words_of(invitation: Invitation) -> Mapping[str, str]:
    """Return the words of the invitation's language; those that its program says itself replace ours."""
    words = LANGUAGES[language_of(invitation.locale)]
    return {**words, **usable(invitation.content.labels)} if invitation.content.labels else words


def more(invitation: Invitation) -> str:
    """Say how many more questions follow, in the right plural form."""
    words, questions = words_of(invitation), len(invitation.content.extra_questions)
    form = plural_form(_locale_of(invitation, "more_other"), questions)
    return words.get(f"more_{form}", words["more_other"]).format(n=questions)


def about(invitation: Invitation, *, now: datetime) -> str:
    """Describe the purchase by number, date and shop; without personal data."""
    occasion = invitation.occasion
    words = words_of(invitation)
    kind = "service" if occasion.type.startswith("crm.service") else "order"
    number = f"{occasion.known_as} " if occasion.known_as else ""
    what = words[kind].format(number=number, date=day(invitation, occasion.time, now=now, within=kind))
    store = invitation.segments.get("store")
    return f"{what}, {store}" if store else what


def day(invitation: Invitation, moment: datetime, *, now: datetime, within: str) -> str:
    """Format a day in the respondent's zone, with the year unless it is the current one.

    Its language is that of the words `within` which it stands.
    """
    local = moment.astimezone(time_zone(invitation.time_zone)).date()
    language = language_of(invitation.locale)
    return day_in(_locale_of(invitation, within), local, otherwise=language, year=local.year != now.year)


def _locale_of(invitation: Invitation, words: str) -> str:
    """Return the invitation's locale if its program says these words itself, else the language of ours."""
    own = words in invitation.content.labels
    return language_tag(invitation.locale) if own else language_of(invitation.locale)
