"""What the shop shows and sells."""

from __future__ import annotations

import re

import pytest

from sslbroker.demo.artwork import PICTURES
from sslbroker.demo.resources import card, page_text
from sslbroker.demo.shop import CATALOGUE, Product, Shop

from .wire import Client, ask, new_server

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
STATIC = ["/", "/gallery", "/chat", "/chat/", "/style.css", "/shop.js", "/chat.js", "/images/12.svg"]


@pytest.mark.parametrize("target", STATIC)
def test_a_page_is_the_same_from_every_server(target: str) -> None:
    (one, _), (two, _) = new_server("server-1"), new_server("server-2")
    first, second = ask(one, f"GET {target}"), ask(two, f"GET {target}")
    assert first.status == 200
    assert (first.body, first.fields["etag"]) == (second.body, second.fields["etag"])
    assert (first.fields["served-by"], second.fields["served-by"]) == ("server-1", "server-2")


def test_the_front_page_shows_every_poster() -> None:
    server, _ = new_server()
    answer = ask(server, "GET /")
    text = answer.body.decode()
    assert answer.fields["content-type"] == "text/html; charset=utf-8"
    assert text.count("<article") == 12
    for product in CATALOGUE:
        assert f"<h2>{product.name}</h2>" in text
        assert f'src="/images/{product.number}.svg"' in text


def test_the_gallery_shows_fifty_pictures_that_exist() -> None:
    server, _ = new_server()
    targets = re.findall(r'<img src="([^"]+)"', ask(server, "GET /gallery").body.decode())
    assert len(set(targets)) == PICTURES == 50
    for target in targets:
        picture = ask(server, f"GET {target}")
        assert (picture.status, picture.fields["content-type"]) == (200, "image/svg+xml")


@pytest.mark.parametrize("target", ["/", "/gallery", "/chat"])
def test_a_page_needs_nothing_from_elsewhere_and_obeys_its_policy(target: str) -> None:
    server, _ = new_server()
    text = ask(server, f"GET {target}").body.decode()
    for address in re.findall(r'(?:src|href|action)="([^"]+)"', text):
        assert re.match(r"/(?!/)", address)
        if address != "/orders" and address != "/chat/messages":
            assert ask(server, f"GET {address}").status == 200
    assert "style=" not in text
    assert not re.search(r"<script(?! src=)|\son\w+=", text)


def test_names_are_escaped() -> None:
    assert "<i>" not in card(Product(1, "<i>", "<i>", 100))


@pytest.mark.parametrize("script", ["shop.js", "chat.js"])
def test_scripts_show_text_only_as_text(script: str) -> None:
    assert "textContent" in page_text(script)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", page_text(script))


def test_products_are_listed() -> None:
    server, _ = new_server(shop=Shop(stock=1))
    server.shop.place(2, 1, "key", "server-1")
    products = ask(server, "GET /products").json["products"]
    assert len(products) == 12
    assert products[0] == {
        "number": 1,
        "name": "Handshake",
        "note": "Two strangers agree on a secret.",
        "price": 2400,
        "image": "/images/1.svg",
        "in_stock": True,
    }
    assert products[1]["in_stock"] is False


# --- orders --------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/orders", "/orders/"])
def test_an_order_gets_a_number_and_an_address(target: str) -> None:
    server, _ = new_server()
    answer = ask(server, f"POST {target}", b'{"product": 3, "quantity": 2}', Content_Type=JSON)
    assert (answer.status, answer.fields["location"]) == (201, "/orders/1")
    order = {"number": 1, "product": 3, "name": "Backpressure", "quantity": 2, "total": 3800}
    assert answer.json == {**order, "taken_by": "server-1"}
    assert ask(server, "GET /orders/1").json == answer.json


def test_an_order_that_comes_again_on_another_server_is_the_same_order() -> None:
    shop = Shop()
    (one, _), (two, _) = new_server("server-1", shop), new_server("server-2", shop)
    body = b'{"product": 3}'
    first = ask(one, "POST /orders", body, Content_Type=JSON, Idempotency_Key="key")
    again = ask(two, "POST /orders", body, Content_Type=JSON, Idempotency_Key="key")
    assert first.status == again.status == 201
    assert first.body == again.body
    assert "idempotency-repeated" not in first.fields
    assert again.fields["idempotency-repeated"] == "true"
    assert ask(one, "GET /orders").json == {"executed": 1, "repeated": 1}


def test_without_a_key_each_order_is_a_new_one() -> None:
    server, _ = new_server()
    numbers = [
        ask(server, "POST /orders", b'{"product": 3}', Content_Type=JSON).json["number"] for _ in range(2)
    ]
    assert numbers == [1, 2]


def test_a_page_without_scripts_gets_a_page_for_its_order() -> None:
    server, _ = new_server()
    answer = ask(server, "POST /orders", b"product=3&quantity=1", Content_Type=FORM)
    assert (answer.status, answer.fields["location"]) == (303, "/orders/1")
    page = ask(server, "GET /orders/1", Accept="text/html,*/*")
    assert page.fields["content-type"] == "text/html; charset=utf-8"
    assert page.fields["vary"] == "Accept"
    assert "<dd>Backpressure</dd>" in page.body.decode()
    assert "€ 19.00" in page.body.decode()


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        (b"{}", 422, "product: found nothing, expected a whole number"),
        (b'{"product": 99}', 422, "product: found 99, expected one of 1 to 12"),
        (b'{"product": 1, "quantity": "many"}', 422, "quantity: found 'many'"),
        (b'{"product": 1, "quantity": 9}', 409, "sold out"),
    ],
)
def test_an_order_that_cannot_be_done_says_why(body: bytes, status: int, detail: str) -> None:
    server, _ = new_server(shop=Shop(stock=5))
    answer = ask(server, "POST /orders", body, Content_Type=JSON)
    assert answer.status == status
    assert detail in answer.json["error"]


@pytest.mark.parametrize(
    "target", ["/orders/1", "/orders/x", "/orders/-1", "/orders/1/2", "/orders/" + "9" * 5000]
)
def test_an_order_that_is_not_known_is_missing(target: str) -> None:
    server, _ = new_server()
    answer = ask(server, f"GET {target}")
    assert answer.status == 404
    assert len(answer.body) < 300


# --- the rest ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("/images/0.svg", "Pictures are /images/1.svg to /images/50.svg."),
        ("/images/51.svg", "Pictures are"),
        ("/images/1.png", "Pictures are"),
        ("/images/1", "Pictures are"),
        ("/images", "Pictures are"),
        ("/images/", "Pictures are"),
        ("/images/1.svg/x", "Pictures are"),
        ("/bytes/1073741825", "Noise is /bytes/0 to /bytes/1073741824."),
        ("/bytes/x", "Noise is"),
        ("/bytes", "Noise is"),
        ("/bytes/1/2", "Noise is"),
        ("/chat/nothing", "There are /,"),
        ("/trouble/server-1/dead", "There are /,"),
        ("/../etc/passwd", "There are /,"),
    ],
)
def test_what_is_not_there_says_what_is(target: str, hint: str) -> None:
    server, _ = new_server()
    answer = ask(server, f"GET {target}")
    assert answer.status == 404
    assert hint in answer.json["error"]


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_echo_measures_what_it_gets(method: str) -> None:
    server, _ = new_server()
    answer = ask(server, f"{method} /echo", b"abc")
    assert answer.json["length"] == 3
    assert answer.json["sha256"].startswith("ba7816bf")


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("DELETE /orders", "GET, POST, HEAD"),
        ("POST /", "GET, HEAD"),
        ("GET /echo", "POST, PUT"),
        ("HEAD /echo", "POST, PUT"),
        ("BREW /chat", "GET, HEAD"),
    ],
)
def test_a_method_that_means_nothing_here_is_refused(line: str, allowed: str) -> None:
    server, _ = new_server()
    client = Client(server)
    client.request(line)
    head = client.received.decode()
    assert head.startswith("HTTP/1.1 405 ")
    assert f"\r\nAllow: {allowed}\r\n" in head


def test_health_is_shown() -> None:
    server, _ = new_server()
    assert ask(server, "GET /healthz").status == 200
