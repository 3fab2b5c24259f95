"""Lives of transactions with a second try beside one that takes long, as transcripts (transcript.py)."""

from __future__ import annotations

import pytest

from sslbroker.core.states import RELAY, WATCH
from sslbroker.core.transitions import PROGRESS
from sslbroker.outcome import Replay

from .transcript import MEMBERS, Play, play

BOTH = """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    HEDGED two              -> HEDGE
    HEDGE_LINKED            -> SEND_HEDGE
"""


def test_the_second_is_faster() -> None:
    transaction = play(
        BOTH
        + """
    OUTRUN                  -> DROP SWAP PASS
    ENDED                   -> FINISH
    end ok
      one:80 outrun 4s next: hedge
      two:80 ok 3s
    """
    ).transaction
    assert transaction.member is MEMBERS["two"]
    assert transaction.timings() == {"choose": 1e3, "link": 1e3, "watch": 1e3, "hedge": 2e3, "relay": 1e3}


def test_the_first_is_faster_after_all() -> None:
    transaction = play(
        BOTH
        + """
    ANSWERED                -> CANCEL PASS
    ENDED                   -> FINISH
    end ok
      one:80 ok 5s
      two:80 outrun 2s next: hedge
    """
    ).transaction
    assert transaction.member is MEMBERS["one"]


def test_one_that_has_no_link_is_outrun_too() -> None:
    play(
        """
    CHOSEN one              -> LINK
    HEDGED two              -> HEDGE
    HEDGE_LINKED            -> SEND_HEDGE
    OUTRUN                  -> DROP SWAP PASS
    ENDED                   -> FINISH
    end ok
      one:80 outrun 3s next: hedge
      two:80 ok 3s
    """
    )


def test_its_link_may_come_while_the_other_is_under_way() -> None:
    play(
        """
    CHOSEN one              -> LINK
    HEDGED two              -> HEDGE
    LINKED reused           -> SEND
    ANSWERED                -> CANCEL PASS
    ENDED                   -> FINISH
    end ok
      one:80 ok 4s reused
      two:80 outrun 2s next: hedge
    """
    )


def test_when_the_second_fails_the_first_goes_on_and_may_be_followed_by_a_third() -> None:
    play(
        BOTH
        + """
    HEDGE_FAILED LinkBroken -> CANCEL
    FAILED LinkBroken       -> DROP CHOOSE
    CHOSEN three            -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    ENDED                   -> FINISH
    end ok
      one:80 broken 5s next: replayable
      two:80 broken 2s next: hedge
      three:80 ok 3s
    """
    )


def test_a_failing_answer_to_the_second_is_kept() -> None:
    play(
        BOTH
        + """
    HEDGE_FAILING FailingStatus -> KEEP_HEDGE
    KEPT                    -> -
    FAILED LinkBroken       -> DROP ANSWER FINISH
    end ok
      one:80 broken 6s next: tries
      two:80 status 2s next: hedge
    """,
        Play(tries=2),
    )


@pytest.mark.parametrize(
    ("happens", "does"), [("FAILED LinkBroken", "DROP"), ("FAILING FailingStatus", "KEEP")]
)
def test_when_the_first_fails_the_second_is_its_next_try(happens: str, does: str) -> None:
    one = play(
        BOTH
        + f"""
    {happens:<24}-> {does} SWAP
    """,
        Play(tries=2),
    )
    assert one.transaction.state is WATCH
    play(
        """
    FAILED Silent           -> DROP ANSWER FINISH
    end watch:silent
    """
        + f"""  one:80 {"broken" if does == "DROP" else "status"} 4s next: hedge
      two:80 silent 3s next: tries
    """,
        one,
    )


def test_it_goes_on_with_its_way_to_a_link_too() -> None:
    play(
        """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    HEDGED two              -> HEDGE
    FAILED LinkBroken       -> DROP SWAP
    FAILED Refused          -> DROP CHOOSE
    CHOSEN three            -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    ENDED                   -> FINISH
    end ok
      one:80 broken 3s next: hedge
      two:80 refused 2s next: nothing-sent
      three:80 ok 3s
    """
    )


def test_an_answer_that_no_server_could_better_is_passed_on() -> None:
    play(
        BOTH
        + """
    FAILING FailingStatus final -> CANCEL PASS
    ENDED                   -> FINISH
    end ok
      one:80 status 5s next: final
      two:80 outrun 2s next: hedge
    """
    )


def test_a_stale_link_does_not_count_for_either() -> None:
    play(
        BOTH
        + """
    HEDGE_FAILED StaleLink  -> CANCEL
    FAILED StaleLink        -> DROP CHOOSE
    CHOSEN three            -> LINK
    """,
        Play(tries=2),
    )


@pytest.mark.parametrize(
    ("event", "does", "cause"),
    [
        ("REFUSED InternalError", "CANCEL DROP ANSWER FINISH", "internal"),
        ("LOST ClientGone", "CANCEL DROP FINISH", "client-gone"),
    ],
)
def test_both_end_with_their_transaction(event: str, does: str, cause: str) -> None:
    play(
        BOTH
        + f"""
    {event:<24}-> {does}
    end hedge:{cause}
      one:80 {cause} 4s next: final
      two:80 {cause} 2s next: final
    """
    )


def test_the_rest_of_an_answer_is_asked_of_neither_again() -> None:
    transaction = play(
        BOTH
        + """
    ANSWERED                -> CANCEL PASS
    RESUMABLE               -> -
    FAILED Truncated        -> DROP CHOOSE
    """
    ).transaction
    assert [one.member for one in transaction.attempts_that_count] == [MEMBERS["two"], MEMBERS["one"]]


@pytest.mark.parametrize(("wins", "used"), [("OUTRUN", ["two"]), ("ANSWERED", ["two", "one"])])
def test_tries_are_counted_anew_after_progress(wins: str, used: list[str]) -> None:
    one = play(BOTH)
    one.happens(wins)
    assert one.transaction.state is RELAY
    one.happens("RESUMABLE")
    one.happens(f"PASSED {PROGRESS}")
    one.happens("FAILED Truncated")
    assert [attempt.member for attempt in one.transaction.attempts_that_count] == [MEMBERS[x] for x in used]
    assert one.transaction.tries_that_count == 1


# --- may there be a second one? ---


def test_only_one_and_only_while_there_is_no_answer() -> None:
    one = Play()
    transaction = one.transaction
    assert not transaction.may_hedge(one.now)
    one.happens("CHOSEN one")
    assert transaction.may_hedge(one.now)
    one.happens("LINKED")
    assert transaction.may_hedge(one.now)
    one.happens("HEDGED two")
    assert not transaction.may_hedge(one.now)
    one.happens("HEDGE_FAILED Refused")
    assert transaction.watched
    assert not transaction.may_hedge(one.now)


def test_none_of_what_must_not_be_repeated_or_is_the_last_try() -> None:
    for one in (Play(Replay.METHOD), Play(tries=1)):
        one.happens("CHOSEN one")
        assert not one.transaction.may_hedge(one.now)


def test_none_of_what_is_not_all_here() -> None:
    one = Play(share=10)
    one.happens("BODY 20")
    one.happens("CHOSEN one")
    one.happens("LINKED")
    assert not one.transaction.may_hedge(one.now)


def test_each_takes_a_token() -> None:
    one = Play()
    one.happens("CHOSEN one")
    assert [one.transaction.may_hedge(one.now) for _ in range(101)] == [True] * 100 + [False]
