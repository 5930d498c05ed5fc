"""Detects devices and bots on the answer page."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

import msgspec
from crawleruseragents import CRAWLER_USER_AGENTS_DATA, matching_crawlers

MAX_USER_AGENT = 500
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
    NO_PAGE = "no_page"  # sent by a browser that was never shown the form
    INSTANT = "instant"  # sent faster than anybody reads
    EVERY_LINK = "every_link"  # links of several scores were fetched at the same time
    SEVERAL_SCORES = "several_scores"  # different scores were sent within SCORE_RUN_WINDOW


@dataclass(frozen=True, slots=True)
class ScannerWindows:
    """The times by which scanners are recognised, whenever they come.

    `reading` is the least that a person takes from being shown the form to sending it. Within `links` of each other a
    scanner fetches several links of one mail. Within `after_send` of a message a browser must have been shown the form;
    later it may be somebody's own form, such as one in a shop's page.
    """

    reading: timedelta = timedelta(seconds=1)
    links: timedelta = timedelta(seconds=10)
    after_send: timedelta = timedelta(days=1)


DEFAULT_WINDOWS = ScannerWindows()


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
    the form was shown, None when unknown. `reading`, and what `links` and `soon` count: see `ScannerWindows`.
    """

    crawler: bool = False
    trapped: bool = False
    browser: bool = False
    dwell: timedelta | None = None
    links: int = 0
    soon: bool = False
    reading: timedelta = DEFAULT_WINDOWS.reading

    def suspicion(self, scores: Collection[int]) -> Suspicion | None:
        """Return why a form looks automatic, or None; `scores` are all that were sent within SCORE_RUN_WINDOW."""
        if self.crawler:
            return Suspicion.CRAWLER
        if self.trapped:
            return Suspicion.TRAP
        if len(set(scores)) >= SEVERAL:
            return Suspicion.SEVERAL_SCORES
        if self.links >= SEVERAL:
            return Suspicion.EVERY_LINK
        if self.dwell is None:
            return Suspicion.NO_PAGE if self.browser and self.soon else None
        return Suspicion.INSTANT if self.dwell < self.reading else None


_PURPOSES = ("sec-purpose", "purpose", "x-purpose", "x-moz")


def is_prefetch(headers: Mapping[str, str]) -> bool:
    """Say whether a page is loaded ahead of time or for a preview; header names are in lower case."""
    purposes = " ".join(headers.get(name, "") for name in _PURPOSES).lower()
    return any(purpose in purposes for purpose in ("prefetch", "prerender", "preview"))


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
