"""Settings of dispatcher."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import NoDecode

from services.dispatcher.channels.feedback.imap import BounceMailbox
from services.dispatcher.channels.sms import GatewayDescription
from services.dispatcher.config.mail import SmtpAccountSettings, read_styles
from services.dispatcher.domain import caps, crm_fields
from services.dispatcher.domain.crm_fields import CrmFields
from services.dispatcher.domain.send_mode import SendMode, SendPolicy
from services.dispatcher.domain.sms_prices import SmsPrice, read_price
from services.dispatcher.messages.composer import Composer, envelope_sender
from services.dispatcher.messages.styles import Style
from shared.config import Settings, is_loopback
from shared.contract.events import ContactCap
from shared.contract.sms import is_number
from shared.smtp_server import SmtpServer

_COUNTRY = re.compile(r"[A-Z]{2}|\*")


class DispatcherSettings(Settings):
    send: SendMode = SendMode.MAILBOX  # messages are kept here, nothing is sent
    send_allowlist: Annotated[tuple[str, ...], NoDecode] = ()  # mail domains and phone numbers, separated by commas
    send_daily_ceiling: Annotated[int, Field(ge=0)] = 1000  # per account and UTC day, in live mode
    contact_caps: Annotated[tuple[ContactCap, ...], NoDecode] = ()  # such as: 4 in 30 days, sms 1 in 7 days
    mail_from: str = "Earshot <survey@localhost>"
    dkim_selectors: Annotated[tuple[str, ...], NoDecode] = ()  # of our senders' domains; earshot doctor looks them up
    mail_texts: Path | None = None  # YAML: texts and senders per brand, locale and template
    smtp_url: SecretStr = SecretStr("")  # smtp://, smtp+starttls:// or smtps://[user:password@]host[:port]
    smtp_connections: Annotated[int, Field(ge=1, le=50)] = 4
    smtp_accounts: tuple[SmtpAccountSettings, ...] = ()  # accounts in addition to that of smtp_url, as JSON
    smtp_ca_file: Path | None = None
    provider_patience_hours: Annotated[float, Field(gt=0)] = 6  # after failing for longer, each failure counts as a try
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
    sms_gateway: SecretStr = SecretStr("")  # any other gateway, as JSON: docs/providers/generic-sms.md
    sms_gateway_secret: SecretStr = SecretStr("")  # signs its receipts
    sms_routes: Annotated[dict[str, tuple[str, ...]], NoDecode] = Field(default_factory=dict)  # RU:smsc+twilio,*:twilio
    sms_country_ceilings: Annotated[dict[str, int], NoDecode] = Field(default_factory=dict)  # RU:500,*:0, a UTC day
    sms_prices: Annotated[dict[str, SmsPrice], NoDecode] = Field(default_factory=dict)  # of a part: RU:4.10 RUB
    postmark_hook: SecretStr = SecretStr("")  # user:password in the URL Postmark calls
    ses_topics: Annotated[tuple[str, ...], NoDecode] = ()  # ARNs of the accepted SNS topics
    mail_reply_to: str = ""  # where answers to our mails go; empty: to the sender, whose mailbox imap_url should read
    # with attempts and kept messages, from when they were made; 0: for ever
    invitations_kept_days: Annotated[int, Field(ge=0, le=36_500)] = 400
    replies_kept_days: Annotated[int, Field(ge=1, le=3650)] = 90  # what respondents write back is deleted then
    imap_url: SecretStr = SecretStr("")  # the mailbox of bounces: imaps://user:password@host[:port][/folder]
    bitrix24_url: SecretStr = SecretStr("")  # an incoming webhook: https://portal.bitrix24.ru/rest/1/code
    bitrix24_responsible: Annotated[int, Field(ge=1)] = 1  # the user to whom calls are assigned
    bitrix24_fields: Annotated[dict[str, str], NoDecode] = Field(default_factory=dict)  # contact.score:UF_CRM_NPS
    bitrix24_source: str = "bitrix24"  # the source of the events whose answers go into these fields
    bitrix24_token: SecretStr = SecretStr("")  # the outgoing webhook's application token
    desk_url: str = Field(default="", validate_default=True)  # for the link in a CRM task; empty: the dashboard's /desk
    hooks_url: str = Field(default="", validate_default=True)  # empty: unsubscribe_url unless it is loopback

    @field_validator("desk_url")
    @classmethod
    def _default_desk_url(cls, url: str, info: ValidationInfo) -> str:
        return url or f"{str(info.data.get('dashboard_url', '')).rstrip('/')}/desk"

    @field_validator("hooks_url")
    @classmethod
    def _default_hooks_url(cls, url: str, info: ValidationInfo) -> str:
        default = str(info.data.get("unsubscribe_url", ""))
        return url or ("" if is_loopback(default) else default)

    @field_validator("send_allowlist", mode="before")
    @classmethod
    def _parse_allowlist(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        entries = (entry.strip().removeprefix("@") for entry in value.split(","))
        return tuple(re.sub(r"[\s()-]", "", entry) if entry.startswith("+") else entry for entry in entries if entry)

    @field_validator("ses_topics", "dkim_selectors", mode="before")
    @classmethod
    def _split_texts(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("sms_routes", mode="before")
    @classmethod
    def _parse_gateways(cls, value: object) -> object:
        """Parse `smsc+twilio`, the gateways of a country in the order they are tried, after `_parse_countries`."""
        if not isinstance(value, dict):
            return value
        routes = {country: names.split("+") if isinstance(names, str) else names for country, names in value.items()}
        if any(len(set(names)) < len(names) or not all(names) for names in routes.values()):
            raise ValueError("expected each gateway of a country once, joined by +, such as RU:smsc+twilio")
        return routes

    @field_validator("sms_prices", mode="before")
    @classmethod
    def _parse_prices(cls, value: object) -> object:
        """Parse `4.10 RUB`, after `_parse_countries`."""
        if not isinstance(value, dict):
            return value
        return {country: read_price(price) if isinstance(price, str) else price for country, price in value.items()}

    @field_validator("sms_routes", "sms_country_ceilings", "sms_prices", mode="before")
    @classmethod
    def _parse_countries(cls, value: object) -> object:
        """Parse `RU:smsc,*:twilio`: a country of two letters, or `*` for all others."""
        if not isinstance(value, str):
            return value
        pairs = [entry.strip().partition(":") for entry in value.split(",") if entry.strip()]
        if not all(_COUNTRY.fullmatch(country) and what.strip() for country, _, what in pairs):
            raise ValueError("expected pairs such as RU:…, separated by commas, with * for all other countries")
        return {country: what.strip() for country, _, what in pairs}

    @field_validator("imap_url")
    @classmethod
    def _check_imap(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            BounceMailbox.from_url(value.get_secret_value())
        return value

    @field_validator("sms_gateway")
    @classmethod
    def _check_gateway(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            GatewayDescription.model_validate_json(value.get_secret_value())
        return value

    @field_validator("contact_caps", mode="before")
    @classmethod
    def _parse_caps(cls, value: object) -> object:
        return caps.read_caps(value) if isinstance(value, str) else value

    @field_validator("bitrix24_fields", mode="before")
    @classmethod
    def _parse_fields(cls, value: object) -> object:
        return crm_fields.read_field_names(value) if isinstance(value, str) else value

    @field_validator("mail_from")
    @classmethod
    def _check_sender(cls, value: str) -> str:
        envelope_sender(value)
        return value

    @field_validator("mail_reply_to")
    @classmethod
    def _check_reply_to(cls, value: str) -> str:
        return envelope_sender(value) if value else ""

    @property
    def invitations_kept(self) -> timedelta | None:
        return timedelta(days=self.invitations_kept_days) if self.invitations_kept_days else None

    @property
    def replies_kept(self) -> timedelta:
        return timedelta(days=self.replies_kept_days)

    @field_validator("mail_texts")
    @classmethod
    def _check_mail_texts(cls, value: Path | None) -> Path | None:
        if value is not None:
            read_styles(value)
        return value

    @field_validator("smtp_url")
    @classmethod
    def _check_smtp(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            SmtpServer.from_url(value.get_secret_value())
        return value

    @field_validator("smtp_accounts")
    @classmethod
    def _check_names(cls, accounts: tuple[SmtpAccountSettings, ...]) -> tuple[SmtpAccountSettings, ...]:
        names = [account.name for account in accounts]
        if len({*names, "smtp"}) <= len(names):
            raise ValueError("every account needs a name of its own; smtp is the account of EARSHOT_SMTP_URL")
        return accounts

    @model_validator(mode="after")
    def _check_routes(self) -> Self:
        configured = self.sms_gateways
        if unknown := {name for names in self.sms_routes.values() for name in names} - configured:
            raise ValueError(f"EARSHOT_SMS_ROUTES names {', '.join(sorted(unknown))}, which is not configured")
        if len(configured) > 1 and not self.sms_routes:
            raise ValueError("several SMS gateways are configured: set EARSHOT_SMS_ROUTES")
        return self

    @property
    def bounce_mailbox(self) -> BounceMailbox | None:
        url = self.imap_url.get_secret_value()
        return BounceMailbox.from_url(url) if url and self.send is not SendMode.MAILBOX else None

    @property
    def has_crm(self) -> bool:
        return bool(self.bitrix24_url.get_secret_value()) and self.send is not SendMode.MAILBOX

    @property
    def crm_fields(self) -> CrmFields:
        """The fields that answers are written into; none in mailbox mode, in which nothing is stored for later."""
        return CrmFields(self.bitrix24_source, self.bitrix24_fields if self.has_crm else {})

    @property
    def sms_gateways(self) -> set[str]:
        return {
            name
            for name, is_set in {
                "twilio": self.twilio_account_sid,
                "smsc": self.smsc_login or self.smsc_api_key.get_secret_value(),
                "generic": self.sms_gateway.get_secret_value(),
            }.items()
            if is_set
        }

    @property
    def reads_sms(self) -> bool:
        """Whether every gateway passes on what respondents write back."""
        callback = self.gateway_description.callback
        reads = {
            "twilio": bool(self.hooks_url),
            "smsc": bool(self.smsc_secret.get_secret_value()),
            "generic": bool(self.sms_gateway_secret.get_secret_value() and callback.sender and callback.text),
        }
        return bool(self.sms_gateways) and all(reads[name] for name in self.sms_gateways)

    @property
    def sms_from_number(self) -> bool:
        """Whether the account of every gateway sends from a number."""
        senders = {
            "twilio": self.twilio_from,
            "smsc": self.smsc_sender,
            "generic": self.gateway_description.sender,
        }
        return all(is_number(senders[name]) for name in self.sms_gateways)

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
            short_url=self.short_url.rstrip("/"),
            unsubscribe_url=self.unsubscribe_url.rstrip("/"),
            mail_from=self.mail_from,
            styles=self.styles,
            reads_mail=bool(self.imap_url.get_secret_value()),
            reply_to=self.mail_reply_to,
            stop_url=(self.unsubscribe_url if self.short_url == self.public_url else self.short_url).rstrip("/"),
            reads_sms=self.reads_sms,
            sms_from_number=self.sms_from_number,
        )

    @property
    def sender_domains(self) -> list[str]:
        """The domains in From of our mails; the first one is that of the envelope, to which bounces go."""
        senders = [self.mail_from, *(style.sender for style in self.styles if style.sender)]
        return list(dict.fromkeys(envelope_sender(each).rpartition("@")[2].lower() for each in senders))

    @property
    def mail_accounts(self) -> list[SmtpAccountSettings]:
        if not self.smtp_url.get_secret_value():
            return list(self.smtp_accounts)
        default = SmtpAccountSettings(name="smtp", url=self.smtp_url, connections=self.smtp_connections)
        return [default, *self.smtp_accounts]

    @property
    def gateway_description(self) -> GatewayDescription:
        return GatewayDescription.model_validate_json(self.sms_gateway.get_secret_value() or '{"url": ""}')
