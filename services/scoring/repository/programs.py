"""Programs as trigger published them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from services.scoring.domain.history import PublishedProgram
from shared.contract.events import PlanStep, Reasons
from shared.contract.vocabulary import ProgramState, Service
from shared.database import db
from shared.database.isolated import isolated
from shared.database.session import Session
from shared.locales import primary_language

_PUBLISHED = """SELECT id, version, coalesce(document->>'title', id) AS title,
coalesce(document->>'time_zone', 'UTC') AS zone FROM programs WHERE id = $1"""


async def published(session: Session, program: str) -> PublishedProgram | None:
    rows = await db.fetch(session, _PUBLISHED, program)
    return PublishedProgram(*rows[0]) if rows else None


_PUBLISH_PROGRAMS = """INSERT INTO programs (id, version, document, state)
SELECT * FROM unnest($1::text[], $2::int[], $3::jsonb[], $4::text[])
ON CONFLICT (id) DO UPDATE SET version = excluded.version, document = excluded.document,
state = coalesce(excluded.state, programs.state)
WHERE excluded.version >= programs.version"""


async def store_programs(session: Session, documents: Sequence[tuple[str, int, str, ProgramState | None]]) -> None:
    """Store the id, version, document and state of programs, each unless a newer version is stored.

    A state that is None stays as it is.
    """
    await db.fetch(session, _PUBLISH_PROGRAMS, *(list(column) for column in zip(*documents, strict=True)))


async def document(session: Session, program: str) -> dict[str, Any] | None:
    """Return a program's document as trigger published it."""
    rows = await db.fetch(session, "SELECT document::text FROM programs WHERE id = $1", program)
    return json.loads(rows[0]["document"]) if rows else None


async def titles(session: Session) -> dict[str, str]:
    """Return how programs are called, by their ids; those without a title are left out."""
    rows = await db.fetch(session, "SELECT id, document->>'title' AS title FROM programs")
    return {row["id"]: row["title"] for row in rows if row["title"]}


_LOCALES = """SELECT DISTINCT jsonb_object_keys(document->'texts') AS locale FROM programs
WHERE jsonb_typeof(document->'texts') = 'object'"""


async def languages(session: Session) -> set[str]:
    """Return the languages, without regions, of the programs' texts."""
    return {primary_language(row["locale"]) for row in await db.fetch(session, _LOCALES)}


async def brands_and_titles(session: Session) -> list[str]:
    """Return how programs and their brands are called."""
    rows = await db.fetch(
        session,
        """SELECT document->>'title' AS name FROM programs UNION SELECT document->'brand'->>'name' FROM programs""",
    )
    return [row["name"] for row in rows if row["name"]]


_DOCUMENTS = "SELECT document::text FROM programs WHERE $1::text[] IS NULL OR id = ANY($1) ORDER BY id"


async def documents(session: Session, *, within: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return the documents of programs as trigger published them, of all or of those `within`."""
    return [json.loads(row["document"]) for row in await db.fetch(session, _DOCUMENTS, within)]


async def program_zones(session: Session) -> dict[str, str]:
    rows = await db.fetch(session, "SELECT id, document->>'time_zone' AS zone FROM programs")
    return {row["id"]: row["zone"] for row in rows if row["zone"]}


_TITLES = """SELECT p.id, coalesce(p.document->>'title', (SELECT program_title FROM invitation_details
WHERE program = p.id ORDER BY id DESC LIMIT 1), '') AS title,
coalesce(p.state <> 'off', true) AND coalesce((p.document->>'active')::boolean, true) AS active,
coalesce(p.state IN ('stopped', 'withdrawn'), false) AS stopped, coalesce(p.document->>'time_zone',
(SELECT program_zone FROM invitation_details WHERE program = p.id ORDER BY id DESC LIMIT 1), 'UTC') AS zone
FROM (SELECT id, document, state FROM programs UNION ALL
SELECT DISTINCT program, NULL::jsonb, NULL FROM invited WHERE program NOT IN (SELECT id FROM programs)) p
ORDER BY active DESC,
(SELECT max(day) FROM invited WHERE program = p.id AND dimension = 'all' AND value = '') DESC NULLS LAST, p.id"""


@dataclass(frozen=True, slots=True)
class ProgramInUse:
    title: str
    active: bool
    stopped: bool
    zone: str


_STOPPED = """SELECT coalesce(document->>'title', id) AS title FROM programs
WHERE state IN ('stopped', 'withdrawn') AND ($1::text[] IS NULL OR id = ANY($1)) ORDER BY 1"""


async def stopped(session: Session, *, within: Sequence[str] | None = None) -> list[str]:
    """Return the titles of programs of which nothing leaves, of all or of those `within`."""
    return [row["title"] for row in await db.fetch(session, _STOPPED, within)]


async def programs_by_use(session: Session) -> dict[str, ProgramInUse]:
    """Read all programs that were published or have invitations; active and latest used first."""
    return {
        row["id"]: ProgramInUse(row["title"] or row["id"], row["active"], row["stopped"], row["zone"])
        for row in await db.fetch(session, _TITLES)
    }


_PLAN = """SELECT document->'plan' AS plan FROM contents
WHERE digest = (SELECT content FROM invitations WHERE program = $1 ORDER BY id DESC LIMIT 1)"""


async def plan(session: Session, program: str) -> list[PlanStep]:
    """Read the escalation plan of the program's newest invitation; one that cannot be read is logged: []."""
    for row in await db.fetch(session, _PLAN, program):
        with isolated("stored_plan", service=Service.SCORING, program=program):
            return TypeAdapter(list[PlanStep]).validate_python(row["plan"])
    return []


# of a document, the locale of the language $2, else the default one
_REASON_TEXTS = """SELECT coalesce(
(SELECT document->'texts'->coalesce((SELECT key FROM jsonb_object_keys(document->'texts') AS key
    WHERE split_part(replace(lower(key), '_', '-'), '-', 1) = $2 ORDER BY key LIMIT 1), document->>'default_locale')
    ->'reasons' FROM programs WHERE id = $1),
(SELECT document->'reasons'
 FROM (SELECT id, locale, document FROM invitation_details WHERE program = $1 ORDER BY id DESC LIMIT 200) AS latest
 ORDER BY starts_with(locale, $2) DESC,
 starts_with(locale, (SELECT document->>'default_locale' FROM programs WHERE id = $1)) DESC NULLS LAST,
 id DESC LIMIT 1)) AS texts"""


async def reason_texts(session: Session, program: str, *, language: str) -> Reasons:
    """Read the texts of reasons from the program, or from its newest invitations: in a language, `ru`, if it has it."""
    [found] = await db.fetch(session, _REASON_TEXTS, program, language)
    return read_reasons(found["texts"], of=program)


def read_reasons(stored: Any, *, of: str) -> Reasons:
    """Read the reasons of a program or answer; those of another release that cannot be read are logged: none."""
    with isolated("stored_reasons", service=Service.SCORING, of=of):
        return Reasons.model_validate(stored or {})
    return Reasons()
