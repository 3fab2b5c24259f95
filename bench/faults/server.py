"""A program: a fulfillment server of HTTP/1.1 that has one fault, or one talent. Standard library only.

``python server.py JSON``, by its path, so that it starts fast. Decides the fault (`kind`): "status" always
answers 500; "cut" ends each body after a random number of bytes, by RST or FIN; "garbage" answers with what
is no HTTP; "once" executes what is sent, counted in a folder that all such servers share, as their keys are;
"forgetful" executes it, too, and then says so badly or not at all; "places" has a fixed number of places and
a time for each request, and answers 503 when all are taken. Invariant: what is random is so by a seed, and an
execution is one system call, so that a server which is killed or stopped has done it or not, and holds up no
other. Refuses to be a good server for anything else.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

_RESET = struct.pack("ii", 1, 0)
_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]*)")
_GARBAGE = (
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/1.1 two hundred OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\n\x00\x01\x02\r\n\r\n",
)


class Server:
    """What one server knows, whatever its fault."""

    def __init__(self, said: dict[str, Any]) -> None:
        self.kind: str = said["kind"]
        self.chance = random.Random(said["seed"])
        self.folder = Path(said["folder"])
        self.etags: dict[str, str] = said.get("etags", {})
        self.places: int = said.get("places", 0)
        self.service: float = said.get("service", 0.0)  # seconds
        self.taken = 0
        self.asked = 0
        if self.kind in ("once", "forgetful"):
            self.executed = os.open(self.folder / "executed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def execute(self, name: str, key: str | None) -> None:
        """A line in a file; for what has a key, a file of this name, which can be made once only."""
        if key is None:
            os.write(self.executed, f"{name}\n".encode())
            return
        with suppress(FileExistsError):
            os.close(os.open(self.folder / f"key-{key}", os.O_CREAT | os.O_EXCL))


class Connection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, server: Server) -> None:
        self.server = server
        self.data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        while True:
            head, end, rest = self.data.partition(b"\r\n\r\n")
            if not end:
                return
            line, *lines = head.decode("latin-1").split("\r\n")
            fields = {
                name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)
            }
            length = int(fields.get("content-length", "0"))
            if len(rest) < length:
                return
            self.data = rest[length:]
            method, target, _ = line.split(" ")
            answer: Callable[[str, str, dict[str, str]], None] = getattr(self, self.server.kind)
            answer(method, target, fields)

    def say(self, status: str, body: bytes, *lines: str) -> None:
        head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines, "", ""))
        self.transport.write(head.encode() + body)

    def end(self, reset: bool) -> None:
        """Close; with RST what is still in this side's buffers is lost."""
        if reset:
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        else:
            self.transport.close()

    def status(self, method: str, target: str, fields: dict[str, str]) -> None:
        self.say("500 Internal Server Error", b"broken\n")

    def garbage(self, method: str, target: str, fields: dict[str, str]) -> None:
        chance = self.server.chance
        noise = chance.randbytes(chance.randrange(1, 3000))
        self.transport.write(chance.choice((*_GARBAGE, noise, noise)))
        self.end(reset=False)

    def cut(self, method: str, target: str, fields: dict[str, str]) -> None:
        name = target[1:].partition("?")[0]
        data, etag = (self.server.folder / name).read_bytes(), self.server.etags[name]
        begin, last, status = 0, len(data) - 1, "200 OK"
        more = [f"ETag: {etag}", "Accept-Ranges: bytes", "Content-Type: application/octet-stream"]
        asked = _RANGE.fullmatch(fields.get("range", ""))
        if asked and fields.get("if-range", etag) == etag:
            begin, last = int(asked[1]), min(last, int(asked[2] or last))
            more.append(f"Content-Range: bytes {begin}-{last}/{len(data)}")
            status = "206 Partial Content"
        data = data[begin : last + 1]
        head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", *more, "", ""))
        sent = self.server.chance.randrange(len(data) + 1)
        self.transport.write(head.encode() + data[:sent])
        self.end(reset=self.server.chance.random() < 0.5)

    def once(self, method: str, target: str, fields: dict[str, str]) -> None:
        if method != "POST":
            self.say("200 OK", b"well\n")
            return
        name = target.rpartition("/")[2]
        self.server.execute(name, fields.get("idempotency-key"))
        self.say("200 OK", f"done {name}\n".encode())

    def forgetful(self, method: str, target: str, fields: dict[str, str]) -> None:
        if method != "POST":
            self.say("200 OK", b"well\n")
            return
        self.server.execute(target.rpartition("/")[2], fields.get("idempotency-key"))
        way = self.server.chance.randrange(4)
        if way == 0:
            self.status(method, target, fields)
        elif way == 1:
            self.garbage(method, target, fields)
        else:
            self.end(reset=way == 2)

    def places(self, method: str, target: str, fields: dict[str, str]) -> None:
        server = self.server
        if target == "/told":
            self.say("200 OK", json.dumps({"asked": server.asked}).encode())
            return
        if target == "/00":  # a check takes no place
            self.say("200 OK", b"well\n")
            return
        server.asked += 1
        if server.taken >= server.places:
            self.say("503 Service Unavailable", b"all places are taken\n")
            return
        server.taken += 1
        asyncio.get_running_loop().call_later(server.service, self.served)

    def served(self) -> None:
        self.server.taken -= 1
        if not self.transport.is_closing():
            self.say("200 OK", b"served\n")


async def main(said: dict[str, Any]) -> None:
    server = Server(said)
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Connection(server), "127.0.0.1", said["port"], backlog=4096)
    await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
