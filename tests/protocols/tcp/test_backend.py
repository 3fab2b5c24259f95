"""What a stream answers to the broker's questions."""

from __future__ import annotations

import pytest

from sslbroker import errors
from sslbroker.interfaces import End, IAnswerTimes, Origin
from sslbroker.outcome import Replay
from sslbroker.protocols.examine import examine
from sslbroker.protocols.tcp.backend import TCP
from sslbroker.protocols.tcp.codec import STREAM
from sslbroker.settings import Failover, Pool, Server

POOL = Pool("p", (Server("10.0.0.1:80"),), protocol="tcp")
RULES = TCP.rules(POOL, "broker")


def test_it_is_a_whole_protocol() -> None:
    assert examine(TCP, POOL) == []
    assert IAnswerTimes.providedBy(RULES)
    assert TCP.server_first


def test_its_bytes_reach_one_server_unless_the_operator_says_otherwise() -> None:
    assert RULES.replay(STREAM) is Replay.STREAM
    promised = Pool("p", POOL.servers, failover=Failover(replay=True))
    assert TCP.rules(promised, "broker").replay(STREAM) is Replay.REPLAYABLE


def test_nobody_waits_and_nothing_is_rewritten() -> None:
    origin = Origin("192.0.2.1")
    assert RULES.admit(STREAM, origin) is None
    assert RULES.origin(STREAM, origin) is origin
    assert not RULES.hedgeable(STREAM)
    assert RULES.affinity(STREAM) is None
    assert (RULES.go_ahead_wait(STREAM), RULES.answer_within(STREAM)) == (0.0, 0.0)
    assert RULES.to_server(STREAM, origin, "10.0.0.1:80", False) is not STREAM
    assert RULES.to_client(STREAM, STREAM, origin) is not STREAM
    assert RULES.log_fields(STREAM, None) == {}


@pytest.mark.parametrize("error", [errors.Refused(), errors.LinkBroken(), errors.Silent(), errors.NoServer()])
def test_a_failure_has_no_words(error: errors.BrokerError) -> None:
    assert RULES.error_answer(error, STREAM, 1) == ()


def test_but_a_server_that_ended_in_good_order_is_an_end() -> None:
    assert RULES.error_answer(errors.EmptyResponse(), STREAM, 1) == (End(1),)


def test_no_answer_fails() -> None:
    classifier = TCP.classifier(POOL)
    assert (classifier.failing(STREAM), classifier.status(STREAM)) == (False, 0)
