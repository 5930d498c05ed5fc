"""Which commands are written to the audit log, and of which services; what a command calls knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from deploy.commands import fail
from shared.contract.vocabulary import Service

_T, _D, _S = Service.TRIGGER, Service.DISPATCHER, Service.SCORING
RECORDED: Mapping[str, tuple[Service, ...]] = {
    "retention": (_T, _D, _S),
    "keys create": (_T, _D, _S),
    "keys revoke": (_T, _D, _S),
    "programs apply": (_T,),
    "programs off": (_T,),
    "programs on": (_T,),
    "programs stop": (_T,),
    "erasures list": (_T,),  # as an export of customers
    "erasures repeat": (_T,),
    "ingest": (_T,),
    "backfill": (_T,),
    "suppressions import": (_D,),
    "suppressions list": (_D,),  # as an export of customers
    "suppressions release": (_D,),
    "ledger adopt": (_D,),
    "export answers": (_S,),
    "export nps": (_S,),
    "import answers": (_S,),
    "stores import": (_S,),
    "stores export": (_S,),
    "people add": (_S,),
    "people reset": (_S,),
    "people off": (_S,),
    "people on": (_S,),
    "webhooks add": (_S,),
    "webhooks disable": (_S,),
    "webhooks enable": (_S,),
    "webhooks remove": (_S,),
    "webhooks rotate": (_S,),
    "webhooks replay": (_S,),
    "parked replay": (_T, _D, _S),
    "links mend": (_D, _S),
}
"""The services whose data a command changes or exports."""

UNRECORDED: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "audit verify",
            "counts",
            "doctor",
            "invitation",
            "keys list",
            "ledger compare",
            "links check",
            "mail preview",
            "parked list",
            "people list",
            "programs diff",
            "programs lint",
            "programs list",
            "programs show",
            "simulate",
            "stalled",
            "verify",
            "webhooks list",
        ),
        "reads",
    ),
    "run": "its services record what they are asked to do",
    "demo": "has data of its own",
    "replay": "has data of its own",
    "migrate": "makes the tables of the log; each schema knows its revision",
    "topics": "changes no database",
    "schemas": "writes the documentation",
    "mail test": "sends a sample",
    "webhooks test": "sends a sample",
}

_SUBJECTS = ("key", "endpoint", "program_id", "suppression_id")
_DETAILS = ("role", "scope", "days", "dry_run", "good_only", "hours", "delivered_too", "reason", "all_", "withdraw")


def record(command: Any, name: str) -> None:
    """Make a command, or every command of a group, write what it does to the audit log, if the table says so."""
    for part, inner in getattr(command, "commands", {}).items():
        record(inner, f"{name} {part}")
    if name in RECORDED:
        command.callback = _recorded(command.callback, name)


def _recorded(callback: Callable[..., Any], name: str) -> Callable[..., Any]:
    @wraps(callback)
    def run(**given: Any) -> Any:
        from deploy.operations.recorded_commands import NotRecorded, run_recorded  # noqa: PLC0415 - loaded when it is needed

        services = (given["service"],) if given.get("service") else RECORDED[name]
        subject = next((str(given[each]) for each in _SUBJECTS if given.get(each)), None)
        details = {each: _plain(given[each]) for each in _DETAILS if given.get(each)}
        try:
            return run_recorded(lambda: callback(**given), name, services, subject=subject, details=details)
        except NotRecorded as error:
            fail(str(error))

    return run


def _plain(value: Any) -> Any:
    return [str(each) for each in value] if isinstance(value, list | tuple) else value
