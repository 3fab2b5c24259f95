"""Certificates of clients: who is let in at which name, what is told of them, and every way around it."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from sslbroker.errors import StartError
from sslbroker.interfaces import Origin
from sslbroker.net import client_certificates, tls
from sslbroker.net.client_certificates import ClientCheck, names_of, proved, refusal, shaken, whole_subject
from sslbroker.net.client_rules import ClientRules, Clients
from sslbroker.settings import ListenerTLS, NamedClients

from . import authorities
from .authorities import DAY, Authority, Shown, by_sha1, lone, name, root
from .test_certificates import whole
from .test_tls import RETURNING, client_context, client_of, names_seen, out_of, resumed, server_of, step

CA = root("the shop's CA")
OTHER = root("the bank's CA")
#: Another authority that calls itself as the first one does.
DOUBLE = root("the shop's CA")

ALICE = CA.client("alice")
BOB = OTHER.client("bob")

VERSIONS = pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])

UNKNOWN = "the client certificate was refused: unable to get local issuer certificate"


@dataclass
class Met:
    """What became of a client: not let in where `fault` or `error` is not ""."""

    fault: str = ""  # why the broker does not serve the connection
    error: str = ""  # why the handshake failed
    alert: str = ""  # what the client was told then
    session: SSL.Session | None = None
    resumed: bool | None = None
    origin: Origin = field(default_factory=lambda: Origin("192.0.2.1"))

    @property
    def who(self) -> str:
        """The subject of the certificate that was proved."""
        return self.origin.certificate.subject if self.origin.certificate else ""


def meet(contexts: tls.ListenerContexts, client: SSL.Connection) -> Met:
    """A whole connection of a client, closed well."""
    server, met = server_of(contexts), Met()
    try:
        data = step(client)
        while data:
            data = step(server, data)
            data = step(client, data) if data else b""
    except SSL.Error as error:
        met.error = refusal(server, error) or str(error)
        with suppress(SSL.WantReadError):
            try:
                step(client, out_of(server))
                client.recv(1)
            except SSL.Error as told:
                met.alert = told.args[0][0][2] if told.args else ""
        return met
    met.fault = shaken(server, met.origin)
    met.resumed = resumed(server)
    met.session = client.get_session()
    client.shutdown()
    server.shutdown()
    return met


def listener(directory: Path, *named: NamedClients, **settings: Any) -> tls.ListenerContexts:
    path = directory / "listener.pem"
    path.write_bytes(whole("open.test", "shop.test", "bank.test", "any.test"))
    seconds = settings.pop("seconds", None)
    made = ListenerTLS((path,), names=named, **settings)
    return tls.ListenerContexts(made, seconds=seconds) if seconds else tls.ListenerContexts(made)


def for_all(
    directory: Path,
    *cas: Authority,
    wish: str = "required",
    named: Sequence[NamedClients] = (),
    **settings: Any,
) -> tls.ListenerContexts:
    """A listener that asks everybody, but who asks for some names, for a certificate of these authorities."""
    path = directory / "ca.pem"
    path.write_bytes(b"".join(authority.pem for authority in cas or (CA,)))
    return listener(directory, *named, client_ca=path, client_certificate=wish, **settings)


def by_name(directory: Path) -> tls.ListenerContexts:
    """Nobody is asked at open.test, everybody at shop.test, who likes at bank.test, by another authority."""
    shop = NamedClients("shop.test", CA.write(directory / "shop.pem"), "required")
    bank = NamedClients("bank.test", OTHER.write(directory / "bank.pem"), "optional")
    any_of_both = directory / "any.pem"
    any_of_both.write_bytes(CA.pem + OTHER.pem)
    return listener(directory, shop, bank, NamedClients("any.test", any_of_both, "required"))


def of(shown: Shown | None = None, **how: Any) -> SSL.Context:
    context = client_context(**how)
    return shown.by(context) if shown else context


# --- who is let in -----------------------------------------------------------------------------


@VERSIONS
def test_who_shows_a_good_certificate_is_let_in_and_known(tmp_path: Path, version: int) -> None:
    for wish in ("required", "optional"):
        met = meet(for_all(tmp_path, wish=wish), client_of(context=of(ALICE, version=version)))
        assert (met.fault, met.error) == ("", "")
        certificate = met.origin.certificate
        assert certificate is not None
        der = ALICE.certificate.public_bytes(Encoding.DER)
        assert certificate.subject == "CN=alice"
        assert certificate.issuer == "CN=the shop's CA"
        assert int(certificate.serial, 16) == ALICE.certificate.serial_number
        assert certificate.fingerprint == sha256(der).hexdigest()
        assert certificate.der == der
        assert met.origin.misdirected is None


@VERSIONS
def test_without_a_certificate_optional_lets_in_and_required_does_not(tmp_path: Path, version: int) -> None:
    met = meet(for_all(tmp_path, wish="optional"), client_of(context=of(version=version)))
    assert (met.fault, met.error, met.origin.certificate) == ("", "", None)
    met = meet(for_all(tmp_path), client_of(context=of(version=version)))
    assert met.error == "no client certificate was shown"
    assert met.alert == (
        "tls alert handshake failure"
        if version == SSL.TLS1_2_VERSION
        else "tlsv13 alert certificate required"
    )


def refused() -> dict[str, tuple[Shown, str, str]]:
    """Certificates that the shop's authority does not vouch for: why, and what the client is told."""
    bad, unknown = "tls alert bad certificate", "tlsv1 alert unknown ca"
    weak = authorities.key(1024)
    missing_issuer = "unable to get local issuer certificate"
    below = CA.authority("below")
    far = CA.authority("1").authority("2").authority("3").authority("4").authority("5").authority("6")
    stranger = OTHER.client("alice")
    stranger.chain = [CA.certificate]
    web = (ExtendedKeyUsageOID.SERVER_AUTH,)
    fences = x509.NameConstraints([x509.DNSName("shop.test")], None)
    outside = x509.SubjectAlternativeName([x509.DNSName("bank.test")])
    childless = CA.authority("childless", path_length=0).authority("child")
    like_the_ca = lone("the shop's CA", private=authorities.key())
    missing = below.client("alice")
    missing.chain = []
    leaf = Authority(ALICE.key, ALICE.certificate, [ALICE.certificate])
    return {
        "of another authority": (BOB, missing_issuer, unknown),
        "of another authority of the same name": (
            DOUBLE.client("alice"),
            "certificate signature failure",
            "tlsv1 alert decrypt error",
        ),
        "of another authority, with ours in the chain": (stranger, missing_issuer, unknown),
        "expired": (
            CA.client("alice", begins=-2 * DAY, ends=-DAY),
            "certificate has expired",
            "tls alert certificate expired",
        ),
        "not valid yet": (
            CA.client("alice", begins=DAY, ends=2 * DAY),
            "certificate is not yet valid or the system clock is incorrect",
            bad,
        ),
        "for servers": (
            CA.client("alice", purposes=web),
            "unsuitable certificate purpose",
            "tls alert unsupported certificate",
        ),
        "below one for servers only": (
            CA.authority("web", extensions=[x509.ExtendedKeyUsage(web)]).client("alice"),
            "unsuitable certificate purpose",
            "tls alert unsupported certificate",
        ),
        "self-signed": (
            lone("alice"),
            "self-signed certificate",
            unknown,
        ),
        "self-signed, named as the authority": (
            like_the_ca,
            "self-signed certificate",
            unknown,
        ),
        "signed by a client": (
            leaf.client("mallory"),
            "invalid CA certificate",
            unknown,
        ),
        "without the authority between": (missing, missing_issuer, unknown),
        "below an authority that may have none below": (
            childless.client("alice"),
            "path length constraint exceeded",
            unknown,
        ),
        "outside of what its authority may sign": (
            CA.authority("fenced", extensions=[fences]).client("alice", extensions=[outside]),
            "permitted subtree violation",
            "tls alert certificate unknown",
        ),
        "below an expired authority": (
            CA.authority("old", begins=-2 * DAY, ends=-DAY).client("alice"),
            "certificate has expired",
            "tls alert certificate expired",
        ),
        "signed by way of SHA-1": (
            by_sha1(CA.client("alice"), CA),
            "CA signature digest algorithm too weak",
            bad,
        ),
        "of a key that is too small": (
            CA.client("alice", private=weak),
            "EE certificate key too weak",
            bad,
        ),
        "of a critical extension that nobody knows": (
            CA.client(
                "alice", extensions=[x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\0")]
            ),
            "unhandled critical extension",
            "tls alert certificate unknown",
        ),
        "too far below": (
            far.client("alice"),
            "certificate chain too long",
            unknown,
        ),
    }


@VERSIONS
@pytest.mark.parametrize("wish", ["required", "optional"])
@pytest.mark.parametrize("which", refused())
def test_who_is_not_vouched_for_is_refused_with_an_alert_and_others_go_on(
    tmp_path: Path, which: str, wish: str, version: int
) -> None:
    contexts = for_all(tmp_path, wish=wish)
    shown, error, alert = refused()[which]
    context = client_context(version=version, ciphers="ALL:@SECLEVEL=0")
    met = meet(contexts, client_of(context=shown.by(context)))
    assert met.error == f"the client certificate was refused: {error}"
    assert (met.fault, met.alert, met.who) == ("", alert, "")
    assert meet(contexts, client_of(context=of(ALICE))).who == "CN=alice"


@VERSIONS
def test_a_chain_below_the_authority_is_verified(tmp_path: Path, version: int) -> None:
    contexts = for_all(tmp_path)
    below = CA.authority("1").authority("2")
    assert meet(contexts, client_of(context=of(below.client("carol"), version=version))).who == "CN=carol"


@VERSIONS
def test_an_authority_may_be_named_without_the_one_above_it(tmp_path: Path, version: int) -> None:
    ours, theirs = CA.authority("ours"), CA.authority("theirs")
    contexts = for_all(tmp_path, ours)
    assert meet(contexts, client_of(context=of(ours.client("carol"), version=version))).who == "CN=carol"
    for shown in (theirs.client("carol"), ALICE):
        met = meet(contexts, client_of(context=of(shown, version=version)))
        assert met.error.startswith("the client certificate was refused: "), met


def test_a_certificate_for_any_purpose_is_good(tmp_path: Path) -> None:
    shown = CA.client("carol", purposes=None)
    assert meet(for_all(tmp_path), client_of(context=of(shown))).who == "CN=carol"


@VERSIONS
def test_one_of_an_expired_authority_is_refused(tmp_path: Path, version: int) -> None:
    old = root("old", begins=-2 * DAY, ends=-DAY)
    met = meet(for_all(tmp_path, old), client_of(context=of(old.client(), version=version)))
    assert met.error == "the client certificate was refused: certificate has expired"


# --- name by name ------------------------------------------------------------------------------


@VERSIONS
def test_each_name_asks_by_its_own_rules(tmp_path: Path, version: int) -> None:
    contexts = by_name(tmp_path)
    assert contexts.warnings == []
    none = "no client certificate was shown"
    for asked, shown, who, error in (
        (b"", ALICE, "", ""),
        (b"open.test", None, "", ""),
        (b"open.test", ALICE, "", ""),
        (b"shop.test", ALICE, "CN=alice", ""),
        (b"SHOP.test.", ALICE, "CN=alice", ""),
        (b"shop.test", BOB, "", UNKNOWN),
        (b"shop.test", None, "", none),
        (b"bank.test", BOB, "CN=bob", ""),
        (b"bank.test", ALICE, "", UNKNOWN),
        (b"bank.test", None, "", ""),
        (b"any.test", ALICE, "CN=alice", ""),
        (b"any.test", BOB, "CN=bob", ""),
        (b"any.test", None, "", none),
    ):
        met = meet(contexts, client_of(asked, context=of(shown, version=version)))
        assert (met.fault, met.who, met.error) == ("", who, error), (asked, shown)


def asked_for(contexts: tls.ListenerContexts, sni: bytes, version: int) -> list[str | None]:
    """The authorities that a client hears of."""
    client = client_of(sni, context=of(version=version))
    meet(contexts, client)
    return [each.commonName for each in client.get_client_ca_list()]


@VERSIONS
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_client_hears_of_the_authorities_of_its_name_only(tmp_path: Path, version: int) -> None:
    contexts = by_name(tmp_path)
    assert asked_for(contexts, b"open.test", version) == []
    assert asked_for(contexts, b"shop.test", version) == ["the shop's CA"]
    assert asked_for(contexts, b"bank.test", version) == ["the bank's CA"]
    assert asked_for(contexts, b"any.test", version) == ["the shop's CA", "the bank's CA"]


@VERSIONS
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_of_very_many_authorities_a_client_hears_nothing_and_each_counts(
    tmp_path: Path, version: int
) -> None:
    long = [root(name(*(f"{number} " + "x" * 50 for _ in range(50)))) for number in range(6)]
    contexts = for_all(tmp_path, *long)
    assert asked_for(contexts, b"", version) == []
    met = meet(contexts, client_of(context=of(long[4].client("carol"), version=version)))
    assert met.who == "CN=carol"


def test_names_with_the_same_certificate_and_rules_share_a_context(tmp_path: Path) -> None:
    shop = CA.write(tmp_path / "shop.pem")
    (tmp_path / "same.pem").write_bytes(CA.pem)
    contexts = listener(
        tmp_path,
        NamedClients("shop.test", shop, "required"),
        NamedClients("bank.test", tmp_path / "same.pem", "required"),
        NamedClients("any.test", shop, "optional"),
        NamedClients("open.test"),
    )._contexts
    exact = contexts.exact
    assert exact[b"shop.test"] is exact[b"bank.test"] is not exact[b"any.test"]
    assert exact[b"open.test"] is contexts.default


def test_a_name_keeps_its_certificate_whatever_its_rules(tmp_path: Path) -> None:
    for number, names in enumerate((("first.test",), ("*.wild.test",), ("a.wild.test",))):
        (tmp_path / f"{number}.pem").write_bytes(whole(*names))
    files = tuple(tmp_path / f"{number}.pem" for number in range(3))
    ca = CA.write(tmp_path / "ca.pem")
    named = [
        NamedClients(each, ca, "required") for each in ("b.wild.test", "*.wild.test", "*.a.wild.test", "typo")
    ]
    contexts = tls.ListenerContexts(ListenerTLS(files, names=tuple(named)))
    assert contexts.warnings == [
        'tls.names."*.a.wild.test": no certificate has this name: is it spelt right?',
        'tls.names."typo": no certificate has this name: is it spelt right?',
    ]
    above = NamedClients("*.test", ca, "required")
    assert tls.ListenerContexts(ListenerTLS(files[:1], names=(above,))).warnings == []
    for asked, certificate, who in (
        (b"a.wild.test", "a.wild.test", "CN=alice"),
        (b"b.wild.test", "*.wild.test", "CN=alice"),
        (b"c.wild.test", "*.wild.test", "CN=alice"),
        (b"x.a.wild.test", "first.test", "CN=alice"),
        (b"wild.test", "first.test", ""),
        (b"typo", "first.test", "CN=alice"),
    ):
        client = client_of(asked, context=of(ALICE))
        assert meet(contexts, client).who == who
        assert names_seen(client) == {certificate.encode()}


# --- ways around it: sessions ------------------------------------------------------------------

NAMES = (b"", b"open.test", b"shop.test", b"bank.test", b"any.test")
OPEN = (b"", b"open.test")


@RETURNING
@pytest.mark.parametrize("shown", [ALICE, BOB, None], ids=["alice", "bob", "nobody"])
def test_no_session_brings_a_client_further_than_a_whole_handshake(
    tmp_path: Path, shown: Shown | None, version: int, tickets: bool
) -> None:
    """Every client with every session that it can get, at every name."""
    contexts = by_name(tmp_path)
    context = of(shown, version=version, tickets=tickets)
    whole_handshake = {asked: meet(contexts, client_of(asked, context=context)) for asked in NAMES}
    for began, first in whole_handshake.items():
        for asked in NAMES if first.session else ():
            met = meet(contexts, client_of(asked, context=context, session=first.session))
            same = began == asked or {began, asked} <= set(OPEN)
            if same:
                assert (met.fault, met.error, met.resumed, met.who) == ("", "", tickets, first.who)
            elif not tickets:
                assert met.resumed in (None, False)
                assert met.who == whole_handshake[asked].who
            elif version == SSL.TLS1_3_VERSION:
                # Refused; the client's own handshake went well, so there is no alert left to send.
                assert met.fault == "the resumed session began at a name with other rules for clients"
                assert (met.who, met.origin.misdirected) == ("", None)
            else:
                # OpenSSL knows but the session's name, so the connection is one of that name.
                assert (met.fault, met.who) == ("", first.who)
            if met.resumed and not same and not met.fault and asked:
                assert met.origin.misdirected is not None
                assert met.origin.misdirected(asked)


@VERSIONS
def test_a_session_goes_on_for_ever_only_while_its_certificate_is_valid(tmp_path: Path, version: int) -> None:
    end = ALICE.certificate.not_valid_after_utc.timestamp()
    moment = end - 10
    contexts = for_all(tmp_path, seconds=lambda: moment)
    context = of(ALICE, version=version)
    met = meet(contexts, client_of(context=context))
    for _ in range(3):
        met = meet(contexts, client_of(context=context, session=met.session))
        assert (met.fault, met.resumed, met.who) == ("", True, "CN=alice")
    moment = end
    met = meet(contexts, client_of(context=context, session=met.session))
    assert met.fault == "the client certificate of the resumed session has expired"
    assert met.origin.certificate is None


@RETURNING
def test_no_session_outlives_a_reload_whatever_was_read(tmp_path: Path, version: int, tickets: bool) -> None:
    contexts = by_name(tmp_path)
    context = of(ALICE, version=version, tickets=tickets)
    for path in (tmp_path / "shop.pem", tmp_path / "listener.pem"):
        session = meet(contexts, client_of(b"shop.test", context=context)).session
        path.touch()
        contexts.reload()
        met = meet(contexts, client_of(b"shop.test", context=context, session=session))
        assert (met.resumed, met.who) == (False, "CN=alice")
    assert met.session
    OTHER.write(tmp_path / "shop.pem")
    contexts.reload()
    again = meet(contexts, client_of(b"shop.test", context=context, session=met.session))
    assert again.error == UNKNOWN
    for sni in (b"shop.test", b"any.test"):
        assert meet(contexts, client_of(sni, context=of(BOB, version=version))).who == "CN=bob"


@RETURNING
def test_no_session_outlives_a_renewal_of_ticket_keys_and_the_rules_do(
    tmp_path: Path, version: int, tickets: bool
) -> None:
    contexts = by_name(tmp_path)
    context = of(ALICE, version=version, tickets=tickets)
    session = meet(contexts, client_of(b"shop.test", context=context)).session
    (tmp_path / "shop.pem").unlink()
    contexts.renew_ticket_keys()
    met = meet(contexts, client_of(b"shop.test", context=context, session=session))
    assert (met.resumed, met.who) == (False, "CN=alice")
    assert meet(contexts, client_of(b"shop.test")).error == "no client certificate was shown"


def test_a_handshake_that_a_reload_meets_goes_by_the_rules_that_it_began_with(tmp_path: Path) -> None:
    contexts = by_name(tmp_path)
    server, client = server_of(contexts), client_of(b"shop.test", context=of(ALICE))
    answer = step(server, step(client))
    OTHER.write(tmp_path / "shop.pem")
    contexts.reload()
    gc.collect()
    step(server, step(client, answer))
    origin = Origin("192.0.2.1")
    assert shaken(server, origin) == ""
    assert origin.certificate
    assert origin.certificate.subject == "CN=alice"


def test_a_reload_that_fails_leaves_the_rules(tmp_path: Path) -> None:
    contexts = for_all(tmp_path)
    (tmp_path / "ca.pem").write_bytes(b"half a fi")
    with pytest.raises(StartError, match=r"ca\.pem: found no certificate in it"):
        contexts.reload()
    assert meet(contexts, client_of(context=of(ALICE))).who == "CN=alice"
    assert meet(contexts, client_of()).error == "no client certificate was shown"


def test_a_session_of_a_client_that_was_refused_is_of_no_use(tmp_path: Path) -> None:
    """What a client of TLS 1.3 holds when the broker ends its connection."""
    contexts = by_name(tmp_path)
    context = of()
    began = meet(contexts, client_of(b"open.test", context=context))
    for _ in range(3):
        began = meet(contexts, client_of(b"shop.test", context=context, session=began.session))
        assert began.fault == "the resumed session began at a name with other rules for clients"


# --- ways around it: handshakes ----------------------------------------------------------------


def meet_with_two_hellos(
    contexts: tls.ListenerContexts, first: bytes, second: bytes, context: SSL.Context
) -> Met:
    """OpenSSL asks for a second hello, and the client asks for another name in it, or for none."""
    client, server, met = client_of(first, context=context), server_of(contexts), Met()
    request = step(server, step(client))
    assert server.get_servername() == first
    if second:
        client.set_tlsext_host_name(second)
    else:
        SSL._lib.SSL_set_tlsext_host_name(client._ssl, SSL._ffi.NULL)  # type: ignore[attr-defined]
    try:
        data = step(client, step(server, step(client, request)))
        step(client, step(server, data))
    except SSL.Error as failed:
        met.error = refusal(server, failed) or str(failed)
    else:
        met.fault = shaken(server, met.origin)
        met.session = client.get_session()
        client.shutdown()
        server.shutdown()
    assert (server.get_servername() or b"") == second
    return met


def two_hellos(shown: Shown | None = None) -> SSL.Context:
    return of(shown, version=SSL.TLS1_3_VERSION, groups="X448:P-384")


@pytest.mark.parametrize(
    ("first", "second", "shown", "error", "who"),
    [
        (b"open.test", b"shop.test", None, "no client certificate was shown", ""),
        (b"shop.test", b"open.test", None, "", ""),
        (b"shop.test", b"", None, "", ""),
        (b"open.test", b"shop.test", ALICE, "", "CN=alice"),
        (b"shop.test", b"open.test", ALICE, "", ""),
        (b"shop.test", b"bank.test", ALICE, UNKNOWN, ""),
        (b"bank.test", b"shop.test", ALICE, "", "CN=alice"),
    ],
)
def test_the_name_in_the_second_hello_counts(
    tmp_path: Path, first: bytes, second: bytes, shown: Shown | None, error: str, who: str
) -> None:
    contexts = by_name(tmp_path)
    met = meet_with_two_hellos(contexts, first, second, two_hellos(shown))
    assert (met.fault, met.error, met.who) == ("", error, who)


def test_a_session_is_of_the_name_in_the_second_hello(tmp_path: Path) -> None:
    """Else one that was verified for everybody would be good at a name that trusts others."""
    bank = NamedClients("bank.test", OTHER.write(tmp_path / "bank.pem"), "required")
    contexts = for_all(tmp_path, named=(bank, NamedClients("open.test")))
    context = two_hellos(ALICE)
    for first, second in ((b"bank.test", b""), (b"bank.test", b"any.test"), (b"open.test", b"any.test")):
        met = meet_with_two_hellos(contexts, first, second, context)
        assert met.who == "CN=alice"
        for asked, fault, who in (
            (b"bank.test", "the resumed session began at a name with other rules for clients", ""),
            (b"open.test", "the resumed session began at a name with other rules for clients", ""),
            (b"any.test", "", "CN=alice"),
            (b"", "", "CN=alice"),
        ):
            again = meet(contexts, client_of(asked, context=context, session=met.session))
            assert (again.resumed, again.fault, again.who) == (True, fault, who)


def test_a_client_cannot_renegotiate_another_identity(tmp_path: Path) -> None:
    contexts = for_all(tmp_path)
    client, server = client_of(context=of(ALICE, version=SSL.TLS1_2_VERSION)), server_of(contexts)
    data = step(client)
    while data:
        data = step(server, data)
        data = step(client, data) if data else b""
    client.renegotiate()
    with pytest.raises(SSL.WantReadError):
        client.do_handshake()
    server.bio_write(out_of(client))
    with pytest.raises(SSL.WantReadError):
        server.recv(1)
    assert server.total_renegotiations() == 0
    origin = Origin("192.0.2.1")
    assert shaken(server, origin) == ""
    assert origin.certificate
    assert origin.certificate.subject == "CN=alice"


def test_whoever_has_the_certificate_but_not_its_key_is_refused(tmp_path: Path) -> None:
    contexts = for_all(tmp_path)
    client, server = client_of(context=of(ALICE, version=SSL.TLS1_2_VERSION)), server_of(contexts)
    flight = bytearray(step(client, step(server, step(client))))
    # The last records are ChangeCipherSpec and Finished; CertificateVerify stands before them.
    signed = flight.rindex(b"\x14\x03\x03\x00\x01\x01") - 4
    flight[signed] ^= 1
    with pytest.raises(SSL.Error):
        step(server, bytes(flight))


# --- the second look ---------------------------------------------------------------------------


class Connection:
    """A connection that has shaken hands as no OpenSSL lets one: what the second look is for."""

    _ssl = None

    def get_peer_cert_chain(self, as_cryptography: bool) -> None:
        return None

    def __init__(self, certificate: object) -> None:
        self.certificate = certificate

    def get_peer_certificate(self, as_cryptography: bool) -> object:
        assert as_cryptography
        if isinstance(self.certificate, Exception):
            raise self.certificate
        return self.certificate


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    made = SimpleNamespace(SSL_session_reused=lambda ssl: 0, SSL_get_verify_result=lambda ssl: 0)
    monkeypatch.setattr(SSL, "_lib", made)
    yield made
    monkeypatch.undo()


def looked(certificate: object, wish: str = "required") -> tuple[str, str]:
    rules = ClientRules(wish, (CA.certificate,) if wish else ())
    check = ClientCheck(Clients(rules, {}), rules, lambda: 0.0)
    origin = Origin("192.0.2.1")
    fault = check.look(Connection(certificate), origin)  # type: ignore[arg-type]
    return fault, origin.certificate.subject if origin.certificate else ""


@pytest.mark.usefixtures("library")
def test_a_connection_without_a_certificate_is_looked_at_again() -> None:
    assert looked(None) == ("no client certificate was shown", "")
    assert looked(None, "optional") == ("", "")
    assert looked(ALICE.certificate) == ("", "CN=alice")
    assert looked(ALICE.certificate, "") == ("", "")  # nobody was asked, so nothing was proved


def test_a_certificate_that_was_not_verified_is_refused(library: SimpleNamespace) -> None:
    library.SSL_get_verify_result = lambda ssl: 20
    for wish in ("required", "optional"):
        fault = "the client certificate was not verified (error 20 of OpenSSL)"
        assert looked(ALICE.certificate, wish) == (fault, "")


@pytest.mark.usefixtures("library")
def test_a_certificate_that_cannot_be_read_is_refused() -> None:
    fault, who = looked(ValueError("odd\r\nbytes\x1b[2J " + "x" * 10_000))
    assert fault.startswith("the client certificate cannot be told: odd\\0D\\0Abytes\\1B[2J xxx")
    assert len(fault) < 300
    assert who == ""


def test_an_identity_is_not_told_where_nobody_was_asked(tmp_path: Path) -> None:
    met = meet(listener(tmp_path), client_of(context=of(ALICE)))
    assert (met.fault, met.who) == ("", "")


def test_without_a_second_look_nobody_is_asked_for_a_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_certificates, "_NEEDED", ("SSL_session_reused", "unheard_of"))
    listener(tmp_path)
    with pytest.raises(StartError) as caught:
        by_name(tmp_path)
    assert str(caught.value) == (
        "tls.client_certificate: found a pyOpenSSL without unheard_of, expected one that tells of resumed "
        "sessions (install another one)"
    )


def test_other_failures_of_handshakes_are_not_the_certificates(tmp_path: Path) -> None:
    server = server_of(for_all(tmp_path))
    with pytest.raises(SSL.Error) as caught:
        step(server, b"GET / HTTP/1.1\r\n\r\n")
    assert refusal(server, caught.value) == ""
    assert refusal(server, SSL.Error()) == ""
    assert refusal(server, SSL.SysCallError(-1, "Unexpected EOF")) == ""
    assert refusal(server, ConnectionError()) == ""
    assert refusal(server, None) == ""


# --- what is told of a certificate -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("plain", "CN=plain"),
        ("a,b+c", r"CN=a\,b\+c"),
        ("x\r\nX-Client-Subject: CN=admin", r"CN=x\0D\0AX-Client-Subject: CN=admin"),
        ("admin\0.test", r"CN=admin\00.test"),
        ("\x1b[2J\x7f", r"CN=\1B[2J\7F"),
        ("Bücher", r"CN=B\C3\BCcher"),
        ("\u202etxt", r"CN=\E2\80\AEtxt"),
        ("\U0001f600", r"CN=\F0\9F\98\80"),
        (" spaced ", r"CN=\ spaced\ "),
        ("#1", r"CN=\#1"),
        ("", "CN="),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_subject_is_told_in_printable_ascii(text: str, told: str) -> None:
    shown = CA.client(name(text))
    assert proved(shown.certificate).subject == told


@given(st.text(max_size=200), st.text(max_size=200))
def test_different_subjects_are_told_differently_and_nothing_escapes(one: str, other: str) -> None:
    told = [client_certificates.printable(each) for each in (one, other)]
    if "\\" not in one + other:
        assert (told[0] == told[1]) is (one == other)
    for each in told:
        assert set(each) <= set(map(chr, range(0x20, 0x7F)))


def test_the_order_of_a_subject_is_that_of_rfc_4514() -> None:
    parts = name("DE", kind=NameOID.COUNTRY_NAME), name("A, B", kind=NameOID.ORGANIZATION_NAME), name("x")
    shown = CA.client(x509.Name([rdn for part in parts for rdn in part.rdns]))
    assert proved(shown.certificate).subject == r"CN=x,O=A\, B,C=DE"


@pytest.mark.parametrize(
    ("number", "told"), [(1, "01"), (0xABC, "0ABC"), (2**159 - 1, "7F" + "FF" * 19), (0x80, "80")]
)
def test_a_serial_number_has_an_even_number_of_digits(number: int, told: str) -> None:
    assert proved(CA.client(serial=number).certificate).serial == told


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_negative_serial_number_is_refused() -> None:
    der = CA.client(serial=1).certificate.public_bytes(Encoding.DER)
    odd = x509.load_der_x509_certificate(der.replace(b"\2\1\2\2\1\1", b"\2\1\2\2\1\xff", 1))
    with pytest.raises(ValueError, match="its serial number is negative"):
        proved(odd)


def test_an_empty_subject_is_told_as_nothing() -> None:
    assert proved(CA.client(x509.Name([])).certificate).subject == ""


@VERSIONS
def test_a_name_or_a_certificate_of_any_size_is_refused(tmp_path: Path, version: int) -> None:
    contexts = for_all(tmp_path)
    for shown, fault in (
        (CA.client(name(*["x" * 64] * 90)), "a name in it has 6119 characters, expected 4096 at most"),
        (CA.client(name(*["ü" * 64] * 20)), "a name in it has 7759 characters, expected 4096 at most"),
        (CA.client(name(*["x" * 64] * 250)), "it has "),
    ):
        met = meet(contexts, client_of(context=of(shown, version=version)))
        assert met.fault.startswith(f"the client certificate cannot be told: {fault}")
        assert met.who == ""
    for size in (1200, 1900):  # too long for a ticket, and for OpenSSL
        shown = CA.client(name(*["x" * 64] * size))
        assert meet(contexts, client_of(context=of(shown, version=version))).error
    assert meet(contexts, client_of(context=of(ALICE, version=version))).who == "CN=alice"


@VERSIONS
def test_what_is_shown_beside_a_certificate_stays_small(tmp_path: Path, version: int) -> None:
    """OpenSSL keeps it for as long as the connection lives: half a megabyte for 90 KB of odd certificates."""
    contexts = for_all(tmp_path)
    odd = lone(name(*["x" * 64] * 100)).certificate
    size = len(odd.public_bytes(Encoding.DER))
    told = f"{3 * size} bytes were shown beside it, expected 32768 at most"
    for count, fault in ((2, ""), (3, f"the client certificate cannot be told: {told}")):
        shown = Shown(ALICE.key, ALICE.certificate, [odd] * count)
        assert meet(contexts, client_of(context=of(shown, version=version))).fault == fault


def test_no_session_stays_in_memory_where_clients_show_certificates(tmp_path: Path) -> None:
    context = of(ALICE, version=SSL.TLS1_2_VERSION, tickets=False)
    for contexts, cached in (
        (listener(tmp_path), True),
        (for_all(tmp_path), False),
        (by_name(tmp_path), False),
    ):
        first = meet(contexts, client_of(b"shop.test", context=context))
        again = meet(contexts, client_of(b"shop.test", context=context, session=first.session))
        assert again.resumed is cached


# --- misdirected requests ----------------------------------------------------------------------


def misdirected(tmp_path: Path, sni: bytes, *hosts: bytes) -> list[bool]:
    met = meet(by_name(tmp_path), client_of(sni, context=of(ALICE)))
    assert met.fault == met.error == ""
    asked = met.origin.misdirected
    assert asked is not None
    return [asked(host) for host in hosts]


SHOP = (
    b"shop.test",
    b"shop.test:443",
    b"SHOP.test",
    b"Shop.Test.:",
    b"shop.test.:8443",
)
#: What a server might read as shop.test, though it is not written so.
ODD = (
    b"admin@shop.test",
    b"shop.test..",
    b"shop.test.:443:443",
    b"shop%2etest",
    b"%73hop.test",
    b" shop.test",
    b"shop.test ",
    b"shop.test\t",
    b"shop.test\r\n",
    b"shop.test\0",
    b"shop.test,open.test",
    b"shop.test/",
    b"shop.test#",
    b"shop.test:443x",
    b".shop.test",
    b"[shop.test]",
    b"\xc5\xbfhop.test",  # a long s
    b"\xff",
    b":" * 1000,
)
NEUTRAL = (b"", b":443", b"open.test", b"unknown.test", b"x.shop.test", b"192.0.2.1:80", b"[2001:db8::1]:443")


def test_a_host_with_other_rules_is_misdirected(tmp_path: Path) -> None:
    for sni in OPEN:
        assert misdirected(tmp_path, sni, *SHOP, b"bank.test") == [True] * 6
        assert not any(misdirected(tmp_path, sni, *NEUTRAL))
    assert not any(misdirected(tmp_path, b"shop.test", *SHOP))
    assert all(misdirected(tmp_path, b"shop.test", *NEUTRAL))
    assert all(misdirected(tmp_path, b"shop.test", b"bank.test", b"any.test"))


@pytest.mark.parametrize("host", ODD)
def test_a_host_that_can_be_read_in_two_ways_is_misdirected(tmp_path: Path, host: bytes) -> None:
    for sni in (b"open.test", b"shop.test"):
        assert misdirected(tmp_path, sni, host) == [True]


def test_a_long_host_costs_little() -> None:
    rules = ClientRules()
    check = ClientCheck(Clients(rules, {b"a": ClientRules("required")}), rules, lambda: 0.0)
    assert not check.misdirected(b"a." * 500_000)
    assert check.misdirected(b"a." * 500_000 + b"!")


def test_where_all_names_have_one_rule_no_host_is_misdirected(tmp_path: Path) -> None:
    same = NamedClients("shop.test", tmp_path / "ca.pem", "required")
    CA.write(tmp_path / "ca.pem")
    contexts = listener(tmp_path, same, client_ca=tmp_path / "ca.pem", client_certificate="required")
    for sni in (b"shop.test", b"open.test"):
        assert meet(contexts, client_of(sni, context=of(ALICE))).origin.misdirected is None


# --- all of it at once -------------------------------------------------------------------------


def test_contexts_of_before_a_reload_are_let_go_with_their_rules(tmp_path: Path) -> None:
    contexts = by_name(tmp_path)
    gc.collect()
    before = sum(isinstance(each, ClientCheck) for each in gc.get_objects())
    for _ in range(3):
        contexts.reload()
    gc.collect()
    assert sum(isinstance(each, ClientCheck) for each in gc.get_objects()) == before


# --- what a certificate names ---


def test_common_names_hosts_and_uris_are_what_it_names() -> None:
    several = x509.SubjectAlternativeName(
        [
            x509.DNSName("api.partners.test"),
            x509.RFC822Name("ann@partners.test"),
            x509.UniformResourceIdentifier("spiffe://partners.test/api"),
        ]
    )
    shown = CA.client(name("ann", "Ann Smith"), extensions=[several])
    assert names_of(proved(shown.certificate)) == (
        ("ann", "Ann Smith", "api.partners.test"),
        ("spiffe://partners.test/api",),
    )


def test_without_alternative_names_the_common_one_is_left() -> None:
    assert names_of(proved(CA.client("ann").certificate)) == (("ann",), ())
    assert names_of(proved(CA.client(x509.Name([])).certificate)) == ((), ())


def test_alternative_names_that_cannot_be_read_name_nobody() -> None:
    wrong = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x03what")
    assert names_of(proved(CA.client("ann", extensions=[wrong]).certificate)) == (("ann",), ())


def test_a_whole_subject_is_written_as_certificates_tell_it() -> None:
    assert whole_subject("CN=Jörg,O=A\\, B") == r"CN=J\C3\B6rg,O=A\, B"


@pytest.mark.parametrize("wrong", ["ann", "CN=ann, O=B", "ann=b"])
def test_what_is_no_whole_subject(wrong: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (in the library's words)
        whole_subject(wrong)
