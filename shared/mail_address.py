"""Checks mail addresses."""

from __future__ import annotations


def mail_address(text: str) -> str | None:
    """Return the address in ASCII as SMTP needs it, or None if it is not valid; no DNS lookup is made."""
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - settings use it seldom

    try:
        return validate_email(
            text,
            check_deliverability=False,
            allow_smtputf8=False,
            test_environment=True,  # allows the top-level domain .test
        ).ascii_email
    except EmailNotValidError:
        return None


class BadSender(ValueError):
    """A sender must be `address` or `Name <address>`, with a printable name."""


def read_sender(text: str) -> tuple[str, str]:
    """Return name and address of a sender; raises BadSender.

    Encoded-words are refused in a name: Python 3.11.7 decodes line breaks in them, which begin another header.
    """
    name, _, written = text.rpartition("<")
    address = mail_address(written.removesuffix(">").strip())
    name = name.strip().strip('"')
    if address is None or not name.isprintable() or "=?" in name:
        raise BadSender(BadSender.__doc__)
    return name, address
