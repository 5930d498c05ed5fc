"""Where the services of a process answer on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from deploy.all_settings import AllSettings
from shared.contract.vocabulary import Service
from shared.languages.current import gettext, lookup
from shared.web.routes import TABLE


def address(settings: AllSettings, service: Service) -> str:
    return f"http://127.0.0.1:{settings.port(service)}"


def print_addresses(settings: AllSettings, services: Sequence[Service]) -> None:
    """Print the URLs of these services' staff pages, all on the port of the first service."""
    console = Console(highlight=False)
    origin = address(settings, services[0])
    console.print()
    paths = {lookup(prefix.label): prefix.path for prefix in TABLE if prefix.label and prefix.service in services}
    paths[gettext("API docs")] = "/docs"
    width = max(14, 2 + max(map(len, paths)))
    for label, path in paths.items():
        console.print(f"  {label:<{width}}{origin}{path}")
    console.print()
