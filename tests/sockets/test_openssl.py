"""How OpenSSL is asked: by the binding and by pyOpenSSL's public calls it must come to the same."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
from collections.abc import Callable
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from OpenSSL.SSL import _lib  # type: ignore[attr-defined]
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.sockets import openssl
from sslbroker.sockets.openssl import RECORD, Direct, Public, session

from .ends import SERVER, client_context

BOTH: tuple[Callable[[Any], openssl.Session], ...] = (Direct, Public)
VERSIONS = (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION)


def pair(version: int = SSL.TLS1_3_VERSION) -> tuple[SSL.Connection, SSL.Connection]:
    """A client and a server that know each other; no ticket is under way."""
    client, server = SSL.Connection(client_context(version), None), SSL.Connection(SERVER, None)
    client.set_connect_state()
    server.set_accept_state()
    for _ in range(3):
        for near, far in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                near.do_handshake()
            with contextlib.suppress(SSL.WantReadError):
                far.bio_write(near.bio_read(1 << 20))
    with contextlib.suppress(SSL.WantReadError):
        client.recv(1)
    return client, server


def records(near: SSL.Connection) -> bytes:
    try:
        return near.bio_read(1 << 24)
    except SSL.WantReadError:
        return b""


def everything(near: openssl.Session, data: bytes) -> bytes:
    """The records of `data`."""
    made, at = b"", 0
    while at < len(data):
        sealed, at = near.seal(data, at)
        made += bytes(sealed)
    return made


class Opening(SynchronousTestCase):
    def test_nothing_came(self) -> None:
        for make in BOTH:
            _, server = pair()
            opened, failure, _ = make(server).open()
            self.assertEqual((opened, failure), (b"", None))

    def test_one_record_and_many_and_a_part(self) -> None:
        for version in VERSIONS:
            for make in BOTH:
                client, server = pair(version)
                near = make(server)
                for pieces in ([b"one"], [b"one", b"two", b"three"], [b"x" * RECORD], [b"x" * RECORD] * 40):
                    data = b""
                    for piece in pieces:
                        client.send(piece)
                        data += records(client)
                    near.feed(data)
                    self.assertEqual(near.open()[:2], (b"".join(pieces), None))
                client.send(b"in parts")
                data = records(client)
                near.feed(data[:7])
                self.assertEqual(near.open()[:2], (b"", None))
                near.feed(data[7:])
                self.assertEqual(near.open()[:2], (b"in parts", None))

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.integers(1, 2 * RECORD), min_size=1, max_size=6), st.lists(st.integers(0, 1 << 17)))
    def test_it_may_be_cut_anywhere(self, sizes: list[int], cuts: list[int]) -> None:
        for make in BOTH:
            client, server = pair()
            said = [bytes([number]) * size for number, size in enumerate(sizes)]
            data = b"".join(everything(Direct(client), piece) for piece in said)
            near = make(server)
            heard = b""
            edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
            for start, end in itertools.pairwise(edges):
                if start < end:
                    near.feed(data[start:end])
                opened, failure, _ = near.open()
                self.assertIs(failure, None)
                heard += opened
            self.assertEqual(heard, b"".join(said))

    def test_what_ends_it(self) -> None:
        """After all that was well; told as an exception without frames, which would keep the transport."""
        for version in VERSIONS:
            for make in BOTH:
                for ends in ("goodbye", "garbage", "nonsense"):
                    client, server = pair(version)
                    near = make(server)
                    client.send(b"well")
                    data = records(client)
                    if ends == "goodbye":
                        client.shutdown()
                        data += records(client)
                    else:
                        data += (
                            b"\x17\x03\x03\x00\x20" + b"x" * 32 if ends == "garbage" else b"HTTP/1.1 200 OK"
                        )
                    near.feed(data)
                    opened, failure, _ = near.open()
                    self.assertEqual(opened, b"well")
                    expected = SSL.ZeroReturnError if ends == "goodbye" else SSL.Error
                    self.assertIs(type(failure), expected)
                    assert failure is not None
                    self.assertIs(failure.__traceback__, None)

    def test_both_fail_with_the_same_words(self) -> None:
        for bad in (
            b"\x17\x03\x03\x00\x20" + b"x" * 32,
            b"\x15\x03\x03\x00\x02\x02\x28",
            b"GET / HTTP/1.1\r\n",
        ):
            for version in VERSIONS:
                said = []
                for make in BOTH:
                    near = make(pair(version)[1])
                    near.feed(bad)
                    failure = near.open()[1]
                    assert failure is not None
                    said.append((type(failure), failure.args, near.take() != b""))
                self.assertEqual(said[0], said[1])

    def test_no_plain_text_stays(self) -> None:
        for size in (1, RECORD, 9 * RECORD, 20 * RECORD):
            client, server = pair()
            near = Direct(server)
            near.feed(everything(Direct(client), b"s" * size))
            self.assertEqual(near.open()[0], b"s" * size)
            self.assertEqual(openssl._OPENED_BYTES[:].strip(b"\0"), b"")

    def test_what_another_connection_left_in_the_queue_of_errors_fails_none(self) -> None:
        client, server = pair()
        near = Direct(server)
        client.send(b"well")
        near.feed(records(client))
        _lib.ERR_put_error(20, 0, 1, b"", 0)
        try:
            self.assertEqual(near.open()[:2], (b"well", None))
            self.assertEqual(near.open()[:2], (b"", None))
        finally:
            _lib.ERR_clear_error()


class Sealing(SynchronousTestCase):
    def test_any_size(self) -> None:
        for version in VERSIONS:
            for make in BOTH:
                for size in (1, 1000, RECORD, RECORD + 1, 8 * RECORD, 8 * RECORD + 1, 1_000_000):
                    client, server = pair(version)
                    data = bytes(range(251)) * (size // 251 + 1)
                    sealed = everything(make(server), data[:size])
                    client.bio_write(sealed)
                    heard = b""
                    with contextlib.suppress(SSL.WantReadError):
                        while True:
                            heard += client.recv(RECORD)
                    self.assertEqual(heard, data[:size])

    def test_as_much_as_has_room_at_once(self) -> None:
        for make in BOTH:
            _, server = pair()
            sealed, at = make(server).seal(b"x" * 20 * RECORD, 0)
            self.assertEqual(at, 8 * RECORD)
            self.assertGreater(len(sealed), at)

    def test_nothing_is_left_of_records_that_need_more_room(self) -> None:
        client, server = pair()
        near, data = Public(server), b"x" * 20 * RECORD
        with mock.patch.object(openssl, "_TOGETHER", 20):
            client.bio_write(everything(near, data))
        self.assertEqual(near.take(), b"")
        self.assertEqual(Public(client).open()[0], data)

    def test_before_the_peer_has_spoken(self) -> None:
        for make in BOTH:
            for data in (b"x", b"x" * 2 * RECORD):
                early = SSL.Connection(SERVER, None)
                early.set_accept_state()
                self.assertRaises(SSL.WantReadError, make(early).seal, data, 0)

    def test_after_our_own_end(self) -> None:
        for data in (b"x", b"x" * 2 * RECORD):
            said = []
            for make in BOTH:
                _, server = pair()
                server.shutdown()
                error = self.assertRaises(SSL.Error, make(server).seal, data, 0)
                said.append((type(error), error.args))
            self.assertEqual(said[0], said[1])

    def test_what_fails_in_the_middle_is_told_after_what_was_well(self) -> None:
        for make, name in ((Direct, "_SSL_write"), (Public, "")):
            _, server = pair()
            near: Any = make(server)
            real: Any = openssl._SSL_write if name else server.send
            calls: list[int] = []

            def once(*arguments: Any, real: Any = real, calls: list[int] = calls, name: str = name) -> Any:
                calls.append(1)
                if len(calls) == 1:
                    return real(*arguments)
                if name:
                    return -1
                raise SSL.Error

            patched = (
                mock.patch.object(openssl, name, once) if name else mock.patch.object(server, "send", once)
            )
            with patched:
                sealed, at = near.seal(b"x" * 3 * RECORD, 0)
                self.assertEqual((at, RECORD < len(sealed) < 2 * RECORD), (RECORD, True))
                self.assertRaises(SSL.Error, near.seal, b"x" * 3 * RECORD, at)


class Taking(SynchronousTestCase):
    def test_what_openssl_has_to_say(self) -> None:
        for make in BOTH:
            client, server = pair()
            near = make(server)
            self.assertEqual(near.take(), b"")
            server.shutdown()
            client.bio_write(near.take())
            self.assertRaises(SSL.ZeroReturnError, client.recv, 1)
            self.assertEqual(near.take(), b"")


class Which(SynchronousTestCase):
    def test_the_binding_where_it_is_whole(self) -> None:
        self.assertIsInstance(session(pair()[0]), Direct)

    def test_a_connection_that_is_more_is_asked_itself(self) -> None:
        class More(SSL.Connection):
            pass

        self.assertIsInstance(session(More(client_context(), None)), Public)

    def test_one_without_our_names_too(self) -> None:
        client, _ = pair()
        del client._into_ssl
        self.assertIsInstance(session(client), Public)

    def test_a_binding_without_our_names_is_left_alone(self) -> None:
        found = importlib.util.find_spec("sslbroker.sockets.openssl")
        assert found is not None
        assert found.loader is not None
        again = importlib.util.module_from_spec(found)
        with mock.patch.object(SSL, "_lib", object()):
            found.loader.exec_module(again)
        self.assertFalse(again.HAS_BINDING)
        self.assertIsInstance(again.session(pair()[0]), again.Public)

    def test_what_cannot_be_taken_is_pyopenssls_to_tell(self) -> None:
        client, _ = pair()
        near = Direct(client)
        told = ValueError("no room")
        with (
            mock.patch.object(openssl, "_BIO_write", return_value=-1),
            mock.patch.object(client, "bio_write", side_effect=told),
        ):
            self.assertIs(self.assertRaises(ValueError, near.feed, b"x"), told)
