"""The options of twistd, and what a user reads when they are wrong."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from sslbroker import __version__
from sslbroker.tap import Options, makeService

from .files import folder


class Choices(SynchronousTestCase):
    def wrong(self, *arguments: str) -> str:
        options = Options()
        error = self.assertRaises(SystemExit, options.parseOptions, list(arguments))
        return str(error)

    def test_either_a_file_or_the_demo(self) -> None:
        expected = "sslbroker: say either --config FILE or --demo; see 'twistd sslbroker --help'"
        self.assertEqual(self.wrong(), expected)
        self.assertEqual(self.wrong("--demo", "--config", "x"), expected)

    def test_two_configurations(self) -> None:
        for options in (["--config", "a", "--config", "b"], ["-c", "a", "--config=b"]):
            expected = (
                "sslbroker: found --config a and --config b, expected one; see 'twistd sslbroker --help'"
            )
            self.assertEqual(self.wrong(*options), expected)

    def test_a_file_without_its_option(self) -> None:
        expected = (
            "sslbroker: found 'broker.toml', expected options only, as in --config broker.toml; "
            "see 'twistd sslbroker --help'"
        )
        self.assertEqual(self.wrong("broker.toml"), expected)

    def test_the_version_is_the_brokers(self) -> None:
        said = StringIO()
        with redirect_stdout(said):
            error = self.assertRaises(SystemExit, Options().parseOptions, ["--version"])
        self.assertEqual((error.code, said.getvalue()), (0, f"sslbroker {__version__}\n"))

    def test_the_help_tells_every_option(self) -> None:
        text = Options().getUsage(width=100)
        for line in ("-c, --config=", "-d, --demo", "--https=", "Tell the version and exit."):
            self.assertIn(line, text)

    def test_an_unknown_option(self) -> None:
        self.assertIn("sslbroker: option --confg not recognized", self.wrong("--confg", "x"))

    def test_a_port_that_is_no_number(self) -> None:
        self.assertIn("sslbroker: ", self.wrong("--demo", "--https", "many"))


class Starting(SynchronousTestCase):
    def test_a_file_that_is_not_there(self) -> None:
        options = Options()
        options.parseOptions(["--config", "/nowhere/at/all.toml"])
        error = self.assertRaises(SystemExit, makeService, options)
        self.assertIn("sslbroker: /nowhere/at/all.toml: ", str(error))

    def test_every_problem_is_told_at_once(self) -> None:
        path = folder(self) / "broker.toml"
        path.write_text('[listeners.a]\nendpoint = "tcp:1"\npol = "x"\n[pools.y]\nservers = []\n')
        options = Options()
        options.parseOptions(["--config", str(path)])
        lines = str(self.assertRaises(SystemExit, makeService, options)).splitlines()
        self.assertEqual(len(lines), 2)
        for line in lines:
            self.assertTrue(line.startswith(f"sslbroker: {path}: "), line)
