"""How every context begins, with an OpenSSL that lacks something too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from OpenSSL import SSL

from sslbroker.net import contexts as made

from .test_certificates import chain, whole
from .test_tls import chain_seen, client_of, listener, shake, talk


@pytest.mark.parametrize("method", [SSL.TLS_SERVER_METHOD, SSL.TLS_CLIENT_METHOD])
def test_compression_and_renegotiation_are_off_on_both_sides(method: int) -> None:
    connection = SSL.Connection(made.new_context(method, "TLSv1.3"), None)
    options = connection.set_options(0)
    assert options & SSL.OP_NO_COMPRESSION
    assert options & SSL.OP_NO_RENEGOTIATION


def test_an_openssl_without_the_post_quantum_group_does_with_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(made, "_GROUPS", (b"?*unheard-of/?*", b"unheard-of", b"P-256"))
    for method in (SSL.TLS_SERVER_METHOD, SSL.TLS_CLIENT_METHOD):
        made.new_context(method, "TLSv1.2")
        assert SSL._lib.ERR_get_error() == 0  # type: ignore[attr-defined]
    contexts = listener(tmp_path, whole("a.example"))
    client = client_of()
    server = shake(client, contexts)
    assert server.get_group_name() == "secp256r1"
    talk(client, server)


def test_a_chain_is_given_to_openssl_by_a_file_where_there_is_no_memory_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create")
    client = client_of()
    shake(client, listener(tmp_path, whole("a.example")))
    assert chain_seen(client) == chain("a.example")
