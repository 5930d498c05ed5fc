"""A mail as its reader would see it, and a test of it to an address somebody names; its links lead nowhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import uuid4

from pydantic import BaseModel, StringConstraints

from services.dispatcher.channels import ChannelAccount
from services.dispatcher.channels.email import SmtpAccount
from services.dispatcher.domain.steps import Disposition, Outgoing, Result
from services.dispatcher.messages.composer import Composer
from services.dispatcher.messages.samples import sample_request
from services.dispatcher.messages.styles import Style
from services.dispatcher.messages.texts import language_of
from shared.contract.vocabulary import ChannelKind

_WITHIN_S = 10.0
_USUAL = "default"
Short = Annotated[str, StringConstraints(max_length=300, strip_whitespace=True)]


class Look(BaseModel):
    """Which mail: the first of a survey, or one that repeats it."""

    brand: Short = "Kofe Point"
    locale: Short = "en"
    template: Short = _USUAL
    repeat: bool = False
    address: Short = "anna@example.com"

    def compose(self, composer: Composer, link_key: str) -> Outgoing:
        """Render it; raises BadAddress."""
        request = sample_request(
            uuid4(),
            brand=self.brand,
            locale=self.locale,
            template=self.template,
            address=self.address,
            link_key=link_key,
        )
        return composer.compose(request, step=2 if self.repeat else 1, channel=ChannelKind.EMAIL)

    def doubts(self, styles: Sequence[Style]) -> list[str]:
        """Name what of it is not known, and so changes nothing."""
        found = []
        if self.template not in {_USUAL, *(style.template for style in styles)}:
            found.append(f"no text is set for the template {self.template}: it reads like any other")
        if language_of(self.locale) != self.locale.partition("-")[0].lower():
            found.append(f"there are no words in {self.locale}: they are English")
        return found


class KeptHere(Exception):
    """Nothing was sent; the text names the setting that says so."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What an account made of a test mail."""

    account: str
    found: Disposition

    @property
    def accepted(self) -> bool:
        return self.found.result is Result.SENT

    def __str__(self) -> str:
        return f"{self.account}: {'accepted' if self.accepted else self.found.reason or self.found.result}"


async def send_test(mail: Outgoing, accounts: Sequence[ChannelAccount], lets_out: Callable[[str], bool]) -> list[Tried]:
    """Send over every mail account and say what each answered; raises KeptHere."""
    if not lets_out(mail.recipient):
        raise KeptHere("Nothing was sent: EARSHOT_SEND keeps it here, or EARSHOT_SEND_ALLOWLIST lacks this address.")
    mailing = [account for account in accounts if isinstance(account, SmtpAccount)]
    if not mailing:
        raise KeptHere("Nothing was sent: no mail account is set up, see EARSHOT_SMTP_URL.")
    return [Tried(account.name, await account.send_apart(mail, within_s=_WITHIN_S)) for account in mailing]
