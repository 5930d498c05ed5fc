"""Merges the OpenAPI documents of all services into one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from shared.contract.vocabulary import Service
from shared.web import routes
from shared.web.api_docs.examples import Document

_REFERENCE = "#/components/schemas/"


def merged(documents: Mapping[Service, Document]) -> Document:
    """Return one document with each path as described by the service that answers it on the common address.

    Schemas with the same name and different content are prefixed with the name of their service.
    """
    parts = dict(documents)
    while clashing := _clashing(parts):  # schemas that refer to a renamed one differ after it
        parts = {service: _renamed(part, clashing, service) for service, part in parts.items()}
    first = next(iter(parts.values()))
    return {
        "openapi": first["openapi"],
        "info": {**first["info"], "title": "Earshot"},
        "paths": {
            path: operations
            for service, part in parts.items()
            for path, operations in part["paths"].items()
            if routes.service_of(path) is service
        },
        "components": {
            **first.get("components", {}),
            "schemas": {name: schema for part in parts.values() for name, schema in _schemas(part).items()},
        },
    }


def _schemas(document: Document) -> dict[str, Any]:
    found: dict[str, Any] = document.get("components", {}).get("schemas", {})
    return found


def _clashing(documents: Mapping[Service, Document]) -> set[str]:
    different = {(name, json.dumps(schema)) for part in documents.values() for name, schema in _schemas(part).items()}
    return {name for name, contents in Counter(name for name, _ in different).items() if contents > 1}


def _renamed(document: Document, names: set[str], service: Service) -> Document:
    text = json.dumps(document)
    for name in names:
        text = text.replace(f'"{_REFERENCE}{name}"', f'"{_REFERENCE}{_new_name(name, service)}"')
    renamed: Document = json.loads(text)
    schemas = {_new_name(name, service) if name in names else name: each for name, each in _schemas(renamed).items()}
    return {**renamed, "components": {**renamed.get("components", {}), "schemas": schemas}}


def _new_name(name: str, service: Service) -> str:
    return f"{service.title()}{name}"
