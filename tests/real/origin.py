"""A fulfillment server for what nginx's files cannot show: echo, hashes, chunked answers, slowness.

Run as ``python origin.py PORT SECURE_PORT CERTIFICATE``, standard library only. Decides nothing about the
broker: it reads HTTP/1.1 in the plainest way, so that what reaches it is what the broker sent. Invariant: it
keeps every request line it saw, and constant memory for any body. Refuses pipelining.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import ssl
import sys
from collections.abc import AsyncIterator

PIECE = 64 * 1024
seen: list[str] = []


def content(length: int) -> AsyncIterator[bytes]:
    """`length` bytes that are the same each time and never repeat."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, length, PIECE):
            block = hashlib.shake_256(start.to_bytes(8, "big")).digest(PIECE)
            yield block[: length - start]

    return pieces()


async def body(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            while size:
                data = await reader.read(min(size, PIECE))
                if not data:
                    raise asyncio.IncompleteReadError(b"", size)
                size -= len(data)
                yield data
            await reader.readexactly(2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return
    left = int(headers.get("content-length", "0"))
    while left:
        data = await reader.read(min(left, PIECE))
        if not data:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(data)
        yield data


class Exchange:
    """One request, and how to answer it."""

    def __init__(
        self, line: str, headers: dict[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.line = line
        self.method, self.target, _ = line.split(" ")
        self.headers = headers
        self.writer = writer
        self.body = body(reader, headers)

    async def go_ahead(self) -> None:
        if self.headers.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await self.writer.drain()

    async def drink(self, rate: int = 0) -> str:
        """Read the body, at `rate` bytes a second when given; JSON about it."""
        await self.go_ahead()
        digest, length = hashlib.sha256(), 0
        async for data in self.body:
            digest.update(data)
            length += len(data)
            if rate:
                await asyncio.sleep(len(data) / rate)
        told = {"method": self.method, "target": self.target, "headers": self.headers}
        return json.dumps({**told, "sha256": digest.hexdigest(), "length": length})

    def head(self, *lines: str, status: str = "200 OK") -> None:
        self.writer.write("\r\n".join((f"HTTP/1.1 {status}", *lines, "", "")).encode())

    async def whole(self, data: bytes, *lines: str) -> None:
        self.head(f"Content-Length: {len(data)}", *lines)
        if self.method != "HEAD":
            self.writer.write(data)
        await self.writer.drain()

    async def chunked(self, pieces: AsyncIterator[bytes]) -> None:
        self.head("Transfer-Encoding: chunked")
        async for data in pieces:
            self.writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            await self.writer.drain()
        self.writer.write(b"0\r\n\r\n")
        await self.writer.drain()

    async def lengthy(self, length: int) -> None:
        self.head(f"Content-Length: {length}", 'ETag: "same"')
        async for data in content(length):
            self.writer.write(data)
            await self.writer.drain()

    async def answer(self) -> None:
        _, word, *rest = self.target.split("/")
        number = int(rest[0]) if rest and rest[0].isdigit() else 0
        if word == "seen":
            await self.whole(json.dumps(seen).encode())
        elif word == "echo":  # gives back what arrives while it arrives
            await self.go_ahead()
            await self.chunked(self.body)
        elif word == "chunked":
            await self.chunked(content(number))
        elif word == "bytes":
            await self.lengthy(number)
        elif word == "gzip":
            packed = gzip.compress(b"the same line again\n" * 1000)
            await self.whole(packed, "Content-Encoding: gzip", "Vary: Accept-Encoding")
        elif word == "rate":  # reads a body slowly
            await self.whole((await self.drink(rate=number)).encode())
        else:
            await self.whole((await self.drink()).encode(), "Content-Type: application/json")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
            headers = {name.lower(): value.strip() for name, _, value in (f.partition(":") for f in fields)}
            seen.append(line)
            exchange = Exchange(line, headers, reader, writer)
            await exchange.answer()
            async for _ in exchange.body:
                pass
            if headers.get("connection", "").lower() == "close":
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the other side left, which is its right
    finally:
        writer.close()


async def main() -> None:
    port, secure_port, certificate = sys.argv[1:]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    await asyncio.start_server(serve, "127.0.0.1", int(port), limit=2 * PIECE)
    server = await asyncio.start_server(serve, "127.0.0.1", int(secure_port), ssl=context, limit=2 * PIECE)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
