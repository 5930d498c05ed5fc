"""Sends a test of a mail to an address that staff name, over every mail account."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from services.dispatcher.channels import ChannelAccount
from services.dispatcher.channels.email import SmtpAccount
from services.dispatcher.domain.steps import Disposition, OutgoingMessage, SendResult
from shared.languages.current import gettext
from shared.languages.marking import mark

_WITHIN_S = 10.0
TESTS = {
    "POST /mail": mark("a test of a mail was sent"),
    "POST /mail/programs/{program_id}": mark("a test of a program's messages was sent"),
}


class SendingDisabled(Exception):
    """Nothing was sent; the text names the setting that prevents it."""


@dataclass(frozen=True, slots=True)
class AccountReply:
    """The result of a test mail over one account; `str` gives one line for staff."""

    account: str
    disposition: Disposition

    @property
    def accepted(self) -> bool:
        return self.disposition.result is SendResult.SENT

    def __str__(self) -> str:
        reason = self.disposition.reason or self.disposition.result
        result = gettext("accepted") if self.accepted else reason
        return f"{self.account}: {result}"


async def send_test(
    mail: OutgoingMessage, accounts: Sequence[ChannelAccount], may_send: Callable[[str], bool]
) -> list[AccountReply]:
    """Send over every mail account; raises SendingDisabled if the settings forbid the address or no account exists."""
    if not may_send(mail.recipient):
        raise SendingDisabled(
            gettext("Nothing was sent: EARSHOT_SEND keeps it here, or EARSHOT_SEND_ALLOWLIST lacks this address.")
        )
    smtp = [account for account in accounts if isinstance(account, SmtpAccount)]
    if not smtp:
        raise SendingDisabled(gettext("Nothing was sent: no mail account is set up, see EARSHOT_SMTP_URL."))
    return [AccountReply(account.name, await account.send_apart(mail, within_s=_WITHIN_S)) for account in smtp]
