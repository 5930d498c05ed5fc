"""Compares the locks with a saved list of security advisories (`make check`), and refreshes it (`make advisories`).

The saved list lets the check run without a network. So it ages: that is a warning and never an error.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from deploy.supply.locks import LOCKS, ROOT, locked

SAVED = Path(__file__).parent / "advisories.json"
OLD_DAYS = 30
PIP_AUDIT = (sys.executable, "-m", "pip_audit")
_AUDIT_S = 600


class BadAdvisories(Exception):
    """The saved list cannot be read: repair it, or take the last one from the history."""


class AdvisoriesUnavailable(Exception):
    """Not every package was answered for, so nothing was saved: try where the service of advisories is reached."""


def _checked_versions(text: str) -> str:
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        raise ValueError(str(error)) from None
    return text


class Advisory(BaseModel):
    """`affected` are ranges of versions (PEP 440); `accepted` says why it does not concern us, "" if it does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1)]
    package: Annotated[str, AfterValidator(canonicalize_name)]
    affected: Annotated[tuple[Annotated[str, AfterValidator(_checked_versions)], ...], Field(min_length=1)]
    aliases: tuple[str, ...] = ()
    accepted: str = ""

    def affects(self, package: str, version: Version) -> bool:
        return package == self.package and any(
            SpecifierSet(versions).contains(version, prereleases=True) for versions in self.affected
        )


class AdvisoryList(BaseModel):
    """`checked_on` is the day on which `source` was asked about all locked packages."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    checked_on: date
    advisories: tuple[Advisory, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is wrong with the locks, and what somebody should know."""

    errors: Sequence[str]
    warnings: Sequence[str]


def load(path: Path) -> AdvisoryList:
    """Read a saved list; raises BadAdvisories."""
    try:
        return AdvisoryList.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadAdvisories(f"{path}: {error}") from None


def compare(advisories: AdvisoryList, locks: Iterable[Path], *, today: date) -> Comparison:
    """Find the locked versions that are affected."""
    findings = [
        (each, f"{lock.name}: {package} {version} is affected by {', '.join([each.id, *each.aliases])}")
        for lock in locks
        for package, version in locked(lock)
        for each in advisories.advisories
        if each.affects(package, version)
    ]
    errors = [f"{text} ({' or '.join(each.affected)})" for each, text in findings if not each.accepted]
    warnings = [f"{text}, which was accepted: {each.accepted}" for each, text in findings if each.accepted]
    age = (today - advisories.checked_on).days
    if age > OLD_DAYS:
        warnings.append(f"the saved advisories are {age} days old: run make advisories where they can be reached")
    return Comparison(errors, warnings)


def refresh(path: Path, locks: Sequence[Path], *, today: date, auditor: Sequence[str] = PIP_AUDIT) -> AdvisoryList:
    """Ask pip-audit about all locked packages, and save what it found beside what was known of them.

    Raises AdvisoriesUnavailable and BadAdvisories; the saved list stays then. `auditor` is the command of pip-audit.
    """
    known, pins = load(path), {pin for lock in locks for pin in locked(lock)}
    packages = {package for package, _ in pins}
    merged = {(each.package, each.id): each for each in known.advisories if each.package in packages}
    for found in _audited(pins, auditor):
        before = merged.get((found.package, found.id))
        merged[found.package, found.id] = _joined(before, found) if before else found
    advisories = tuple(merged[key] for key in sorted(merged))
    refreshed = AdvisoryList(source="pip-audit", checked_on=today, advisories=advisories)
    new = path.with_suffix(".new")
    new.write_text(f"{refreshed.model_dump_json(indent=2, exclude_defaults=True)}\n")
    new.replace(path)
    return refreshed


def _joined(before: Advisory, found: Advisory) -> Advisory:
    affected = tuple(dict.fromkeys((*before.affected, *found.affected)))
    return found.model_copy(update={"affected": affected, "accepted": before.accepted})


def _audited(pins: Collection[tuple[str, Version]], auditor: Sequence[str]) -> Iterator[Advisory]:
    """Run pip-audit, once more for packages with another version; raises AdvisoriesUnavailable."""
    waiting = sorted(pins)
    while waiting:
        asked = dict(waiting)  # pip-audit refuses two versions of a package
        waiting = [(package, version) for package, version in waiting if asked[package] != version]
        answers = [answer for answer in _answers(asked, auditor) if "skip_reason" not in answer]
        if missing := sorted(set(asked) - {canonicalize_name(answer["name"]) for answer in answers}):
            raise AdvisoriesUnavailable(f"no answer about {len(missing)} packages, such as {missing[0]}")
        for answer in answers:
            for found in answer["vulns"]:
                yield _advisory(answer, found)


def _answers(asked: Mapping[str, Version], auditor: Sequence[str]) -> list[dict[str, Any]]:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.writelines(f"{package}=={version}\n" for package, version in asked.items())
        file.flush()
        command = [*auditor, "--no-deps", "--disable-pip", "--progress-spinner=off"]
        command += [f"--requirement={file.name}", "--format=json"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_AUDIT_S, check=False)
        except subprocess.TimeoutExpired:
            raise AdvisoriesUnavailable(f"pip-audit has not ended after {_AUDIT_S} seconds") from None
    try:
        answers: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        raise AdvisoriesUnavailable(f"pip-audit: {(done.stderr.strip().splitlines() or ['no output'])[-1]}") from None
    return answers


def _advisory(answer: dict[str, Any], found: dict[str, Any]) -> Advisory:
    """Read one finding: all versions before the next fixed one are affected, or without a fix the locked one."""
    version = Version(answer["version"])
    fixes = [fix for fix in map(_version, found["fix_versions"]) if fix is not None and fix > version]
    affected = f"<{min(fixes)}" if fixes else f"=={version}"
    return Advisory(
        id=found["id"], package=answer["name"], affected=(affected,), aliases=tuple(sorted(found["aliases"]))
    )


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def main(arguments: Sequence[str]) -> int:
    """Compare, or with `refresh` as the first argument ask again; the others are options of pip-audit."""
    locks, today = [ROOT / lock for lock in LOCKS], datetime.now(UTC).date()
    try:
        if arguments[:1] == ["refresh"]:
            refreshed = refresh(SAVED, locks, today=today, auditor=(*PIP_AUDIT, *arguments[1:]))
            print(f"saved {len(refreshed.advisories)} advisories about locked packages")
        comparison = compare(load(SAVED), locks, today=today)
    except (AdvisoriesUnavailable, BadAdvisories) as error:
        print(f"earshot: {error}", file=sys.stderr)
        return 1
    for warning in comparison.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for problem in comparison.errors:
        print(f"error: {problem}", file=sys.stderr)
    return 1 if comparison.errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
