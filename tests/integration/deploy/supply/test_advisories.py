"""The saved list of advisories: what the check says, and how it is refreshed from a service that may not answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version
from starlette.responses import JSONResponse, Response

from deploy.supply import advisories
from deploy.supply.advisories import (
    PIP_AUDIT,
    SAVED,
    AdvisoriesUnavailable,
    Advisory,
    AdvisoryList,
    BadAdvisories,
    compare,
    load,
    refresh,
)
from deploy.supply.locks import LOCKS, ROOT, locked
from tests.fakes import Gateway, gateway

TODAY = date(2026, 11, 30)
IN_JINJA = Advisory(id="PYSEC-2021-66", package="Jinja2", affected=("<2.11.3", ">=3,<3.0.1"), aliases=("CVE-1",))


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.lock"
    path.write_text(
        "anyio[trio]==4.0 \\\n    --hash=sha256:00\n"
        "jinja2==2.11.2 ; python_full_version < '3.12' \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\n"
        "jinja2==3.1.6 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    )
    return path


def listed(*found: Advisory, checked_on: date = TODAY) -> AdvisoryList:
    return AdvisoryList(source="a test", checked_on=checked_on, advisories=found)


def test_lock_is_read_with_extras_and_markers(lock: Path) -> None:
    assert [*locked(lock)] == [
        ("anyio", Version("4.0")),
        ("jinja2", Version("2.11.2")),
        ("jinja2", Version("3.1.6")),
    ]


def test_affected_version_is_an_error(lock: Path) -> None:
    found = compare(listed(IN_JINJA), [lock], today=TODAY)
    assert found.errors == [
        "requirements.lock: jinja2 2.11.2 is affected by PYSEC-2021-66, CVE-1 (<2.11.3 or >=3,<3.0.1)"
    ]
    assert not found.warnings


@pytest.mark.parametrize(
    ("affected", "is_affected"),
    [("<2.11.2", False), ("<2.11.3", True), ("==2.11.2", True), (">2.11.2,<3.1", False), (">=2,<2.11.3rc1", True)],
)
def test_fixed_version_passes(lock: Path, affected: str, is_affected: bool) -> None:  # noqa: FBT001 - a parameter
    advisory = IN_JINJA.model_copy(update={"affected": (affected,)})
    assert bool(compare(listed(advisory), [lock], today=TODAY).errors) == is_affected


def test_accepted_advisory_is_a_warning_with_its_reason(lock: Path) -> None:
    accepted = IN_JINJA.model_copy(update={"accepted": "templates are ours"})
    found = compare(listed(accepted), [lock], today=TODAY)
    assert not found.errors
    assert [text.endswith("which was accepted: templates are ours") for text in found.warnings] == [True]


@pytest.mark.parametrize(("days", "warnings"), [(30, 0), (31, 1)])
def test_old_list_is_a_warning_and_no_error(lock: Path, days: int, warnings: int) -> None:
    found = compare(listed(checked_on=TODAY - timedelta(days=days)), [lock], today=TODAY)
    assert (len(found.warnings), len(found.errors)) == (warnings, 0)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"source": "x", "checked_on": "2026-13-01", "advisories": []}',
        '{"source": "x", "checked_on": "2026-11-01", "advisories": [{"id": "1", "package": "a", "affected": []}]}',
        '{"source": "x", "checked_on": "2026-11-01", "advisories": [{"id": "1", "package": "a", "affected": ["2"]}]}',
        '{"source": "x", "checked_on": "2026-11-01", "advisories": [{"id": "1", "affected": ["<2"]}]}',
        '{"source": "x", "checked_on": "2026-11-01", "advisories": [], "more": 1}',
    ],
)
def test_malformed_list_is_refused_with_its_path(tmp_path: Path, content: str) -> None:
    path = tmp_path / "advisories.json"
    path.write_text(content)
    with pytest.raises(BadAdvisories, match=r"advisories\.json: "):
        load(path)


def test_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadAdvisories, match="No such file"):
        load(tmp_path / "nothing.json")


def test_our_locks_are_compared_with_the_saved_list(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert advisories.main([]) == 0
    package, version = next(locked(ROOT / LOCKS[0]))
    affected = listed(Advisory(id="X-1", package=package, affected=(f"=={version}",)))
    path = tmp_path / "advisories.json"
    path.write_text(affected.model_dump_json())
    monkeypatch.setattr(advisories, "SAVED", path)
    assert advisories.main([]) == 1
    assert f"error: requirements.lock: {package} {version} is affected by X-1" in capsys.readouterr().err
    path.write_text("{")
    assert advisories.main([]) == 1
    assert "earshot: " in capsys.readouterr().err


def test_saved_list_names_only_locked_packages() -> None:
    packages = {package for lock in LOCKS for package, _ in locked(ROOT / lock)}
    saved = load(SAVED)
    assert saved.advisories
    assert {each.package for each in saved.advisories} <= packages


VULNERABLE: Mapping[str, Any] = {
    "id": "PYSEC-2030-1",
    "summary": "s",
    "aliases": ["CVE-2030-1", "GHSA-1"],
    "affected": [
        {
            "package": {"name": "jinja2", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.11.3"}]}],
            "versions": ["2.11.2"],
        }
    ],
}


def answering(service: Gateway, version: str, *found: Mapping[str, Any]) -> None:
    """Let a service of OSV's form know these vulnerabilities of one version."""

    def answer(_fields: dict[str, str]) -> Response:
        is_asked = json.loads(service.bodies[-1])["version"] == version
        return JSONResponse({"vulns": found} if is_asked else {})

    service.answer = answer


async def refreshed(service: Gateway, path: Path, lock: Path) -> AdvisoryList:
    auditor = (*PIP_AUDIT, "--vulnerability-service=osv", f"--osv-url={service.url}/v1/query")
    return await asyncio.to_thread(refresh, path, [lock], today=TODAY, auditor=auditor)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "advisories.json"
    gone = Advisory(id="PYSEC-1", package="gone", affected=("<2",))
    accepted = Advisory(id="PYSEC-2030-1", package="jinja2", affected=("==1",), accepted="for a reason")
    path.write_text(listed(gone, IN_JINJA, accepted, checked_on=date(2020, 1, 1)).model_dump_json())
    return path


async def test_refreshed_list_has_what_was_found_beside_what_was_known_of_locked_packages(
    lock: Path, saved: Path
) -> None:
    async with gateway() as service:
        answering(service, "2.11.2", VULNERABLE)
        found = await refreshed(service, saved, lock)
        asked = sorted((json.loads(body)["package"]["name"], json.loads(body)["version"]) for body in service.bodies)
    assert asked == [("anyio", "4.0"), ("jinja2", "2.11.2"), ("jinja2", "3.1.6")]
    assert load(saved) == found
    assert found.checked_on == TODAY
    assert [(each.package, each.id, each.affected, each.accepted) for each in found.advisories] == [
        ("jinja2", "PYSEC-2021-66", ("<2.11.3", ">=3,<3.0.1"), ""),
        ("jinja2", "PYSEC-2030-1", ("==1", "<2.11.3"), "for a reason"),
    ]
    assert found.advisories[1].aliases == ("CVE-2030-1", "GHSA-1")


async def test_advisory_without_a_fix_is_about_the_locked_version(lock: Path, tmp_path: Path) -> None:
    path = tmp_path / "advisories.json"
    path.write_text(listed().model_dump_json())
    never_fixed = {**VULNERABLE, "affected": [{**VULNERABLE["affected"][0], "ranges": []}]}
    async with gateway() as service:
        answering(service, "2.11.2", never_fixed)
        (found,) = (await refreshed(service, path, lock)).advisories
    assert found.affected == ("==2.11.2",)


async def test_service_that_does_not_answer_changes_nothing(lock: Path, saved: Path) -> None:
    before = load(saved)
    async with gateway() as service:
        service.answer = lambda _fields: Response(status_code=503)
        with pytest.raises(AdvisoriesUnavailable, match=r"pip-audit: .*ServiceError"):
            await refreshed(service, saved, lock)
    with pytest.raises(AdvisoriesUnavailable, match=r"pip-audit: .*refused"):
        await refreshed(service, saved, lock)
    assert load(saved) == before


@pytest.mark.parametrize(
    ("output", "why"),
    [
        ('{"dependencies": [{"name": "jinja2", "version": "3.1.6", "vulns": []}]}', "no answer about 1 packages"),
        ('{"dependencies": [{"name": "anyio", "skip_reason": "not found"}]}', "no answer about 2 packages"),
        ('{"dependencies": []}', "no answer about 2 packages, such as anyio"),
        ("{}", "pip-audit: no output"),
        ("", "pip-audit: no output"),
    ],
)
def test_audit_that_leaves_a_package_out_changes_nothing(lock: Path, saved: Path, output: str, why: str) -> None:
    before = load(saved)
    with pytest.raises(AdvisoriesUnavailable, match=why):
        refresh(saved, [lock], today=TODAY, auditor=("sh", "-c", f"echo '{output}'"))
    assert load(saved) == before


async def test_audit_that_hangs_is_given_up(lock: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisories, "_AUDIT_S", 2)
    async with gateway() as service:
        service.answer = lambda _fields: None
        with pytest.raises(AdvisoriesUnavailable, match="has not ended after 2 seconds"):
            await refreshed(service, saved, lock)
