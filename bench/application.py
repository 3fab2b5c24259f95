"""A program: a web application as many are, a page made by Python for each request, with or without TLS.

Decides what the offload bench puts behind the broker, or before clients directly: `twisted.web` with stock
`listenSSL`. Invariant: the page is the same work both ways. ``python -m bench.application JSON``.
"""

from __future__ import annotations

import json
import sys
from html import escape
from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from .proxies.stock_relay import options

_GOODS = [(f"Article <{number}>", 99 + number, number % 7) for number in range(200)]


def page(who: str) -> bytes:
    """A list of goods: two hundred lines, about as much work as what twisted.web does for a request."""
    lines = []
    for name, price, stock in _GOODS:
        state = "in stock" if stock else "sold out"
        lines.append(f"<tr><td>{escape(name)}</td><td>{price / 100:.2f}</td><td>{state}</td></tr>")
    return f"<!doctype html><p>Hello {escape(who)}</p><table>{''.join(lines)}</table>".encode()


class Shop(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"content-type", b"text/html; charset=utf-8")
        return page((request.getHeader(b"user-agent") or b"").decode("latin-1"))


def main(settings: dict[str, Any]) -> None:
    from twisted.internet import reactor as installed

    reactor: Any = installed
    site = Site(Shop())
    site.noisy = False
    where = {"interface": "127.0.0.1", "backlog": 4096}
    reactor.listenTCP(settings["plain"], site, **where)
    secure = options(settings["certificate"], settings["suite"])
    reactor.listenSSL(settings["secure"], site, secure, **where)
    reactor.run()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
