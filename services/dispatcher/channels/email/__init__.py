"""E-mail by SMTP: accounts with kept connections, rate limits and a circuit breaker."""

from services.dispatcher.channels.email.account import SmtpAccount

__all__ = ["SmtpAccount"]
