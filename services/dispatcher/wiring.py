"""Opens what the settings configure: mail accounts, SMS gateways, the CRM, and verifiers of callbacks."""

from __future__ import annotations

import asyncio

from services.dispatcher.channels import ChannelAccount
from services.dispatcher.channels.breaker import Breaker
from services.dispatcher.channels.email import SmtpAccount
from services.dispatcher.channels.pace import DomainPace
from services.dispatcher.channels.sms import GenericGateway, SmsAccount, Smsc, SmsGateway, SmsRouter, Twilio
from services.dispatcher.config import DispatcherSettings
from services.dispatcher.config.mail import SmtpAccountSettings
from services.dispatcher.domain.send_mode import SendMode
from services.dispatcher.jobs.bitrix24 import Bitrix24
from services.dispatcher.messages.composer import envelope_sender
from services.dispatcher.webhooks.verifier import WebhookVerifier
from services.dispatcher.webhooks.verifiers import (
    Bitrix24Verifier,
    GenericVerifier,
    PostmarkVerifier,
    SmscVerifier,
    TwilioVerifier,
)
from shared.smtp_server import SmtpServer
from shared.web.http_client import HttpClient
from shared.web.public_urls import PublicUrl


def open_accounts(settings: DispatcherSettings, stop: asyncio.Event | None = None) -> list[ChannelAccount]:
    """Open the configured accounts; none in mailbox mode, so that nothing can be sent. `stop` ends sending."""
    if settings.send is SendMode.MAILBOX:
        return []
    accounts: list[ChannelAccount] = [_mail_account(settings, account, stop) for account in settings.mail_accounts]
    if sms := [SmsAccount(_gateway(settings, name), _breaker(settings)) for name in sorted(settings.sms_gateways)]:
        by_name = {account.name: account for account in sms}
        accounts.append(SmsRouter(by_name, settings.sms_routes) if settings.sms_routes else sms[0])
    return accounts


def _mail_account(
    settings: DispatcherSettings, account: SmtpAccountSettings, stop: asyncio.Event | None
) -> SmtpAccount:
    return SmtpAccount(
        SmtpServer.from_url(account.url.get_secret_value(), ca_file=settings.smtp_ca_file),
        sender=envelope_sender(settings.mail_from),
        name=account.name,
        connections=account.connections,
        weight=account.weight,
        per_second=account.per_second,
        domains=DomainPace(account.per_domain),
        daily=account.daily,
        breaker=_breaker(settings),
        stop=stop,
    )


def _breaker(settings: DispatcherSettings) -> Breaker:
    return Breaker(patience_s=settings.provider_patience_hours * 3600)


def _gateway(settings: DispatcherSettings, name: str) -> SmsGateway:
    match name:
        case "generic":
            return GenericGateway(HttpClient(""), settings.gateway_description)
        case "smsc":
            return _smsc(settings)
        case _:
            return _twilio(settings)


def _smsc(settings: DispatcherSettings) -> Smsc:
    return Smsc(
        HttpClient(settings.smsc_url),
        login=settings.smsc_login,
        password=settings.smsc_password.get_secret_value(),
        api_key=settings.smsc_api_key.get_secret_value(),
        sender=settings.smsc_sender,
    )


def _twilio(settings: DispatcherSettings) -> Twilio:
    auth = (settings.twilio_account_sid, settings.twilio_auth_token.get_secret_value())
    callback = f"{settings.hooks_url.rstrip('/')}/hooks/twilio" if settings.hooks_url else ""
    http = HttpClient(settings.twilio_url, auth=auth)
    return Twilio(http, sid=settings.twilio_account_sid, sender=settings.twilio_from, callback=callback)


def open_crm(settings: DispatcherSettings) -> Bitrix24 | None:
    """Open the CRM in which calls become tasks and answers fields; none in mailbox mode."""
    if not settings.has_crm:
        return None
    url = settings.bitrix24_url.get_secret_value()
    return Bitrix24(HttpClient(url.rstrip("/") + "/"), responsible=settings.bitrix24_responsible)


def public_urls(settings: DispatcherSettings) -> list[PublicUrl]:
    """Return the URLs that must be reachable from outside: links in messages, and callbacks if any is configured."""
    found = [
        PublicUrl("EARSHOT_PUBLIC_URL", settings.public_url, "/s"),
        PublicUrl("EARSHOT_UNSUBSCRIBE_URL", settings.unsubscribe_url, "/u"),
    ]
    if settings.short_url != settings.public_url:
        found += [PublicUrl("EARSHOT_SHORT_URL", settings.short_url, path) for path in ("/s", "/u")]
    if settings.hooks_url and verifiers(settings):
        found.append(PublicUrl("EARSHOT_HOOKS_URL", settings.hooks_url, "/hooks"))
    return found


def verifiers(settings: DispatcherSettings) -> dict[str, WebhookVerifier]:
    """Make a verifier for each provider whose secret is known, by the provider's name in `POST /hooks/{provider}`."""
    found: dict[str, WebhookVerifier] = {}
    if token := settings.twilio_auth_token.get_secret_value():
        address = settings.hooks_url or settings.unsubscribe_url  # the former is empty on loopback only
        found["twilio"] = TwilioVerifier(f"{address.rstrip('/')}/hooks/twilio", token)
    if secret := settings.smsc_secret.get_secret_value():
        found["smsc"] = SmscVerifier(secret)
    if secret := settings.sms_gateway_secret.get_secret_value():
        found["generic"] = GenericVerifier(secret, settings.gateway_description.callback)
    if credentials := settings.postmark_hook.get_secret_value():
        found["postmark"] = PostmarkVerifier(credentials)
    if token := settings.bitrix24_token.get_secret_value():
        found["bitrix24"] = Bitrix24Verifier(token)
    if settings.ses_topics:
        from services.dispatcher.webhooks.sns import SnsVerifier  # noqa: PLC0415 - it loads `cryptography`

        found["ses"] = SnsVerifier(HttpClient(""), topics=settings.ses_topics)
    return found
