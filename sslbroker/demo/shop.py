"""What the shop's servers share: stock, orders and the chat.

Decides what an order and a message are and when one is refused. Invariant: work that comes twice
under one key is done once, so an order that was repeated on another server costs the customer one
poster; and everything is bounded, the oldest orders, messages and keys are forgotten first. Refuses
to know HTTP, sockets or time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

MAXIMUM_KEY: Final = 200  # characters of an idempotency key
MAXIMUM_QUANTITY: Final = 99  # posters in one order
MAXIMUM_AUTHOR: Final = 40  # characters
MAXIMUM_TEXT: Final = 500  # characters of a message
MAXIMUM_LISTENERS: Final = 2000


class Refused(Exception):
    """The shop does not do it: `status` is the HTTP status that fits, `detail` says why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Product:
    number: int
    name: str
    note: str
    price: int  # cents


@dataclass(frozen=True, slots=True)
class Order:
    number: int
    product: int
    name: str
    quantity: int
    total: int  # cents
    taken_by: str  # the server that executed it


@dataclass(frozen=True, slots=True)
class Message:
    number: int
    author: str
    text: str
    taken_by: str


CATALOGUE: Final = (
    Product(1, "Handshake", "Two strangers agree on a secret.", 2400),
    Product(2, "Failover", "Nobody saw it happen.", 2900),
    Product(3, "Backpressure", "Slowly, and all of it.", 1900),
    Product(4, "Round Robin", "Everyone gets a turn.", 1900),
    Product(5, "Keep-Alive", "Still here.", 2200),
    Product(6, "Certificate", "It is who it says it is.", 3200),
    Product(7, "Slow Start", "One step, then two, then four.", 2100),
    Product(8, "Half-Open", "Waiting for the last word.", 1800),
    Product(9, "Idempotence", "Again is the same as once.", 2600),
    Product(10, "Long Poll", "Worth the wait.", 2000),
    Product(11, "Retry-After", "Thirty seconds of peace.", 2300),
    Product(12, "Close Notify", "A proper goodbye.", 2700),
)

Listener = Callable[[Message], None]


class Shop:
    """Stock, orders and chat messages; one object behind all servers, in memory, bounded."""

    def __init__(
        self,
        products: Sequence[Product] = CATALOGUE,
        *,
        stock: int = 100_000,
        orders: int = 10_000,
        messages: int = 500,
    ) -> None:
        """`stock` posters of each product; `orders` and `messages` are how many are remembered."""
        self.products = {product.number: product for product in products}
        self.stock = dict.fromkeys(self.products, stock)
        self.executed = 0  # orders
        self.repeated = 0  # orders that came again and were not executed again
        self._maximum_orders = orders
        self._orders: dict[int, tuple[Order, str]] = {}  # by number, with its key
        self._order_keys: dict[str, int] = {}
        self._messages: deque[tuple[Message, str]] = deque()
        self._message_keys: dict[str, Message] = {}
        self._maximum_messages = messages
        self._latest = 0
        self._listeners: dict[int, Listener] = {}
        self._next_listener = 0

    # --- orders ------------------------------------------------------------------------------

    def place(self, product: int, quantity: int, key: str, server: str) -> tuple[Order, bool]:
        """Execute an order, or find the one that this key executed: the order, and True if found.

        `Refused`: 422 for an unknown product, a quantity out of range or a key that was used for
        another order (draft-ietf-httpapi-idempotency-key-header §2.7), 409 when it is sold out.
        """
        _check_key(key)
        known = self._order_keys.get(key)
        if known is not None:
            order = self._orders[known][0]
            if (order.product, order.quantity) != (product, quantity):
                raise Refused(
                    422,
                    f"Idempotency-Key {key!r} was used for order {known}, {order.quantity} of product "
                    f"{order.product}: send a new key with a new order",
                )
            self.repeated += 1
            return order, True
        wanted = self.products.get(product)
        if wanted is None:
            raise Refused(422, f"product: found {product}, expected one of 1 to {max(self.products)}")
        if not 1 <= quantity <= MAXIMUM_QUANTITY:
            raise Refused(422, f"quantity: found {quantity}, expected 1 to {MAXIMUM_QUANTITY}")
        if self.stock[product] < quantity:
            raise Refused(409, f"{wanted.name!r} is sold out: {self.stock[product]} left")
        self.stock[product] -= quantity
        self.executed += 1
        order = Order(self.executed, product, wanted.name, quantity, wanted.price * quantity, server)
        self._orders[order.number] = (order, key)
        self._order_keys[key] = order.number
        if len(self._orders) > self._maximum_orders:
            oldest = next(iter(self._orders))
            del self._order_keys[self._orders.pop(oldest)[1]]
        return order, False

    def order(self, number: int) -> Order | None:
        """The order of that number; None when there was none, or it is forgotten."""
        found = self._orders.get(number)
        return found[0] if found else None

    # --- the chat ----------------------------------------------------------------------------

    @property
    def latest(self) -> int:
        """The number of the newest message; 0 before the first."""
        return self._latest

    def say(self, author: str, text: str, key: str, server: str) -> Message:
        """Add a message and tell the listeners, once for each key; `Refused` 422 for what cannot be said."""
        _check_key(key)
        known = self._message_keys.get(key)
        if known is not None:
            return known
        author, text = _clean("author", author), _clean("text", text)
        if not 1 <= len(author) <= MAXIMUM_AUTHOR:
            raise Refused(422, f"author: found {len(author)} characters, expected 1 to {MAXIMUM_AUTHOR}")
        if not 1 <= len(text) <= MAXIMUM_TEXT:
            raise Refused(422, f"text: found {len(text)} characters, expected 1 to {MAXIMUM_TEXT}")
        self._latest += 1
        message = Message(self._latest, author, text, server)
        self._messages.append((message, key))
        self._message_keys[key] = message
        if len(self._messages) > self._maximum_messages:
            del self._message_keys[self._messages.popleft()[1]]
        for listener in list(self._listeners.values()):
            listener(message)
        return message

    def messages_after(self, number: int) -> list[Message]:
        """The remembered messages that are newer; all of them when `number` is from another life."""
        if number > self._latest:
            number = 0
        return [message for message, _ in self._messages if message.number > number]

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each new message, until the returned function is called.

        `Refused` 503 when there are too many.
        """
        if len(self._listeners) >= MAXIMUM_LISTENERS:
            raise Refused(503, f"{MAXIMUM_LISTENERS} others are listening already: try again later")
        self._next_listener += 1
        number = self._next_listener
        self._listeners[number] = listener

        def stop() -> None:
            self._listeners.pop(number, None)

        return stop


def _clean(name: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Refused(422, f"{name}: found half of a surrogate pair, expected Unicode text") from None
    return text.strip()


def _check_key(key: str) -> None:
    if not (1 <= len(key) <= MAXIMUM_KEY and key.isprintable()):
        raise Refused(
            422, f"Idempotency-Key: found {key[:50]!r}, expected 1 to {MAXIMUM_KEY} printable characters"
        )
