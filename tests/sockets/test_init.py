"""Which reactor a broker's process has: ours when nobody asked for one, and else what was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import sslbroker

from ..files import folder

ROOT = Path(sslbroker.__file__).parent.parent

#: twistd, but for the running: it tells which reactor would run. The module named here installs none.
TWISTD = """
import sys
from twisted.internet.base import ReactorBase

def told(reactor, *_, **__):
    print("reactor:", type(reactor).__name__, file=sys.__stdout__)  # the other is the log

ReactorBase.run = told
if "asyncio" in sys.argv:
    from twisted.internet.asyncioreactor import AsyncioSelectorReactor
    AsyncioSelectorReactor.run = told
from twisted.scripts.twistd import run
run()
"""

CONFIGURATION = """
[listeners.http]
endpoint = "tcp:0:interface=127.0.0.1"
pool = "shop"
[pools.shop]
servers = ["127.0.0.1:1"]
"""

TAC = """
from pathlib import Path
from sslbroker import application as broker

application = broker(Path("broker.toml"))
"""


class Installed(SynchronousTestCase):
    if sys.platform != "linux":
        skip = "elsewhere Twisted's own choice is the only one"

    def setUp(self) -> None:
        self.folder = folder(self)

    def told(self, program: str, *arguments: str) -> str:
        """What a program of its own says."""
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout.strip()

    def reactor_of(self, *arguments: str) -> str:
        """The reactor that `twistd` runs with these arguments."""
        (self.folder / "broker.toml").write_text(CONFIGURATION)
        (self.folder / "broker.tac").write_text(TAC)
        options = ("-n", "--pidfile=", "--logfile=twistd.log")
        found = [
            line
            for line in self.told(TWISTD, *options, *arguments).splitlines()
            if line.startswith("reactor: ")
        ]
        self.assertEqual(len(found), 1)
        return found[0].removeprefix("reactor: ")

    def test_it_is_ours_where_none_was_chosen(self) -> None:
        said = self.told(
            "import sys\n"
            "from sslbroker.sockets import install_reactor_if_free\n"
            "assert 'twisted.internet.reactor' not in sys.modules\n"
            "install_reactor_if_free()\n"
            "install_reactor_if_free()\n"
            "from twisted.internet import reactor\n"
            "print(type(reactor).__name__)"
        )
        self.assertEqual(said, "DirectEPollReactor")

    def test_it_stays_what_it_is(self) -> None:
        said = self.told(
            "from twisted.internet import reactor\n"
            "from sslbroker.sockets import install_reactor_if_free\n"
            "install_reactor_if_free()\n"
            "from twisted.internet import reactor as again\n"
            "print(reactor is again, type(reactor).__name__)"
        )
        self.assertEqual(said, "True EPollReactor")

    def test_elsewhere_it_is_twisteds_choice(self) -> None:
        said = self.told(
            "import sys\n"
            "sys.platform = 'freebsd14'\n"
            "from sslbroker.sockets import install_reactor_if_free\n"
            "install_reactor_if_free()\n"
            "print('twisted.internet.reactor' in sys.modules)"
        )
        self.assertEqual(said, "False")

    def test_twistd_with_a_configuration(self) -> None:
        self.assertEqual(self.reactor_of("sslbroker", "--config", "broker.toml"), "DirectEPollReactor")

    def test_twistd_with_a_tac_file(self) -> None:
        self.assertEqual(self.reactor_of("-y", "broker.tac"), "DirectEPollReactor")

    def test_twistd_with_a_reactor_that_was_asked_for(self) -> None:
        for name, kind in (
            ("epoll", "EPollReactor"),
            ("poll", "PollReactor"),
            ("asyncio", "AsyncioSelectorReactor"),
            ("sslbroker", "DirectEPollReactor"),
        ):
            with self.subTest(name=name):
                found = self.reactor_of("-r", name, "sslbroker", "--config", "broker.toml")
                self.assertEqual(found, kind)
        self.assertEqual(self.reactor_of("-r", "poll", "-y", "broker.tac"), "PollReactor")

    def test_twistd_with_ours_and_another_program(self) -> None:
        (self.folder / "broker.tac").write_text(
            "from twisted.application.service import Application\napplication = Application('x')"
        )
        said = self.told(TWISTD, "-r", "sslbroker", "-n", "--pidfile=", "--logfile=l", "-y", "broker.tac")
        self.assertEqual(said, "reactor: DirectEPollReactor")
