"""Keys and secrets: made at the first start on one machine, and otherwise set and strong."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import SecretStr

from deploy.all_settings import AllSettings
from shared import made_keys
from shared.config import DEVELOPMENT_ADDRESS_KEYS, DEVELOPMENT_LINK_KEYS, DEVELOPMENT_TICKET_KEYS, Settings
from shared.database import embedded

SHORTEST = 32  # characters of a key's secret
_DEVELOPMENT = {
    "link_keys": DEVELOPMENT_LINK_KEYS,
    "address_keys": DEVELOPMENT_ADDRESS_KEYS,
    "ticket_keys": DEVELOPMENT_TICKET_KEYS,
}
_EXAMPLES = {setting: f"{setting[0]}1:$(openssl rand -hex 32)" for setting in _DEVELOPMENT}


def make_keys(settings: Settings) -> bool:
    """Make the keys of this data folder, if some are not set; where it may have been used, older ones stay valid.

    Returns whether the settings have to be read again. Raises KeysUnreadable.
    """
    if _DEVELOPMENT.keys() <= settings.model_fields_set:
        return False
    is_new = embedded.is_new(settings)
    earlier = {setting: {} if is_new or setting == "ticket_keys" else keys for setting, keys in _DEVELOPMENT.items()}
    return made_keys.make(settings.data_dir, earlier=earlier)


def problems_at_start(settings: AllSettings, *, is_shared: bool) -> list[str]:
    """Return why `earshot run` does not start, and what to set, a line each; `is_shared`: a service runs alone."""
    common = settings.trigger
    if common.environment == "production":
        return problems_of_secrets(common)
    return problems_of_keys(common, sends=settings.dispatcher.send == "live", is_shared=is_shared)


def problems_of_keys(settings: Settings, *, sends: bool, is_shared: bool) -> list[str]:
    """Return which keys are not fit, and what to set, a line each.

    `sends`: messages go out, so that a public key for links would let everybody answer. `is_shared`: other processes
    need the same keys.
    """
    wanted = (
        ("link_keys", "address_keys", "ticket_keys") if is_shared else ("link_keys", "ticket_keys") if sends else ()
    )
    problems = [_problem(setting, settings, is_shared=is_shared) for setting in wanted]
    return [problem for problem in problems if problem]


def _problem(setting: str, settings: Settings, *, is_shared: bool) -> str | None:
    name, cure = f"EARSHOT_{setting.upper()}", f"set id:secret, for example {_EXAMPLES[setting]}"
    keys: Mapping[str, SecretStr] = getattr(settings, setting)
    given = {id_: secret.get_secret_value() for id_, secret in keys.items()}
    first = next(iter(given))
    # an older key for addresses recognizes those who said no, so it stays
    used = {first: given[first]} if setting == "address_keys" else given
    if is_shared and setting not in settings.model_fields_set:
        return f"{name} is not set, and all processes need the same keys: {cure}"
    if public := [id_ for id_, secret in used.items() if secret in _DEVELOPMENT[setting].values()]:
        return f"{name} has the development key {public[0]}, which everybody knows: {cure}"
    if len(given[first]) < SHORTEST:
        return f"{name} has a key of fewer than {SHORTEST} characters, {first}: {cure}"
    return None


def problems_of_secrets(settings: Settings) -> list[str]:
    """Return why production does not start, and what to set, a line each."""
    return problems_of_keys(settings, sends=True, is_shared=True)
