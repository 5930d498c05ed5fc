"""The bill of materials: valid, complete, and the same bytes each time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from deploy.supply import sbom
from deploy.supply.locks import LOCKS, ROOT, locked


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    target = tmp_path_factory.mktemp("sbom") / "build/sbom.json"
    sbom.write(target, lock=ROOT / LOCKS[0])
    return target.read_bytes()


def test_names_every_locked_package_with_a_hash(written: bytes) -> None:
    components = json.loads(written)["components"]
    assert {(each["name"].replace("_", "-"), each["version"]) for each in components} == {
        (name, str(version)) for name, version in locked(ROOT / LOCKS[0])
    }
    for each in components:
        hashes = [found for reference in each["externalReferences"] for found in reference.get("hashes", ())]
        assert {found["alg"] for found in hashes} == {"SHA-256"}, each["name"]


def test_is_valid_by_the_schema_and_a_broken_one_is_not(written: bytes) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(written.decode()) is None
    assert validator.validate_str(written.decode().replace('"type": "library"', '"type": "wheel"')) is not None


def test_is_the_same_each_time(written: bytes, tmp_path: Path) -> None:
    sbom.write(tmp_path / "again.json", lock=ROOT / LOCKS[0])
    assert (tmp_path / "again.json").read_bytes() == written
    assert not {"serialNumber", "timestamp"} & {*json.loads(written), *json.loads(written)["metadata"]}
