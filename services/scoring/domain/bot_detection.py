"""Detects devices and bots on the answer page."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

import msgspec
from crawleruseragents import CRAWLER_USER_AGENTS_DATA, matching_crawlers

MAX_USER_AGENT = 500
SOON_AFTER_MESSAGE = timedelta(minutes=1)
MIN_DWELL = timedelta(seconds=1)  # the shortest time a person takes from seeing the form to sending it
LINK_FETCH_WINDOW = timedelta(seconds=10)  # a mail scanner fetches several links of one mail within this time
SCORE_RUN_WINDOW = timedelta(seconds=30)  # a bot sends several scores within this time
SEVERAL = 3  # from so many different scores on, sent or in fetched links, the sender is a bot
_TABLET = re.compile(r"iPad|Tablet|Kindle|Silk/|PlayBook|Android(?!.*Mobile)")
_PHONE = re.compile(r"Mobi|iPhone|iPod")
_DESKTOP = re.compile(r"Windows NT|Macintosh|X11|CrOS|Linux")


class Device(StrEnum):
    PHONE = "phone"
    TABLET = "tablet"
    DESKTOP = "desktop"


class Suspicion(StrEnum):
    """Why a submission looks automatic."""

    CRAWLER = "crawler"  # the user agent is that of a crawler
    TRAP = "trap"  # an invisible button was pressed
    NO_PAGE = "no_page"  # soon after a message, without the time the form was shown
    INSTANT = "instant"  # soon after a message, less than a second after the form was shown
    EVERY_LINK = "every_link"  # soon after a message, and links of several scores were fetched
    SEVERAL_SCORES = "several_scores"  # different scores were sent within SCORE_RUN_WINDOW


@dataclass(frozen=True, slots=True)
class PageView:
    """A request for the answer page; `score` is the one in its link, `automatic` is true when a bot sent it."""

    step: int
    method: str
    score: int | None
    automatic: bool
    at: datetime


class BotSignals(msgspec.Struct, frozen=True):
    """Signs by which a form sent by a bot is recognised.

    `trapped`: an invisible button was pressed. `browser`: the user agent is that of a browser. `dwell`: the time since
    the form was shown, None when unknown. `links`: how many scores had their links fetched within the last
    `LINK_FETCH_WINDOW`. `soon`: a message was sent within the last `SOON_AFTER_MESSAGE`.
    """

    crawler: bool = False
    trapped: bool = False
    browser: bool = False
    dwell: timedelta | None = None
    links: int = 0
    soon: bool = False

    def suspicion(self, scores: Collection[int]) -> Suspicion | None:
        """Return why a form looks automatic, or None; `scores` are all that were sent within SCORE_RUN_WINDOW."""
        if self.crawler:
            return Suspicion.CRAWLER
        if self.trapped:
            return Suspicion.TRAP
        if len(set(scores)) >= SEVERAL:
            return Suspicion.SEVERAL_SCORES
        return self._soon_after_message() if self.soon else None

    def _soon_after_message(self) -> Suspicion | None:
        if self.links >= SEVERAL:
            return Suspicion.EVERY_LINK
        if self.dwell is None:
            return Suspicion.NO_PAGE if self.browser else None
        return Suspicion.INSTANT if self.dwell < MIN_DWELL else None


@lru_cache(maxsize=4096)
def device_of(user_agent: str, *, mobile: str = "") -> Device | None:
    """Detect the device from `User-Agent` and `Sec-CH-UA-Mobile`; an iPad in desktop mode counts as a desktop."""
    if _TABLET.search(user_agent):
        return Device.TABLET
    if mobile == "?1" or _PHONE.search(user_agent):
        return Device.PHONE
    return Device.DESKTOP if _DESKTOP.search(user_agent) else None


@lru_cache(maxsize=4096)
def is_crawler(user_agent: str) -> bool:
    """Recognize crawlers and headless browsers; plain HTTP libraries are no crawlers, because integrations use them."""
    known = [CRAWLER_USER_AGENTS_DATA[number] for number in matching_crawlers(user_agent)]
    return any("http-library" not in crawler["tags"] for crawler in known)
