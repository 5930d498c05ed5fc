"""Who is at the other end of the answer page: which device, and whether it is a person at all."""

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
MIN_DWELL = timedelta(seconds=1)  # from showing the form to sending it
LINK_FETCH_WINDOW = timedelta(seconds=10)  # in which a mail scanner fetches several links of one mail
SCORE_RUN_WINDOW = timedelta(seconds=30)  # in which a bot sends several scores
SEVERAL = 3  # different scores
_TABLET = re.compile(r"iPad|Tablet|Kindle|Silk/|PlayBook|Android(?!.*Mobile)")
_PHONE = re.compile(r"Mobi|iPhone|iPod")
_DESKTOP = re.compile(r"Windows NT|Macintosh|X11|CrOS|Linux")


class Device(StrEnum):
    PHONE = "phone"
    TABLET = "tablet"
    DESKTOP = "desktop"


class Suspicion(StrEnum):
    """Why a submission looks automatic."""

    CRAWLER = "crawler"  # it says so
    TRAP = "trap"  # it pressed a button nobody sees
    NO_PAGE = "no_page"  # soon after a message, and it never saw the form it filled in
    INSTANT = "instant"  # soon after a message, and faster than anybody reads
    EVERY_LINK = "every_link"  # soon after a message whose links were all being fetched
    SEVERAL_SCORES = "several_scores"


@dataclass(frozen=True, slots=True)
class PageView:
    """One request for the answer page; `score` is the one its link carried, `automatic` who was no person."""

    step: int
    method: str
    score: int | None
    automatic: bool
    at: datetime


class BotSignals(msgspec.Struct, frozen=True):
    """What is known of who sends a form; `trapped` who pressed what nobody sees, `browser` who claims to be one.

    `dwell` is the time since the form was shown, None when nothing says that it was; `links` how many scores had
    their link fetched lately; `soon` that a message had just gone out.
    """

    crawler: bool = False
    trapped: bool = False
    browser: bool = False
    dwell: timedelta | None = None
    links: int = 0
    soon: bool = False

    def suspicion(self, scores: Collection[int]) -> Suspicion | None:
        """Say why this looks automatic, given the different scores sent in the last moment; None when it does not."""
        if self.crawler:
            return Suspicion.CRAWLER
        if self.trapped:
            return Suspicion.TRAP
        if len(set(scores)) >= SEVERAL:
            return Suspicion.SEVERAL_SCORES
        return self._at_delivery() if self.soon else None

    def _at_delivery(self) -> Suspicion | None:
        if self.links >= SEVERAL:
            return Suspicion.EVERY_LINK
        if self.dwell is None:
            return Suspicion.NO_PAGE if self.browser else None
        return Suspicion.INSTANT if self.dwell < MIN_DWELL else None


@lru_cache(maxsize=4096)
def device_of(user_agent: str, *, mobile: str = "") -> Device | None:
    """Tell by the browser's name and its `Sec-CH-UA-Mobile`; an iPad that asks for desktop pages passes for one."""
    if _TABLET.search(user_agent):
        return Device.TABLET
    if mobile == "?1" or _PHONE.search(user_agent):
        return Device.PHONE
    return Device.DESKTOP if _DESKTOP.search(user_agent) else None


@lru_cache(maxsize=4096)
def is_crawler(user_agent: str) -> bool:
    """Know crawlers and automated browsers by name; a program with a library's name is somebody's integration."""
    known = [CRAWLER_USER_AGENTS_DATA[number] for number in matching_crawlers(user_agent)]
    return any("http-library" not in crawler["tags"] for crawler in known)
