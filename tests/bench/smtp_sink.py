"""A minimal SMTP server in its own process, which accepts every mail unread. Prints its port, then serves."""

from __future__ import annotations

import asyncio
from typing import cast

import uvloop

_REPLIES = {b"EHLO": b"250-here\r\n250 PIPELINING\r\n", b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}


class MinimalSmtp(asyncio.Protocol):
    """Answers commands and contents, however they are split into packets, and pipelined."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._left = b""
        self._in_content = False
        self._transport.write(b"220 here\r\n")

    def data_received(self, received: bytes) -> None:
        replies = []
        self._left += received
        while True:
            part, found, left = self._left.partition(b"\r\n.\r\n" if self._in_content else b"\r\n")
            if not found:
                break
            self._left = left
            verb = b"" if self._in_content else part[:4].upper()
            self._in_content = verb == b"DATA"
            replies.append(_REPLIES.get(verb, b"250 fine\r\n"))
        self._transport.write(b"".join(replies))


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(MinimalSmtp, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the process that started it reads this
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
