"""The hosts file and resolv.conf."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from sslbroker.net import systemfiles
from sslbroker.net.systemfiles import Hosts, ResolvConf, Resolving

from ..files import folder


class FileCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = folder(self) / "file"
        self.writes = 0

    def says(self, text: str | bytes) -> None:
        """The file is replaced, as an administrator's editor does."""
        self.writes += 1
        other = self.path.with_suffix(".new")
        other.write_bytes(text.encode() if isinstance(text, str) else text)
        os.utime(other, (self.writes, self.writes))
        other.replace(self.path)


class HostsFile(FileCase):
    def setUp(self) -> None:
        super().setUp()
        self.hosts = Hosts(self.path)

    def test_all_names_of_a_line_and_all_lines_of_a_name(self) -> None:
        self.says("127.0.0.1\tlocalhost\n10.0.0.1 shop.test Shop\n\n2001:db8::1  shop.test # 10.9.9.9 shop\n")
        self.assertEqual(self.hosts.addresses("shop.test"), ("10.0.0.1", "2001:db8::1"))
        self.assertEqual(self.hosts.addresses("SHOP"), ("10.0.0.1",))
        self.assertEqual(self.hosts.addresses("other"), ())

    def test_lines_that_are_not_understood_say_nothing(self) -> None:
        self.says("# 10.0.0.9 shop\n10.0.0 shop\nshop 10.0.0.1\n10.0.0.3\n10.0.0.2 shop")
        self.assertEqual(self.hosts.addresses("shop"), ("10.0.0.2",))

    def test_bytes_that_are_no_text(self) -> None:
        self.says(b"\xff\xfe shop\n10.0.0.1 sh\xffop shop\n")
        self.assertEqual(self.hosts.addresses("shop"), ("10.0.0.1",))

    def test_a_file_that_changes_is_read_anew(self) -> None:
        self.assertEqual(self.hosts.addresses("shop"), ())
        self.says("10.0.0.1 shop")
        self.assertEqual(self.hosts.addresses("shop"), ("10.0.0.1",))
        self.says("10.0.0.2 shop")
        self.assertEqual(self.hosts.addresses("shop"), ("10.0.0.2",))
        self.path.unlink()
        self.assertEqual(self.hosts.addresses("shop"), ())

    def test_a_file_that_does_not_change_is_not_read_anew(self) -> None:
        self.says("10.0.0.1 shop")
        self.hosts.addresses("shop")
        state = self.path.stat()
        with open(self.path, "r+") as file:
            file.write("10.0.0.2")
        os.utime(self.path, ns=(state.st_atime_ns, state.st_mtime_ns))
        self.assertEqual(self.hosts.addresses("shop"), ("10.0.0.1",))

    def test_what_cannot_be_read_says_nothing(self) -> None:
        self.path.mkdir()
        self.assertEqual(self.hosts.addresses("shop"), ())

    def test_a_file_is_not_read_beyond_a_bound(self) -> None:
        self.patch(systemfiles, "LONGEST_FILE", 20)
        self.says("10.0.0.1 shop\n#123\n" + "10.0.0.2 shop\n")
        self.assertEqual(self.hosts.addresses("shop"), ("10.0.0.1",))


class ResolvConfFile(FileCase):
    def read(self, text: str) -> Resolving:
        self.says(text)
        return ResolvConf(self.path).now()

    def test_without_a_file_this_machine_is_asked(self) -> None:
        self.assertEqual(ResolvConf(self.path).now(), Resolving(("127.0.0.1",), (), 1))

    def test_what_kubernetes_writes(self) -> None:
        self.assertEqual(
            self.read(
                "search shop.svc.cluster.local svc.cluster.local cluster.local\n"
                "nameserver 10.96.0.10\noptions ndots:5 timeout:2\n"
            ),
            Resolving(("10.96.0.10",), ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local"), 5),
        )

    def test_the_first_servers_count(self) -> None:
        text = (
            "; of old\nnameserver 10.0.0.1 # first\nnameserver nonsense\nnameserver\nnameserver 2001:db8::1\n"
        )
        self.assertEqual(self.read(text).servers, ("10.0.0.1", "2001:db8::1"))
        many = "".join(f"nameserver 10.0.0.{number}\n" for number in range(1, 9))
        self.assertEqual(self.read(many).servers, ("10.0.0.1", "10.0.0.2", "10.0.0.3"))

    def test_the_last_of_search_and_domain_counts(self) -> None:
        self.assertEqual(self.read("search a.test b.test\ndomain c.test ignored\n").search, ("c.test",))
        self.assertEqual(self.read("domain c.test\nsearch a.test. .\n").search, ("a.test",))

    def test_ndots_has_bounds(self) -> None:
        self.assertEqual(self.read("options rotate ndots:99999999\n").ndots, 15)
        self.assertEqual(self.read("options ndots:0\n").ndots, 0)
        self.assertEqual(self.read("options ndots:x ndots\n").ndots, 1)

    def test_a_file_that_changes_is_read_anew(self) -> None:
        self.says("nameserver 10.0.0.1")
        conf = ResolvConf(self.path)
        self.assertEqual(conf.now().servers, ("10.0.0.1",))
        self.says("nameserver 10.0.0.2")
        self.assertEqual(conf.now().servers, ("10.0.0.2",))
        self.assertIs(conf.now(), conf.now())
