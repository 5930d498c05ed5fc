"""Settings of dispatcher, and the accounts they describe."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode

from services.dispatcher.channels import ChannelAccount
from services.dispatcher.channels.bitrix24 import Bitrix24
from services.dispatcher.channels.breaker import Breaker
from services.dispatcher.channels.email import SmtpAccount, SmtpServer
from services.dispatcher.channels.feedback.imap import BounceMailbox
from services.dispatcher.channels.messages import Composer, envelope_sender
from services.dispatcher.channels.pace import DomainPace
from services.dispatcher.channels.sms import Description, Gateway, Generic, SmsAccount, Smsc, SmsRouter, Twilio
from services.dispatcher.channels.styles import Style
from services.dispatcher.config.mail import SmtpAccountSettings, read_styles
from services.dispatcher.domain import SendMode, caps
from services.dispatcher.hooks.door import Door
from services.dispatcher.hooks.doors import Bitrix24Door, GenericDoor, PostmarkDoor, SmscDoor, TwilioDoor
from services.dispatcher.hooks.sns import SnsDoor
from services.dispatcher.scheduler import SendPolicy
from shared.config import Settings
from shared.events import ContactCap
from shared.http_client import HttpClient

_COUNTRY = re.compile(r"[A-Z]{2}|\*")


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
    twilio_from: str = ""  # a number of yours, or the id of a messaging service (MG…)
    smsc_url: str = "https://smsc.ru"
    smsc_api_key: SecretStr = SecretStr("")  # or login and password
    smsc_login: str = ""
    smsc_password: SecretStr = SecretStr("")
    smsc_sender: str = ""
    smsc_secret: SecretStr = SecretStr("")  # signs the callbacks
    sms_gateway: SecretStr = SecretStr("")  # any other gateway, described in JSON: docs/providers/generic-sms.md
    sms_gateway_secret: SecretStr = SecretStr("")  # signs its receipts
    sms_routes: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)  # RU:smsc,*:twilio
    sms_country_ceilings: Annotated[dict[str, int], NoDecode] = Field(default_factory=dict)  # RU:500,*:0, a UTC day
    postmark_hook: SecretStr = SecretStr("")  # user:password, as in the address Postmark calls
    ses_topics: Annotated[tuple[str, ...], NoDecode] = ()  # ARNs of the SNS topics that are listened to
    imap_url: SecretStr = SecretStr("")  # where bounces come back to: imaps://user:password@host[:port][/folder]
    bitrix24_url: SecretStr = SecretStr("")  # an incoming webhook: https://portal.bitrix24.ru/rest/1/code
    bitrix24_responsible: Annotated[int, Field(ge=1)] = 1  # the user who gets the calls
    bitrix24_token: SecretStr = SecretStr("")  # the outgoing webhook's application token
    desk_url: str = Field(default_factory=lambda known: f"http://127.0.0.1:{known['scoring_port']}/desk")
    hooks_url: str = ""  # how providers reach dispatcher, https://…; empty: they are not asked to call

    @field_validator("send_allowlist", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        entries = (entry.strip().removeprefix("@") for entry in value.split(","))
        return tuple(re.sub(r"[\s()-]", "", entry) if entry.startswith("+") else entry for entry in entries if entry)

    @field_validator("ses_topics", mode="before")
    @classmethod
    def _topics(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("sms_routes", "sms_country_ceilings", mode="before")
    @classmethod
    def _by_country(cls, value: object) -> object:
        """Read `RU:smsc,*:twilio`: two letters of a country, `*` for all others."""
        if not isinstance(value, str):
            return value
        pairs = [entry.strip().partition(":") for entry in value.split(",") if entry.strip()]
        if not all(_COUNTRY.fullmatch(country) and what.strip() for country, _, what in pairs):
            raise ValueError("XX:… pairs are wanted, with commas between them and * for every other country")
        return {country: what.strip() for country, _, what in pairs}

    @field_validator("imap_url")
    @classmethod
    def _is_imap(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            BounceMailbox.from_url(value.get_secret_value())
        return value

    @property
    def bounce_mailbox(self) -> BounceMailbox | None:
        url = self.imap_url.get_secret_value()
        return BounceMailbox.from_url(url) if url and self.send is not SendMode.MAILBOX else None

    @field_validator("sms_gateway")
    @classmethod
    def _is_described(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            Description.model_validate_json(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _routes_lead_somewhere(self) -> Self:
        configured = self._sms_gateways
        if unknown := set(self.sms_routes.values()) - configured:
            raise ValueError(f"EARSHOT_SMS_ROUTES names {', '.join(sorted(unknown))}, which is not configured")
        if len(configured) > 1 and not self.sms_routes:
            raise ValueError("several SMS gateways are configured: say in EARSHOT_SMS_ROUTES which serves what")
        return self

    @property
    def _sms_gateways(self) -> set[str]:
        return {
            name
            for name, is_set in {
                "twilio": self.twilio_account_sid,
                "smsc": self.smsc_login or self.smsc_api_key.get_secret_value(),
                "generic": self.sms_gateway.get_secret_value(),
            }.items()
            if is_set
        }

    @field_validator("contact_caps", mode="before")
    @classmethod
    def _read_caps(cls, value: object) -> object:
        return caps.read_caps(value) if isinstance(value, str) else value

    @field_validator("mail_from")
    @classmethod
    def _has_address(cls, value: str) -> str:
        envelope_sender(value)
        return value

    @field_validator("mail_texts")
    @classmethod
    def _can_be_read(cls, value: Path | None) -> Path | None:
        if value is not None:
            read_styles(value)
        return value

    @field_validator("smtp_url")
    @classmethod
    def _is_smtp(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            SmtpServer.from_url(value.get_secret_value())
        return value

    @property
    def send_policy(self) -> SendPolicy:
        return SendPolicy(
            self.send, self.send_allowlist, self.send_daily_ceiling, self.contact_caps, self.sms_country_ceilings
        )

    @property
    def styles(self) -> tuple[Style, ...]:
        return read_styles(self.mail_texts) if self.mail_texts else ()

    @property
    def composer(self) -> Composer:
        return Composer(
            link_keys=self.link_secrets,
            public_url=self.public_url.rstrip("/"),
            short_url=(self.short_url or self.public_url).rstrip("/"),
            unsubscribe_url=self.unsubscribe_url.rstrip("/"),
            mail_from=self.mail_from,
            styles=self.styles,
        )

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

    def _mail_account(self, account: SmtpAccountSettings, stop: asyncio.Event | None) -> SmtpAccount:
        return SmtpAccount(
            SmtpServer.from_url(account.url.get_secret_value(), ca_file=self.smtp_ca_file),
            sender=envelope_sender(self.mail_from),
            name=account.name,
            connections=account.connections,
            weight=account.weight,
            per_second=account.per_second,
            domains=DomainPace(account.per_domain),
            daily=account.daily,
            breaker=self._breaker(),
            stop=stop,
        )

    def _breaker(self) -> Breaker:
        return Breaker(patience_s=self.provider_patience_hours * 3600)

    def open_accounts(self, stop: asyncio.Event | None = None) -> list[ChannelAccount]:
        """Open what is configured; in mailbox mode nothing is, so that nothing can leave. `stop` ends their sending."""
        if self.send is SendMode.MAILBOX:
            return []
        accounts: list[ChannelAccount] = [self._mail_account(account, stop) for account in self.mail_accounts]
        if sms := [SmsAccount(self._gateway(name), self._breaker()) for name in sorted(self._sms_gateways)]:
            by_name = {account.name: account for account in sms}
            accounts.append(SmsRouter(by_name, self.sms_routes) if self.sms_routes else sms[0])
        return accounts

    def _gateway(self, name: str) -> Gateway:
        if name == "generic":
            return Generic(HttpClient(""), self.gateway_description)
        if name == "smsc":
            return Smsc(
                HttpClient(self.smsc_url),
                login=self.smsc_login,
                password=self.smsc_password.get_secret_value(),
                api_key=self.smsc_api_key.get_secret_value(),
                sender=self.smsc_sender,
            )
        auth = (self.twilio_account_sid, self.twilio_auth_token.get_secret_value())
        callback = f"{self.hooks_url.rstrip('/')}/hooks/twilio" if self.hooks_url else ""
        http = HttpClient(self.twilio_url, auth=auth)
        return Twilio(http, sid=self.twilio_account_sid, sender=self.twilio_from, callback=callback)

    @property
    def gateway_description(self) -> Description:
        return Description.model_validate_json(self.sms_gateway.get_secret_value() or '{"url": ""}')

    def open_crm(self) -> Bitrix24 | None:
        """Open the CRM that gets calls as tasks; none in mailbox mode."""
        url = self.bitrix24_url.get_secret_value()
        if not url or self.send is SendMode.MAILBOX:
            return None
        return Bitrix24(HttpClient(url.rstrip("/") + "/"), responsible=self.bitrix24_responsible)

    def doors(self) -> dict[str, Door]:
        """Open a hook for each provider whose secret is known; there is no other way to trust what it says."""
        doors: dict[str, Door] = {}
        if token := self.twilio_auth_token.get_secret_value():
            doors["twilio"] = TwilioDoor(f"{(self.hooks_url or self.unsubscribe_url).rstrip('/')}/hooks/twilio", token)
        if secret := self.smsc_secret.get_secret_value():
            doors["smsc"] = SmscDoor(secret)
        if secret := self.sms_gateway_secret.get_secret_value():
            doors["generic"] = GenericDoor(secret, self.gateway_description.callback)
        if credentials := self.postmark_hook.get_secret_value():
            doors["postmark"] = PostmarkDoor(credentials)
        if token := self.bitrix24_token.get_secret_value():
            doors["bitrix24"] = Bitrix24Door(token)
        if self.ses_topics:
            doors["ses"] = SnsDoor(HttpClient(""), topics=self.ses_topics)
        return doors
