"""Commands about invitations, suppressions and sample mails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated
from uuid import UUID

import typer

from services.dispatcher import history, repository, schemas
from services.dispatcher.commands.suppression_files import import_suppressions
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.domain.send_mode import may_leave
from services.dispatcher.handlers import apply_receipts
from services.dispatcher.messages.mime import BadAddress
from services.dispatcher.messages.samples import SampleMail
from services.dispatcher.pages.test_mails import AccountReply, SendingDisabled, send_test
from services.dispatcher.repository import stalled as stalled_invitations
from services.dispatcher.repository import suppressions
from services.dispatcher.schemas import Suppressed
from services.dispatcher.wiring import open_accounts
from shared.contract.sms import sms_segments
from shared.contract.vocabulary import ChannelKind, Service, SuppressionReason
from shared.database.compared_clock import open_command_clock
from shared.database.opening import open_for_command
from shared.database.session import Session
from shared.web import problems

mail = typer.Typer(help="Print a sample mail, or send it as a test.", no_args_is_help=True)
app = typer.Typer(help="Invitations, their steps and attempts, and suppressions.", no_args_is_help=True)

app.add_typer(mail, name="mail")

Brand = Annotated[str, typer.Option(help="The brand shown in the mail.")]
Locale = Annotated[str, typer.Option(help="The locale of the mail: en or ru.")]
Template = Annotated[str, typer.Option(help="The mail template that a step of a program names.")]
Sms = Annotated[bool, typer.Option("--sms", help="Print the text message, its parts and their price instead.")]
Repeat = Annotated[bool, typer.Option("--repeat", help="Use the reminder instead of the first mail.")]


@mail.command()
def preview(
    brand: Brand = "Kofe Point",
    locale: Locale = "en",
    template: Template = "default",
    *,
    repeat: Repeat = False,
    sms: Sms = False,
) -> None:
    """Print a mail with its headers; redirected to a file `x.eml` it opens in any mail program."""
    settings = DispatcherSettings()
    sample = SampleMail(brand=brand, locale=locale, template=template, repeat=repeat)
    for warning in sample.warnings(settings.styles):
        typer.echo(warning, err=True)
    channel = ChannelKind.SMS if sms else ChannelKind.EMAIL
    text = sample.compose(settings.composer, channel=channel).body.decode()
    print(text)
    if sms:
        parts = sms_segments(text)
        prices = [f"{country} {price.of(parts)}" for country, price in settings.sms_prices.items()]
        typer.echo(f"characters: {len(text)}, parts: {', '.join([str(parts), *prices])}", err=True)


@mail.command("test")
def send_a_test(
    address: str,
    brand: Brand = "Kofe Point",
    locale: Locale = "en",
    template: Template = "default",
    *,
    repeat: Repeat = False,
) -> None:
    """Send a test mail to this address over every configured mail account, if EARSHOT_SEND allows the address.

    Exits with 1 when an account did not accept it.
    """
    sample = SampleMail(brand=brand, locale=locale, template=template, repeat=repeat, address=address)
    replies = asyncio.run(_test(sample))
    print(", ".join(map(str, replies)))
    raise typer.Exit(not all(each.accepted for each in replies))


async def _test(sample: SampleMail) -> list[AccountReply]:
    settings = DispatcherSettings()
    accounts = open_accounts(settings)
    try:
        composed = sample.compose(settings.composer)
        return await send_test(composed, accounts, partial(may_leave, settings.send, allowed=settings.send_allowlist))
    except SendingDisabled as error:
        typer.echo(f"earshot: {error}", err=True)
        raise typer.Exit(1) from None
    except BadAddress:
        raise typer.BadParameter("not a valid mail address") from None
    finally:
        for account in accounts:
            await account.close()


@app.command()
def invitation(invitation_id: UUID) -> None:
    """Print the history of one invitation: its steps, attempts, reasons and outcome."""
    print(asyncio.run(_invitation(invitation_id)))


@app.command()
def counts() -> None:
    """Count invitations by outcome, and steps by channel and state; without those that never began."""
    print(json.dumps(asyncio.run(_counts()), indent=2))


@app.command()
def stalled() -> None:
    """Print stalled invitations: open ones for which nothing is planned. Exits with 1 when there is one."""
    found = asyncio.run(_stalled())
    print("\n".join(map(str, found)) or "no open invitation is stalled")
    raise typer.Exit(bool(found))


suppressions_app = typer.Typer(help="Respondents who are not contacted, and why.", no_args_is_help=True)
app.add_typer(suppressions_app, name="suppressions")


@suppressions_app.command("list")
def list_suppressions(
    respondent: Annotated[
        str | None, typer.Option(help="Only of this customer id, e-mail address or phone number.")
    ] = None,
    reason: Annotated[SuppressionReason | None, typer.Option(help="Only for this reason.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100,
) -> None:
    """List suppressions, newest first."""
    found = asyncio.run(_suppressions(respondent, reason, limit))
    for each in found:
        print(each.model_dump_json())
    if not found:
        typer.echo("nobody is suppressed" if respondent is None and reason is None else "no such suppression", err=True)


suppressions_app.command("import")(import_suppressions)


@suppressions_app.command("release")
def release_suppression(suppression_id: UUID) -> None:
    """Lift one suppression, so that the respondent may be contacted again."""
    if not asyncio.run(_release(suppression_id)):
        raise typer.BadParameter("no such suppression")
    print("released")


async def _suppressions(respondent: str | None, reason: SuppressionReason | None, limit: int) -> list[Suppressed]:
    keys = DispatcherSettings().address_fingerprints
    known = keys.respondents_like(respondent) if respondent else None
    fingerprints = keys.matching_like(respondent) if respondent else ()
    async with _session() as session:
        found = await suppressions.newest(
            session, respondents=known, reason=reason, limit=limit, fingerprints=fingerprints
        )
        return [schemas.suppressed(each) for each in found]


async def _release(suppression_id: UUID) -> bool:
    settings = DispatcherSettings()
    async with open_for_command(settings, Service.DISPATCHER) as database:
        now = (await open_command_clock(settings.clock, database)).now()
        async with database.sessions.begin() as session:
            return (await apply_receipts.release(session, suppression_id, now=now)) is not None


@asynccontextmanager
async def _session() -> AsyncIterator[Session]:
    async with (
        open_for_command(DispatcherSettings(), Service.DISPATCHER) as database,
        database.sessions.begin() as session,
    ):
        yield session


async def _invitation(invitation_id: UUID) -> str:
    try:
        async with _session() as session:
            return (await history.of_invitation(session, invitation_id)).model_dump_json(indent=2)
    except problems.NotFound:
        raise typer.BadParameter("no such invitation") from None


async def _counts() -> dict[str, dict[str, int]]:
    async with _session() as session:
        found = await repository.step_counts(session)
        by_step = {f"{channel} {state}": count for (channel, state), count in sorted(found.items())}
        return {"invitations": await repository.invitation_counts(session), "steps": by_step}


async def _stalled() -> list[UUID]:
    async with _session() as session:
        return await stalled_invitations.of_all(session)
