"""Sources of events in foreign formats: webhooks of shops and CRMs, topics of a foreign Kafka cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from services.trigger.domain.programs.reading import InvalidProgram, load_yaml, mistakes_in
from services.trigger.domain.sources.mapping import CompiledMapping, MappingDocument, compile_mapping
from services.trigger.domain.sources.signatures import SHOPIFY, WOOCOMMERCE, Signature
from shared.contract.events import Namespace
from shared.contract.vocabulary import SHARED_NAMESPACE

MAX_DOCUMENT = 100_000
SOURCE_HEADER = "earshot-source"  # names the source of a message; a parked one keeps it for its replay

T = TypeVar("T", bound=BaseModel)


class InvalidSource(ValueError):
    """A source or mapping is not valid or incomplete; the text names the field and the valid values."""


class SourceKind(StrEnum):
    KAFKA = "kafka"
    SHOPIFY = "shopify"
    WOOCOMMERCE = "woocommerce"
    BITRIX24 = "bitrix24"
    GENERIC = "generic"

    @property
    def is_webhook(self) -> bool:
        return self is not SourceKind.KAFKA


class SourceDocument(BaseModel):
    """Without a mapping, the built-in one of the vendor is used; topics with CloudEvents need no mapping.

    `namespace` is that of the customers' ids: by default the source's own, `shared` for that of events without one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    kind: SourceKind
    namespace: Namespace | None = None
    topics: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=249)]], Field(max_length=50)
    ] = []
    signature: Signature | None = None
    mapping: MappingDocument | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.kind is SourceKind.KAFKA) != bool(self.topics):
            raise ValueError("topics: required for the kind kafka, not allowed for others")
        if (self.kind is SourceKind.GENERIC) != (self.signature is not None):
            raise ValueError("signature: required for the kind generic, not allowed for others")
        if self.kind is SourceKind.GENERIC and self.mapping is None:
            raise ValueError("mapping: required for the kind generic")
        return self


@dataclass(frozen=True, slots=True)
class Source:
    """A source with its compiled mapping.

    `namespace` is that of the customers' ids, `url` is the REST API of a vendor whose webhooks contain only ids.
    """

    id: str
    kind: SourceKind
    namespace: str = SHARED_NAMESPACE
    topics: Sequence[str] = ()
    read: CompiledMapping | None = None
    signature: Signature | None = None
    secrets: Sequence[str] = ()
    url: str = ""


_SIGNATURES = {SourceKind.SHOPIFY: SHOPIFY, SourceKind.WOOCOMMERCE: WOOCOMMERCE}


def source_of(document: SourceDocument, *, vendors: MappingDocument | None, secrets: Sequence[str], url: str) -> Source:
    """Build a source from its document, the vendor's mapping, and the secrets and URL of the environment."""
    if document.kind.is_webhook and not secrets:
        raise InvalidSource(f"{document.id}: the secret is missing, set EARSHOT_SOURCE_SECRETS={document.id}:…")
    if document.kind is SourceKind.BITRIX24 and not url:
        raise InvalidSource(f"{document.id}: the REST URL is missing, set EARSHOT_SOURCE_URLS={document.id}:https://…")
    mapping = document.mapping or vendors
    return Source(
        id=document.id,
        kind=document.kind,
        namespace=document.namespace or document.id,
        topics=document.topics,
        read=compile_mapping(mapping) if mapping else None,
        signature=document.signature or _SIGNATURES.get(document.kind),
        secrets=secrets,
        url=url,
    )


def read_source(text: bytes) -> SourceDocument:
    """Read the document of a source, YAML or JSON; raises InvalidSource."""
    return _read(text, SourceDocument)


def read_mapping(text: bytes) -> MappingDocument:
    """Read a mapping from a file of its own, YAML or JSON; raises InvalidSource."""
    return _read(text, MappingDocument)


def _read(text: bytes, kind: type[T]) -> T:
    if len(text) > MAX_DOCUMENT:
        raise InvalidSource(f"document: {len(text)} bytes, at most {MAX_DOCUMENT} are allowed")
    try:
        return kind.model_validate(load_yaml(text))
    except InvalidProgram as error:
        raise InvalidSource(str(error)) from None
    except ValidationError as error:
        raise InvalidSource("; ".join(map(str, mistakes_in(text, error, of=kind, manual="docs/sources/")))) from None
