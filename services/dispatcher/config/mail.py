"""Settings of mail accounts (JSON) and of the texts of messages (YAML)."""

from __future__ import annotations

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

from services.dispatcher.domain.limits import DailyLimit
from services.dispatcher.messages.composer import envelope_sender
from services.dispatcher.messages.logo import read_logo
from services.dispatcher.messages.styles import Style, unknown_placeholders
from shared.contract.labels import mistake_in
from shared.smtp_server import SmtpServer


class WarmUp(BaseModel):
    """The daily limit of a new account: `first_day` mails on the day `since`, `growth` times as many each day after."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: date
    first_day: Annotated[int, Field(ge=1)] = 200
    growth: Annotated[float, Field(ge=1, le=10)] = 1.5


class SmtpAccountSettings(BaseModel):
    """An SMTP account and its limits; `per_domain` is mails per second by recipient domain, `*` for all others."""

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
    def _check_smtp(cls, value: SecretStr) -> SecretStr:
        SmtpServer.from_url(value.get_secret_value())
        return value

    @property
    def daily(self) -> DailyLimit:
        return DailyLimit(self.per_day, **(self.warm_up.model_dump() if self.warm_up else {}))


class MailStyle(BaseModel):
    """Texts that replace ours in messages of a brand, locale and template; each of these is any if left out.

    `logo` is a file beside that of the texts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    brand: str | None = None
    locale: str | None = None
    template: str | None = None
    sender: str | None = None
    reply_to: str | None = None
    logo: Path | None = None
    subject: str | None = None
    reminder: str | None = None
    preheader: str | None = None
    scale: str | None = None
    confirm: str | None = None
    because: str | None = None
    unsubscribe: str | None = None
    privacy: str | None = None
    sms_text: str | None = None

    @model_validator(mode="after")
    def _check_texts(self) -> Self:
        if self.sender:
            envelope_sender(self.sender)
        if self.reply_to:
            envelope_sender(self.reply_to)
        if self.sms_text is not None and (mistake := mistake_in("sms.text", self.sms_text)):
            raise ValueError(mistake)
        for name, text in self.texts.items():
            if name != "sms_text" and (unknown := unknown_placeholders(text)):
                raise ValueError(f"{name}: no such placeholder: {', '.join(sorted(unknown))}")
        return self

    @property
    def texts(self) -> dict[str, str]:
        return self.model_dump(exclude={"brand", "locale", "template", "sender", "reply_to", "logo"}, exclude_none=True)


def read_styles(path: Path) -> tuple[Style, ...]:
    styles = TypeAdapter(list[MailStyle]).validate_python(yaml.safe_load(path.read_text()) or [])
    return tuple(_style(each, path.parent) for each in styles)


def _style(each: MailStyle, folder: Path) -> Style:
    logo = read_logo(folder / each.logo) if each.logo else None
    return Style(each.brand, each.locale, each.template, each.sender, each.texts, each.reply_to, logo)
