"""E-mail by SMTP: accounts with kept connections, rate limits and a circuit breaker."""

from services.dispatcher.channels.email.account import SmtpAccount
from services.dispatcher.channels.email.server import BadSmtpUrl, SmtpServer

__all__ = ["BadSmtpUrl", "SmtpAccount", "SmtpServer"]
