"""Each proxy is told of the servers, of time limits and of keys, and has the TLS of all."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.faults.fronts import Situation, broker, haproxy, nginx
from bench.site import GROUP, SUITE, Site

SITE = Site(Path("/site"), (0,), (1,), (), ())
CALM = Situation((2001, 2002, 2003))
KEYED = Situation((2001, 2002, 2003), response_timeout=1, keyed=True)


def test_the_broker_is_told_of_nothing_but_the_time_limit() -> None:
    assert broker.sets(CALM) == []
    assert broker.sets(KEYED) == ['pools.servers.failover.response_timeout="1s"']


@pytest.mark.parametrize("situation", [CALM, KEYED])
def test_both_peers_have_all_servers_the_time_limit_and_the_tls_of_all(situation: Situation) -> None:
    texts = {
        f"timeout server {situation.response_timeout}s": haproxy.configuration(SITE, 2000, situation),
        f"proxy_read_timeout {situation.response_timeout}s": nginx.configuration(
            SITE, Path("/made"), 2000, situation
        ),
    }
    for limit, text in texts.items():
        assert limit in text
        assert SUITE in text
        assert GROUP in text
        assert all(f"127.0.0.1:{port}" in text for port in (2000, *situation.ports))


def test_what_must_not_be_sent_twice_is_sent_again_only_with_a_key() -> None:
    plain, keyed = (haproxy.configuration(SITE, 2000, each) for each in (CALM, KEYED))
    assert "disable-l7-retry if METH_POST \n" in plain
    assert "disable-l7-retry if METH_POST !{ req.hdr(Idempotency-Key) -m found }" in keyed
    plain, keyed = (nginx.configuration(SITE, Path("/made"), 2000, each) for each in (CALM, KEYED))
    assert "non_idempotent" not in plain
    assert "non_idempotent" in keyed
