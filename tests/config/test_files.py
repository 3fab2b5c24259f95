"""Whether a file is TOML at all: each failure is one problem that says where."""

from __future__ import annotations

from pathlib import Path

from sslbroker.config import files
from tests.config.support import only, refused


def written(folder: Path, content: bytes) -> Path:
    path = folder / "broker.toml"
    path.write_bytes(content)
    return path


def problem(path: Path) -> str:
    return str(only(refused(lambda: files.read(path))))


def test_a_file_is_read_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    assert files.read(written(tmp_path, b"a = 1")) == {"a": 1}
    assert files.read(written(tmp_path, b"\xef\xbb\xbfa = 1\r\n")) == {"a": 1}


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert problem(tmp_path / "no.toml") == (
        "file: found No such file or directory, expected a TOML file that can be read"
    )


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    assert "found Is a directory" in problem(tmp_path)


def test_a_path_that_no_file_can_have() -> None:
    assert "expected a TOML file that can be read" in problem(Path("a\0b"))


def test_a_file_of_one_mebibyte_is_read_and_a_larger_one_is_not(tmp_path: Path) -> None:
    assert files.read(written(tmp_path, b"#" * files.LARGEST)) == {}
    assert problem(written(tmp_path, b"#" * (files.LARGEST + 1))) == (
        "file: found more than 1048576 bytes, expected a file of at most 1 MiB"
    )


def test_a_file_without_an_end_is_not_read_for_ever() -> None:
    assert "at most 1 MiB" in problem(Path("/dev/zero"))


def test_a_file_in_another_encoding_says_the_line(tmp_path: Path) -> None:
    assert problem(written(tmp_path, "a = 1\nb = 'ä'".encode("latin-1"))) == (
        r"line 2: found b'\xe4', expected text in UTF-8"
    )


def test_a_mistake_in_the_syntax_says_the_line_and_shows_it(tmp_path: Path) -> None:
    told = problem(written(tmp_path, b'[listeners.web]\n  endpoint "tcp:80"\n'))
    assert told.startswith("line 2, column ")
    assert """found 'endpoint "tcp:80"', expected TOML (Expected '=' after a key""" in told


def test_a_table_declared_twice_says_so(tmp_path: Path) -> None:
    assert "twice" in problem(written(tmp_path, b"[log]\n[log]\n"))


def test_a_file_that_ends_too_early_shows_its_last_line(tmp_path: Path) -> None:
    assert problem(written(tmp_path, b"[log]\naccess\n\n")).startswith("line 2")
    assert problem(written(tmp_path, b"a = 1\nb")) == (
        "line 2: found 'b', expected TOML (Expected '=' after a key in a key/value pair)"
    )


def test_an_integer_longer_than_python_reads(tmp_path: Path) -> None:
    assert problem(written(tmp_path, b"a = " + b"9" * 5000)).startswith(
        "file: found a value that cannot be read, expected TOML (Exceeds the limit"
    )


def test_nesting_deeper_than_python_reads(tmp_path: Path) -> None:
    assert "nested too deeply" in problem(written(tmp_path, b"a = " + b"[" * 100_000))
