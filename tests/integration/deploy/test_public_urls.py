"""A start that would send dead links is refused; one that cannot know says so and goes on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from deploy.all_settings import ALL, AllSettings
from deploy.operations import address_findings
from deploy.operations.findings import Severity
from deploy.ports import free_ports
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.wiring import public_urls
from tests import keys
from tests.integration.deploy.processes import earshot

LIVE = {"send": "live", **keys.SETTINGS}


async def test_live_start_of_all_services_at_one_address_finds_itself(urls: Mapping[str, str], tmp_path: Path) -> None:
    async with earshot(urls, tmp_path, **LIVE) as running:
        await running.until_ready()
        ready = await running.web.get(running.addresses["scoring"] + "/readyz")
        assert ready.json() == {"status": "ready"}


def test_short_url_has_to_lead_to_answers_and_to_the_page_to_unsubscribe() -> None:
    settings = DispatcherSettings(_env_file=None, public_url="https://nps.test", short_url="https://n.test")
    asked = [str(each) for each in public_urls(settings)]
    assert asked == ["https://nps.test/s", "https://nps.test/u", "https://n.test/s", "https://n.test/u"]


async def test_live_start_is_refused_when_unsubscribe_links_lead_to_another_service(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    """As with separate processes and no proxy: scoring's port answers no `/u`."""
    ports = free_ports(3)
    wrong = f"http://127.0.0.1:{ports[1]}"
    given = {f"{service}_port": str(port) for service, port in zip(ALL, ports, strict=True)}
    async with earshot(urls, tmp_path, **LIVE, **given, unsubscribe_url=wrong) as running:
        assert await running.process.wait() == 1
        said = running.log.read_text()
    assert said.splitlines()[-1] == (
        f"earshot: {wrong}/u must be answered by dispatcher, but is answered by another service (status 401): "
        "route /u to dispatcher, as deploy/proxy does, or correct EARSHOT_UNSUBSCRIBE_URL"
    )
    assert "Traceback" not in said
    assert "Dashboard" not in said


async def test_live_start_goes_on_with_a_warning_where_the_public_url_cannot_be_reached_from_here(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    async with earshot(urls, tmp_path, **LIVE, public_url="http://127.0.0.1:1") as running:
        await running.until_ready()
        ready = await running.web.get(running.addresses["scoring"] + "/readyz")
        assert ready.json()["warnings"] == {
            "dispatcher.public urls": "http://127.0.0.1:1/s cannot be checked from here (no answer); "
            "http://127.0.0.1:1/u cannot be checked from here (no answer)"
        }
        assert "public_url.unchecked" in running.log.read_text()


async def test_doctor_names_the_service_behind_each_public_url(urls: Mapping[str, str], tmp_path: Path) -> None:
    async with earshot(urls, tmp_path) as running:
        await running.until_ready()
        right, wrong = running.addresses["scoring"], running.addresses["trigger"]
        assert await doctor(public_url=right) == [Severity.OK, Severity.OK]
        given = {"public_url": right, "unsubscribe_url": wrong, "send": "live", "smsc_secret": "s"}
        assert await doctor(**given, hooks_url=right) == [Severity.OK, Severity.FAIL, Severity.OK]
        assert await doctor(public_url=right, unsubscribe_url=wrong) == [Severity.OK, Severity.NOTE]
    assert await doctor(public_url=right) == []
    assert await doctor(public_url=right, send="live") == [Severity.NOTE, Severity.NOTE]


async def doctor(**settings: object) -> list[Severity]:
    given = AllSettings.from_environment(**settings).dispatcher
    return [finding.severity async for finding in address_findings.examine(given)]
