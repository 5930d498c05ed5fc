"""The time zone of pages for staff: what the person chose, else that of the browser, else UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo

from shared.web.staff.tickets import StaffCookie
from shared.zones import is_time_zone, time_zone


@dataclass(frozen=True, slots=True)
class ZoneCookies:
    """The cookies with the names of zones: one is set by the account page, the other by `static/zone.js`."""

    chosen: StaffCookie
    of_browser: StaffCookie

    @classmethod
    def of(cls, *, https: bool) -> Self:
        return cls(StaffCookie("earshot-zone", https), StaffCookie("earshot-browser-zone", https))

    def chosen_in(self, header: str) -> str:
        """Return the zone that the person chose, by a `Cookie` header; empty for none."""
        return _named(self.chosen, header)

    def zone_in(self, header: str) -> ZoneInfo:
        return time_zone(self.chosen_in(header) or _named(self.of_browser, header))


def cookie_text(zone: str) -> str:
    """Write a zone's name as a cookie can hold it without quotes."""
    return quote(zone, safe="")


def _named(cookie: StaffCookie, header: str) -> str:
    name = unquote(cookie.text_in(header) or "")
    return name if is_time_zone(name) else ""
