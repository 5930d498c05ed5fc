"""`earshot suppressions import`: opt-outs and bounces of another tool, from CSV or JSON Lines files."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from services.dispatcher.config import DispatcherSettings
from services.dispatcher.domain.addresses import NewSuppression
from services.dispatcher.handlers import close_invitations
from services.dispatcher.repository import invitations
from shared.contract.address_keys import AddressKeys
from shared.contract.events import Suppression
from shared.contract.vocabulary import ChannelKind, Service, SuppressionReason, address_fingerprint, respondent_id
from shared.database.compared_clock import open_command_clock
from shared.database.opening import open_for_command
from shared.database.session import Sessions
from shared.tables.commands import Columns, Encoding, Header, Separator, options_of
from shared.tables.layout import TableOptions
from shared.tables.opening import InvalidFile, suffix_of
from shared.tables.records import FileRecord, Position, inspect
from shared.tables.report import FileReport, Refusals
from shared.tables.values import ROUNDED, is_rounded

BATCH = 200
_NAMES: Mapping[str, Sequence[str]] = {
    "customer_id": ("customer_id",),  # the ids of another tool's people are not ours: they have to be mapped
    "email": ("email", "Email Address", "E-mail", "Person Email"),
    "phone": ("phone", "Phone number"),
    "reason": ("reason",),
}
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_PHONE = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_OF_ADDRESS = (SuppressionReason.HARD_BOUNCE, SuppressionReason.SOFT_BOUNCE)


class RefusedRow(ValueError):
    """A record names nobody who could be suppressed; the text says why and quotes no value."""


def import_suppressions(  # noqa: PLR0913 - one option each
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV with a header line, or JSON lines.")],
    *,
    reason: Annotated[SuppressionReason, typer.Option(help="For records that name none.")] = SuppressionReason.OPT_OUT,
    columns: Columns = None,
    encoding: Encoding = None,
    separator: Separator = None,
    header: Header = None,
) -> None:
    """Suppress everybody in a file of another tool; the same file twice changes nothing."""
    options = options_of(columns, None, encoding, separator, header, None, None)
    job = SuppressionImport(file, with_names(options), reason)
    try:
        suffix_of(file)
        report = asyncio.run(job.run())
    except InvalidFile as error:
        typer.echo(f"earshot: {error}", err=True)
        raise typer.Exit(1) from None
    summary = f"{report.stored} stored, {report.known} were stored before, {report.refused} refused"
    typer.echo("\n".join(report.texts(summary, refusals=Refusals.of(file).path)))
    raise typer.Exit(1 if report.refused else 0)


def with_names(options: TableOptions) -> TableOptions:
    """Add the names that columns of addresses usually have; what was stated wins."""
    columns = {**_NAMES, **options.columns}
    return replace(
        options, columns=columns, optional=frozenset(columns) - {*options.columns}, unique=frozenset(columns)
    )


@dataclass(frozen=True, slots=True)
class SuppressionImport:
    file: Path
    options: TableOptions
    reason: SuppressionReason

    async def run(self) -> FileReport:
        settings = DispatcherSettings()
        async with open_for_command(settings, Service.DISPATCHER, pool_size=2) as database:
            now = (await open_command_clock(settings.clock, database)).now()
            Refusals.of(self.file).path.unlink(missing_ok=True)
            return await self.store(database.sessions, settings.address_fingerprints, now=now)

    async def store(self, sessions: Sessions, keys: AddressKeys, *, now: datetime) -> FileReport:
        """Store and publish the suppressions of the file in transactions of `BATCH`; raises InvalidFile."""
        file = inspect(self.file, self.options)
        report = FileReport(layout=file.layout.describe())
        records = file.records(Position())
        while batch := list(islice(records, BATCH)):
            found, refused = self._read(batch, keys)
            async with sessions.begin() as session:
                await invitations.let_requests_finish(session)
                new = await close_invitations.suppress(session, [NewSuppression(each) for each in found], now=now)
            report.read += len(batch)
            report.stored += len(new)
            report.known += len(found) - len(new)
            report.refuse(refused)
            Refusals.of(self.file).add(refused)
        return report

    def _read(self, batch: Sequence[FileRecord], keys: AddressKeys) -> tuple[list[Suppression], list[tuple[int, str]]]:
        found: list[Suppression] = []
        refused: list[tuple[int, str]] = []
        for record in batch:
            try:
                found.append(suppression_of(_fields(record), self.reason, keys))
            except RefusedRow as error:
                refused.append((record.line, str(error)))
        return found, refused


def suppression_of(fields: Mapping[str, str], reason: SuppressionReason, keys: AddressKeys) -> Suppression:
    """Suppress a customer and bind their addresses; without a customer id, whoever has the address.

    A bounce is about its address alone. Raises RefusedRow.
    """
    customer = fields.get("customer_id", "").strip()
    if is_rounded(customer):
        raise RefusedRow(f"customer_id: {ROUNDED}")
    named = customer if _EMAIL.fullmatch(customer) else ""
    email, phone = _email(fields.get("email", "") or named), _phone(fields.get("phone", ""))
    addresses = [address for address in (email, phone) if address]
    if named:
        customer = keys.pseudonym(named)
    if not customer and not addresses:
        raise RefusedRow("expected a customer_id, an email or a phone")
    reason = _reason(fields.get("reason", ""), reason)
    if reason in _OF_ADDRESS and not email:
        raise RefusedRow("email: a bounce is of an address")
    return Suppression(
        respondent_id=respondent_id(customer or keys.pseudonym(addresses[0])),
        channel=ChannelKind.EMAIL if reason in _OF_ADDRESS else None,
        reason=reason,
        address=address_fingerprint(email).hex() if reason in _OF_ADDRESS else None,
        addresses=[keys.fingerprint(address).hex() for address in addresses],
    )


def _email(text: str) -> str:
    address = text.strip()
    if address and not _EMAIL.fullmatch(address):
        raise RefusedRow("email: not an address")
    return address


def _phone(text: str) -> str:
    number = re.sub(r"[\s().-]", "", text)
    if number and not _PHONE.fullmatch(number):
        raise RefusedRow("phone: expected a number with a plus and the code of its country")
    return number


def _reason(text: str, otherwise: SuppressionReason) -> SuppressionReason:
    if not text.strip():
        return otherwise
    try:
        return SuppressionReason(text.strip().lower().replace(" ", "_"))
    except ValueError:
        raise RefusedRow(f"reason: expected one of {', '.join(SuppressionReason)}") from None


def _fields(record: FileRecord) -> Mapping[str, str]:
    if record.problem:
        raise RefusedRow(record.problem)
    if record.cells is not None:
        return record.cells
    try:
        found = json.loads(record.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RefusedRow("not a JSON object")
    return {name: str(value) for name, value in found.items() if type(value) in (str, int)}
