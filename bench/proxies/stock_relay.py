"""A program: the least relay over stock Twisted (`listenSSL`, client endpoints), with links kept.

Decides nothing but framing by Content-Length. Invariant: a link is used again only after a whole answer.
Refuses everything that a bench does not send (bodies of requests, pipelining, chunks): it is no example of a
proxy, but the cost that Twisted's own parts have at least.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from OpenSSL import crypto
from twisted.internet import endpoints, protocol, ssl
from twisted.python.failure import Failure

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_KEPT = re.compile(rb"\r\nconnection: *keep-alive", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"


class Links:
    """The idle links of one door, and new ones to each server in turn."""

    def __init__(self, ways: list[Any]) -> None:
        self.ways = ways
        self.factory = protocol.Factory.forProtocol(Link)
        self.idle: list[Link] = []
        self.made = 0

    def give(self, client: Client) -> None:
        if self.idle:
            self.idle.pop().serve(client)
            return
        self.made += 1
        made = self.ways[self.made % len(self.ways)].connect(self.factory)
        made.addCallbacks(self.made_for, client.failed, callbackArgs=(client,))

    def made_for(self, link: Link, client: Client) -> None:
        link.links = self
        link.serve(client)


class Client(protocol.Protocol):
    """One client; waits for the end of an answer before it looks at the next request."""

    transport: Any

    def __init__(self, links: Links) -> None:
        self.links = links
        self.request = b""
        self.close = False
        self.link: Link | None = None

    def dataReceived(self, data: bytes) -> None:
        self.request += data
        if self.request.endswith(_HEAD_END):
            self.close = _CLOSE.search(self.request) is not None
            self.links.give(self)

    def failed(self, failure: Failure) -> None:
        print(failure, file=sys.stderr)
        self.transport.abortConnection()

    def answered(self) -> None:
        self.link = None
        if self.close:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        if self.link is not None:
            self.link.transport.abortConnection()


class Link(protocol.Protocol):
    """One connection to a server."""

    transport: Any
    links: Links
    client: Client | None = None
    head = b""
    left = 0

    def serve(self, client: Client) -> None:
        self.client = client
        client.link = self
        self.head = b""
        self.left = 0
        client.transport.registerProducer(self.transport, True)
        request = client.request.replace(b" HTTP/1.0\r\n", b" HTTP/1.1\r\n", 1)
        self.transport.write(request.replace(b"Connection: close\r\n", b""))
        client.request = b""

    def dataReceived(self, data: bytes) -> None:
        client = self.client
        if client is None:
            self.transport.loseConnection()
            return
        if self.left:
            self.left -= len(data)
        else:
            self.head += data
            head, end, body = self.head.partition(_HEAD_END)
            if not end:
                return
            length = _LENGTH.search(head)
            self.left = (int(length[1]) if length else 0) - len(body)
            data = _KEPT.sub(b"\r\nConnection: close", self.head) if client.close else self.head
        client.transport.write(data)
        if not self.left:
            self.client = None
            client.transport.unregisterProducer()
            self.links.idle.append(self)
            client.answered()

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        if self in self.links.idle:
            self.links.idle.remove(self)
        elif self.client is not None:
            self.client.transport.abortConnection()


def options(certificate: str, suite: str) -> ssl.CertificateOptions:
    pem = Path(certificate).read_bytes()
    key = crypto.load_privatekey(crypto.FILETYPE_PEM, pem)
    shown = crypto.load_certificate(crypto.FILETYPE_PEM, pem)
    made = ssl.CertificateOptions(privateKey=key, certificate=shown, enableSessionTickets=True)
    made.getContext().set_tls13_ciphersuites(suite.encode())
    return made


def ways(reactor: Any, door: dict[str, Any], settings: dict[str, Any]) -> list[Any]:
    """An endpoint for each server of a door."""
    found: list[Any] = [endpoints.TCP4ClientEndpoint(reactor, "127.0.0.1", port) for port in door["servers"]]
    if not door["secure"]:
        return found
    root = ssl.Certificate.loadPEM(Path(settings["ca"]).read_bytes())
    verified = ssl.optionsForClientTLS(settings["name"], ssl.trustRootFromCertificates([root]))
    return [endpoints.wrapClientTLS(verified, way) for way in found]


class Door(protocol.Factory):
    noisy = False

    def __init__(self, links: Links) -> None:
        self.links = links

    def buildProtocol(self, address: object) -> Client:
        return Client(self.links)


def main(settings: dict[str, Any]) -> None:
    from twisted.internet import reactor as installed

    reactor: Any = installed
    for door in settings["doors"]:
        factory = Door(Links(ways(reactor, door, settings)))
        where = {"interface": "127.0.0.1", "backlog": 4096}
        if door["certificate"]:
            reactor.listenSSL(door["port"], factory, options(door["certificate"], settings["suite"]), **where)
        else:
            reactor.listenTCP(door["port"], factory, **where)
    reactor.run()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
