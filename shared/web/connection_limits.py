"""The bounds of the HTTP server's connections, from the settings."""

from __future__ import annotations

from dataclasses import dataclass

from shared.config import Settings


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bytes, numbers and seconds; connections are counted for each listening socket, streams of `/live` apart."""

    head_bytes: int = 32_768
    headers: int = 100
    url_bytes: int = 8192
    head_s: float = 30.0
    body_s: float = 180.0
    idle_s: float = 30.0  # between two requests
    stalled_s: float = 120.0  # of a response that the client does not read
    connections: int = 500
    client_connections: int = 100  # of one public address

    @classmethod
    def of(cls, settings: Settings) -> ConnectionLimits:
        return cls(
            head_bytes=settings.http_head_bytes,
            headers=settings.http_headers,
            url_bytes=settings.http_url_bytes,
            head_s=settings.http_head_s,
            body_s=settings.http_body_s,
            idle_s=settings.http_idle_s,
            stalled_s=settings.http_stalled_s,
            connections=settings.http_connections,
            client_connections=settings.http_client_connections,
        )
