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
