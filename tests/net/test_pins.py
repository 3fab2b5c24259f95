"""What probes found out is kept, shared, and never lost in silence."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast
from unittest import mock

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from sslbroker.errors import StartError
from sslbroker.net import pins
from sslbroker.net.pins import Finding, Pins
from tests.files import folder

ADDRESS = "10.0.0.1:443"
OTHER = "10.0.0.2:443"


class PinsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = folder(self) / "above" / "state"
        self.directory.parent.mkdir()
        self.file = self.directory / "links.json"
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def pins(self) -> Pins:
        return Pins(self.directory)

    def told(self) -> list[str]:
        """What the log got since the last call."""
        lines = [formatEvent(event) for event in self.events]
        self.events.clear()
        return lines

    def written(self) -> dict[str, dict[str, str]]:
        pools: dict[str, dict[str, str]] = json.loads(self.file.read_text())["pools"]
        return pools

    def refused(self) -> str:
        with self.assertRaises(StartError) as caught:
            self.pins()
        return str(caught.exception)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Another process writes."""
        with open(self.directory / "links.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class Kept(PinsCase):
    def test_nothing_is_pinned_at_first_and_nothing_is_written(self) -> None:
        self.assertIsNone(self.pins().get("shop", ADDRESS))
        self.assertFalse(self.directory.exists())

    def test_a_pin_outlives_the_process(self) -> None:
        self.assertIs(self.pins().set("shop", ADDRESS, Finding.TLS), Finding.TLS)
        self.pins().set("shop", OTHER, Finding.PLAIN)
        later = self.pins()
        self.assertIs(later.get("shop", ADDRESS), Finding.TLS)
        self.assertIs(later.get("shop", OTHER), Finding.PLAIN)
        self.assertIsNone(later.get("chat", ADDRESS))

    def test_the_case_of_a_name_does_not_matter(self) -> None:
        self.pins().set("shop", "Shop.Test:443", Finding.TLS)
        self.assertIs(self.pins().get("shop", "shop.test:443"), Finding.TLS)

    def test_files_are_for_the_broker_alone(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.pins().set("shop", ADDRESS, Finding.TLS)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in self.directory.iterdir()}
        self.assertEqual(modes, {"links.json": 0o600, "links.lock": 0o600})
        self.assertEqual(stat.S_IMODE(self.directory.stat().st_mode), 0o700)

    def test_tls_is_never_set_back_but_by_clear(self) -> None:
        kept = self.pins()
        kept.set("shop", ADDRESS, Finding.PLAIN)
        kept.set("shop", ADDRESS, Finding.TLS)
        self.assertIs(kept.set("shop", ADDRESS, Finding.PLAIN), Finding.TLS)
        self.assertIs(self.pins().get("shop", ADDRESS), Finding.TLS)
        kept.clear("shop", ADDRESS)
        self.assertIsNone(kept.get("shop", ADDRESS))
        self.assertIs(kept.set("shop", ADDRESS, Finding.PLAIN), Finding.PLAIN)
        self.assertEqual(self.written(), {"shop": {ADDRESS: "plain"}})

    def test_what_is_unknown_is_not_pinned(self) -> None:
        with self.assertRaises(ValueError):
            self.pins().set("shop", ADDRESS, Finding.UNKNOWN)

    def test_what_is_known_already_costs_no_write(self) -> None:
        kept = self.pins()
        kept.set("shop", ADDRESS, Finding.TLS)
        kept.clear("shop", OTHER)
        before = self.file.stat()
        kept.set("shop", ADDRESS, Finding.TLS)
        kept.clear("shop", OTHER)
        self.assertEqual(self.file.stat(), before)

    def test_without_a_directory_it_is_kept_in_memory(self) -> None:
        kept = Pins(None)
        kept.set("shop", ADDRESS, Finding.TLS)
        self.assertIs(kept.set("shop", ADDRESS, Finding.PLAIN), Finding.TLS)
        self.assertIs(kept.get("shop", ADDRESS), Finding.TLS)
        kept.clear("shop", ADDRESS)
        self.assertIsNone(kept.get("shop", ADDRESS))
        self.assertEqual(self.told(), [])


class Shared(PinsCase):
    def test_what_another_worker_found_or_cleared_is_seen(self) -> None:
        ours, theirs = self.pins(), self.pins()
        theirs.set("shop", ADDRESS, Finding.PLAIN)
        self.assertIs(ours.get("shop", ADDRESS), Finding.PLAIN)
        theirs.set("shop", ADDRESS, Finding.TLS)
        self.assertIs(ours.get("shop", ADDRESS), Finding.TLS)
        theirs.clear("shop", ADDRESS)
        self.assertIsNone(ours.get("shop", ADDRESS))
        ours.set("shop", ADDRESS, Finding.TLS)
        ours.clear("shop", ADDRESS)
        theirs.set("shop", ADDRESS, Finding.TLS)
        self.assertIs(ours.get("shop", ADDRESS), Finding.TLS)

    def test_two_that_write_lose_nothing_of_each_other(self) -> None:
        ours, theirs = self.pins(), self.pins()
        ours.set("shop", ADDRESS, Finding.TLS)
        theirs.set("shop", OTHER, Finding.PLAIN)
        ours.set("chat", ADDRESS, Finding.PLAIN)
        expected = {"shop": {ADDRESS: "tls", OTHER: "plain"}, "chat": {ADDRESS: "plain"}}
        self.assertEqual(self.written(), expected)

    def test_plain_found_by_one_yields_to_tls_found_by_another(self) -> None:
        ours, theirs = self.pins(), self.pins()
        theirs.set("shop", OTHER, Finding.PLAIN)
        with self.locked():
            self.assertIs(ours.set("shop", ADDRESS, Finding.PLAIN), Finding.PLAIN)
        theirs.set("shop", ADDRESS, Finding.TLS)
        self.assertIs(ours.get("shop", ADDRESS), Finding.TLS)
        self.assertEqual(self.written()["shop"][ADDRESS], "tls")

    def test_nobody_is_waited_for(self) -> None:
        ours = self.pins()
        ours.set("shop", OTHER, Finding.PLAIN)
        with self.locked():
            ours.set("shop", ADDRESS, Finding.TLS)
            self.assertIs(ours.get("shop", ADDRESS), Finding.TLS)
            self.assertIn("another process holds links.lock", self.told()[0])
            ours.get("shop", ADDRESS)
            self.assertEqual(self.told(), [])
        ours.get("shop", OTHER)
        self.assertEqual(self.written()["shop"][ADDRESS], "tls")

    def test_what_another_has_written_meanwhile_is_not_written_again(self) -> None:
        ours, theirs = self.pins(), self.pins()
        theirs.set("shop", OTHER, Finding.PLAIN)
        with self.locked():
            ours.set("shop", ADDRESS, Finding.TLS)
        theirs.set("shop", ADDRESS, Finding.TLS)
        before = self.file.stat()
        self.assertIs(ours.get("shop", ADDRESS), Finding.TLS)
        self.assertEqual(self.file.stat(), before)

    def test_what_was_cleared_before_it_could_be_written_is_not_written(self) -> None:
        ours = self.pins()
        ours.set("shop", OTHER, Finding.PLAIN)
        with self.locked():
            ours.set("shop", ADDRESS, Finding.TLS)
            ours.clear("shop", ADDRESS)
        self.assertIsNone(ours.get("shop", ADDRESS))
        self.assertEqual(self.written(), {"shop": {OTHER: "plain"}})

    def test_a_lock_held_for_a_moment_is_not_worth_a_line(self) -> None:
        ours = self.pins()
        ours.set("shop", OTHER, Finding.PLAIN)
        for address in (ADDRESS, "10.0.0.3:443"):
            with self.locked():
                ours.set("shop", address, Finding.TLS)
            ours.get("shop", ADDRESS)
        self.assertEqual(self.told(), [])
        self.assertEqual(len(self.written()["shop"]), 3)

    def test_clear_holds_though_the_file_still_says_tls(self) -> None:
        ours = self.pins()
        ours.set("shop", ADDRESS, Finding.TLS)
        with self.locked():
            ours.clear("shop", ADDRESS)
            self.assertIsNone(ours.get("shop", ADDRESS))
            self.assertIs(ours.set("shop", ADDRESS, Finding.PLAIN), Finding.PLAIN)
        self.assertIs(ours.get("shop", ADDRESS), Finding.PLAIN)
        self.assertEqual(self.written(), {"shop": {ADDRESS: "plain"}})


class Trouble(PinsCase):
    def test_a_full_disk_is_told_once_and_the_pin_holds(self) -> None:
        kept = self.pins()
        kept.set("shop", OTHER, Finding.PLAIN)
        with mock.patch("os.fsync", side_effect=OSError(errno.ENOSPC, "No space left")):
            kept.set("shop", ADDRESS, Finding.TLS)
            kept.set("chat", ADDRESS, Finding.PLAIN)
            self.assertIs(kept.get("shop", ADDRESS), Finding.TLS)
        (line,) = self.told()
        self.assertIn(f"{self.file}: No space left", line)
        self.assertEqual(self.written(), {"shop": {OTHER: "plain"}})
        self.assertEqual(sorted(os.listdir(self.directory)), ["links.json", "links.lock"])
        kept.get("shop", ADDRESS)
        self.assertEqual(self.written()["shop"], {OTHER: "plain", ADDRESS: "tls"})
        self.assertEqual(self.written()["chat"], {ADDRESS: "plain"})

    def test_what_failed_again_after_it_worked_is_told_again(self) -> None:
        kept = self.pins()
        for address in (ADDRESS, OTHER):
            with mock.patch("os.fsync", side_effect=OSError(errno.ENOSPC, "No space left")):
                kept.set("shop", address, Finding.TLS)
            kept.get("shop", address)
            self.assertEqual(len(self.told()), 1)

    def test_a_file_that_is_removed_while_the_broker_runs_comes_back(self) -> None:
        kept = self.pins()
        kept.set("shop", ADDRESS, Finding.TLS)
        kept.set("shop", OTHER, Finding.PLAIN)
        for path in self.directory.iterdir():
            path.unlink()
        self.directory.rmdir()
        self.assertIs(kept.get("shop", ADDRESS), Finding.TLS)
        self.assertEqual(self.written(), {"shop": {ADDRESS: "tls", OTHER: "plain"}})

    def test_a_file_that_breaks_while_the_broker_runs_is_left_alone_and_forgets_nothing(self) -> None:
        kept = self.pins()
        kept.set("shop", ADDRESS, Finding.TLS)
        whole = self.file.read_text()
        self.file.write_text(whole[:20])
        self.assertIs(kept.get("shop", ADDRESS), Finding.TLS)
        self.assertIs(kept.set("shop", ADDRESS, Finding.PLAIN), Finding.TLS)
        kept.set("shop", OTHER, Finding.TLS)
        (line,) = self.told()
        self.assertIn("found what is not JSON", line)
        self.assertEqual(self.file.read_text(), whole[:20])
        self.file.write_text(whole)
        self.assertIs(kept.get("shop", OTHER), Finding.TLS)
        self.assertEqual(self.written(), {"shop": {ADDRESS: "tls", OTHER: "tls"}})

    def test_a_file_that_breaks_and_is_mended_can_break_again(self) -> None:
        kept = self.pins()
        kept.set("shop", ADDRESS, Finding.TLS)
        whole = self.file.read_text()
        for _ in range(2):
            self.file.write_text("")
            kept.get("shop", ADDRESS)
            self.assertEqual(len(self.told()), 1)
            self.file.write_text(whole)
            kept.get("shop", ADDRESS)

    def test_a_broken_file_ends_the_start_in_words(self) -> None:
        self.directory.mkdir()
        for text, found in (
            ("", "found nothing"),
            ("{", "found what is not JSON"),
            ("[" * 100_000, "found what is not JSON"),
            ("[]", "found JSON without a table of pools"),
            ('{"version": 1, "pools": []}', "found JSON without a table of pools"),
            ('{"version": 2, "pools": {}}', "found version 2"),
            ('{"pools": {}}', "found version None"),
            ('{"version": 1, "pools": {"shop": "tls"}}', 'found no table of servers for pool "shop"'),
            ('{"version": 1, "pools": {"shop": {"a:1": "no"}}}', "found 'no' for server \"a:1\" of pool"),
            ('{"version": 1, "pools": {"shop": {"a:1": {}}}}', "found {} for server"),
            ("\xff", "found what is not JSON"),
            (" " * (pins.LIMIT + 1), "found more than 8388608 bytes"),
        ):
            self.file.write_bytes(text.encode("latin-1"))
            message = self.refused()
            self.assertTrue(message.startswith(f"{self.file}: {found}"), message)
            self.assertIn("put a copy back; or remove the file", message)

    def test_what_is_no_file_ends_the_start(self) -> None:
        self.directory.mkdir()
        os.mkfifo(self.file)
        self.assertIn("found something that is no file", self.refused())
        self.file.unlink()
        self.file.mkdir()
        self.assertIn("found a file that cannot be read (Is a directory)", self.refused())

    def test_an_unreadable_file_ends_the_start(self) -> None:
        self.pins().set("shop", ADDRESS, Finding.TLS)
        error = PermissionError(errno.EACCES, "Permission denied")
        with mock.patch("os.open", side_effect=error):
            self.assertIn("found a file that cannot be read (Permission denied)", self.refused())

    def test_a_directory_that_cannot_be_used_ends_the_start(self) -> None:
        def may_not(path: object, mode: int) -> bool:
            return False

        with mock.patch("os.access", may_not):
            self.assertIn("no such directory, and the broker may not make it", self.refused())
            self.directory.mkdir()
            self.assertIn("found a directory that the broker may not write in", self.refused())
        self.directory.rmdir()
        self.directory.write_text("")
        self.assertIn("found something that is no directory", self.refused())
        self.directory.unlink()
        self.directory.parent.rmdir()
        self.assertIn("found no such directory, nor the one above it", self.refused())

    def test_a_directory_that_everybody_may_write_in_ends_the_start(self) -> None:
        self.directory.mkdir()
        for mode in (0o777, 0o1777, 0o702):
            self.directory.chmod(mode)
            self.assertIn("found a directory that everybody may write in", self.refused())
        self.directory.chmod(0o770)
        self.pins().set("shop", ADDRESS, Finding.TLS)

    def test_links_that_others_left_are_not_followed(self) -> None:
        self.directory.mkdir()
        precious = self.directory.parent / "precious"
        precious.write_text("precious")
        (self.directory / "links.new").symlink_to(precious)
        self.pins().set("shop", ADDRESS, Finding.TLS)
        self.assertEqual(precious.read_text(), "precious")
        self.assertEqual(self.written(), {"shop": {ADDRESS: "tls"}})
