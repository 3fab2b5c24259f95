"""The command: what it prints where, and its exit status."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sslbroker import __version__, cli, extensions, prepared
from sslbroker.errors import StartError
from sslbroker.interfaces import IBackendProtocol
from sslbroker.protocols.http.backend import HTTPProtocol
from sslbroker.settings import Configuration
from tests.config.support import LISTENER, MINIMAL, POOL


def written(folder: Path, text: str, name: str = "broker.toml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_good_configuration_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, MINIMAL)
    assert cli.main(["check", path]) == 0
    assert capsys.readouterr() == (f"{path}: ok: 1 listener, 1 pool, 1 server\n", "")


def test_groups_are_counted_where_there_are_any(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, MINIMAL + '[groups.gold]\nnetworks = ["192.0.2.0/24"]\n')
    assert cli.main(["check", path]) == 0
    answer = capsys.readouterr()
    assert answer.out == f"{path}: ok: 1 listener, 1 pool, 1 server, 1 group\n"
    assert answer.err.startswith(f"{path}: warning: groups: no listener is secure")


def test_several_are_counted_in_the_plural(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = LISTENER.replace("web", "other").replace("8080", "8081")
    text = LISTENER + other + '[pools.shop]\nservers = ["a:1", "b:1"]\n[pools.spare]\nservers = ["c:1"]'
    assert cli.main(["check", written(tmp_path, text)]) == 0
    assert "ok: 2 listeners, 2 pools, 3 servers" in capsys.readouterr().out


def test_every_problem_is_a_line_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, MINIMAL + "blance = 1\ntries = 3")
    assert cli.main(["check", path]) == 1
    answer = capsys.readouterr()
    assert answer.out == ""
    assert [line.split(": found")[0] for line in answer.err.splitlines()] == [
        f"{path}: pools.shop.blance",
        f"{path}: pools.shop.tries",
    ]


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", str(tmp_path / "no.toml")]) == 1
    assert "No such file" in capsys.readouterr().err


def test_what_would_stop_a_start_is_told_with_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(configuration: Configuration, known: extensions.Extensions) -> None:
        raise StartError("certs/a.pem: no key\ncerts/b.pem: no chain")

    monkeypatch.setattr(prepared, "prepare", prepare)
    path = written(tmp_path, MINIMAL)
    assert cli.main(["check", path]) == 1
    assert capsys.readouterr() == ("", f"{path}: certs/a.pem: no key\n{path}: certs/b.pem: no chain\n")


def test_the_protocols_of_plugins_are_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, MINIMAL + 'protocol = "smtp"')
    assert cli.main(["check", path]) == 1
    assert "the name of a protocol plugin" in capsys.readouterr().err
    smtp = HTTPProtocol(time.time)
    monkeypatch.setattr(smtp, "name", "smtp")
    monkeypatch.setattr(extensions, "getPlugins", lambda sort, _: [smtp] if sort is IBackendProtocol else [])
    assert cli.main(["check", path]) == 0


def test_what_works_but_should_be_looked_at_is_told_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, LISTENER + 'tls = { certificates = ["throwaway"] }\n' + POOL)
    assert cli.main(["check", path]) == 0
    answer = capsys.readouterr()
    assert answer.out == f"{path}: ok: 1 listener, 1 pool, 1 server\n"
    assert answer.err.startswith(f"{path}: warning: listeners.web.tls: throwaway: ")


PLUGIN = """
from twisted.plugin import IPlugin
from zope.interface import implementer
from sslbroker.interfaces import IBackendProtocol
@implementer(IPlugin, IBackendProtocol)
class Half:
    name = "half"
half = Half()
"""


def test_a_plugin_that_lacks_something_is_told_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "sslbroker" / "plugins").mkdir(parents=True)
    written(tmp_path / "sslbroker" / "plugins", PLUGIN, "half.py")
    path = written(tmp_path, MINIMAL + 'protocol = "half"')
    command = [sys.executable, "-m", "sslbroker.cli", "check", path]
    root = Path(cli.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{tmp_path}"}
    ended = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False, env=environment)
    told = f"{path}: pools.shop.protocol: plugin sslbroker.plugins.half.Half: the protocol has no alpn"
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_tac_file_is_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "import sslbroker\n", "broker.tac")
    assert cli.main(["check", path]) == 1
    expected = f"{path}: a .tac file is a Python program: `twistd -noy {path}` checks it and runs it"
    assert capsys.readouterr().err.splitlines()[1:] == [expected]


def test_a_files_name_cannot_write_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", written(tmp_path, MINIMAL, "a\x1b[2J\udcff.toml")]) == 0
    assert cli.main(["check", written(tmp_path, "x", "a\x1b[2J\udcff.toml")]) == 1
    answer = capsys.readouterr()
    assert r"a\x1b[2J\udcff.toml: ok" in answer.out
    assert r"a\x1b[2J\udcff.toml: line 1" in answer.err


@pytest.mark.parametrize("arguments", [[], ["chekc"], ["check"], ["check", "a", "b"], ["--no"]])
def test_wrong_usage_is_status_2_and_explained(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: sslbroker" in capsys.readouterr().err


def test_the_version_and_the_help_are_answers(capsys: pytest.CaptureFixture[str]) -> None:
    for option, answer in (("--version", f"sslbroker {__version__}\n"), ("--help", "check a configuration")):
        with pytest.raises(SystemExit) as ended:
            cli.main([option])
        assert ended.value.code == 0
        assert answer in capsys.readouterr().out


@pytest.mark.parametrize(("text", "status"), [(MINIMAL, 0), ("x = 1", 1)])
def test_it_runs_as_a_program(tmp_path: Path, text: str, status: int) -> None:
    command = [sys.executable, "-m", "sslbroker.cli", "check", written(tmp_path, text)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ended.returncode == status, ended
    assert "Traceback" not in ended.stderr
