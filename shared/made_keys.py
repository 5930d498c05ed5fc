"""Keys that an installation on one machine makes for itself: `keys.json` in its data folder.

The format is {setting: {key id: secret}}; the first key of a setting is used for what is new.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_FILE = "keys.json"
_SECRET_BYTES = 32

Keys = Mapping[str, Mapping[str, str]]


class KeysUnreadable(Exception):
    """The file of made keys exists, and cannot be read or has another form."""


def read(folder: Path) -> Keys:
    """Return the keys made in this data folder, empty if there are none; raises KeysUnreadable."""
    path = folder / _FILE
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise KeysUnreadable(f"{path} has the keys of this data folder and cannot be read: {error}") from error
    if not _is_keys(found):
        raise KeysUnreadable(
            f'{path} has the keys of this data folder; expected {{"link_keys": {{"id": "secret"}}, …}}'
        )
    return found  # type: ignore[no-any-return]


def make(folder: Path, *, earlier: Keys) -> bool:
    """Make a random key for each of these settings that has none; its `earlier` keys stay valid after it.

    Returns whether one was made. Raises KeysUnreadable.
    """
    found = read(folder)
    made = {
        setting: {"k1": secrets.token_hex(_SECRET_BYTES), **keys}
        for setting, keys in earlier.items()
        if setting not in found
    }
    if not made:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f".{_FILE}.{os.getpid()}"
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({**found, **made}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    if found:
        new.replace(folder / _FILE)
        return True
    try:
        (folder / _FILE).hardlink_to(new)  # fails if another process was first
    except FileExistsError:
        pass
    finally:
        new.unlink()
    return True


def _is_keys(found: Any) -> bool:
    return isinstance(found, dict) and all(
        isinstance(keys, dict) and keys and all(isinstance(secret, str) and secret for secret in keys.values())
        for keys in found.values()
    )
