"""A server of streams that does what it is told to in the first line, and keeps no byte.

Run as ``python stream_server.py NAME PORT SECURE_PORT CERTIFICATE [mute]``, standard library only. Says
"I am NAME" at once, or with ``mute`` nothing before it is asked. The first line is one of ``echo``,
``give COUNT``, ``take COUNT`` (0: until the client's end), ``sip COUNT`` (with a rest of 1 s every 100 MB),
``chat`` and ``who``. Invariant: constant memory for any stream; each client, and what was taken of it, is a
line of the output. Decides nothing about the broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
import sys
from collections.abc import Iterator

PIECE = 64 * 1024
GREETING = "I am {}\n"
REST_EVERY = 100_000_000
NOISE = hashlib.shake_256(b"stream").digest(PIECE - 8)


def pieces(count: int) -> Iterator[bytes]:
    """`count` bytes, the same each time, no two pieces alike."""
    for start in range(0, count, PIECE):
        yield (start.to_bytes(8, "big") + NOISE)[: count - start]


class Server:
    """All that its streams share: who chats."""

    def __init__(self, name: str, mute: bool) -> None:
        self.name = name
        self.mute = mute
        self.chatting: set[asyncio.StreamWriter] = set()

    async def stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        print("client", flush=True)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            if not self.mute:
                writer.write(GREETING.format(self.name).encode())
            words = (await reader.readline()).decode().split()
            if words:
                await self.obey(words[0], int(words[1]) if len(words) > 1 else 0, reader, writer)
            await writer.drain()
        self.chatting.discard(writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def obey(
        self, word: str, count: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if word == "who":
            writer.write(self.name.encode())
        elif word == "give":
            for piece in pieces(count):
                writer.write(piece)
                await writer.drain()
        elif word in ("take", "sip"):
            await self.take(count, word == "sip", reader, writer)
        elif word == "echo":
            while data := await reader.read(PIECE):
                writer.write(data)
                await writer.drain()
        elif word == "chat":
            self.chatting.add(writer)
            writer.write(b"welcome\n")
            while line := await reader.readline():
                for other in self.chatting:
                    other.write(line)

    async def take(
        self, count: int, slow: bool, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        taken, digest, rest_at = 0, hashlib.sha256(), 0
        while (not count or taken < count) and (data := await reader.read(PIECE)):
            taken += len(data)
            digest.update(data)
            if slow and taken >= rest_at:
                rest_at += REST_EVERY
                await asyncio.sleep(1)
        words = f"took {taken} {digest.hexdigest()}\n"
        print(words, end="", flush=True)
        writer.write(words.encode())


async def main(name: str, port: str, secure_port: str, certificate: str, *mute: str) -> None:
    server = Server(name, bool(mute))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    await asyncio.start_server(server.stream, "127.0.0.1", int(port))
    await asyncio.start_server(server.stream, "127.0.0.1", int(secure_port), ssl=context)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
