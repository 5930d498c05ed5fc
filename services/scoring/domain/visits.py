"""Who is at the other end of the answer page: which device, and whether it is a person at all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache

from crawleruseragents import CRAWLER_USER_AGENTS_DATA, matching_crawlers

MAX_USER_AGENT = 500
_TABLET = re.compile(r"iPad|Tablet|Kindle|Silk/|PlayBook|Android(?!.*Mobile)")
_PHONE = re.compile(r"Mobi|iPhone|iPod")
_DESKTOP = re.compile(r"Windows NT|Macintosh|X11|CrOS|Linux")


class Device(StrEnum):
    PHONE = "phone"
    TABLET = "tablet"
    DESKTOP = "desktop"


@dataclass(frozen=True, slots=True)
class View:
    """One request for the answer page; `score` is the one its link carried, `automatic` who was no person."""

    step: int
    method: str
    score: int | None
    automatic: bool
    at: datetime


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
