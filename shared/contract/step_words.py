"""When the steps of a plan follow, in words for pages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from shared.contract.vocabulary import ChannelKind
from shared.languages import formats
from shared.languages.current import gettext
from shared.languages.marking import mark

_REPEAT = "repeat"  # a mail after another step
_AFTER: Mapping[str, str] = {  # by what comes before
    "event": mark("%(span)s after the event"),
    "delivery": mark("%(span)s after the delivery"),
    ChannelKind.EMAIL.value: mark("%(span)s after the mail"),
    _REPEAT: mark("%(span)s after the repeat"),
    ChannelKind.SMS.value: mark("%(span)s after the SMS"),
    ChannelKind.CALL.value: mark("%(span)s after the call"),
    ChannelKind.LINK.value: mark("%(span)s after the link"),
}


def waits_in_words(steps: Iterable[tuple[ChannelKind, timedelta]], *, start: str, delay: timedelta) -> Iterator[str]:
    """Say of each step how long after the one before it comes, such as `2 days after the repeat`.

    The first comes `delay` later, after the `start` of the plan, `event` or `delivery`.
    """
    before = start
    for number, (channel, after) in enumerate(steps):
        wait = after if number else delay + after
        yield gettext(_AFTER[before], span=formats.span(wait)) if wait else gettext("at once")
        before = _REPEAT if number and channel is ChannelKind.EMAIL else channel.value
