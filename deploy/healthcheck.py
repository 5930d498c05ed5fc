"""The container's health check: exits with 0 when `/livez` of an Earshot service on this machine answers 200."""

import sys
import urllib.request
from http import HTTPStatus

PORTS = (8000, 8001, 8002)
TIMEOUT_S = 3


def is_alive(port: int) -> bool:
    """Say whether /livez on this loopback port answers 200; proxies of the environment are not used."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://127.0.0.1:{port}/livez", timeout=TIMEOUT_S) as response:
            return bool(response.status == HTTPStatus.OK)
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    """Check the given ports, or PORTS; one that answers is enough, because a container may run one service only."""
    ports = [int(argument) for argument in arguments] or list(PORTS)
    return 0 if any(is_alive(port) for port in ports) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
