"""Lives of transactions whose client breaks its request, is too slow or goes; and mistakes of the relay."""

from __future__ import annotations

import pytest

from sslbroker.core.states import CHOOSE, LINK, WATCH, Input, State
from sslbroker.errors import ClientGone

from .transcript import Play, play

BEFORE = {
    CHOOSE: "",
    LINK: "    CHOSEN one              -> LINK\n",
    WATCH: "    CHOSEN one              -> LINK\n    LINKED                  -> SEND\n",
}
TRIES = {
    CHOOSE: "",
    LINK: "      one:80 {} 1s next: final\n",
    WATCH: "      one:80 {} 2s next: final\n",
}


@pytest.mark.parametrize("state", BEFORE)
class TestAClientThatFailsBeforeTheResponseBegan:
    def test_by_a_broken_request_is_told_so(self, state: State) -> None:
        play(
            BEFORE[state]
            + "    REFUSED FramingError    -> DROP ANSWER FINISH\n    end frame:bad-request\n"
            + TRIES[state].format("bad-request")
        )

    def test_by_a_time_limit_is_told_so(self, state: State) -> None:
        play(
            BEFORE[state]
            + "    REFUSED ClientTimeout   -> DROP ANSWER FINISH\n    end frame:client-timeout\n"
            + TRIES[state].format("client-timeout")
        )

    def test_by_going_gets_no_answer(self, state: State) -> None:
        play(
            BEFORE[state]
            + f"    LOST ClientGone         -> DROP FINISH\n    end {state.value.value}:client-gone\n"
            + TRIES[state].format("client-gone")
        )


def test_a_request_that_is_not_carried_never_looks_for_a_server() -> None:
    play(
        """
    REFUSED LoopDetected    -> DROP ANSWER FINISH
    end admit:loop
    """
    )


def test_between_two_tries_the_one_that_is_over_is_not_ended_again() -> None:
    play(
        """
    CHOSEN one              -> LINK
    FAILED Refused          -> DROP CHOOSE
    LOST ClientGone         -> DROP FINISH
    end choose:client-gone
      one:80 refused 1s next: nothing-sent
    """
    )


def test_a_client_that_breaks_its_request_during_the_response_is_cut() -> None:
    play(
        """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    REFUSED FramingError    -> DROP CUT FINISH
    end frame:bad-request
      one:80 bad-request 3s next: final
    """
    )


def test_a_client_that_goes_during_the_response_needs_no_cut() -> None:
    play(
        """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    LOST ClientGone         -> DROP FINISH
    end relay:client-gone
      one:80 client-gone 3s next: final
    """
    )


# --- mistakes of the caller ---


@pytest.mark.parametrize("event", Input)
def test_nothing_follows_the_end(event: Input) -> None:
    transaction = play("    LOST ClientGone         -> DROP FINISH").transaction
    with pytest.raises(KeyError):
        transaction.receive(event, 2000.0, ClientGone())
    assert transaction.end == "choose:client-gone"


def test_an_input_that_a_state_does_not_know_changes_nothing() -> None:
    transaction = Play().transaction
    with pytest.raises(KeyError):
        transaction.receive(Input.ANSWERED, 2000.0)
    assert (transaction.state, transaction.now) == (CHOOSE, 1000.0)


def test_a_try_that_is_under_way_is_told_as_a_mistake_if_it_is_logged() -> None:
    transaction = play("    CHOSEN one              -> LINK").transaction
    assert transaction.attempt.log_fields()["outcome"] == "internal"
