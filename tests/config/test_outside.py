"""Values that name something outside: files that are there, names that a protocol allows."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path

import pytest

from sslbroker.config.outside import (
    AccessLog,
    Address,
    AskedName,
    Certificate,
    CertificateEntry,
    Endpoint,
    ExistingPath,
    Extension,
    GroupHeader,
    HeaderFields,
    HeaderName,
    HostName,
    NameServer,
    Network,
    Statuses,
)
from sslbroker.config.report import Extensions, Form, Place, Reading
from sslbroker.config.values import Kind
from sslbroker.protocols.http import fields
from sslbroker.settings import THROWAWAY
from tests.config.support import NO_PLUGIN


def read(
    kind: Kind,
    found: object,
    form: Form = Form.TOML,
    *,
    base: Path = Path("/nowhere"),
    extensions: Extensions = NO_PLUGIN,
) -> object:
    """The value that is read, or what is told."""
    reading = Reading(form, base, extensions, {})
    value = kind.read(found, Place(reading).key("it"))
    return "\n".join(map(str, reading.problems)) if reading.problems else value


PROTOCOL = Extension("protocols", "a protocol plugin")
CLASSIFIER = Extension("classification", "a classification plugin", empty=True)
OBSERVER = Extension("observers", "an observer plugin")


def test_a_protocol_is_built_in_or_a_plugins() -> None:
    assert read(PROTOCOL, "tcp") == "tcp"
    assert read(PROTOCOL, "smtp", extensions=Extensions(protocols=("http", "smtp"))) == "smtp"
    assert read(PROTOCOL, "htpp") == (
        'it: found \'htpp\', expected "http" or "tcp", or the name of a protocol plugin '
        "(did you mean 'http'?)"
    )
    for unlike in (3, "lines"):
        assert read(PROTOCOL, unlike) == (
            f'it: found {unlike!r}, expected "http" or "tcp", or the name of a protocol plugin '
            "(a plugin is a file in a folder sslbroker/plugins on PYTHONPATH: docs/tac.md)"
        )


def test_an_extension_that_only_plugins_give() -> None:
    known = Extensions(classification=("strict",), observers=("counter",))
    assert read(CLASSIFIER, "") == ""
    assert read(CLASSIFIER, "strict", extensions=known) == "strict"
    assert read(OBSERVER, "counter", extensions=known) == "counter"
    assert str(read(CLASSIFIER, "x")).startswith(
        "it: found 'x', expected the name of a classification plugin, or \"\" ("
    )
    assert read(CLASSIFIER, "stirct", extensions=known) == (
        'it: found \'stirct\', expected "strict" or "", or the name of a classification plugin '
        "(did you mean 'strict'?)"
    )
    assert str(read(OBSERVER, "")).startswith(
        "it: found '', expected the name of an observer plugin (a plugin"
    )


@pytest.mark.parametrize(
    "good", ["192.0.2.53", "2001:db8::53", "[2001:db8::53]", "192.0.2.53:5353", "[::1]:53"]
)
def test_the_address_of_a_dns_server(good: str) -> None:
    assert read(NameServer(), good) == good


@pytest.mark.parametrize("bad", [53, "", "192.0.2.53:0", "fe80::1%eth0", "[::1]:x", "192.0.2.300"])
def test_what_is_no_dns_server(bad: object) -> None:
    assert str(read(NameServer(), bad)).startswith(
        f"it: found {bad!r}, expected the IP address of a DNS server"
    )


def test_a_dns_server_has_no_name() -> None:
    assert "nobody could resolve it" in str(read(NameServer(), "ns.test:53"))


@pytest.mark.parametrize("good", ["admin.shop.test", "*.admin.shop.test", "Admin.Shop.Test."])
def test_a_name_that_clients_ask_for(good: str) -> None:
    assert read(AskedName(), good) == good


@pytest.mark.parametrize("bad", ["", "*", "*.", "a.*.test", "192.0.2.1", "::1", "a b", "x:443", 3, "**.test"])
def test_what_no_client_can_ask_for(bad: object) -> None:
    assert str(read(AskedName(), bad)).startswith(f"it: found {bad!r}, expected a name such as")


def test_a_network_is_text_in_toml_and_an_object_in_python() -> None:
    network = ip_network("192.0.2.0/24")
    assert read(Network(), "192.0.2.0/24") == network
    assert read(Network(), network, Form.PYTHON) == network
    assert read(Network(), "192.0.2.0/24", Form.PYTHON) == (
        "it: found '192.0.2.0/24', expected an ipaddress.IPv4Network or IPv6Network "
        "(write IPv4Network('192.0.2.0/24'))"
    )
    assert "expected a network" in str(read(Network(), "shop"))


def test_statuses_are_text_in_toml_and_a_range_in_python() -> None:
    assert read(Statuses(), "5xx") == (500, 599)
    assert read(Statuses(), (500, 503), Form.PYTHON) == (500, 503)
    assert "(write (500, 599))" in str(read(Statuses(), "5xx", Form.PYTHON))


@pytest.mark.parametrize("found", [(503, 500), (100, 199), (600, 700), (500,), (500, True), [500, 503], 500])
def test_a_range_of_statuses_is_ordered_and_final(found: object) -> None:
    assert "expected first and last status" in str(read(Statuses(), found, Form.PYTHON))


@pytest.mark.parametrize("found", ["1xx", "7xx", "503-500", 100, 700])
def test_a_status_in_toml_is_ordered_and_final(found: object) -> None:
    assert "from 200 to 699" in str(read(Statuses(), found))


def test_addresses_endpoints_and_names_are_text_in_both_forms() -> None:
    for form in Form:
        assert read(Address(), "shop:80", form) == "shop:80"
        assert read(Endpoint(), "tcp:80", form) == "tcp:80"
        assert read(HostName(), "shop.internal", form) == "shop.internal"
        assert read(HostName(), "", form) == ""
        assert "expected an address" in str(read(Address(), "shop", form))
        assert "expected an endpoint" in str(read(Endpoint(), "quic", form))
        assert "expected the name of a host" in str(read(HostName(), "a b", form))
        assert "expected the name of a host" in str(read(HostName(), 3, form))


PEM = ExistingPath("a PEM file")


def test_a_relative_path_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    assert read(PEM, "ca.pem", base=tmp_path) == tmp_path / "ca.pem"
    assert read(PEM, str(tmp_path / "ca.pem")) == tmp_path / "ca.pem"


def test_a_path_in_python_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    assert read(PEM, tmp_path / "ca.pem", Form.PYTHON) == tmp_path / "ca.pem"
    assert read(PEM, str(tmp_path / "ca.pem"), Form.PYTHON).__class__ is str


def test_a_file_that_is_not_there_is_told_with_its_whole_path(tmp_path: Path) -> None:
    assert read(PEM, "ca.pem", base=tmp_path) == (
        f"it: found 'ca.pem', expected a file that can be read ({tmp_path}/ca.pem: No such file or directory)"
    )


def test_a_folder_is_accepted_only_where_several_files_make_sense(tmp_path: Path) -> None:
    assert str(read(PEM, ".", base=tmp_path)).endswith(f"({tmp_path} is a folder)")
    assert read(Certificate(), ".", base=tmp_path) == tmp_path


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key.pem").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may read everything
    assert str(read(PEM, "key.pem", base=tmp_path)).endswith(f"({tmp_path}/key.pem: permission denied)")


def test_a_path_that_no_file_can_have() -> None:
    for found in ("", "a\0b", "a\nb", 3, None):
        assert "expected the path of a PEM file" in str(read(PEM, found))
    for value in ("ca.pem", Path("a\0b"), None):
        assert "expected a pathlib.Path" in str(read(PEM, value, Form.PYTHON))
    told = str(read(PEM, "x" * 100_000))
    assert "File name too long" in told
    assert len(told) < 400


def test_the_word_throwaway_is_not_looked_up() -> None:
    assert read(Certificate(), "throwaway") == THROWAWAY
    assert read(Certificate(), THROWAWAY, Form.PYTHON) == THROWAWAY
    assert "No such file" in str(read(Certificate(), "./throwaway"))


def test_the_access_log_goes_to_a_file_to_standard_output_or_nowhere(tmp_path: Path) -> None:
    assert read(AccessLog(), "access.log", base=tmp_path) == str(tmp_path / "access.log")
    assert read(AccessLog(), "-") == "-"
    assert read(AccessLog(), "") == ""
    assert read(AccessLog(), str(tmp_path / "access.log"), Form.PYTHON) == str(tmp_path / "access.log")


def test_an_access_log_that_could_not_be_opened_is_refused(tmp_path: Path) -> None:
    told = read(AccessLog(), "logs/access.log", base=tmp_path)
    assert told == (
        "it: found 'logs/access.log', expected a path in a folder that exists, "
        f'"-" for standard output or "" for none ({tmp_path}/logs is not a folder)'
    )
    assert str(read(AccessLog(), ".", base=tmp_path)).endswith(f"({tmp_path} is a folder)")
    for found in (3, "a\nb", True):
        assert "expected a path in a folder" in str(read(AccessLog(), found, base=tmp_path))
    assert "expected a path in a folder" in str(read(AccessLog(), "x" * 9999 + "/a", base=tmp_path))


def test_the_name_of_a_header_field_is_a_token() -> None:
    kind = HeaderName()
    assert read(kind, "X-Real-IP") == "X-Real-IP"
    for found in ("", "a b", "a:b", "ä", 3):
        assert "expected the name of a header field" in str(read(kind, found))


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "CONNECTION", "Upgrade"])
def test_a_rule_may_not_touch_what_the_broker_writes(name: str) -> None:
    assert f"the broker writes {name} itself" in str(read(HeaderName(), name))
    assert f"the broker writes {name} itself" in str(read(HeaderFields(), {name: "1"}))


def test_no_rule_is_accepted_that_the_protocol_would_refuse() -> None:
    for name in fields.HOP_BY_HOP | fields.WRITTEN:
        assert "itself" in str(read(HeaderName(), name.decode())) or name == b"host"


def test_a_rule_for_host_is_sent_to_its_own_setting() -> None:
    assert "headers.host" in str(read(HeaderName(), "host"))
    assert "headers.host" in str(read(HeaderFields(), {"Host": "shop"}))


@pytest.mark.parametrize("name", ["X-Client-Group", "group", ""])
def test_a_field_that_names_groups(name: str) -> None:
    assert read(GroupHeader(), name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("X Group", 3, "Host", "Via", "x-forwarded-group", "FORWARDED", "Cookie", "TE", "X_Client_Group"),
        *("Idempotency-Key", "If-Match", "Origin", "Accept", "Content-Type", "Sec-WebSocket-Key"),
        *(name.decode() for name in sorted(fields.CLAIMS | fields.HOP_BY_HOP | fields.WRITTEN)),
        *(name.decode() for name in sorted(fields.NEVER_SENT | {fields.TRIES, fields.LOOPED})),
    ],
)
def test_a_field_with_another_meaning_names_no_groups(name: object) -> None:
    assert "expected" in str(read(GroupHeader(), name))


@pytest.mark.parametrize(
    "entry", ["ann", "Ann Smith", "a.test", "*.a.test", "spiffe://a.test/b", "CN=ann,O=A B"]
)
def test_what_a_certificate_may_name(entry: str) -> None:
    assert read(CertificateEntry(), entry) == entry


@pytest.mark.parametrize("entry", ["", " ann", "a\nb", "*", "*.", "a.*.test", "*.192.0.2.1", 3, "a" * 5000])
def test_what_no_certificate_names(entry: object) -> None:
    assert "expected a name such as" in str(read(CertificateEntry(), entry))


def test_header_fields_are_names_and_values() -> None:
    for form in Form:
        assert read(HeaderFields(), {"X-A": "a b", "X-B": ""}, form) == {"X-A": "a b", "X-B": ""}
        assert "expected a" in str(read(HeaderFields(), ["X-A"], form))


@pytest.mark.parametrize("value", ["a\r\nb", "a\0", " a", "a\t", "ä", "x" * 5000, 3, None])
def test_a_header_value_cannot_split_a_message(value: object) -> None:
    assert "expected a value in ASCII" in str(read(HeaderFields(), {"X-A": value}))


def test_a_header_field_stands_once_whatever_its_case() -> None:
    assert read(HeaderFields(), {"X-A": "1", "x-a": "2"}) == (
        "it.x-a: found 'x-a', expected each field once ('X-A' is the same field)"
    )


def test_every_wrong_header_field_is_told() -> None:
    assert str(read(HeaderFields(), {"a b": "1", "X-A": "\n", 3: "x"})).count("\n") == 2
