"""Settings of dispatcher, and the accounts they describe."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import NoDecode

from services.dispatcher.channels import ChannelAccount
from services.dispatcher.channels.email import SmtpAccount, SmtpServer
from services.dispatcher.channels.messages import Composer, envelope_sender
from services.dispatcher.channels.sms import TwilioAccount
from services.dispatcher.domain import SendMode, caps
from services.dispatcher.scheduler import SendPolicy
from shared.config import Settings
from shared.events import ContactCap
from shared.http_client import HttpClient
from shared.vocabulary import ChannelKind


class DispatcherSettings(Settings):
    send: SendMode = SendMode.MAILBOX  # nothing leaves the machine
    send_allowlist: Annotated[tuple[str, ...], NoDecode] = ()  # mail domains and phone numbers, commas between them
    send_daily_ceiling: Annotated[int, Field(ge=0)] = 1000  # per account and UTC day, in live mode
    contact_caps: Annotated[tuple[ContactCap, ...], NoDecode] = ()  # such as: 4 in 30 days, sms 1 in 7 days
    mail_from: str = "Earshot <survey@localhost>"
    smtp_url: SecretStr = SecretStr("")  # smtp://, smtp+starttls:// or smtps://[user:password@]host[:port]
    smtp_connections: Annotated[int, Field(ge=1, le=50)] = 4
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
        )

    def open_accounts(self) -> dict[ChannelKind, ChannelAccount]:
        """Open what is configured; in mailbox mode nothing is, so that nothing can leave."""
        accounts: dict[ChannelKind, ChannelAccount] = {}
        if self.send is SendMode.MAILBOX:
            return accounts
        if self.smtp_url.get_secret_value():
            accounts[ChannelKind.EMAIL] = SmtpAccount(
                SmtpServer.from_url(self.smtp_url.get_secret_value()),
                sender=envelope_sender(self.mail_from),
                connections=self.smtp_connections,
            )
        if self.twilio_account_sid:
            auth = (self.twilio_account_sid, self.twilio_auth_token.get_secret_value())
            accounts[ChannelKind.SMS] = TwilioAccount(
                HttpClient(self.twilio_url, auth=auth), sid=self.twilio_account_sid, sender=self.twilio_from
            )
        return accounts
