"""Stock, orders and chat: done once, bounded."""

from __future__ import annotations

import pytest

from sslbroker.demo import shop as shop_module
from sslbroker.demo.shop import Message, Refused, Shop


def refusal(shop: Shop, *order: object) -> Refused:
    with pytest.raises(Refused) as caught:
        shop.place(*order)  # type: ignore[arg-type]
    return caught.value


def test_an_order_that_is_repeated_on_another_server_is_executed_once() -> None:
    shop = Shop(stock=10)
    first, repeated = shop.place(2, 3, "key", "server-1")
    assert (first.number, first.total, first.taken_by, repeated) == (1, 8700, "server-1", False)
    again, repeated = shop.place(2, 3, "key", "server-2")
    assert (again, repeated) == (first, True)
    assert (shop.stock[2], shop.executed, shop.repeated) == (7, 1, 1)


def test_orders_with_different_keys_are_different_orders() -> None:
    shop = Shop()
    assert [shop.place(1, 1, key, "s")[0].number for key in ("a", "b", "c")] == [1, 2, 3]


def test_a_key_does_not_serve_for_another_order() -> None:
    shop = Shop()
    shop.place(1, 1, "key", "s")
    refused = refusal(shop, 1, 2, "key", "s")
    assert refused.status == 422
    assert "send a new key" in refused.detail
    assert shop.executed == 1


@pytest.mark.parametrize(
    ("product", "quantity", "key", "status", "detail"),
    [
        (13, 1, "key", 422, "product: found 13, expected one of 1 to 12"),
        (1, 0, "key", 422, "quantity: found 0"),
        (1, 100, "key", 422, "quantity: found 100, expected 1 to 99"),
        (1, 6, "key", 409, "'Handshake' is sold out: 5 left"),
        (1, 1, "", 422, "Idempotency-Key: found ''"),
        (1, 1, "k" * 201, 422, "expected 1 to 200 printable"),
        (1, 1, "a\nb", 422, "printable"),
    ],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    product: int, quantity: int, key: str, status: int, detail: str
) -> None:
    shop = Shop(stock=5)
    refused = refusal(shop, product, quantity, key, "s")
    assert refused.status == status
    assert detail in refused.detail
    assert (shop.executed, shop.stock[1]) == (0, 5)


def test_the_oldest_orders_and_their_keys_are_forgotten() -> None:
    shop = Shop(orders=2)
    for key in ("a", "b", "c"):
        shop.place(1, 1, key, "s")
    assert shop.order(1) is None
    assert [order.number for order in (shop.order(2), shop.order(3)) if order] == [2, 3]
    assert shop.place(1, 1, "a", "s")[0].number == 4
    assert len(shop._order_keys) == len(shop._orders) == 2


def test_a_message_is_heard_once_by_every_listener_until_it_stops() -> None:
    shop = Shop()
    heard: list[tuple[str, Message]] = []
    stop = shop.listen(lambda message: heard.append(("one", message)))
    shop.listen(lambda message: heard.append(("two", message)))
    said = shop.say(" Ada ", " hello ", "key", "server-1")
    assert shop.say("Ada", "hello", "key", "server-2") is said
    assert said == Message(1, "Ada", "hello", "server-1")
    assert heard == [("one", said), ("two", said)]
    stop()
    stop()
    shop.say("Ada", "again", "other", "server-1")
    assert [who for who, _ in heard] == ["one", "two", "two"]


def test_a_listener_may_stop_while_it_is_told() -> None:
    shop = Shop()
    heard: list[str] = []

    def once(message: Message) -> None:
        heard.append(message.text)
        stop()

    stop = shop.listen(once)
    shop.say("Ada", "first", "1", "s")
    shop.say("Ada", "second", "2", "s")
    assert heard == ["first"]


def test_messages_are_asked_for_by_number() -> None:
    shop = Shop()
    for number in range(1, 4):
        shop.say("Ada", f"text {number}", f"key {number}", "s")
    assert [message.number for message in shop.messages_after(1)] == [2, 3]
    assert shop.messages_after(3) == []
    assert shop.latest == 3


def test_a_number_from_another_life_gets_everything() -> None:
    shop = Shop()
    shop.say("Ada", "text", "key", "s")
    assert len(shop.messages_after(99)) == 1


def test_the_oldest_messages_and_their_keys_are_forgotten() -> None:
    shop = Shop(messages=2)
    for number in range(1, 6):
        shop.say("Ada", "text", f"key {number}", "s")
    assert [message.number for message in shop.messages_after(0)] == [4, 5]
    assert len(shop._message_keys) == 2


@pytest.mark.parametrize(
    ("author", "text", "detail"),
    [
        (" ", "text", "author: found 0 characters, expected 1 to 40"),
        ("a" * 41, "text", "author: found 41"),
        ("Ada", "", "text: found 0 characters, expected 1 to 500"),
        ("Ada", "t" * 501, "text: found 501"),
        ("Ada", "\ud800", "text: found half of a surrogate pair"),
    ],
)
def test_what_cannot_be_said_is_refused(author: str, text: str, detail: str) -> None:
    shop = Shop()
    with pytest.raises(Refused, match=detail) as caught:
        shop.say(author, text, "key", "s")
    assert caught.value.status == 422
    assert shop.latest == 0


def test_listeners_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop_module, "MAXIMUM_LISTENERS", 1)
    shop = Shop()
    stop = shop.listen(lambda _: None)
    with pytest.raises(Refused) as caught:
        shop.listen(lambda _: None)
    assert caught.value.status == 503
    stop()
    shop.listen(lambda _: None)
