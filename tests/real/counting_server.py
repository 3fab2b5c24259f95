"""A fulfillment server that counts: who was asked for what, how often, and how many at once.

Run as ``python -m tests.real.counting_server NAME PORT CERTIFICATE ADDRESS…``, standard library only. It
speaks plain and TLS on one port, as the first byte tells. Invariant: a transaction is counted when its head
has come, and ends before a byte of its answer leaves, so nobody can have a next one under way earlier.

    /bytes/N         N bytes, the same from each server
    /once/ID         content is read, and that this ID was done is counted
    /slow/MS         an answer after so many milliseconds
    /headers         the request's fields, a list of pairs
    /fail/STATUS     from now on all but these two are answered so (200: no longer)
    /told            what was counted
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import sys
from collections import Counter
from typing import Any

from .origin import Exchange, content

TLS_HANDSHAKE = 0x16
_UNCOUNTED = ("told", "fail")


class Server:
    """What one server knows of itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.failing = 200
        self.once: Counter[str] = Counter()
        self.words: Counter[str] = Counter()
        self.transactions = self.most_transactions = 0
        self.connections = {"plain": 0, "secure": 0}
        self.addresses: Counter[str] = Counter()  # where connections came to

    def told(self) -> dict[str, Any]:
        return {
            "once": self.once,
            "words": self.words,
            "most_transactions": self.most_transactions,
            "connections": self.connections,
            "addresses": self.addresses,
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        secure = writer.get_extra_info("ssl_object") is not None
        self.connections["secure" if secure else "plain"] += 1
        self.addresses[writer.get_extra_info("sockname")[0]] += 1
        try:
            while True:
                line, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
                fields = [
                    (name.lower(), value.strip()) for name, _, value in (f.partition(":") for f in rest)
                ]
                await self.answer(Exchange(line, dict(fields), reader, writer), fields)
                if dict(fields).get("connection", "").lower() == "close":
                    break
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass  # the other side left, which is its right
        finally:
            writer.close()

    async def answer(self, exchange: Exchange, fields: list[tuple[str, str]]) -> None:
        _, word, *rest = exchange.target.split("/")
        if word in _UNCOUNTED:
            if rest:
                self.failing = int(rest[0])
            await self.say(exchange, self.told())
            return
        self.words[word] += 1
        self.transactions += 1
        self.most_transactions = max(self.most_transactions, self.transactions)
        try:
            digest = json.loads(await exchange.drink())
            if word == "slow":
                await asyncio.sleep(int(rest[0]) / 1000)
        finally:
            self.transactions -= 1
        if self.failing != 200:
            await self.say(exchange, {}, f"{self.failing} Failing")
        elif word == "bytes":
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {rest[0]}\r\nX-Server: {self.name}\r\n\r\n".encode()
            async for data in content(int(rest[0])):
                exchange.writer.write(head + data)
                await exchange.writer.drain()
                head = b""
        elif word == "once":
            self.once[rest[0]] += 1
            await self.say(exchange, digest)
        else:
            await self.say(exchange, fields if word == "headers" else digest)

    async def say(self, exchange: Exchange, told: Any, status: str = "200 OK") -> None:
        data = json.dumps(told).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\nX-Server: {self.name}\r\n\r\n"
        exchange.writer.write(head.encode() + data)
        await exchange.writer.drain()


async def connection(server: Server, taken: socket.socket, context: ssl.SSLContext) -> None:
    """Look at the first byte, and leave it there for whoever speaks."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(taken, readable.set)
    await readable.wait()
    loop.remove_reader(taken)
    with contextlib.suppress(OSError):
        first = taken.recv(1, socket.MSG_PEEK)
        if first:
            reader = asyncio.StreamReader(limit=128 * 1024)
            protocol = asyncio.StreamReaderProtocol(reader, server.serve)
            secure = context if first[0] == TLS_HANDSHAKE else None
            await loop.connect_accepted_socket(lambda: protocol, taken, ssl=secure)
            return
    taken.close()


async def accept(server: Server, address: str, port: int, context: ssl.SSLContext) -> None:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family, backlog=512) as listening:
        listening.setblocking(False)
        running = set()
        while True:
            taken, _ = await loop.sock_accept(listening)
            task = loop.create_task(connection(server, taken, context))
            running.add(task)
            task.add_done_callback(running.discard)


async def main() -> None:
    name, port, certificate, *addresses = sys.argv[1:]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = Server(name)
    await asyncio.gather(*(accept(server, address, int(port), context) for address in addresses))


if __name__ == "__main__":
    asyncio.run(main())
