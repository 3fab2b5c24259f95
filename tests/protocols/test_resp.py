"""Redis through the whole broker: examples/sslbroker-resp, with clients and servers played by hand."""

from __future__ import annotations

from typing import Any

from sslbroker_resp import RESP

from sslbroker.settings import Failover

from ..memory import BrokerCase, Peer

HELLO_2, HELLO_3 = (b"*2\r\n$5\r\nHELLO\r\n$1\r\n%d\r\n" % version for version in (2, 3))
GET = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"
INCR = b"*2\r\n$4\r\nINCR\r\n$1\r\na\r\n"
LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"
READONLY = b"-READONLY You can't write against a read only replica.\r\n"


class RedisCase(BrokerCase):
    def start_redis(self, servers: int = 2, name: str = "resp", **how: Any) -> None:
        protocol = RESP(name, by_key=name != "resp")
        self.start(servers, protocols=[protocol], protocol=name, **how)

    def asks(self, client: Peer, data: bytes, server: int = 0) -> Peer:
        """The client sends this, which reaches a new link of that server; the link."""
        client.sends(data)
        return self.servers[server].link()

    def record(self) -> Any:
        self.settle()
        return self.records.all[-1]


class MovingOn(RedisCase):
    def test_a_read_goes_to_another_server_when_the_first_one_breaks(self) -> None:
        self.start_redis()
        client = self.client(secure=True)
        self.asks(client, GET).resets()
        second = self.servers[1].link()
        assert second.takes() == GET
        second.sends(b"$1\r\nb\r\n")
        assert client.takes() == b"$1\r\nb\r\n"
        assert self.tries() == [("1", "broken"), ("2", "ok")]

    def test_and_when_it_is_loading(self) -> None:
        self.start_redis()
        client = self.client()
        self.asks(client, GET + GET).sends(LOADING + LOADING)
        second = self.servers[1].link()
        assert second.takes() == GET + GET
        second.sends(b"$-1\r\n:1\r\n")
        assert client.takes() == b"$-1\r\n:1\r\n"

    def test_a_write_is_not_repeated_when_nobody_knows_what_was_done(self) -> None:
        self.start_redis()
        client = self.client()
        self.asks(client, INCR).resets()
        expected = b"-ERR sslbroker: the server broke off; nobody knows whether it was done\r\n"
        assert client.takes() == expected
        assert self.servers[1].accepted == 0
        assert not client.closed

    def test_a_write_goes_on_when_the_answer_proves_that_nothing_was_done(self) -> None:
        self.start_redis()
        client = self.client()
        self.asks(client, INCR + INCR).sends(READONLY + READONLY)
        second = self.servers[1].link()
        assert second.takes() == INCR + INCR
        second.sends(b":1\r\n:2\r\n")
        assert client.takes() == b":1\r\n:2\r\n"
        assert [one.get("next") for one in self.record()["tries"]] == ["nothing-done", None]

    def test_a_transaction_that_was_aborted_for_its_server_goes_on(self) -> None:
        self.start_redis()
        client = self.client()
        self.asks(client, b"MULTI\r\nSET a 1\r\nEXEC\r\n").sends(b"+OK\r\n" + READONLY + b"-EXECABORT x\r\n")
        self.servers[1].link().sends(b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n")
        assert client.takes() == b"+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n"

    def test_a_client_goes_on_after_a_whole_transaction_that_failed(self) -> None:
        self.start_redis()
        client = self.client()
        self.asks(client, b"MULTI\r\nINCR a\r\nEXEC\r\n").resets()
        expected = b"-ERR sslbroker: the server broke off; nobody knows whether it was done\r\n"
        assert client.takes() == expected * 3
        assert not client.closed
        self.asks(client, GET, 1).sends(b"$1\r\nb\r\n")
        assert client.takes() == b"$1\r\nb\r\n"

    def test_the_last_refusal_reaches_the_client(self) -> None:
        self.start_redis(servers=1, failover=Failover(tries=1))
        client = self.client()
        self.asks(client, INCR).sends(READONLY)
        assert client.takes() == READONLY
        assert not client.closed

    def test_without_a_server_each_command_is_answered(self) -> None:
        self.start_redis(servers=1)
        self.servers[0].behaviour = "refuse"
        client = self.client()
        client.sends(GET * 3)
        self.wait(3 * 5.0)  # each waits for one that can be reached again
        assert client.takes() == b"-ERR sslbroker: the server cannot do this now\r\n" * 3
        assert not client.closed


class Pipelines(RedisCase):
    def test_reads_that_came_together_are_one_transaction(self) -> None:
        self.start_redis()
        client = self.client()
        link = self.asks(client, GET * 3 + INCR)
        assert link.takes() == GET * 3
        link.sends(b"$-1\r\n$1\r\na")
        assert client.takes() == b"$-1\r\n$1\r\na"
        link.sends(b"\r\n:1\r\n")
        assert client.takes() == b"\r\n:1\r\n"
        assert (self.record()["method"], self.record()["target"]) == ("GET x3", "a")
        second = self.servers[1].link()
        assert second.takes() == INCR
        second.sends(b":1\r\n")
        assert client.takes() == b":1\r\n"

    def test_a_long_argument_streams(self) -> None:
        self.start_redis(servers=1)
        client = self.client()
        size = 3_000_000
        link = self.asks(client, b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n" % size)
        for _ in range(30):
            client.sends(b"x" * (size // 30))
        client.sends(b"\r\n" + GET)
        got = link.takes()
        assert got == b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$%d\r\n" % size + b"x" * size + b"\r\n"
        link.sends(b"+OK\r\n")
        assert client.takes() == b"+OK\r\n"
        assert link.takes() == GET
        link.sends(b"$%d\r\n" % size)
        link.sends(b"y" * size + b"\r\n")
        assert len(client.takes()) == size + 12


class Pins(RedisCase):
    def test_a_link_that_holds_a_clients_state_is_its_own(self) -> None:
        self.start_redis(servers=1)
        client = self.client()
        link = self.asks(client, b"SELECT 1\r\n")
        link.sends(b"+OK\r\n")
        assert (client.takes(), link.takes()[:4]) == (b"+OK\r\n", b"*2\r\n")
        client.sends(GET)
        assert link.takes() == GET
        link.sends(b"$-1\r\n")
        other = self.client()
        others = self.asks(other, GET)
        others.sends(b"$1\r\nb\r\n")
        assert other.takes() == b"$1\r\nb\r\n"
        client.takes()
        client.sends(b"RESET\r\n")
        link.sends(b"+RESET\r\n")
        assert client.takes() == b"+RESET\r\n"
        link.takes()
        others.closes()
        other.sends(GET)
        assert link.takes() == GET
        link.sends(b"$-1\r\n")

    def test_a_client_whose_link_breaks_while_it_holds_something_is_cut(self) -> None:
        self.start_redis()
        client = self.client()
        link = self.asks(client, b"MULTI\r\n")
        link.sends(b"+OK\r\n")
        assert client.takes() == b"+OK\r\n"
        client.sends(GET)
        link.resets()
        assert client.closed
        assert self.servers[1].accepted == 0

    def test_a_client_that_is_refused_in_a_multi_does_not_go_on(self) -> None:
        self.start_redis(servers=1)
        client = self.client()
        self.asks(client, b"MULTI\r\n").sends(b"+OK\r\n")
        client.takes()
        client.sends(b"CLIENT REPLY OFF\r\nEXEC\r\n")
        assert client.takes().startswith(b"-ERR sslbroker: CLIENT REPLY is not carried")
        assert client.closed

    def test_versions_of_resp_share_a_link(self) -> None:
        self.start_redis(servers=1)
        new, old = self.client(), self.client()
        link = self.asks(new, b"HELLO 3\r\n")
        assert link.takes() == HELLO_3
        link.sends(b"%1\r\n+proto\r\n:3\r\n")
        assert new.takes() == b"%1\r\n+proto\r\n:3\r\n"
        new.sends(GET)
        assert link.takes() == GET
        link.sends(b"_\r\n")
        assert new.takes() == b"_\r\n"
        old.sends(GET)
        assert link.takes() == HELLO_2 + GET
        link.sends(b"*2\r\n+proto\r\n:2\r\n$-1\r\n")
        assert old.takes() == b"$-1\r\n"
        new.sends(GET)
        assert link.takes() == HELLO_3 + GET
        link.sends(b"%1\r\n+proto\r\n:3\r\n_\r\n")
        assert new.takes() == b"_\r\n"


class OwnAnswers(RedisCase):
    def test_what_libraries_say_of_themselves_needs_no_server(self) -> None:
        self.start_redis()
        client = self.client()
        client.sends(b"CLIENT SETINFO LIB-NAME redis-py\r\nCLIENT SETINFO LIB-VER 8\r\nQUIT\r\n")
        assert client.takes() == b"+OK\r\n" * 3
        assert client.closed
        assert self.servers[0].accepted == 0
        assert self.record()["tries"] == []

    def test_what_is_no_command_is_told(self) -> None:
        self.start_redis()
        client = self.client()
        client.sends(b"*1\r\n$-1\r\n")
        assert client.takes().startswith(b"-ERR sslbroker: Protocol error: found the line $-1")
        assert client.closed


class Streams(RedisCase):
    def test_a_subscription_is_a_tunnel(self) -> None:
        self.start_redis(servers=1)
        client = self.client(secure=True)
        link = self.asks(client, b"SUBSCRIBE news\r\nPING\r\n")
        assert link.takes() == b"*2\r\n$9\r\nSUBSCRIBE\r\n$4\r\nnews\r\n"
        link.sends(b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
        assert client.takes().endswith(b":1\r\n")
        assert link.takes() == b"PING\r\n"
        link.sends(b"*3\r\n$7\r\nmessage\r\n")
        assert client.takes() == b"*3\r\n$7\r\nmessage\r\n"
        client.closes()
        assert link.closed

    def test_a_server_may_end_a_subscription_first(self) -> None:
        self.start_redis(servers=1)
        client = self.client()
        client.stays = True
        link = self.asks(client, b"SUBSCRIBE news\r\n")
        link.stays = True
        link.sends(b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n")
        link.takes()
        link.half_closes()
        assert client.ended
        client.sends(b"PING\r\n")
        assert link.takes() == b"PING\r\n"
        client.closes()
        assert link.closed
        assert self.end == "ok"

    def test_a_refused_subscription_leaves_the_connection_as_it_was(self) -> None:
        self.start_redis(servers=1)
        client = self.client()
        link = self.asks(client, b"SUBSCRIBE news\r\n")
        link.sends(b"-NOPERM no\r\n")
        assert client.takes() == b"-NOPERM no\r\n"
        link.takes()
        client.sends(GET)
        assert link.takes() == GET
        link.sends(b"$-1\r\n")
        assert client.takes() == b"$-1\r\n"


class Times(RedisCase):
    def test_a_command_that_waits_has_its_own_limit(self) -> None:
        self.start_redis(servers=1, failover=Failover(response_timeout=1.0))
        client = self.client()
        link = self.asks(client, b"BLPOP q 5\r\n")
        self.wait(5.5)
        assert client.takes() == b""
        self.wait(1.0)
        assert client.takes().startswith(b"-ERR sslbroker: the server has not answered in time")
        assert link.closed

    def test_or_none(self) -> None:
        self.start_redis(servers=1, failover=Failover(response_timeout=1.0))
        client = self.client()
        link = self.asks(client, b"BLPOP q 0\r\n")
        self.wait(1000)
        link.sends(b"*2\r\n$1\r\nq\r\n$1\r\nx\r\n")
        assert client.takes() == b"*2\r\n$1\r\nq\r\n$1\r\nx\r\n"


class Shards(RedisCase):
    def test_a_key_has_its_server(self) -> None:
        self.start_redis(servers=3, name="resp-sharded", balance="hash")
        client = self.client()
        places: dict[bytes, set[int]] = {}
        for key in (b"a", b"b", b"c", b"d", b"e", b"f") * 2:
            before = [server.accepted for server in self.servers]
            client.sends(b"GET %b\r\n" % key)
            taken = [server.accepted for server in self.servers]
            place = next(i for i in range(3) if taken[i] != before[i])
            link = self.servers[place].link()
            link.sends(b"$-1\r\n")
            assert client.takes() == b"$-1\r\n"
            link.closes()
            places.setdefault(key, set()).add(place)
        assert all(len(found) == 1 for found in places.values())
        assert len(set.union(*places.values())) > 1

    def test_keys_of_several_places_are_refused(self) -> None:
        self.start_redis(name="resp-sharded", balance="hash")
        client = self.client()
        client.sends(b"MGET a b\r\nSELECT 1\r\n")
        told = client.takes().split(b"\r\n")
        assert told[0].startswith(b"-CROSSSLOT")
        assert told[1].startswith(b"-ERR sslbroker: this needs one server for a connection")
