"""E-mail by SMTP: accounts with kept connections, limits of their own, and a rest when their server is away."""

from services.dispatcher.channels.email.account import SmtpAccount
from services.dispatcher.channels.email.server import BadSmtpUrl, SmtpServer

__all__ = ["BadSmtpUrl", "SmtpAccount", "SmtpServer"]
