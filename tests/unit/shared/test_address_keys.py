"""Fingerprints of addresses under secret keys."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from shared.config import Settings
from shared.contract.address_keys import AddressKeys
from shared.contract.vocabulary import address_fingerprint

OLD = AddressKeys({"a1": "old"})
ROTATED = AddressKeys({"a2": "new", "a1": "old"})


def test_an_address_has_one_fingerprint_in_all_its_spellings() -> None:
    assert OLD.fingerprint(" Olga@Example.com ") == OLD.fingerprint("olga@example.com")
    assert OLD.fingerprint("olga@example.com") != OLD.fingerprint("ivan@example.com")


def test_a_fingerprint_under_an_older_key_still_matches() -> None:
    stored = OLD.fingerprint("olga@example.com")
    assert ROTATED.fingerprint("olga@example.com") != stored
    assert stored in ROTATED.matching("olga@example.com")
    assert ROTATED.matching("olga@example.com")[0] == ROTATED.fingerprint("olga@example.com")


def test_a_stored_unkeyed_fingerprint_matches_before_and_after_it_is_wrapped() -> None:
    stored = address_fingerprint("olga@example.com")
    assert stored in ROTATED.matching("olga@example.com")
    assert ROTATED.wrapped(stored) == ROTATED.fingerprint("olga@example.com")


def test_a_pseudonym_tells_neither_the_address_nor_its_spelling() -> None:
    pseudonym = OLD.pseudonym("Olga@example.com")
    assert pseudonym == OLD.pseudonym(" olga@example.com")
    assert pseudonym.startswith("guest-")
    assert len(pseudonym) == len("guest-") + 26
    assert pseudonym in ROTATED.pseudonyms("olga@example.com")


def test_secrets_do_not_show_when_keys_are_printed() -> None:
    assert "old" not in repr(OLD)


def test_address_keys_are_read_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_ADDRESS_KEYS", "a2:new,a1:old")
    assert Settings().address_fingerprints == ROTATED


def test_wrong_address_keys_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_ADDRESS_KEYS", "nosecret")
    with pytest.raises(ValidationError, match="EARSHOT_ADDRESS_KEYS must be id:secret"):
        Settings()
