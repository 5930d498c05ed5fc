"""Names of the words on pages and in mails that a program may say in its own language, with their placeholders.

`mail.` are those of mails and of the unsubscribe page, `sms.` those of text messages, `call.` those that an operator
reads, the others those of the answer page.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache

_PLACEHOLDER = re.compile(r"\{(\w*)\}")
_IN_MAILS = frozenset(("about", "brand", "date", "number", "question", "store", "topic"))
_LINK = frozenset(("link",))
_AT_DESK = frozenset(("about", "brand", "date", "first_name", "number", "operator", "store"))
LABELS: Mapping[str, frozenset[str]] = {
    "title": frozenset(),
    "order": frozenset(("date", "number")),
    "service": frozenset(("date", "number")),
    "lowest": frozenset(),
    "highest": frozenset(),
    "send": frozenset(),
    "after": frozenset(("date",)),
    "readers": frozenset(("brand",)),
    "anonymous": frozenset(("brand",)),
    "privacy": frozenset(),
    "stop": frozenset(),
    "saved": frozenset(("score",)),
    "given": frozenset(("score",)),
    "doubted": frozenset(),
    "change": frozenset(),
    "why_promoter": frozenset(),
    "why_other": frozenset(),
    "comment": frozenset(),
    "more_one": frozenset(("n",)),
    "more_other": frozenset(("n",)),
    "callback_title": frozenset(),
    "callback": frozenset(("number",)),
    "callback_to": frozenset(),
    "number": frozenset(),
    "other_number": frozenset(),
    "number_wrong": frozenset(),
    "number_missing": frozenset(),
    "best_time": frozenset(),
    "time_any": frozenset(),
    "time_morning": frozenset(),
    "time_afternoon": frozenset(),
    "time_evening": frozenset(),
    "callback_stopped": frozenset(),
    "callback_noted": frozenset(),
    "review_text": frozenset(),
    "review": frozenset(),
    "quote_title": frozenset(),
    "quote_text": frozenset(("brand",)),
    "quote_yes": frozenset(),
    "quote_nobody": frozenset(),
    "quote_first": frozenset(("name",)),
    "quote_own": frozenset(),
    "quote_save": frozenset(),
    "quote_wrong": frozenset(),
    "quote_nothing": frozenset(),
    "quote_saved": frozenset(),
    "quote_withdraw": frozenset(),
    "quote_withdrawn": frozenset(),
    "thanks": frozenset(),
    "change_until": frozenset(("date",)),
    "withdrawn": frozenset(),
    "withdrawn_text": frozenset(),
    "expired": frozenset(),
    "expired_text": frozenset(("date",)),
    "expired_saved": frozenset(("score",)),
    "invalid": frozenset(),
    "invalid_text": frozenset(),
    "too_long": frozenset(),
    "back": frozenset(),
    "unsent": frozenset(),
    "stop_title": frozenset(),
    "stop_text": frozenset(("brand",)),
    "stop_yes": frozenset(),
    "stop_sure": frozenset(),
    "stopped": frozenset(),
    "stopped_text": frozenset(("brand",)),
    "stopped_back": frozenset(),
    "stopped_answer": frozenset(),
    "more_zero": frozenset(("n",)),
    "more_two": frozenset(("n",)),
    "more_few": frozenset(("n",)),
    "more_many": frozenset(("n",)),
    "mail.order": frozenset(("date", "number")),
    "mail.order_without_number": frozenset(("date",)),
    "mail.service": frozenset(("date", "number")),
    "mail.order_topic": frozenset(("date",)),
    "mail.service_topic": frozenset(("date",)),
    "mail.subject": _IN_MAILS,
    "mail.reminder": _IN_MAILS,
    "mail.preheader": _IN_MAILS,
    "mail.scale": _IN_MAILS,
    "mail.confirm": _IN_MAILS,
    "mail.because": _IN_MAILS,
    "mail.unsubscribe": _IN_MAILS,
    "mail.privacy": _IN_MAILS,
    "mail.text_scale": _IN_MAILS,
    "mail.text_unsubscribe": _IN_MAILS,
    "mail.ask_title": frozenset(),
    "mail.ask_text": frozenset(("brand",)),
    "mail.choices.all": frozenset(),
    "mail.choices.email": frozenset(),
    "mail.choices.sms": frozenset(),
    "mail.choices.survey": frozenset(("about",)),
    "mail.done_title": frozenset(),
    "mail.done_texts.all": frozenset(("brand",)),
    "mail.done_texts.email": frozenset(("brand",)),
    "mail.done_texts.sms": frozenset(("brand",)),
    "mail.done_texts.survey": frozenset(("brand",)),
    "mail.again": frozenset(),
    "mail.again_text": frozenset(("brand",)),
    "mail.again_early": frozenset(),
    "sms.text": _IN_MAILS | {"link", "stop"},
    "sms.stop": _LINK,
    "sms.reply": frozenset(),
    "call.script": _AT_DESK | {"question"},
    "call.back": _AT_DESK,
    "call.notice": frozenset(("brand", "operator")),
}
_REQUIRED: Mapping[str, frozenset[str]] = {"sms.text": _LINK, "sms.stop": _LINK}


@lru_cache(maxsize=2000)  # pages ask again for each invitation
def mistake_in(name: str, text: str) -> str | None:
    """Say what is wrong with a label of a program, None if it is right."""
    if name not in LABELS:
        meant = "".join(f"; did you mean {each}?" for each in get_close_matches(name, LABELS, n=1))
        return f"no such label as {name}{meant}"
    if unknown := sorted(placeholders_in(text) - LABELS[name]):
        allowed = ", ".join(f"{{{each}}}" for each in sorted(LABELS[name])) or "none"
        return f"{name}: no such placeholder as {{{unknown[0]}}}; there are {allowed}"
    if "{" in _PLACEHOLDER.sub("", text) or "}" in _PLACEHOLDER.sub("", text):
        return f"{name}: a brace that is not part of a placeholder"
    if missing := sorted(_REQUIRED.get(name, frozenset()) - placeholders_in(text)):
        return f"{name}: {{{missing[0]}}} is missing"
    return None


def placeholders_in(text: str) -> set[str]:
    return set(_PLACEHOLDER.findall(text))


def filled(text: str, values: Mapping[str, str]) -> str:
    """Replace placeholders like `{brand}` by their values; unknown ones stay as they are."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def usable(labels: Mapping[str, str]) -> Mapping[str, str]:
    """Return the labels that are right; a request may be older or newer than this list."""
    return {name: text for name, text in labels.items() if mistake_in(name, text) is None}
