"""Lives of transactions as transcripts: nothing fails, tries fail, the response breaks off.

Clients that fail: test_transaction_client.py. That no row of the table is forgotten, and what holds for
any life: test_transitions.py. How to read a transcript: transcript.py.
"""

from __future__ import annotations

import pytest

from sslbroker.core.attempt import Attempt
from sslbroker.core.states import DONE, RELAY, WATCH, Action, Input
from sslbroker.outcome import Replay

from .transcript import MEMBERS, Play, error, play

# --- nothing fails ---


def test_a_good_answer_is_passed_on() -> None:
    transaction = play(
        """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    ENDED                   -> FINISH
    end ok
      one:80 ok 3s
    """
    ).transaction
    assert transaction.state is DONE
    assert transaction.error is None


def test_the_seconds_are_counted_for_the_phase_in_which_they_pass() -> None:
    transaction = play(
        """
    CHOSEN one              -> LINK
    BODY 1                  -> -
    LINKED                  -> SEND
    BODY 1                  -> -
    BODY 1                  -> -
    ANSWERED                -> PASS
    ENDED                   -> FINISH
    """
    ).transaction
    assert transaction.timings() == {"choose": 1000.0, "link": 2000.0, "watch": 3000.0, "relay": 1000.0}
    assert transaction.waited() == 6.0


def test_the_time_of_a_server_begins_when_it_has_the_request() -> None:
    one = play(
        """
    CHOSEN one              -> LINK
    BODY 1                  -> -
    LINKED                  -> SEND
    ANSWERED                -> PASS
    """
    )
    assert (one.transaction.attempt.began, one.transaction.attempt.sent) == (1001.0, 1003.0)


def test_one_whose_request_went_without_it_stands_where_its_own_steps_would_have_led() -> None:
    short = Play()
    attempt = Attempt(MEMBERS["one"], 1002.0)
    attempt.sent = 1002.0
    transaction = short.transaction
    transaction.under_way(attempt)
    assert (transaction.state, transaction.attempts, transaction.now) == (WATCH, [attempt], 1002.0)
    assert (transaction.attempt, transaction.member) == (attempt, MEMBERS["one"])
    assert transaction.receive(Input.ANSWERED, 1003.5) == (Action.PASS,)
    transaction.receive(Input.ENDED, 1004.0)
    assert transaction.timings() == {"choose": 2000.0, "link": 0.0, "watch": 1500.0, "relay": 500.0}


@pytest.mark.parametrize(("tries", "reused", "last"), [(1, False, True), (1, True, False), (2, False, False)])
def test_the_last_permitted_try_is_known_unless_its_link_may_be_stale(
    tries: int, reused: bool, last: bool
) -> None:
    played = Play(tries=tries)
    played.happens("CHOSEN one")
    played.happens("LINKED reused" if reused else "LINKED")
    assert played.transaction.last is last


def test_once_the_answer_has_begun_nothing_is_kept_for_another_try() -> None:
    one = play(
        """
    BODY 10                 -> -
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    """
    )
    assert one.transaction.state is RELAY
    assert one.stored.replay is Replay.RESPONSE_BEGUN
    assert one.stored.replay_size == 0


def test_a_reused_link_is_told_in_the_log() -> None:
    play(
        """
    CHOSEN one              -> LINK
    LINKED reused           -> SEND
    ANSWERED                -> PASS
    ENDED                   -> FINISH
    end ok
      one:80 ok 3s reused
    """
    )


# --- tries that fail ---


def test_a_refused_link_a_tls_failure_and_a_timeout_are_tried_elsewhere() -> None:
    play(
        """
    CHOSEN one              -> LINK
    FAILED Refused          -> DROP CHOOSE
    CHOSEN two              -> LINK
    FAILED LinkTLSFailed    -> DROP CHOOSE
    CHOSEN three            -> LINK
    FAILED ConnectTimeout   -> DROP ANSWER FINISH
    end link:connect-timeout
      one:80 refused 1s next: nothing-sent
      two:80 tls-failed 1s next: nothing-sent
      three:80 connect-timeout 1s next: tries
    """
    )


@pytest.mark.parametrize("replay", [Replay.REPLAYABLE, Replay.METHOD])
def test_a_request_that_was_not_sent_is_tried_again_whatever_its_method(replay: Replay) -> None:
    play(
        """
    BODY 500                -> -
    CHOSEN one              -> LINK
    FAILED Refused          -> DROP CHOOSE
    CHOSEN two              -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    ENDED                   -> FINISH
    end ok
      one:80 refused 1s next: nothing-sent
      two:80 ok 3s
    """,
        Play(replay),
    )


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ("LinkBroken", "broken"),
        ("StaleLink", "stale"),
        ("EmptyResponse", "empty"),
        ("MalformedResponse", "malformed"),
        ("Silent", "silent"),
    ],
)
def test_a_replayable_request_is_sent_again_whole(error: str, cause: str) -> None:
    one = Play()
    play(
        f"""
    BODY 10                 -> -
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    BODY 20                 -> -
    {"FAILED " + error:<24}-> DROP CHOOSE
    BODY 5                  -> -
    """,
        one,
    )
    assert one.stored.unsent_size == 35
    play(
        f"""
    CHOSEN two              -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    ENDED                   -> FINISH
    end ok
      one:80 {cause} 3s next: replayable
      two:80 ok 3s
    """,
        one,
    )


@pytest.mark.parametrize("kind", ["LinkBroken", "StaleLink", "EmptyResponse", "MalformedResponse", "Silent"])
def test_a_request_that_must_not_be_repeated_is_answered_with_the_failure(kind: str) -> None:
    name = error(kind).cause.value
    play(
        f"""
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    {"FAILED " + kind:<24}-> DROP ANSWER FINISH
    end watch:{name}
      one:80 {name} 2s next: method
    """,
        Play(Replay.METHOD),
    )


def test_a_body_above_its_share_is_not_sent_again() -> None:
    play(
        """
    BODY 101                -> -
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    FAILED LinkBroken       -> DROP ANSWER FINISH
    end watch:broken
      one:80 broken 2s next: too-large
    """
    )


def test_a_copy_that_was_given_up_for_want_of_room_is_not_sent_again() -> None:
    one = play(
        """
    BODY 10                 -> -
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    """
    )
    one.stored.give_up(Replay.STORAGE_FULL)
    play(
        """
    FAILED LinkBroken       -> DROP ANSWER FINISH
    end watch:broken
      one:80 broken 2s next: storage-full
    """,
        one,
    )


def test_after_something_was_sent_an_error_that_claims_otherwise_is_not_believed() -> None:
    play(
        """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    FAILED LinkTLSFailed    -> DROP ANSWER FINISH
    end link:tls-failed
      one:80 tls-failed 2s next: method
    """,
        Play(Replay.METHOD),
    )


def test_an_error_of_the_link_that_may_have_sent_something_is_not_tried_again() -> None:
    play(
        """
    CHOSEN one              -> LINK
    FAILED LinkBroken       -> DROP ANSWER FINISH
    end watch:broken
      one:80 broken 1s next: method
    """,
        Play(Replay.METHOD),
    )


# --- failing statuses ---


def test_a_failing_answer_is_passed_on_when_the_request_must_not_be_repeated() -> None:
    play(
        """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    FAILING FailingStatus         -> PASS
    ENDED                   -> FINISH
    end ok
      one:80 status 3s next: method
    """,
        Play(Replay.METHOD),
    )


def test_the_last_permitted_failing_answer_is_passed_on() -> None:
    transaction = play(
        """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    FAILING FailingStatus         -> KEEP CHOOSE
    CHOSEN two              -> LINK
    LINKED                  -> SEND
    FAILING FailingStatus         -> PASS
    ENDED                   -> FINISH
    end ok
      one:80 status 2s next: replayable
      two:80 status 3s next: tries
    """,
        Play(tries=2),
    ).transaction
    assert transaction.error is None


def test_a_failing_answer_that_breaks_off_while_it_is_passed_on_is_cut() -> None:
    play(
        """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    FAILING FailingStatus         -> PASS
    FAILED Truncated        -> DROP CUT FINISH
    end relay:truncated
      one:80 truncated 3s next: response-begun
    """,
        Play(tries=1),
    )


# --- no server ---


def test_without_a_server_the_client_is_told_so() -> None:
    play(
        """
    NO_SERVER NoServer      -> DROP ANSWER FINISH
    end choose:no-server
    """
    )


def test_when_there_is_no_further_server_the_last_failure_is_told() -> None:
    play(
        """
    CHOSEN one              -> LINK
    FAILED Refused          -> DROP CHOOSE
    NO_SERVER NoServer      -> DROP ANSWER FINISH
    end link:refused
      one:80 refused 1s next: nothing-sent
    """
    )


# --- the response breaks off ---


@pytest.mark.parametrize(("error", "cause"), [("Truncated", "truncated"), ("Stalled", "silent")])
@pytest.mark.parametrize("replay", [Replay.REPLAYABLE, Replay.METHOD])
def test_a_response_that_breaks_off_is_cut_visibly(error: str, cause: str, replay: Replay) -> None:
    play(
        f"""
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    {"FAILED " + error:<24}-> DROP CUT FINISH
    end relay:{cause}
      one:80 {cause} 3s next: response-begun
    """,
        Play(replay),
    )


def test_a_response_that_breaks_off_goes_on_at_another_server() -> None:
    transaction = play(
        """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    RESUMABLE               -> -
    FAILED Truncated        -> DROP CHOOSE
    CHOSEN two              -> LINK
    LINKED reused           -> SEND
    ANSWERED                ->
    ENDED                   -> FINISH
    end ok
      one:80 truncated 4s next: resume
      two:80 ok 3s reused
    """
    ).transaction
    assert transaction.timings() == {
        "choose": 1000.0,
        "link": 1000.0,
        "watch": 1000.0,
        "relay": 3000.0,
        "resume": 3000.0,
    }
    assert transaction.waited() == 3.0


def test_a_response_goes_on_after_it_stalled_and_after_it_broke_off_again() -> None:
    play(
        """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    RESUMABLE               -> -
    FAILED Stalled          -> DROP CHOOSE
    CHOSEN two              -> LINK
    LINKED                  -> SEND
    ANSWERED                ->
    FAILED Truncated        -> DROP CHOOSE
    CHOSEN three            -> LINK
    LINKED                  -> SEND
    ANSWERED                ->
    ENDED                   -> FINISH
    end ok
      one:80 silent 4s next: resume
      two:80 truncated 3s next: resume
      three:80 ok 3s
    """
    )


def test_who_has_not_the_rest_or_fails_is_followed_by_the_next_one() -> None:
    play(
        """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    RESUMABLE               -> -
    FAILED Truncated        -> DROP CHOOSE
    CHOSEN two              -> LINK
    FAILED Refused          -> DROP CHOOSE
    CHOSEN three            -> LINK
    LINKED                  -> SEND
    FAILED Mismatch         -> DROP CHOOSE
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    FAILED FailingStatus    -> DROP CUT FINISH
    end resume:status
      one:80 truncated 4s next: resume
      two:80 refused 1s next: resume
      three:80 mismatch 2s next: resume
      one:80 status 2s next: tries
    """,
        Play(tries=4),
    )


def test_what_proves_that_the_validator_proves_nothing_ends_it() -> None:
    play(
        """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    RESUMABLE               -> -
    FAILED Truncated        -> DROP CHOOSE
    CHOSEN two              -> LINK
    LINKED                  -> SEND
    ANSWERED                ->
    FAILED Mismatch final   -> DROP CUT FINISH
    end resume:mismatch
      one:80 truncated 4s next: resume
      two:80 mismatch 3s next: final
    """
    )


def test_when_nobody_can_be_asked_for_the_rest_the_client_is_cut() -> None:
    play(
        """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    RESUMABLE               -> -
    FAILED Truncated        -> DROP CHOOSE
    NO_SERVER NoServer      -> DROP CUT FINISH
    end resume:truncated
      one:80 truncated 4s next: resume
    """
    )


def test_a_client_that_leaves_or_errs_while_the_rest_is_asked_for() -> None:
    for line, end, done in (
        ("LOST ClientGone", "client-gone", "DROP"),
        ("REFUSED FramingError", "bad-request", "DROP CUT"),
    ):
        for asked in ("", "CHOSEN two              -> LINK"):
            lasts = f"two:80 {end} 1s next: final" if asked else ""
            play(
                f"""
            CHOSEN one              -> LINK
            LINKED                  -> SEND
            ANSWERED                -> PASS
            RESUMABLE               -> -
            FAILED Truncated        -> DROP CHOOSE
            {asked}
            {line} -> {done} FINISH
            end resume:{end}
              one:80 truncated 4s next: resume
              {lasts}
            """
            )


def test_tries_are_counted_anew_once_a_response_has_got_on() -> None:
    script = """
    CHOSEN one              -> LINK
    FAILED Refused          -> DROP CHOOSE
    CHOSEN two              -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    RESUMABLE               -> -
    PASSED {}               -> -
    """
    further = play(script.format(65536) + "FAILED Truncated -> DROP CHOOSE", Play(tries=2)).transaction
    assert [attempt.member.address for attempt in further.attempts_that_count] == ["two:80"]
    stopped = play(script.format(65535) + "FAILED Truncated -> DROP CUT FINISH", Play(tries=2)).transaction
    assert [attempt.member.address for attempt in stopped.attempts_that_count] == ["one:80", "two:80"]


# --- what is kept ---


def test_a_failing_answer_that_was_kept_is_better_than_none() -> None:
    for last, fields in (
        ("CHOSEN two -> LINK\nFAILED Refused -> DROP ANSWER FINISH", "two:80 refused 1s next: tries"),
        (
            "CHOSEN two -> LINK\nLINKED -> SEND\nFAILED Silent -> DROP ANSWER FINISH",
            "two:80 silent 2s next: tries",
        ),
        ("NO_SERVER NoServer -> DROP ANSWER FINISH", ""),
    ):
        for lost in (False, True):
            played = play(
                f"""
            CHOSEN one              -> LINK
            LINKED                  -> SEND
            FAILING FailingStatus   -> KEEP CHOOSE
            KEPT -> -
            {"LOST-KEPT -> -" if lost else ""}
            {last}
            """,
                Play(tries=2),
            )
            transaction = played.transaction
            assert (transaction.error is None) is not lost
            if not lost:
                assert transaction.end == "ok"
                assert transaction.member is transaction.attempts[0].member
            assert fields in " ".join(" ".join(played.ended()).split())


def test_a_better_answer_makes_a_kept_one_forgotten() -> None:
    transaction = play(
        """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    FAILING FailingStatus   -> KEEP CHOOSE
    KEPT                    -> -
    CHOSEN two              -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    """
    ).transaction
    assert transaction.kept is None
    assert transaction.member is not None
    assert transaction.member.address == "two:80"


# --- links that were closed ---


def test_a_try_over_a_stale_link_does_not_count() -> None:
    play(
        """
    CHOSEN one              -> LINK
    LINKED reused           -> SEND
    FAILED StaleLink        -> DROP CHOOSE
    CHOSEN two              -> LINK
    LINKED reused           -> SEND
    FAILED StaleLink        -> DROP CHOOSE
    CHOSEN three            -> LINK
    FAILED Refused          -> DROP CHOOSE
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    FAILED LinkBroken       -> DROP ANSWER FINISH
    end watch:broken
      one:80 stale 2s reused next: replayable
      two:80 stale 2s reused next: replayable
      three:80 refused 1s next: nothing-sent
      one:80 broken 2s next: tries
    """,
        Play(tries=2),
    )


def test_but_no_more_of_them_are_made_than_tries() -> None:
    stale = """
    CHOSEN one              -> LINK
    LINKED reused           -> SEND
    FAILED StaleLink        -> {}
    """
    play(
        "".join(stale.format(done) for done in ["DROP CHOOSE"] * 3 + ["DROP ANSWER FINISH"]),
        Play(tries=2),
    )


# --- the budget, and an outage ---


def test_what_was_sent_is_not_sent_again_when_the_budget_is_spent() -> None:
    one = Play()
    while one.budget.take(one.now):
        pass
    play(
        """
    CHOSEN one              -> LINK
    FAILED Refused          -> DROP CHOOSE
    CHOSEN two              -> LINK
    LINKED                  -> SEND
    FAILED LinkBroken       -> DROP ANSWER FINISH
    end watch:broken
      one:80 refused 1s next: nothing-sent
      two:80 broken 2s next: budget
    """,
        one,
    )


def test_while_no_server_can_be_reached_a_transaction_waits_for_one() -> None:
    play(
        """
    OUTAGE                  -> -
    CHOSEN one              -> LINK
    FAILED Refused          -> DROP CHOOSE
    CHOSEN one              -> LINK
    FAILED Refused          -> DROP CHOOSE
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    ANSWERED                -> PASS
    ENDED                   -> FINISH
    end ok
      one:80 refused 1s next: nothing-sent
      one:80 refused 1s next: nothing-sent
      one:80 ok 3s
    """,
        Play(tries=1),
    )


# --- streams, links that are pinned, servers that did nothing, brokers behind brokers ---


def test_a_stream_of_which_nothing_was_written_goes_to_another_server() -> None:
    play(
        """
    STREAM                  -> -
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    FAILED EmptyResponse    -> DROP CHOOSE
    CHOSEN two              -> LINK
    LINKED                  -> SEND
    BODY 5                  -> -
    FAILED EmptyResponse    -> DROP ANSWER FINISH
    end watch:empty
      one:80 empty 2s next: nothing-sent
      two:80 empty 3s next: stream
    """,
        Play(Replay.STREAM),
    )


def test_what_came_of_a_stream_before_its_link_counts_as_written_with_it() -> None:
    play(
        """
    STREAM                  -> -
    BODY 5                  -> -
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    FAILED EmptyResponse    -> DROP ANSWER FINISH
    end watch:empty
      one:80 empty 2s next: stream
    """,
        Play(Replay.STREAM),
    )


def test_only_the_pinned_link_is_tried() -> None:
    for line in (
        "FAILED LinkBroken       -> DROP ANSWER FINISH",
        "FAILED StaleLink        -> DROP ANSWER FINISH",
    ):
        play(
            f"""
        CHOSEN one              -> LINK
        LINKED reused           -> SEND
        {line}
        end watch:{"broken" if "Broken" in line else "stale"}
          one:80 {"broken" if "Broken" in line else "stale"} 2s reused next: pinned
        """,
            Play(Replay.PINNED),
        )


def test_a_server_that_proves_that_it_did_nothing_lets_an_unsafe_request_go_on() -> None:
    play(
        """
    CHOSEN one                    -> LINK
    LINKED                        -> SEND
    FAILING FailingStatus undone  -> KEEP CHOOSE
    CHOSEN two                    -> LINK
    LINKED                        -> SEND
    FAILING FailingStatus         -> PASS
    ENDED                         -> FINISH
    end ok
      one:80 status 2s next: nothing-done
      two:80 status 3s next: method
    """,
        Play(Replay.METHOD, keeps=True),
    )


def test_but_not_when_what_was_sent_is_gone() -> None:
    play(
        """
    BODY 200                      -> -
    CHOSEN one                    -> LINK
    LINKED                        -> SEND
    FAILING FailingStatus undone  -> PASS
    ENDED                         -> FINISH
    end ok
      one:80 status 3s next: too-large
    """,
        Play(Replay.METHOD, keeps=True),
    )


def test_an_answer_that_no_server_could_mend_is_passed_on() -> None:
    play(
        """
    CHOSEN one                    -> LINK
    LINKED                        -> SEND
    FAILING FailingStatus         -> KEEP CHOOSE
    CHOSEN two                    -> LINK
    LINKED                        -> SEND
    FAILING FailingStatus final   -> PASS
    ENDED                         -> FINISH
    end ok
      one:80 status 2s next: replayable
      two:80 status 3s next: final
    """
    )


def test_tries_of_a_broker_behind_the_link_count_as_ours() -> None:
    played = play(
        """
    CHOSEN one              -> LINK
    LINKED                  -> SEND
    TRIED 3                 -> -
    FAILING FailingStatus         -> PASS
    ENDED                   -> FINISH
    end ok
      one:80 status 4s next: tries
    """,
        Play(tries=3),
    )
    assert played.transaction.tries == 3


def test_the_final_failure_says_how_often_it_was_tried() -> None:
    played = play(
        """
    CHOSEN one              -> LINK
    FAILED Refused          -> DROP CHOOSE
    CHOSEN two              -> LINK
    FAILED Refused          -> DROP CHOOSE
    NO_SERVER NoServer      -> DROP ANSWER FINISH
    end link:refused
      one:80 refused 1s next: nothing-sent
      two:80 refused 1s next: nothing-sent
    """,
        Play(tries=5),
    )
    assert played.transaction.error is not None
    assert played.transaction.error.tries == 2


def test_what_the_protocol_answers_by_itself_needs_no_try() -> None:
    play(
        """
    OWN                     -> FINISH
    end ok
    """
    )
