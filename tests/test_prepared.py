"""Everything that files and extensions have wrong is told at once, before anything is taken."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sslbroker.errors import StartError
from sslbroker.net.pins import Finding
from sslbroker.prepared import prepare
from sslbroker.settings import (
    THROWAWAY,
    Broker,
    Configuration,
    Group,
    LinkTLS,
    Listener,
    ListenerTLS,
    Pool,
    Server,
    Sticky,
)

from .files import folder


def configuration(pool: Pool | None = None, **changes: Any) -> Configuration:
    values: dict[str, Any] = {
        "listeners": (Listener("plain", "tcp:0", "shop"),),
        "pools": (pool or Pool("shop", (Server("127.0.0.1:9"),)),),
    }
    return Configuration(**{**values, **changes})


class Preparing(SynchronousTestCase):
    def refused(self, wrong: Configuration) -> list[str]:
        return str(self.assertRaises(StartError, prepare, wrong)).splitlines()

    def test_every_file_that_cannot_be_used_at_once(self) -> None:
        state = folder(self) / "state"
        state.write_text("no folder")
        nowhere = LinkTLS(ca=Path("/nowhere/ca.pem"))
        servers = (
            Server("127.0.0.1:9"),
            Server("127.0.0.1:10"),
            Server("127.0.0.1:11", tls=LinkTLS(certificate=Path("/nowhere/me.pem"))),
        )
        lines = self.refused(
            configuration(
                Pool("shop", servers, continue_secure_link=True, tls=nowhere),
                listeners=tuple(
                    Listener(name, "tcp:0", "shop", tls=ListenerTLS((Path(f"/nowhere/{name}.pem"),)))
                    for name in ("a", "b")
                ),
                broker=Broker(state_directory=state),
            )
        )
        places = [line.partition(": ")[0] for line in lines]
        self.assertEqual(
            places,
            [
                "listeners.a.tls",
                "listeners.b.tls",
                "pools.shop",  # once, though two servers need it
                "pools.shop.servers[2]",
                "broker.state_directory",
            ],
            lines,
        )

    def test_every_mistake_of_groups_beside_the_others(self) -> None:
        listed = folder(self) / "gold.txt"
        listed.write_text("ten\n")
        lines = self.refused(
            configuration(
                listeners=(Listener("a", "tcp:0", "shop", tls=ListenerTLS((Path("/nowhere/a.pem"),))),),
                groups=(
                    Group("gold", (), 5, files=(listed,)),
                    Group("iron", (), 1, certificates=("ann", "CN=ann, O=Shop", "O=Shop+")),
                ),
            )
        )
        self.assertEqual(
            [line.partition(": ")[0] for line in lines],
            [
                "listeners.a.tls",
                "groups.gold.files[0]",
                "groups.iron.certificates[1]",
                "groups.iron.certificates[2]",
            ],
        )
        self.assertIn("found 'CN=ann, O=Shop', expected a subject as RFC 4514 writes it", lines[2])

    def test_what_stands_in_a_whole_subject_is_compared_as_certificates_tell_it(self) -> None:
        groups = (Group("gold", (), 5, certificates=(r"CN=J\C3\B6rg,O=A\, B", "ann")),)
        names = prepare(configuration(groups=groups)).groups.names
        self.assertIs(names.of(r"CN=J\C3\B6rg,O=A\, B", (), ()), groups[0])
        self.assertIs(names.of("CN=x", ("ann",), ()), groups[0])
        self.assertIs(names.of("CN=x", (), ()), None)

    def test_only_pools_whose_links_may_be_secure_need_anything(self) -> None:
        servers = (
            Server("127.0.0.1:9"),
            Server("127.0.0.1:10", continue_secure_link=True),
            Server("127.0.0.1:11", continue_secure_link="auto"),
        )
        made = prepare(configuration(Pool("shop", servers))).links["shop"]
        self.assertEqual(list(made), ["127.0.0.1:9", "127.0.0.1:10", "127.0.0.1:11"])
        self.assertEqual(len({one.trust for one in made.values()}), 1)
        plain = Pool("shop", (Server("127.0.0.1:9", continue_secure_link=False),), continue_secure_link=True)
        self.assertEqual(prepare(configuration(plain)).links, {"shop": {}})

    def test_files_of_links_that_may_become_secure_are_read_too(self) -> None:
        nowhere = LinkTLS(ca=Path("/nowhere/ca.pem"))
        for pool in (
            Pool("shop", (Server("127.0.0.1:9"),), tls=nowhere),
            Pool("shop", (Server("127.0.0.1:9", tls=nowhere),)),
        ):
            self.assertRegex(self.refused(configuration(pool))[0], r"^pools\.shop.*: ")
        table = Pool("shop", (Server("127.0.0.1:9"),), tls=LinkTLS())
        self.assertEqual(list(prepare(configuration(table)).links["shop"]), ["127.0.0.1:9"])

    def test_pools_with_equal_settings_share_what_they_trust(self) -> None:
        pools = tuple(
            Pool(name, (Server("127.0.0.1:9"),), continue_secure_link=True) for name in ("shop", "b")
        )
        made = prepare(configuration(pools=pools)).links
        self.assertIs(made["shop"]["127.0.0.1:9"].trust, made["b"]["127.0.0.1:9"].trust)

    def test_warnings_are_told_once_with_their_place(self) -> None:
        servers = (Server("127.0.0.1:9"), Server("127.0.0.1:10"))
        trusting = Pool("shop", servers, continue_secure_link=True, tls=LinkTLS(verify=False))
        listener = Listener("web", "tcp:0", "shop", tls=ListenerTLS((THROWAWAY,)))
        lines = list(prepare(configuration(trusting, listeners=(listener,))).warnings())
        self.assertEqual([line.partition(": ")[0] for line in lines], ["listeners.web.tls", "pools.shop"])

    def test_groups_without_effect_are_warned_of(self) -> None:
        listener = Listener("web", "tcp:0", "shop")
        networks = (ip_network("192.0.2.0/24"),)
        gold, none = Group("gold", networks, 5), Group("none", ())
        for listeners, groups, places in (
            ((listener,), (), []),
            ((listener,), (gold, none), ["groups", "groups.none"]),
            ((replace(listener, trusted=networks),), (gold, none), ["groups.none"]),
            ((replace(listener, trusted=networks, group_header="X-G"),), (gold, none), []),
            ((replace(listener, tls=ListenerTLS((THROWAWAY,))),), (gold,), ["listeners.web.tls"]),
        ):
            lines = prepare(configuration(listeners=listeners, groups=groups)).warnings()
            self.assertEqual([line.partition(": ")[0] for line in lines], places)

    def test_findings_of_before_are_there(self) -> None:
        settings = configuration(broker=Broker(state_directory=folder(self)))
        prepare(settings).pins.set("shop", "127.0.0.1:9", Finding.TLS)
        self.assertIs(prepare(settings).pins.get("shop", "127.0.0.1:9"), Finding.TLS)

    def test_a_stream_keeps_no_client_at_its_server(self) -> None:
        pool = Pool("shop", (Server("127.0.0.1:9"),), protocol="tcp", sticky=Sticky("SRV"))
        self.assertRegex(self.refused(configuration(pool))[0], r"^pools\.shop\.sticky: ")
