from __future__ import annotations

from uuid import UUID

import pytest

from shared.web.links import TOKEN_LENGTH, Purpose, UnknownLinkKey, fingerprint, token

INVITATION = UUID("0198d3a0-0000-7000-8000-000000000001")
KEYS = {"k1": "secret", "k2": "other"}


def test_token_is_short_and_always_the_same() -> None:
    made = token(KEYS, "k1", Purpose.ANSWER, INVITATION)
    assert len(made) == TOKEN_LENGTH
    assert made == token(KEYS, "k1", Purpose.ANSWER, INVITATION)


def test_purpose_key_and_invitation_each_change_it() -> None:
    made = {
        token(KEYS, "k1", Purpose.ANSWER, INVITATION),
        token(KEYS, "k1", Purpose.UNSUBSCRIBE, INVITATION),
        token(KEYS, "k2", Purpose.ANSWER, INVITATION),
        token(KEYS, "k1", Purpose.ANSWER, UUID(int=2)),
    }
    assert len(made) == 4


def test_unknown_key_is_named() -> None:
    with pytest.raises(UnknownLinkKey, match="k3"):
        token(KEYS, "k3", Purpose.ANSWER, INVITATION)


def test_fingerprint_does_not_hold_the_token() -> None:
    made = token(KEYS, "k1", Purpose.ANSWER, INVITATION)
    assert made.encode() not in fingerprint(made)
    assert len(fingerprint(made)) == 32
