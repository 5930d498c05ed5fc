"""The second factor: time-based one-time codes (RFC 6238), and recovery codes for a lost phone."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime

import pyotp

_STEP_S = 30
_RECOVERY_CODES, _RECOVERY_BYTES = 10, 15  # 120 bits each, so that a plain hash is enough
_RECOVERY_LENGTH = _RECOVERY_BYTES * 8 // 5  # letters and digits, of five bits each


def new_secret() -> str:
    """Make a secret of 160 random bits, in base32 as apps of one-time codes read it."""
    return pyotp.random_base32()


def is_secret(text: str) -> bool:
    """Say whether a text is a secret as `new_secret` makes them."""
    try:
        return len(base64.b32decode(text)) >= 20
    except ValueError:
        return False


def enrolment_uri(secret: str, *, login: str) -> str:
    """Return the URI that an app of one-time codes scans."""
    return pyotp.TOTP(secret).provisioning_uri(name=login, issuer_name="Earshot")


def step_of(code: str, secret: str, *, now: datetime) -> int | None:
    """Return the step of 30 seconds to which a code belongs, of this one and those beside it; None for a wrong code.

    Whoever calls this accepts only a step later than the last one, so that each code counts once.
    """
    given, totp = "".join(code.split()), pyotp.TOTP(secret)
    current = int(now.timestamp()) // _STEP_S
    steps = (current, current - 1, current + 1)
    right = (step for step in steps if secrets.compare_digest(given.encode(), totp.generate_otp(step).encode()))
    return next(right, None)


def new_recovery_codes() -> list[str]:
    """Make codes for a lost phone, each for one log-in: 24 letters and digits in groups of six."""
    texts = (base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode() for _ in range(_RECOVERY_CODES))
    return ["-".join(text[at : at + 6] for at in range(0, len(text), 6)).lower() for text in texts]


def is_recovery(code: str) -> bool:
    """Say whether a text is as long as a recovery code, which nobody guesses."""
    return len(_plain(code)) == _RECOVERY_LENGTH


def recovery_digest(code: str) -> bytes:
    return hashlib.sha256(_plain(code).encode()).digest()


def _plain(code: str) -> str:
    return "".join(code.lower().replace("-", " ").split())


def recovery_digests(codes: Sequence[str]) -> list[bytes]:
    return [recovery_digest(code) for code in codes]
