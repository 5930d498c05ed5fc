"""Settings of dispatcher, and the accounts they describe."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from services.dispatcher.channels import ChannelAccount
from services.dispatcher.channels.breaker import Breaker
from services.dispatcher.channels.email import SmtpAccount, SmtpServer
from services.dispatcher.channels.messages import Composer, envelope_sender
from services.dispatcher.channels.sms import TwilioAccount
from services.dispatcher.channels.styles import Style, unknown_placeholders
from services.dispatcher.domain import SendMode, caps
from services.dispatcher.domain.limits import DailyLimit
from services.dispatcher.scheduler import SendPolicy
from shared.config import Settings
from shared.events import ContactCap
from shared.http_client import HttpClient


class WarmUp(BaseModel):
    """A new account sends `first_day` messages on the day `since`, and `growth` times as many each day after."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: date
    first_day: Annotated[int, Field(ge=1)] = 200
    growth: Annotated[float, Field(ge=1, le=10)] = 1.5


class SmtpAccountSettings(BaseModel):
    """One SMTP account; limits are for it alone, `per_domain` for each recipient's domain, `*` for those not named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,40}$")]
    url: SecretStr
    weight: Annotated[int, Field(ge=1, le=100)] = 1
    connections: Annotated[int, Field(ge=1, le=50)] = 4
    per_second: Annotated[float, Field(gt=0)] | None = None
    per_domain: dict[str, Annotated[float, Field(gt=0)]] = {}
    per_day: Annotated[int, Field(ge=0)] | None = None
    warm_up: WarmUp | None = None

    @field_validator("url")
    @classmethod
    def _is_smtp(cls, value: SecretStr) -> SecretStr:
        SmtpServer.from_url(value.get_secret_value())
        return value

    @property
    def daily(self) -> DailyLimit:
        return DailyLimit(self.per_day, **(self.warm_up.model_dump() if self.warm_up else {}))


class MailStyle(BaseModel):
    """Texts of one's own for mails: of a brand, in a language, of a template; what is left out holds for all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    brand: str | None = None
    locale: str | None = None
    template: str | None = None
    sender: str | None = None
    subject: str | None = None
    reminder: str | None = None
    preheader: str | None = None
    scale: str | None = None
    confirm: str | None = None
    because: str | None = None
    unsubscribe: str | None = None
    privacy: str | None = None

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if self.sender:
            envelope_sender(self.sender)
        for name, text in self.texts.items():
            if unknown := unknown_placeholders(text):
                raise ValueError(f"{name}: no such placeholder: {', '.join(sorted(unknown))}")
        return self

    @property
    def texts(self) -> dict[str, str]:
        return self.model_dump(exclude={"brand", "locale", "template", "sender"}, exclude_none=True)


class DispatcherSettings(Settings):
    send: SendMode = SendMode.MAILBOX  # nothing leaves the machine
    send_allowlist: Annotated[tuple[str, ...], NoDecode] = ()  # mail domains and phone numbers, commas between them
    send_daily_ceiling: Annotated[int, Field(ge=0)] = 1000  # per account and UTC day, in live mode
    contact_caps: Annotated[tuple[ContactCap, ...], NoDecode] = ()  # such as: 4 in 30 days, sms 1 in 7 days
    mail_from: str = "Earshot <survey@localhost>"
    mail_texts: Path | None = None  # YAML: texts and senders per brand, locale and template
    smtp_url: SecretStr = SecretStr("")  # smtp://, smtp+starttls:// or smtps://[user:password@]host[:port]
    smtp_connections: Annotated[int, Field(ge=1, le=50)] = 4
    smtp_accounts: tuple[SmtpAccountSettings, ...] = ()  # several, as JSON; beside the one of smtp_url
    smtp_ca_file: Path | None = None
    provider_patience_hours: Annotated[float, Field(gt=0)] = 6  # then steps spend their tries on one that is away
    twilio_url: str = "https://api.twilio.com"
    twilio_account_sid: str = ""
    twilio_auth_token: SecretStr = SecretStr("")
    twilio_from: str = ""

    @field_validator("send_allowlist", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        entries = (entry.strip().removeprefix("@") for entry in value.split(","))
        return tuple(re.sub(r"[\s()-]", "", entry) if entry.startswith("+") else entry for entry in entries if entry)

    @field_validator("contact_caps", mode="before")
    @classmethod
    def _read_caps(cls, value: object) -> object:
        return caps.read_caps(value) if isinstance(value, str) else value

    @field_validator("mail_from")
    @classmethod
    def _has_address(cls, value: str) -> str:
        envelope_sender(value)
        return value

    @model_validator(mode="after")
    def _texts_can_be_read(self) -> Self:
        self._styles()
        return self

    @field_validator("smtp_url")
    @classmethod
    def _is_smtp(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            SmtpServer.from_url(value.get_secret_value())
        return value

    @property
    def send_policy(self) -> SendPolicy:
        return SendPolicy(self.send, self.send_allowlist, self.send_daily_ceiling, self.contact_caps)

    @property
    def composer(self) -> Composer:
        return Composer(
            link_keys=self.link_secrets,
            public_url=self.public_url.rstrip("/"),
            short_url=(self.short_url or self.public_url).rstrip("/"),
            unsubscribe_url=self.unsubscribe_url.rstrip("/"),
            mail_from=self.mail_from,
            styles=self._styles(),
        )

    def _styles(self) -> tuple[Style, ...]:
        if self.mail_texts is None:
            return ()
        written = TypeAdapter(list[MailStyle]).validate_python(yaml.safe_load(self.mail_texts.read_text()) or [])
        return tuple(Style(each.brand, each.locale, each.template, each.sender, each.texts) for each in written)

    @field_validator("smtp_accounts")
    @classmethod
    def _have_names_of_their_own(cls, accounts: tuple[SmtpAccountSettings, ...]) -> tuple[SmtpAccountSettings, ...]:
        names = [account.name for account in accounts]
        if len({*names, "smtp"}) <= len(names):
            raise ValueError("every account wants a name of its own, and smtp is that of EARSHOT_SMTP_URL")
        return accounts

    @property
    def mail_accounts(self) -> list[SmtpAccountSettings]:
        if not self.smtp_url.get_secret_value():
            return list(self.smtp_accounts)
        one = SmtpAccountSettings(name="smtp", url=self.smtp_url, connections=self.smtp_connections)
        return [one, *self.smtp_accounts]

    def _mail_account(self, account: SmtpAccountSettings) -> SmtpAccount:
        return SmtpAccount(
            SmtpServer.from_url(account.url.get_secret_value(), ca_file=self.smtp_ca_file),
            sender=envelope_sender(self.mail_from),
            name=account.name,
            connections=account.connections,
            weight=account.weight,
            per_second=account.per_second,
            per_domain=account.per_domain,
            daily=account.daily,
            breaker=Breaker(patience_s=self.provider_patience_hours * 3600),
        )

    def open_accounts(self) -> list[ChannelAccount]:
        """Open what is configured; in mailbox mode nothing is, so that nothing can leave."""
        if self.send is SendMode.MAILBOX:
            return []
        accounts: list[ChannelAccount] = [self._mail_account(account) for account in self.mail_accounts]
        if self.twilio_account_sid:
            auth = (self.twilio_account_sid, self.twilio_auth_token.get_secret_value())
            http = HttpClient(self.twilio_url, auth=auth)
            accounts.append(TwilioAccount(http, sid=self.twilio_account_sid, sender=self.twilio_from))
        return accounts
