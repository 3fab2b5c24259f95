"""The shop's pages and its interface for programs, as a tree of `twisted.web` resources.

Decides which address shows what. Invariant: everything that a page consists of is the same, byte for
byte, from every server, so that any of them can finish what another one began; which server it was
is said in the header ``Served-By``. Refuses to keep state: that is the shop's.
"""

# twisted.web has few annotations: half of the calls into it are untyped.
# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

from twisted.web.resource import Resource

from .answers import AnsweringRequest, Leaf, Missing, number_field
from .artwork import PICTURES, picture
from .chat import Messages, Socket, new_key
from .content import MAXIMUM_NOISE, Content, Fixed, Noise
from .shop import Order, Product, Shop
from .trouble import TroubledRequest

HTML: Final = b"text/html; charset=utf-8"
CSS: Final = b"text/css; charset=utf-8"
SCRIPT: Final = b"text/javascript; charset=utf-8"
SVG: Final = b"image/svg+xml"

HINT: Final = "There are /, /gallery, /chat, /products, /orders, /images/N.svg, /bytes/N, /echo and /healthz."


@cache
def page_text(name: str) -> str:
    """A file of the folder ``pages``."""
    return files(__package__).joinpath("pages", name).read_text(encoding="utf-8")


def page(name: str, values: Mapping[str, str] | None = None, frame: str = "frame.html") -> Fixed:
    """A page of that folder, framed and filled in; the values are markup already."""
    body = Template(page_text(name)).substitute(values or {})
    return Fixed(Template(page_text(frame)).substitute(body=body).encode(), HTML)


def money(cents: int) -> str:
    return f"€ {cents // 100}.{cents % 100:02}"


def card(product: Product) -> str:
    """A product as markup."""
    return Template(page_text("card.html")).substitute(
        number=product.number,
        name=escape(product.name),
        note=escape(product.note),
        price=escape(money(product.price)),
    )


class Static(Leaf):
    """GET: a content that never changes."""

    def __init__(self, content: Content) -> None:
        super().__init__()
        self._content = content

    def render_GET(self, request: AnsweringRequest) -> int:
        return request.answer_content(self._content)


class Healthz(Leaf):
    """GET /healthz: a server that can say so is well."""

    def render_GET(self, request: TroubledRequest) -> int:
        return request.answer(200, f"{request.server.name} is well\n".encode(), b"text/plain")


class Products(Leaf):
    """GET /products: what can be bought."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self._shop = shop

    def render_GET(self, request: TroubledRequest) -> int:
        products = [
            {
                **asdict(product),
                "image": f"/images/{product.number}.svg",
                "in_stock": self._shop.stock[product.number] > 0,
            }
            for product in self._shop.products.values()
        ]
        return request.answer_json(200, {"products": products})


class Orders(Resource):
    """POST /orders buys; GET /orders says how many orders there were; GET /orders/N shows one."""

    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self.putChild(b"", _AllOrders(shop))
        self._shop = shop

    def getChild(self, path: bytes, request: TroubledRequest) -> Resource:
        number = _number(path)
        order = self._shop.order(number) if number is not None else None
        if order is None or request.postpath:
            return Missing(
                f"The shop remembers no order of that number; {self._shop.executed} were executed."
            )
        return _OneOrder(order)

    def render(self, request: TroubledRequest) -> int:
        return _AllOrders(self._shop).render(request)


class _AllOrders(Leaf):
    def __init__(self, shop: Shop) -> None:
        super().__init__()
        self._shop = shop

    def render_GET(self, request: TroubledRequest) -> int:
        return request.answer_json(200, {"executed": self._shop.executed, "repeated": self._shop.repeated})

    def render_POST(self, request: TroubledRequest) -> int:
        fields = request.fields()
        order, repeated = self._shop.place(
            number_field(fields, "product"),
            number_field(fields, "quantity", 1),
            new_key(request, fields),
            request.server.name,
        )
        location = b"/orders/%d" % order.number
        if repeated:
            request.setHeader(b"Idempotency-Repeated", b"true")
        if request.is_form:
            return request.answer_see_other(location)
        request.setHeader(b"Location", location)
        return request.answer_json(201, asdict(order))


class _OneOrder(Leaf):
    def __init__(self, order: Order) -> None:
        super().__init__()
        self._order = order

    def render_GET(self, request: TroubledRequest) -> int:
        order = self._order
        request.setHeader(b"Vary", b"Accept")
        if "text/html" not in request.header("Accept"):
            return request.answer_json(200, asdict(order))
        values = {
            "number": str(order.number),
            "product": str(order.product),
            "name": escape(order.name),
            "quantity": str(order.quantity),
            "total": escape(money(order.total)),
            "taken_by": escape(order.taken_by),
        }
        return request.answer_content(page("order.html", values))


class Images(Missing):
    """GET /images/N.svg: the posters."""

    isLeaf = False

    def __init__(self) -> None:
        super().__init__(f"Pictures are /images/1.svg to /images/{PICTURES}.svg.")

    def getChild(self, path: bytes, request: TroubledRequest) -> Resource:
        number = _number(path.removesuffix(b".svg"))
        if number is None or not 1 <= number <= PICTURES or request.postpath or not path.endswith(b".svg"):
            return Missing(self.hint)
        return Static(Fixed(picture(number), SVG))


class Bytes(Missing):
    """GET /bytes/N: N bytes of reproducible noise, whole or in ranges."""

    isLeaf = False

    def __init__(self) -> None:
        super().__init__(f"Noise is /bytes/0 to /bytes/{MAXIMUM_NOISE}.")

    def getChild(self, path: bytes, request: TroubledRequest) -> Resource:
        number = _number(path)
        if number is None or number > MAXIMUM_NOISE or request.postpath:
            return Missing(self.hint)
        return Static(Noise(number))


class Echo(Leaf):
    """POST or PUT /echo: the length and SHA-256 of the body, which is not kept."""

    def render_POST(self, request: TroubledRequest) -> int:
        return request.answer_json(200, {"length": request.received, "sha256": request.body_hash.hexdigest()})

    render_PUT = render_POST


class Folder(Resource):
    """An address with an answer of its own and others below; whatever else is asked for is missing."""

    def __init__(self, front: Leaf, below: Mapping[bytes, Resource], hint: str = HINT) -> None:
        super().__init__()
        self._front = front
        self._hint = hint
        self.putChild(b"", front)
        for path, resource in below.items():
            self.putChild(path, resource)

    def getChild(self, path: bytes, request: AnsweringRequest) -> Resource:
        return Missing(self._hint)

    def render(self, request: AnsweringRequest) -> int:
        return self._front.render(request)


def tree(shop: Shop) -> Resource:
    """Everything that a server of the shop answers."""
    front = page("shop.html", {"products": "".join(map(card, shop.products.values()))})
    tiles = "".join(
        f'<img src="/images/{number}.svg" alt="Poster {number}" width="280" height="340">'
        for number in range(1, PICTURES + 1)
    )
    talk = Folder(Static(page("chat.html")), {b"messages": Messages(shop), b"socket": Socket(shop)})
    return Folder(
        Static(front),
        {
            b"gallery": Static(page("gallery.html", {"tiles": tiles})),
            b"healthz": Healthz(),
            b"products": Products(shop),
            b"orders": Orders(shop),
            b"images": Images(),
            b"bytes": Bytes(),
            b"echo": Echo(),
            b"chat": talk,
            b"style.css": Static(Fixed(page_text("style.css").encode(), CSS)),
            b"shop.js": Static(Fixed(page_text("shop.js").encode(), SCRIPT)),
            b"chat.js": Static(Fixed(page_text("chat.js").encode(), SCRIPT)),
        },
    )


def _number(path: bytes) -> int | None:
    """Digits as a number; None for anything else."""
    return int(path) if path.isdigit() and len(path) <= 12 else None
