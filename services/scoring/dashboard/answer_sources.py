"""Says in words where an answer came from."""

from __future__ import annotations

from shared.contract.vocabulary import AnswerMode, ChannelKind
from shared.languages.current import gettext


def answer_source(mode: str, channel: str | None) -> str:
    """Return `e-mail`, `the desk` or the like, in the reader's language."""
    if mode == AnswerMode.OPERATOR:
        return gettext("the desk")
    channels = {
        ChannelKind.EMAIL.value: gettext("e-mail"),
        ChannelKind.SMS.value: gettext("SMS"),
        ChannelKind.LINK.value: gettext("a link of the shop"),
    }
    return channels.get(channel or "") or (gettext("an import") if mode == AnswerMode.IMPORTED else gettext("a link"))
