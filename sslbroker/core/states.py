"""The words of a transaction's life: where it can be, what can happen to it, and what is done then.

Decides how these are called: in the table of `transitions`, in the glue that carries out what it says, and in
ARCHITECTURE.md. Invariant: each state is a phase that time is counted for, and each word says what it means.
Refuses to say which follows which.
"""

from __future__ import annotations

from enum import Enum

from ..outcome import Phase


class State(Enum):
    """Where the transaction is; the value is the phase that its time is counted for."""

    CHOOSE = Phase.CHOOSE
    LINK = Phase.LINK
    WATCH = Phase.WATCH
    HEDGE = Phase.HEDGE
    RELAY = Phase.RELAY
    RESUME = Phase.RESUME
    DONE = Phase.LOG

    __hash__ = object.__hash__  # Enum's own is written in Python, and every step looks states up


class Input(Enum):
    """What can happen to a transaction."""

    CHOSEN = "a server was chosen"
    NO_SERVER = "no server can be chosen"
    LINKED = "a link to the server is ready"
    FAILED = "the try failed"
    FAILING = "its answer is a failing one"
    ANSWERED = "a good response head came"
    HEDGED = "it takes long, and a server was chosen for a try beside it"
    HEDGE_LINKED = "a link for the try beside it is ready"
    OUTRUN = "the try beside it has a good answer first"
    HEDGE_FAILED = "the try beside it failed"
    HEDGE_FAILING = "the answer to the try beside it is a failing one"
    ENDED = "the response is whole"
    OWN = "the protocol answers by itself"
    REFUSED = "the client broke its protocol or a limit"
    LOST = "the client is gone"

    __hash__ = object.__hash__


class Action(Enum):
    """What the glue does after a transition, in the order given."""

    CHOOSE = "choose a server"
    LINK = "get a link to it"
    SEND = "send the request, from storage"
    DROP = "end the try and close its link"
    KEEP = "end the try, and keep its answer while another one is made"
    HEDGE = "make the same try at another server, beside it"
    SEND_HEDGE = "send the request in the try beside it"
    SWAP = "the try beside it takes its place"
    CANCEL = "end the try beside it, and close its link"
    KEEP_HEDGE = "end the try beside it, and keep its answer"
    PASS = "pass the response's head to the client"
    ANSWER = "answer the client: with the answer that was kept, or with an error of the broker's own"
    CUT = "cut the client's connection, visibly"
    FINISH = "log and forget"

    __hash__ = object.__hash__


CHOOSE, LINK, WATCH, HEDGE, RELAY, RESUME, DONE = State

Actions = tuple[Action, ...]
