"""Files of networks: what they may have in them, and how each mistake is told."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path

import pytest

from sslbroker.core.groups import SLICE
from sslbroker.errors import StartError
from sslbroker.net import group_files
from sslbroker.net.group_files import MOST, read, read_now
from sslbroker.settings import Group


def gold(*files: Path, networks: tuple[str, ...] = ()) -> Group:
    return Group("gold", tuple(map(ip_network, networks)), 5, files=files)


def file(directory: Path, content: str | bytes, name: str = "gold.txt") -> Path:
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def problems(*groups: Group) -> list[str]:
    with pytest.raises(StartError) as caught:
        read_now(groups)
    return str(caught.value).splitlines()


def test_a_network_on_each_line_comments_and_blank_lines(tmp_path: Path) -> None:
    content = "\ufeff# ours\n10.0.0.0/8\n\n  192.0.2.7 # one\r\n\t2001:db8::/32\t\n#\n198.51.100.0/24#near"
    networks = read_now([gold(file(tmp_path, content))])
    for address in ("10.9.9.9", "192.0.2.7", "2001:db8::1", "198.51.100.255"):
        group = networks.of(address)
        assert group is not None
        assert group.name == "gold"
    assert networks.of("192.0.2.8") is None


def test_a_comment_may_be_in_any_encoding(tmp_path: Path) -> None:
    assert read_now([gold(file(tmp_path, b"10.0.0.0/8 # M\xfcnchen"))]).of("10.0.0.1")


def test_an_empty_file_has_nobody(tmp_path: Path) -> None:
    assert read_now([gold(file(tmp_path, ""))]).of("10.0.0.1") is None


def test_networks_of_the_configuration_and_of_files_are_one(tmp_path: Path) -> None:
    one = gold(file(tmp_path, "10.1.0.0/16"), networks=("192.0.2.0/24",))
    other = Group("silver", (ip_network("10.0.0.0/8"),), 3)
    networks = read_now([one, other])
    assert [networks.of(text) for text in ("192.0.2.1", "10.1.1.1", "10.2.1.1")] == [one, one, other]


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    path = file(tmp_path, b"10.0.0.0/8\n10.0.0.1/8 # bits\nten\n10.0.0.0/33\n\xff\n")
    other = tmp_path / "none.txt"
    place = f"groups.gold.files[0]: {path}"
    expected = 'expected a network such as "192.0.2.0/24" or "2001:db8::/32"'
    assert problems(gold(path, other)) == [
        f"{place}:2: found '10.0.0.1/8', {expected} "
        '(the address has bits outside the mask: write "10.0.0.0/8")',
        f"{place}:3: found 'ten', {expected}",
        f"{place}:4: found '10.0.0.0/33', {expected}",
        f"{place}:5: found '\ufffd', {expected}",
        f"groups.gold.files[1]: {other}: No such file or directory",
    ]


def test_of_very_many_mistakes_the_first_are_told(tmp_path: Path) -> None:
    found = problems(gold(file(tmp_path, "x\n" * (MOST + 5))))
    assert len(found) == MOST + 1
    assert found[-1].endswith(": 5 more lines are wrong")
    assert all(len(line) < 400 for line in problems(gold(file(tmp_path, "x" * 100_000))))


def test_a_network_in_two_groups_is_told_with_both_places(tmp_path: Path) -> None:
    path = file(tmp_path, "192.0.2.0/24\n::ffff:192.0.2.0/120\n198.51.100.0/24")
    other = file(tmp_path, "198.51.100.0/24", "silver.txt")
    one = Group("one", (ip_network("192.0.2.0/24"),), 1)
    found = problems(one, gold(path), Group("silver", (), 3, files=(other,)))
    assert found == [
        f"groups.gold.files[0]: {path}:{line}: found a network of another group, "
        "expected each in one group (groups.one.networks[0] has it)"
        for line in (1, 2)
    ] + [
        f"groups.silver.files[0]: {other}:1: found a network of another group, "
        f"expected each in one group (groups.gold.files[0]: {path}:3 has it)"
    ]


def test_of_very_many_in_two_groups_the_first_are_told(tmp_path: Path) -> None:
    path = file(tmp_path, "".join(f"10.0.{number}.0/24\n" for number in range(MOST + 3)))
    found = problems(gold(path), Group("silver", (), 3, files=(path,)))
    assert len(found) == MOST + 1
    assert found[-1] == "groups: 3 more networks are in two groups"


def test_twice_for_the_same_group_is_no_mistake(tmp_path: Path) -> None:
    path = file(tmp_path, "10.0.0.0/8\n10.0.0.0/8\n")
    assert read_now([gold(path, path, networks=("10.0.0.0/8",))]).of("10.0.0.1")


def test_a_file_that_is_too_long_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(group_files, "LARGEST", 20)
    assert read_now([gold(file(tmp_path, "10.0.0.0/8\n" + "#" * 9))]).of("10.0.0.1")
    (found,) = problems(gold(file(tmp_path, "10.0.0.0/8\n" + "#" * 10)))
    assert found.endswith("found more than 20 bytes, expected at most 16 MiB")


def test_what_would_wait_for_others_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    (found,) = problems(gold(path))
    assert found.endswith("found no regular file")
    (found,) = problems(gold(tmp_path))
    assert "directory" in found or "regular" in found


def test_many_are_read_in_steps(tmp_path: Path) -> None:
    path = file(tmp_path, "".join(f"10.{n >> 8}.{n & 255}.0/24\n" for n in reversed(range(4 * SLICE))))
    reading = read([gold(path)])
    assert len([0 for _ in reading]) >= 8
    assert read_now([gold(path)]).of("10.0.255.7")
