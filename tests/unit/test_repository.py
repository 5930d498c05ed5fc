"""The files around the code: locks, CI, image and compose file."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.supply.locks import LOCKS, locked
from services.scoring.dashboard import manual

ROOT = Path(__file__).parents[2]
RUNTIME = "requirements.lock"
DEV = "requirements-dev.lock"
EXTRAS = "requirements-extras.lock"
PACKAGE = re.compile(r"(?P<name>[a-z0-9.-]+)(?:\[[a-z0-9, -]+\])?==(?P<version>[^ ]+)(?: ; [^\\]+)?")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
LOOPBACK = ("127.0.0.1:", "[::1]:")


def entries(lock: str) -> list[list[str]]:
    """Return a list for each package of a lock: its pin, then its hashes."""
    joined = (ROOT / lock).read_text().replace("\\\n", "")
    return [re.split(r"\s+(?=--)", line.strip()) for line in joined.splitlines() if line.strip()]


def pins(lock: str) -> dict[str, set[str]]:
    """Return the versions of each package; Python versions may need different ones."""
    versions: dict[str, set[str]] = {}
    for package, version in locked(ROOT / lock):
        versions.setdefault(package, set()).add(str(version))
    return versions


def asked_for(lock: str) -> list[Requirement]:
    """Return the requirements of pyproject.toml that a lock must satisfy."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted: list[str] = list(project["project"]["dependencies"])
    if lock == DEV:
        groups = project["dependency-groups"].values()
        wanted += [item for group in groups for item in group if isinstance(item, str)]
    if lock == EXTRAS:
        wanted += [item for extra in project["project"]["optional-dependencies"].values() for item in extra]
    return [Requirement(item) for item in wanted]


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    return loaded


def commands(file: str) -> list[str]:
    """Read a script or Dockerfile without its comments, continued lines joined."""
    joined = (ROOT / file).read_text().replace("\\\n", " ")
    lines = (line.split(" #")[0].strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_every_package_with_a_hash(lock: str) -> None:
    packages = entries(lock)
    assert packages
    for pin, *hashes in packages:
        assert PACKAGE.fullmatch(pin), f"{lock}: {pin} is no exact pin"
        assert hashes, f"{lock}: {pin} has no hash"
        assert all(HASH.fullmatch(value) for value in hashes), f"{lock}: {pin}"


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_holds_no_address(lock: str) -> None:
    options = {word.partition("=")[0] for words in entries(lock) for word in words if word.startswith("-")}
    assert options == {"--hash"}
    assert not re.search(r"://|\bfile:|@|#|(^|[ =])[./~]", (ROOT / lock).read_text(), re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_satisfies_pyproject(lock: str) -> None:
    locked = pins(lock)
    for wanted in asked_for(lock):
        versions = locked.get(canonicalize_name(wanted.name), set())
        assert versions, f"{lock} lacks {wanted}: make lock"
        assert all(wanted.specifier.contains(version, prereleases=True) for version in versions), (
            f"{lock} holds {versions}, pyproject.toml wants {wanted}: make lock"
        )


def test_dev_lock_tests_the_versions_that_run() -> None:
    dev = pins(DEV)
    assert {name: dev.get(name) for name in pins(RUNTIME)} == pins(RUNTIME)


def test_ci_runs_check_and_then_test() -> None:
    script = commands(".ci/run")
    check = script.index("make check")
    test = next(number for number, line in enumerate(script) if re.match(r"(if )?make test\b", line))
    assert check < test
    assert "set -euo pipefail" in script[:check]


def test_ci_lets_no_broker_browser_proxy_or_upgrade_test_be_skipped() -> None:
    exported = " ".join(line for line in commands(".ci/run") if line.startswith("export "))
    assert "EARSHOT_REQUIRE_KAFKA=1" in exported
    assert "EARSHOT_REQUIRE_BROWSER=1" in exported
    assert "EARSHOT_REQUIRE_PROXY=1" in exported
    assert "EARSHOT_REQUIRE_HISTORY=1" in exported


@pytest.mark.parametrize("code", [0, 1, 5])
def test_ci_ends_with_the_line_and_code_of_pytest(tmp_path: Path, code: int) -> None:
    """In a tree that has all tools, and whose tests end with the given code."""
    closing = "===== 3 passed in 0.10s ====="
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    (tmp_path / "Makefile").write_text(
        f"check:\n\t@echo checked\npythons:\n\t@true\ntest:\n\t@echo '{closing}'; exit {code}\n"
    )
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("git", "java", "mvn", "chromium-headless-shell", "caddy", "fc-list"):
        (tools / tool).write_text("#!/bin/sh\necho there\n")
        (tools / tool).chmod(0o755)
    make = Path(shutil.which("make") or "/usr/bin/make").parent
    python = tools / "python3.11"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)

    ran = subprocess.run(
        [tmp_path / ".ci/run"],
        env={"PATH": f"{tools}:{make}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (ran.returncode, ran.stdout.splitlines()[0]) == (code, "checked"), ran.stderr
    assert ran.stdout.splitlines()[-1] == closing


def test_compose_watches_the_health_of_everything_that_stays_up() -> None:
    services = compose()["services"]
    awaited = {
        name
        for service in services.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    assert awaited == {"migrate", "topics"}
    for name, service in services.items():
        check = service.get("healthcheck", {})
        if name in awaited:
            assert service["restart"] == "no", name
        else:
            assert check.get("test"), f"{name} has no health check"
            assert not check.get("disable"), name


def test_compose_publishes_on_loopback_only() -> None:
    for name, service in compose()["services"].items():
        assert service.get("network_mode") != "host", name
        for port in service.get("ports", []):
            address = f"{port.get('host_ip')}:" if isinstance(port, dict) else str(port)
            assert address.startswith(LOOPBACK), f"{name} publishes {port} beyond this machine"


def test_compose_has_no_secret_of_its_own() -> None:
    for name, service in compose()["services"].items():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|LINK_KEYS|ADDRESS_KEYS|DATABASE_URL", key):
                assert re.search(r"\$\{\w+:\?[^}]+\}", str(value)), f"{name}: {key} has a value of its own"


def test_compose_sends_nothing_unless_told() -> None:
    assert compose()["services"]["dispatcher"]["environment"]["EARSHOT_SEND"] == "${EARSHOT_SEND:-mailbox}"


def test_compose_gives_each_service_its_own_database_only() -> None:
    services = compose()["services"]
    for name in ("trigger", "dispatcher", "scoring"):
        urls = {key: url for key, url in services[name]["environment"].items() if "DATABASE_URL" in key}
        assert list(urls) == [f"EARSHOT_{name.upper()}_DATABASE_URL"]
        assert all(url.startswith(f"postgresql://{name}:") for url in urls.values())


def test_images_are_pinned_by_tag() -> None:
    images = [line.split()[1] for line in commands("deploy/Dockerfile") if line.startswith("FROM ")]
    images += [service["image"] for service in compose()["services"].values() if "build" not in service]
    for image in images:
        assert re.search(r":v?\d+\.\d+(\.\d+|-)", image), f"{image} may change by itself"


def test_image_does_not_run_as_root() -> None:
    stages = "\n".join(commands("deploy/Dockerfile")).split("FROM ")
    users = re.findall(r"^USER (.+)$", stages[-1], re.MULTILINE)
    assert users, "the last stage names no user"
    assert re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", users[-1]), "Kubernetes can only check a numeric user"


@pytest.mark.parametrize("document", manual.DOCUMENTS.values(), ids=lambda document: document.name)
def test_image_holds_the_documents_scoring_shows(document: Path) -> None:
    shown = str(document.relative_to(ROOT))
    assert f"COPY {shown} {shown}" in commands("deploy/Dockerfile")
    assert f"!{shown}" in (ROOT / ".dockerignore").read_text().splitlines()


def test_image_installs_from_the_lock_with_hashes() -> None:
    installs = [line for line in commands("deploy/Dockerfile") if "pip install" in line]
    assert installs
    assert all("--require-hashes" in line for line in installs)


def test_compiled_modules_are_kept_where_the_environment_says_otherwise(tmp_path: Path) -> None:
    """Or every process of `make test` and every command would compile what it imports."""
    asked = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for path in (tmp_path / ".venv/bin/python", tmp_path / "shown"):
        path.write_text("#!/bin/sh\necho ${PYTHONDONTWRITEBYTECODE-unset}\n")
        path.chmod(0o755)
    (tmp_path / "earshot").write_text((ROOT / "earshot").read_text())
    told = f"--eval=shown:;@{tmp_path}/shown"
    shown = [
        subprocess.run(command, env=asked, capture_output=True, text=True, timeout=30, check=True).stdout
        for command in (["sh", str(tmp_path / "earshot")], ["make", "-s", "-C", str(ROOT), told, "shown"])
    ]
    assert shown == ["unset\n", "unset\n"]


def test_image_compiles_modules_because_its_user_cannot() -> None:
    last = commands("deploy/Dockerfile")
    copied = max(number for number, line in enumerate(last) if line.startswith("COPY"))
    compiled = last.index("RUN python -m compileall -q shared services deploy")
    assert copied < compiled < last.index("USER 10001:10001")


def test_no_text_tells_to_install_a_package_named_earshot() -> None:
    """We publish none, so it would be somebody else's."""
    told = re.compile(r"pip3? install[^\n]*\bearshot\b")
    folders = ("docs", "services", "shared", "deploy", ".ci")
    files = [*ROOT.glob("*"), *(path for folder in folders for path in (ROOT / folder).rglob("*"))]
    texts = [path for path in files if path.is_file() and path.suffix in ("", ".md", ".py", ".html", ".yaml", ".toml")]
    assert len(texts) > 100
    assert [path.name for path in texts if told.search(path.read_text(errors="replace"))] == []
