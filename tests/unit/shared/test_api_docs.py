"""One OpenAPI document of several."""

from __future__ import annotations

from typing import Any

from shared.contract.vocabulary import Service
from shared.web.api_docs.merging import merged


def described(path: str, *, uses: str, schemas: dict[str, Any]) -> dict[str, Any]:
    answer = {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{uses}"}}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "one of them", "version": "0.1.0"},
        "paths": {path: {"get": {"responses": {"200": answer}}}, "/healthz": {"get": {"summary": path}}},
        "components": {"schemas": schemas},
    }


def schema_at(document: dict[str, Any], path: str) -> str:
    found: str = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    return found.removeprefix("#/components/schemas/")


ERROR = {"type": "object"}
EVENTS = described("/v1/events", uses="Page", schemas={"Page": {"items": "events"}, "Error": ERROR})
SCORES = described("/v1/nps", uses="Page", schemas={"Page": {"items": "scores"}, "Error": ERROR})


def test_schemas_of_one_name_stay_apart_where_they_differ_and_are_one_where_they_do_not() -> None:
    both = merged({Service.TRIGGER: EVENTS, Service.SCORING: SCORES})
    assert both["components"]["schemas"] == {
        "TriggerPage": {"items": "events"},
        "ScoringPage": {"items": "scores"},
        "Error": ERROR,
    }
    assert (schema_at(both, "/v1/events"), schema_at(both, "/v1/nps")) == ("TriggerPage", "ScoringPage")


def test_schemas_that_differ_only_in_what_they_refer_to_stay_apart_too() -> None:
    refers = {"Page": {"items": {"$ref": "#/components/schemas/Line"}}}
    events = described("/v1/events", uses="Page", schemas={**refers, "Line": {"of": "events"}})
    scores = described("/v1/nps", uses="Page", schemas={**refers, "Line": {"of": "scores"}})
    schemas = merged({Service.TRIGGER: events, Service.SCORING: scores})["components"]["schemas"]
    assert schemas["TriggerPage"] == {"items": {"$ref": "#/components/schemas/TriggerLine"}}
    assert schemas["ScoringPage"] == {"items": {"$ref": "#/components/schemas/ScoringLine"}}
    assert set(schemas) == {"TriggerPage", "TriggerLine", "ScoringPage", "ScoringLine"}


def test_path_that_several_answer_is_described_by_the_one_that_answers_it_at_the_one_address() -> None:
    both = merged({Service.TRIGGER: EVENTS, Service.SCORING: SCORES})
    assert both["paths"]["/healthz"]["get"]["summary"] == "/v1/nps"
    assert both["info"] == {"title": "Earshot", "version": "0.1.0"}


def test_document_without_schemas_is_merged() -> None:
    bare = {**SCORES, "components": {}, "paths": {}}
    assert merged({Service.SCORING: bare})["components"] == {"schemas": {}}
