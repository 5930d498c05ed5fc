"""API keys in the databases of all services: each stores a key with the scopes that are its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from uuid_utils.compat import uuid7

from shared.config import Settings
from shared.contract.api_keys import ApiKey, KeyScope, NewKey, digest, new_token
from shared.contract.vocabulary import Service
from shared.database import api_keys
from shared.database.opening import open_for_command
from shared.database.session import Session
from shared.web.api_keys.scopes import scopes_of
from shared.web.audit.acts import note_unchanged_in

if TYPE_CHECKING:
    from shared.web.audit.last_acts import LastAct

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Away:
    """A service whose database could not be asked, and why."""

    service: Service
    reason: str

    def __str__(self) -> str:
        return f"{self.service}: {self.reason}"


class NotCreated(Exception):
    """A key could not be stored in every database; the message says what to do."""


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key with what each service stores of it; `acts` are its making and its revocation, as far as recorded."""

    id: UUID
    name: str
    by_service: Mapping[Service, ApiKey]
    acts: Sequence[LastAct] = ()

    @property
    def scopes(self) -> frozenset[str]:
        return frozenset().union(*(part.scopes for part in self.by_service.values()))

    @property
    def used_at(self) -> datetime | None:
        """The hour of its last use, in whichever service; None if it was never used."""
        return max((part.used_at for part in self.by_service.values() if part.used_at), default=None)


async def create(
    settings: Settings,
    name: str,
    *,
    scopes: Collection[KeyScope],
    lasting: timedelta | None,
    programs: Collection[str] = (),
) -> tuple[str, StoredKey]:
    """Store a new key in the databases of its scopes' services; return its token, and the key.

    It sees these programs, or all if there are none.

    Raises NotCreated, also for a program that there is not. Nothing is committed before every database has accepted
    the key.
    """
    by_service = {service: own for service in Service if (own := scopes_of(service) & frozenset(scopes))}
    if programs:
        await _refuse_unknown(settings, programs, services=by_service)
    token = new_token(by_service)
    key = NewKey(uuid7(), name, digest(token), frozenset(scopes), lasting, frozenset(programs))
    stored: dict[Service, ApiKey] = {}
    async with AsyncExitStack() as resources:
        sessions: dict[Service, Session] = {}
        for service, own in by_service.items():
            try:
                database = await resources.enter_async_context(open_for_command(settings, service))
                sessions[service] = await resources.enter_async_context(database.sessions())
                stored[service] = await api_keys.add(sessions[service], replace(key, scopes=own))
            except Exception as error:
                raise NotCreated(f"{_away(service, error)}; the key was not created, try again") from error
        await _commit(sessions, key.id)
    return token, StoredKey(key.id, name, stored)


async def _refuse_unknown(settings: Settings, programs: Collection[str], *, services: Collection[Service]) -> None:
    """Raise NotCreated for a program that neither a document nor, for a key of scoring, a stored answer names."""
    from services.scoring.repository.programs import programs_by_use  # noqa: PLC0415 - only such keys need them
    from services.trigger.repository.programs import current  # noqa: PLC0415

    readers: Mapping[Service, Callable[[Session], Awaitable[Collection[str]]]] = {
        Service.TRIGGER: current,
        Service.SCORING: programs_by_use,
    }
    known = set[str]()
    for service, read in readers.items():
        if service is Service.TRIGGER or service in services:
            try:
                async with open_for_command(settings, service) as database, database.sessions() as session:
                    known |= set(await read(session))
            except Exception as error:
                raise NotCreated(f"{_away(service, error, table='programs')}; the key was not created") from error
    if unknown := set(programs) - known:
        named = ", ".join(sorted(known)) or "none"
        raise NotCreated(f"there is no program {', '.join(sorted(unknown))}; there are: {named}")


async def _commit(sessions: Mapping[Service, Session], key: UUID) -> None:
    for number, (service, session) in enumerate(sessions.items()):
        try:
            await session.commit()
        except Exception as error:
            undo = f"revoke it with `earshot keys revoke {key}`, and create another" if number else "try again"
            raise NotCreated(f"{_away(service, error)}; the key is not usable: {undo}") from error


async def load_all(settings: Settings) -> tuple[list[StoredKey], Sequence[Away]]:
    """Return all keys, oldest first, and the services whose part is missing."""
    found, away = await _in_each(settings, _load)
    joined: dict[UUID, dict[Service, ApiKey]] = {}
    acts: dict[tuple[UUID, str], LastAct] = {}
    for service, (keys, recorded) in found.items():
        for key in keys:
            joined.setdefault(key.id, {})[service] = key
        acts |= {(UUID(act.subject), act.what): act for act in recorded}
    return [
        StoredKey(id_, next(iter(parts.values())).name, parts, [act for (key, _), act in acts.items() if key == id_])
        for id_, parts in sorted(joined.items())
    ], away


async def _load(session: Session) -> tuple[Sequence[ApiKey], Sequence[LastAct]]:
    """Return the keys of a service, and what its audit log says of their making and revocation."""
    from shared.web.api_keys.page import MADE, REVOKED  # noqa: PLC0415 - only the list needs what pages need
    from shared.web.audit.last_acts import last_acts, no_names  # noqa: PLC0415

    keys = await api_keys.load_all(session)
    ids = [str(key.id) for key in keys]
    acts = [await last_acts(session, ids, each, names=no_names) for each in (MADE, REVOKED)]
    return keys, [act for each in acts for act in each.values()]


async def revoke(settings: Settings, id_: UUID) -> tuple[list[Service], Sequence[Away]]:
    """Revoke a key everywhere; return the services that have it, and those that could not be asked."""
    found, away = await _in_each(settings, lambda session: api_keys.revoke(session, id_))
    note_unchanged_in(service for service, revoked in found.items() if not revoked)
    return [service for service, revoked in found.items() if revoked is not None], away


async def _in_each(settings: Settings, work: Callable[[Session], Awaitable[T]]) -> tuple[dict[Service, T], list[Away]]:
    """Do work in a transaction of each service; return the results, and the services that are away."""
    done: dict[Service, T] = {}
    away: list[Away] = []
    for service in Service:
        try:
            async with open_for_command(settings, service) as database, database.sessions.begin() as session:
                result = await work(session)
        except Exception as error:  # noqa: BLE001 - `_away` raises what nobody expects
            away.append(_away(service, error))
        else:
            done[service] = result
    return done, away


def _away(service: Service, error: Exception, *, table: str = "keys") -> Away:
    """Say why a service cannot be asked; raises an error again that an operator cannot repair."""
    from deploy.operations.error_messages import explain_away  # noqa: PLC0415 - only needed in a failure

    return Away(service, explain_away(service, error, table=table))
