"""What rows of the audit log add to their actions, in the reader's language."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.commands.recorded import _DETAILS as OF_COMMANDS
from services.scoring.domain.people.scope import EVERYTHING, PersonScope
from shared.contract.vocabulary import ProgramState, Role, SuppressionReason
from shared.languages.current import SHARED, language, speaking
from shared.web.audit.action_words import details_in_words

ID = "01999999-0000-7000-8000-000000000001"
SCOPE = PersonScope(frozenset(["returns"]), frozenset(["arb"]), frozenset(["East"]))
CODES = re.compile(r"\b(returns|arb|East|employee:e-7|events:write|till|ru|v2)\b|[0-9a-f]{8}-[0-9a-f-]+")
SAMPLES: dict[str, list[object]] = {
    "added": [3],
    "all_": [True],
    "changed": [True, ["name", "email"], 3],
    "days": [30],
    "delivered_too": [True],
    "dry_run": [False],
    "employees": [["7"]],
    "employees_before": [["7"]],
    "good_only": [True],
    "hours": [24],
    "id": [ID],
    "ids": [2],
    "name": ["till"],
    "of": ["employee:e-7"],
    "people": [[{"id": ID, "roles": [Role.MANAGER], "sees": SCOPE.recorded, "changed": ["name"]}], [ID]],
    "programs": [["returns"]],
    "reason": [*SuppressionReason],
    "regions": [["East"]],
    "role": [[*Role]],
    "roles": [[*Role]],
    "roles_before": [[*Role]],
    "scope": [["events:write"]],
    "sees": [SCOPE.recorded, EVERYTHING.recorded],
    "sees_before": [SCOPE.recorded, EVERYTHING.recorded],
    "sent": [False, 3],
    "spoken": [["ru"]],
    "state": [*ProgramState],
    "stored": [True],
    "stores": [3, ["arb"]],
    "times": [5],
    "version": [2],
    "withdraw": [True],
}


def noted() -> Iterator[str]:
    """Yield the names of all details that the code gives to the audit log."""
    yield from OF_COMMANDS
    for path in (each for folder in ("services", "shared", "deploy") for each in Path(folder).rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Name)
                and call.func.id in ("note", "note_instead")
            ):
                yield from (each.arg for each in call.keywords if each.arg and each.arg != "respondent")


def test_every_detail_has_a_sample() -> None:
    assert {*noted()} <= SAMPLES.keys()


@pytest.fixture
def russian() -> Iterator[None]:
    with speaking(language("ru", SHARED)):
        yield


@pytest.mark.usefixtures("russian")
@pytest.mark.parametrize("name", SAMPLES)
def test_detail_has_no_english_word_on_a_russian_page(name: str) -> None:
    for value in SAMPLES[name]:
        said = details_in_words(json.dumps({name: value}))
        label, _, words = said.partition(": ")
        assert not re.search("[A-Za-z]", label), said
        assert not re.search("[A-Za-z]", CODES.sub("", words)), said


def test_scope_of_a_person_is_said_by_kind() -> None:
    said = details_in_words(json.dumps({"roles": ["manager"], "sees": SCOPE.recorded, "employees": []}))
    assert said == "roles: manager; sees: (programs: returns; stores: arb; regions: East)"
    assert details_in_words(json.dumps({"sees": EVERYTHING.recorded})) == "sees: everything"


@pytest.mark.usefixtures("russian")
def test_store_that_is_called_like_a_word_of_ours_is_left_as_it_is() -> None:
    scope = PersonScope(stores=frozenset(["everything", "manager", "on"]))
    assert details_in_words(json.dumps({"sees": scope.recorded})).endswith(": everything, manager, on)")
