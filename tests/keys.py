"""The keys of processes that the tests start."""

from __future__ import annotations

LINK_KEYS = {"k1": "links-of-the-tests-0123456789abcdef"}
ADDRESS_KEYS = {"a1": "addresses-of-the-tests-0123456789"}
TICKET_KEYS = {"t1": "tickets-of-the-tests-0123456789abc"}
SETTINGS = {
    setting: ",".join(f"{name}:{secret}" for name, secret in keys.items())
    for setting, keys in (("link_keys", LINK_KEYS), ("address_keys", ADDRESS_KEYS), ("ticket_keys", TICKET_KEYS))
}
ENVIRONMENT = {f"EARSHOT_{setting.upper()}": keys for setting, keys in SETTINGS.items()}
