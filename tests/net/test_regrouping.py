"""Groups end to end: clients of every sort, and files that change while they are connected."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from zope.interface import implementer

from sslbroker.errors import StartError
from sslbroker.interfaces import IGroups, Origin
from sslbroker.settings import Group, ListenerTLS

from ..files import folder
from ..memory import BrokerCase, Peer
from .authorities import root

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PROXY = "10.9.9.9"
TRUSTING = {"trusted": (ip_network(PROXY),), "group_header": "X-Client-Group"}


def groups(*files: Path) -> Sequence[Group]:
    return (
        Group("gold", (ip_network("192.0.2.0/24"),), 5),
        Group("silver", (ip_network("192.0.2.128/25"), ip_network("2001:db8::/32")), 3, files=files),
    )


@implementer(IGroups)
class Always:
    """It knows everybody."""

    name = "always"

    def __init__(self, named: str) -> None:
        self.named = named

    def group(self, origin: Origin) -> str | None:
        return self.named


class Case(BrokerCase):
    def ask(self, client: Peer, *head: str) -> tuple[Any, Any]:
        """Group and priority in the log of one transaction; `request` is what the server saw."""
        client.sends("\r\n".join(["GET / HTTP/1.1", "Host: shop", *head, "", ""]).encode())
        server = self.servers[0]
        if server.links:
            self.link = server.link()
        self.request = self.link.takes().decode()
        self.link.sends(OK)
        self.assertTrue(client.takes().endswith(b"ok"))
        record = self.records.all[-1]
        return record["group"], record["priority"]


class EndToEnd(Case):
    def begin(self, *asked: IGroups, **more: Any) -> None:
        self.start(servers=1, groups=groups(), asked=asked, **more)

    def test_without_groups_nobody_is_in_one(self) -> None:
        self.start(servers=1)
        self.assertEqual(self.ask(self.client()), (None, 1))
        self.assertIs(self.broker.regrouping, None)
        self.assertIs(self.broker.grouping, None)

    def test_by_the_address_at_plain_and_at_secure_listeners(self) -> None:
        self.begin()
        for secure in (False, True):
            for peer, expected in (
                ("192.0.2.1", ("gold", 5)),
                ("192.0.2.129", ("silver", 3)),
                ("2001:db8::1", ("silver", 3)),
                ("::ffff:192.0.2.1", ("gold", 5)),
                ("198.51.100.1", (None, 1)),
            ):
                self.assertEqual(self.ask(self.client(secure, peer=peer)), expected, (peer, secure))

    def test_what_was_no_request_has_its_clients_group_too(self) -> None:
        self.begin()
        self.client().sends(b"what\r\n\r\n")
        self.assertEqual((self.records.all[0]["group"], self.records.all[0]["priority"]), ("gold", 5))

    def test_a_transaction_that_is_not_whole_in_one_read(self) -> None:
        self.begin()
        client = self.client()
        client.sends(b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 2\r\n\r\n")
        client.sends(b"ab")
        self.servers[0].link().sends(OK)
        self.assertEqual(self.records.all[0]["group"], "gold")

    def test_objects_of_a_program_before_the_address(self) -> None:
        self.begin(Always("silver"))
        self.assertEqual(self.ask(self.client()), ("silver", 3))
        self.assertEqual(self.ask(self.client(secure=True)), ("silver", 3))

    def test_each_client_behind_a_trusted_proxy_has_its_group_on_one_connection(self) -> None:
        self.begin(listeners=TRUSTING)
        for secure in (False, True):
            proxy = self.client(secure, peer=PROXY)
            for address, group in 2 * (("192.0.2.1", "gold"), ("192.0.2.200", "silver"), ("10.1.1.1", None)):
                for _ in range(3):  # what repeats is remembered
                    self.assertEqual(self.ask(proxy, f"X-Forwarded-For: {address}")[0], group)
            self.assertEqual(self.ask(proxy)[0], None)
            self.assertEqual(self.ask(proxy, "Forwarded: for=192.0.2.1")[0], "gold")

    def test_a_trusted_proxy_names_the_group_and_the_server_hears_of_it(self) -> None:
        self.begin(listeners=TRUSTING)
        proxy = self.client(peer=PROXY)
        for _ in range(3):
            for named, group in (("gold", "gold"), ("silver", "silver"), ("lead", None), ("", None)):
                self.assertEqual(self.ask(proxy, f"X-Client-Group: {named}")[0], group)
                self.assertIn(f"X-Client-Group: {named}\r\n", self.request)
            self.assertEqual(self.ask(proxy)[0], None)
        # One that is no group's leaves the client's address to decide.
        self.assertEqual(self.ask(proxy, "X-Client-Group: lead", "X-Forwarded-For: 192.0.2.1")[0], "gold")
        self.assertEqual(self.ask(proxy, "X-Client-Group: silver", "X-Forwarded-For: 192.0.2.1")[0], "silver")

    def test_nobody_else_does_at_any_listener(self) -> None:
        self.begin(listeners=TRUSTING)
        for name in ("X-Client-Group", "x-client-group", "X_Client_Group"):
            self.assertEqual(self.ask(self.client(peer="10.1.1.1"), f"{name}: gold")[0], None)
            self.assertNotIn("gold", self.request)

    def test_by_a_certificate(self) -> None:
        directory = folder(self)
        authority = root()
        ca = authority.write(directory / "ca.pem")
        self.start(
            servers=1,
            groups=[*groups(), Group("staff", (), 4, certificates=("ann",))],
            listener_tls=ListenerTLS((Path("throwaway"),), client_ca=ca, client_certificate="optional"),
        )
        for subject, group in (("ann", "staff"), ("bob", "gold"), ("ann", "staff")):
            context = authority.client(subject).by(SSL.Context(SSL.TLS_CLIENT_METHOD))
            self.assertEqual(self.ask(self.client(True, context=context))[0], group)
        self.assertEqual(self.ask(self.client(True))[0], "gold")
        self.assertEqual(self.ask(self.client())[0], "gold")


class Anew(Case):
    def begin(self, content: str = "10.1.0.0/16", **more: Any) -> None:
        self.file = folder(self) / "silver.txt"
        self.file.write_text(content)
        self.start(servers=1, groups=groups(self.file), **more)

    def reload(self, content: str) -> Deferred[None]:
        self.file.write_text(content)
        reading = self.broker.reload_groups()
        self.wait(0.01)
        return reading

    def test_open_connections_have_their_new_group_from_the_next_transaction_on(self) -> None:
        self.begin()
        clients = [self.client(secure, peer="10.1.1.1") for secure in (False, True)]
        for client in clients:
            self.assertEqual(self.ask(client)[0], "silver")
        self.assertIs(self.successResultOf(self.reload("10.2.0.0/16")), None)
        for client in clients:
            self.assertEqual(self.ask(client)[0], None)
            self.assertEqual(self.ask(self.client(client is clients[1], peer="10.2.1.1"))[0], "silver")
        self.successResultOf(self.reload("10.1.0.0/16"))
        self.assertEqual([self.ask(client)[0] for client in clients], ["silver", "silver"])

    def test_so_have_the_clients_behind_a_proxy_though_its_requests_repeat(self) -> None:
        self.begin(listeners=TRUSTING)
        proxy = self.client(peer=PROXY)
        said = "X-Forwarded-For: 10.1.1.1"
        self.assertEqual([self.ask(proxy, said)[0] for _ in range(4)], ["silver"] * 4)
        self.successResultOf(self.reload("10.2.0.0/16"))
        self.assertEqual([self.ask(proxy, said)[0] for _ in range(4)], [None] * 4)

    def test_a_transaction_under_way_keeps_its_group(self) -> None:
        self.begin()
        client = self.client(peer="10.1.1.1")
        client.sends(b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n")
        self.successResultOf(self.reload(""))
        self.servers[0].link().sends(OK)
        self.assertEqual(self.records.all[-1]["group"], "silver")

    def test_a_mistake_changes_nothing_and_is_told(self) -> None:
        self.begin()
        client = self.client(peer="10.1.1.1")
        failure = self.failureResultOf(self.reload("10.2.0.0/16\nten"), StartError)
        self.assertIn(f"{self.file}:2: found 'ten'", str(failure.value))
        self.assertEqual(self.ask(client)[0], "silver")
        self.assertEqual(self.ask(self.client(peer="10.2.1.1"))[0], None)
        self.successResultOf(self.reload("10.2.0.0/16"))
        self.assertEqual(self.ask(client)[0], None)

    def test_what_is_asked_for_last_is_read_last(self) -> None:
        self.begin()
        first = self.broker.reload_groups()
        with capturedLogs() as lines:
            second = self.broker.reload_groups()
            self.assertNoResult(first)
            self.assertEqual(lines, [], "it has not been read yet")
            self.successResultOf(self.reload("10.2.0.0/16"))
        for earlier in (first, second):
            self.successResultOf(earlier)
        self.assertEqual([formatEvent(line) for line in lines], ["networks of groups are read anew"])
        self.assertEqual(self.ask(self.client(peer="10.2.1.1"))[0], "silver")

    def test_whoever_asked_is_told_of_the_mistakes_that_the_last_reading_found(self) -> None:
        self.begin()
        first = self.broker.reload_groups()
        with capturedLogs() as lines:
            self.failureResultOf(self.reload("what"), StartError)
            self.failureResultOf(first, StartError)
        self.assertEqual(lines, [])
        self.successResultOf(self.reload("10.2.0.0/16"))

    def test_nothing_is_left_of_a_reading_that_a_stop_meets_and_it_is_not_told_as_done(self) -> None:
        self.begin()
        reading = self.broker.reload_groups()
        assert self.broker.regrouping is not None
        with capturedLogs() as lines:
            self.broker.regrouping.stop()
        self.successResultOf(reading)
        self.assertEqual(lines, [])
        self.broker.regrouping.stop()

    def test_many_connections_are_asked_for_in_steps(self) -> None:
        self.begin()
        clients = [self.client(peer=f"10.1.{number}.1") for number in range(70)]
        self.successResultOf(self.reload(""))
        self.assertEqual({self.ask(client)[0] for client in clients}, {None})

    def test_without_files_there_is_nothing_to_read(self) -> None:
        self.start(servers=1, groups=groups())
        self.successResultOf(self.broker.reload_groups())

    def test_all_at_once_where_nobody_is_served(self) -> None:
        self.begin()
        self.file.write_text("10.2.0.0/16")
        assert self.broker.regrouping is not None
        self.broker.regrouping.now()
        self.assertEqual(self.ask(self.client(peer="10.2.1.1"))[0], "silver")
