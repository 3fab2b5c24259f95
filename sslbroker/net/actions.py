"""What the state machine asks for: each action of `core.states`, done for one relay.

Decides nothing: what is asked for, and in which order, says the table of `core.transitions`. Invariant: what
a transaction holds (its link, its way to one, the try beside it, what was kept) goes back once, whichever of
these ends it. Refuses to hear of anything: what happens to a transaction comes to its relay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.members import Member
from ..core.states import RESUME, Action
from ..interfaces import Head, Upgraded
from ..outcome import Cause, Replay
from . import tries
from .kept import KeptAnswer

if TYPE_CHECKING:
    from .link import Link
    from .relay import Relay

# Bind once: a lookup in an Enum class costs more than the test it is made for.
_REPLAYABLE, _PINNED, _OK = Replay.REPLAYABLE, Replay.PINNED, Cause.OK


def _choose(relay: Relay) -> None:
    relay.way.choose()


def _get_link(relay: Relay) -> None:
    relay.begun = attempt = relay.transaction.attempt
    tries.begins(relay, attempt)
    if relay.hedge is not None:
        relay.hedge.watch()
    relay.way.link(attempt)


def _send(relay: Relay) -> None:
    link = relay.link
    assert link is not None
    rules, request, exchange, upload = relay.pool.rules, relay.request, relay.link_exchange, relay.upload
    transaction = relay.transaction
    attempt, replay = transaction.attempt, transaction.replay
    member = attempt.member
    wait = 0.0
    if transaction.state is RESUME:
        request = relay.download.continuation()
    else:
        wait = rules.go_ahead_wait(request)
    head = rules.to_server(request, relay.origin, member.address, link.secure)
    sent = link.codec.send(Upgraded(exchange, head) if relay.stream else Head(exchange, head))
    if replay is not _REPLAYABLE and (relay.pool.judge.undone is None or replay is _PINNED):
        upload.stored.give_up(replay)
    elif transaction.last:
        upload.stored.give_up(Replay.TRIES)
    upload.start(link, attempt, exchange, sent, wait)
    if not upload.sent:
        member.excuse(attempt)  # it waits for the client, too


def _pass(relay: Relay) -> None:
    _forget_kept(relay)
    _forget_hedge(relay)
    attempt = relay.transaction.attempt
    tries.passed(relay)
    if attempt.outcome is not _OK:
        relay.download.begin(relay.tunnel, relay.transaction.tries, "")
    else:
        key = attempt.member.key
        relay.download.begin(relay.tunnel, 0, "" if key == relay.way.stuck else key)
    if relay.tunnel:
        assert relay.link is not None
        relay.link.tunnel()
        if not relay.stream:
            relay.upload.tunnel()
        relay.connection.tunnel()
    else:
        relay.upload.answered()


def _answer(relay: Relay) -> None:
    error = relay.transaction.error
    if error is None:
        best = relay.kept.best if relay.kept is not None else None
        assert best is not None
        relay.download.kept(best.message, best.rest(relay.exchange), relay.transaction.tries)
    elif relay.gone is None and not relay.download.failure(error):
        cut(relay)


def _keep(relay: Relay) -> None:
    """The try is over, but what its server answers is read on, and kept until a better answer comes."""
    link, relay.link = relay.link, None
    attempt = relay.begun
    assert link is not None
    assert attempt is not None
    message, relay.download.response = relay.download.response, None
    _keep_answer(relay, attempt.member, message, link, relay.link_exchange, relay.upload.sent)
    relay.upload.stop()
    _attempt_over(relay)


def _keep_answer(relay: Relay, member: Member, message: Any, link: Link, exchange: int, sent: bool) -> None:
    link.relay = relay
    stored, client = relay.pool.storage.open(), relay.connection
    sent = sent and not link.full
    before = relay.kept.yields() if relay.kept is not None else None
    kept = KeptAnswer(member, message, stored, link, exchange, client, sent=sent, before=before)
    relay.kept = relay.transaction.kept = kept


def _forget_kept(relay: Relay) -> None:
    kept, relay.kept = relay.kept, None
    if kept is not None:
        kept.close()


def _hedge(relay: Relay) -> None:
    hedge, attempt = relay.hedge, relay.transaction.beside
    assert hedge is not None
    assert attempt is not None
    hedge.begin(attempt)


def _send_hedge(relay: Relay) -> None:
    assert relay.hedge is not None
    relay.hedge.send()


def _swap(relay: Relay) -> None:
    """The other try is this one from now on."""
    assert relay.hedge is not None
    relay.begun, way, link, exchange = relay.hedge.won()
    if link is None:
        assert way is not None
        relay.way.close()
        relay.way, way.told = way, relay
    else:
        relay.use(link)
        relay.link_exchange = exchange
        link.relay = relay
        relay.upload.take_over(link, relay.begun, exchange)
        if relay.connection.full:
            link.pause()


def _cancel(relay: Relay) -> None:
    assert relay.hedge is not None
    relay.hedge.cancel()


def _keep_hedge(relay: Relay) -> None:
    assert relay.hedge is not None
    _keep_answer(relay, *relay.hedge.yields(), True)


def _forget_hedge(relay: Relay) -> None:
    hedge, relay.hedge = relay.hedge, None
    if hedge is not None:
        hedge.close()


def cut(relay: Relay) -> None:
    """The client sees that its answer is not whole, or that there is none."""
    relay.download.drop()
    if relay.gone is None:
        relay.connection.cut()


def drop(relay: Relay) -> None:
    """The try is over, and its link with it."""
    relay.upload.stop()
    link, relay.link = relay.link, None
    if link is not None:
        link.drop()
        if relay.transaction.replay is _PINNED:
            relay.connection.pin_lost()
    relay.way.give_up()
    _attempt_over(relay)


def finish(relay: Relay) -> None:
    """The transaction is over: everything it held goes back, and its record is written."""
    if relay.upload.out or relay.download.out:
        relay.flush()
    link = relay.link
    if link is not None:
        kept = link.leave(relay.link_exchange, relay.connection)
        if not kept and relay.transaction.replay is _PINNED:
            relay.connection.pin_lost()
        relay.link = None
        _attempt_over(relay)
    relay.over = True
    _forget_kept(relay)
    _forget_hedge(relay)
    tries.all_over(relay)
    relay.upload.close()
    relay.way.close()
    relay.connection.exchange_over(relay)


def _attempt_over(relay: Relay) -> None:
    attempt, relay.begun = relay.begun, None
    if attempt is not None:
        tries.is_over(relay, attempt)


DO: dict[Action, Callable[[Relay], None]] = {
    Action.CHOOSE: _choose,
    Action.LINK: _get_link,
    Action.SEND: _send,
    Action.DROP: drop,
    Action.KEEP: _keep,
    Action.HEDGE: _hedge,
    Action.SEND_HEDGE: _send_hedge,
    Action.SWAP: _swap,
    Action.CANCEL: _cancel,
    Action.KEEP_HEDGE: _keep_hedge,
    Action.PASS: _pass,
    Action.ANSWER: _answer,
    Action.CUT: cut,
    Action.FINISH: finish,
}
