"""Which device, and whether it is a person."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.scoring.domain.bot_detection import BotSignals, Device, Suspicion, device_of, is_crawler, is_prefetch

IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 Version/18.1 Mobile/15E148 Safari/604"
)
ANDROID = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36"
)
TABLET = (
    "Mozilla/5.0 (Linux; Android 13; SM-X906C) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
IPAD = "Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) AppleWebKit/605.1.15 Version/16.0 Mobile/15E148 Safari/604.1"
WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.mark.parametrize(
    ("user_agent", "mobile", "device"),
    [
        (IPHONE, "", Device.PHONE),
        (ANDROID, "?1", Device.PHONE),
        (TABLET, "?0", Device.TABLET),
        (IPAD, "", Device.TABLET),
        (WINDOWS, "?0", Device.DESKTOP),
        (LINUX, "", Device.DESKTOP),
        ("Something/1.0", "?1", Device.PHONE),
        ("Something/1.0", "", None),
        ("", "", None),
    ],
)
def test_device_is_told_by_the_browser(user_agent: str, mobile: str, device: Device | None) -> None:
    assert device_of(user_agent, mobile=mobile) is device


@pytest.mark.parametrize(
    "user_agent",
    [
        "Googlebot/2.1 (+http://www.google.com/bot.html)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "WhatsApp/2.23.20.0",
    ],
)
def test_crawlers_are_known_by_name(user_agent: str) -> None:
    assert is_crawler(user_agent)


@pytest.mark.parametrize("user_agent", [IPHONE, ANDROID, TABLET, IPAD, WINDOWS, LINUX, "", "python-httpx2/0.28.1"])
def test_browsers_and_integrations_are_no_crawlers(user_agent: str) -> None:
    assert not is_crawler(user_agent)


@pytest.mark.parametrize("soon", [True, False])
@pytest.mark.parametrize(
    ("milliseconds", "suspicion"),
    [
        (-50, Suspicion.INSTANT),
        (0, Suspicion.INSTANT),
        (200, Suspicion.INSTANT),
        (999, Suspicion.INSTANT),
        (1000, None),
    ],
)  # a whole second is no longer faster than anybody reads
def test_form_sent_within_a_second_looks_automatic_whenever_it_comes(
    milliseconds: int, suspicion: Suspicion | None, *, soon: bool
) -> None:
    visit = BotSignals(browser=True, dwell=timedelta(milliseconds=milliseconds), soon=soon)
    assert visit.suspicion([9]) is suspicion


@pytest.mark.parametrize(
    ("signals", "suspicion"),
    [
        (BotSignals(browser=True, dwell=timedelta(seconds=3), links=3), Suspicion.EVERY_LINK),
        (BotSignals(browser=True, dwell=timedelta(seconds=3), links=2), None),
        (BotSignals(browser=True, soon=True), Suspicion.NO_PAGE),
        (BotSignals(browser=True), None),  # perhaps a form in a shop's own page
        (BotSignals(soon=True), None),  # an integration
        (BotSignals(browser=True, dwell=timedelta(milliseconds=1500), reading=timedelta(seconds=2)), Suspicion.INSTANT),
        (BotSignals(browser=True, dwell=timedelta(milliseconds=1), reading=timedelta(0)), None),
    ],
)
def test_pace_and_missing_page(signals: BotSignals, suspicion: Suspicion | None) -> None:
    assert signals.suspicion([9]) is suspicion


@pytest.mark.parametrize(
    ("headers", "prefetch"),
    [
        ({"sec-purpose": "prefetch"}, True),
        ({"sec-purpose": "prefetch;prerender"}, True),
        ({"sec-purpose": "prefetch; anonymous-client-ip"}, True),
        ({"purpose": "prefetch"}, True),
        ({"x-purpose": "preview"}, True),
        ({"x-purpose": ": preview"}, True),
        ({"x-moz": "Prefetch"}, True),
        ({"sec-purpose": ""}, False),
        ({"sec-fetch-dest": "document"}, False),
        ({}, False),
    ],
)
def test_page_loaded_ahead_of_time_is_no_visit(headers: dict[str, str], *, prefetch: bool) -> None:
    assert is_prefetch(headers) is prefetch
