"""The page and the addresses by which the demo's servers are broken and mended.

Decides who may break what. Invariant: only a program on this machine, or this page itself, can: the
site has its own loopback port, apart from the servers, so that no broker leads to it, and it refuses
requests that a page of another site made a browser send. Refuses to change anything but troubles.
"""

# twisted.web has few annotations: half of the calls into it are untyped.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from html import escape
from typing import Final
from urllib.parse import urlsplit

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource

from ..errors import StartError
from .answers import AnsweringRequest, Leaf
from .channel import CountingSite
from .content import Fixed
from .resources import CSS, HTML, Folder, Static, page, page_text
from .server import FulfillmentServer
from .shop import Refused
from .trouble import Trouble

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
ALL: Final = b"all"
HINT: Final = "POST to /<server>/<trouble>, or see / and /state."
KINDS: Final = {
    Trouble.NONE: "well",
    Trouble.STATUS_500: "answers 500",
    Trouble.SILENCE: "says nothing",
    Trouble.SLOW: "answers late",
    Trouble.CUT: "breaks off",
    Trouble.DEAD: "is dead",
}


class ControlSite(CountingSite):
    """GET / shows the servers, POST /<server>/<trouble> breaks one; `all` means every server."""

    def __init__(self, servers: Sequence[FulfillmentServer], clock: IReactorTime) -> None:
        below: dict[bytes, Resource] = {
            b"state": _State(servers),
            b"style.css": Static(Fixed(page_text("style.css").encode(), CSS)),
            ALL: _Troubles(servers),
            **{server.name.encode(): _Troubles([server]) for server in servers},
        }
        super().__init__(Folder(_Overview(servers), below, HINT), AnsweringRequest, clock)

    def logPrefix(self) -> str:
        """What Twisted calls it in its own lines of the log."""
        return "demo control site"

    def getResourceFor(self, request: AnsweringRequest) -> Resource:
        try:
            _check_caller(request)
        except Refused as refusal:
            return _Refusal(refusal)
        found: Resource = super().getResourceFor(request)
        return found


def _check_caller(request: AnsweringRequest) -> None:
    """`Refused` 403 unless the request names this machine and no page of another site sent it."""
    host, origin = request.header("Host"), request.header("Origin")
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        name = None
    if name not in LOOPBACK:
        raise Refused(403, f"Host: found {host[:100]!r}, expected one of {', '.join(LOOPBACK)}")
    if origin and origin != f"http://{host}":
        raise Refused(403, f"Origin: found {origin[:100]!r}, expected this page or a program such as curl")


def _find_trouble(name: str) -> Trouble:
    """The trouble of that name; `Refused` 404 with what there is."""
    names = [trouble.value for trouble in Trouble]
    if name in names:
        return Trouble(name)
    close = get_close_matches(name, names, 1)
    meant = f"; did you mean {close[0]}?" if close else ""
    raise Refused(404, f"trouble: found {name[:50]!r}, expected one of {', '.join(names)}{meant}")


class _Refusal(Leaf):
    def __init__(self, refusal: Refused) -> None:
        super().__init__()
        self._refusal = refusal

    def render(self, request: AnsweringRequest) -> int:
        return request.answer_error(self._refusal.status, self._refusal.detail)


class _Troubles(Leaf):
    """POST /<server>/<trouble>."""

    def __init__(self, servers: Sequence[FulfillmentServer]) -> None:
        super().__init__()
        self._servers = servers

    def render_POST(self, request: AnsweringRequest) -> int:
        name = b"/".join(request.postpath or []).decode("utf-8", "replace")
        trouble = _find_trouble(name)
        for server in self._servers:
            try:
                server.trouble = trouble
            except StartError as error:
                raise Refused(503, str(error)) from None
        if "text/html" in request.header("Accept"):
            return request.answer_see_other(b"/")
        return request.answer_json(200, _state(self._servers))


class _State(Leaf):
    def __init__(self, servers: Sequence[FulfillmentServer]) -> None:
        super().__init__()
        self._servers = servers

    def render_GET(self, request: AnsweringRequest) -> int:
        return request.answer_json(200, _state(self._servers))


class _Overview(Leaf):
    def __init__(self, servers: Sequence[FulfillmentServer]) -> None:
        super().__init__()
        self._servers = servers

    def render_GET(self, request: AnsweringRequest) -> int:
        rows = "".join(map(_row, self._servers))
        values = {"rows": rows, "host": escape(request.header("Host"))}
        content: Fixed = page("control.html", values, frame="plain.html")
        return request.answer(200, content.data, HTML)


def _state(servers: Sequence[FulfillmentServer]) -> dict[str, dict[str, str]]:
    return {server.name: {"address": server.address, "trouble": server.trouble.value} for server in servers}


def _row(server: FulfillmentServer) -> str:
    """One server as markup: its state, and a button for each trouble."""
    now = server.trouble
    buttons = "".join(
        f'<form method="post" action="/{escape(server.name)}/{trouble.value}">'
        f"<button{' disabled' if trouble is now else ''}>{trouble.value}</button></form>"
        for trouble in Trouble
    )
    state = "well" if now is Trouble.NONE else "ill"
    return (
        f'<section class="server {state}"><h2>{escape(server.name)}</h2>'
        f"<p><code>{server.address}</code> {KINDS[now]}</p><div class=buttons>{buttons}</div></section>"
    )
