"""The one vocabulary of what happens to a transaction.

Decides the words: the phases of a transaction's life, the causes by which a phase can fail, and
the reasons for which another try may or may not be made. Every state, error, log field and metric
label uses these words and no others. Refuses to hold behaviour: it imports nothing of the project.
"""

from __future__ import annotations

from enum import Enum


class Phase(Enum):
    """Where in its life a transaction is; also the label of its timings."""

    ACCEPT = "accept"
    TLS = "tls"
    FRAME = "frame"
    ADMIT = "admit"
    STORE = "store"
    CHOOSE = "choose"
    LINK = "link"
    RELAY = "relay"
    WATCH = "watch"
    HEDGE = "hedge"
    RESUME = "resume"
    LOG = "log"


class Cause(Enum):
    """How a phase, a try or a transaction ended."""

    __hash__ = object.__hash__  # Enum's own is written in Python

    OK = "ok"
    # of a link, before anything was sent
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect-timeout"
    TLS_FAILED = "tls-failed"
    # of a try, after something was sent
    STALE = "stale"
    BROKEN = "broken"
    EMPTY = "empty"
    MALFORMED = "malformed"
    TRUNCATED = "truncated"
    SILENT = "silent"
    STATUS = "status"
    OUTRUN = "outrun"  # the same request at another server was answered first: no failure
    MISMATCH = "mismatch"  # of what another server sent in place of the rest of a response
    # of the choice
    NO_SERVER = "no-server"
    QUEUE_TIMEOUT = "queue-timeout"
    QUEUE_FULL = "queue-full"
    PACED = "paced"  # of plain traffic, which gives way to secure transactions
    # of the client
    CLIENT_GONE = "client-gone"
    CLIENT_TIMEOUT = "client-timeout"
    BAD_REQUEST = "bad-request"
    REFUSED_REQUEST = "refused-request"
    # of the broker
    LOOP = "loop"
    SHUTDOWN = "shutdown"
    INTERNAL = "internal"


class Replay(Enum):
    """Why another try may be made, or why not. Logged with each try.

    The first four allow it; the others do not. `NOTHING_DONE`: the server's answer proves that it did
    nothing. `RESUME`: the client has a part of the response, and another server is asked for the rest.
    `HEDGE`: none was needed, for the same request was under way at another server, too, and went on there.
    `STREAM`: bytes of a stream have reached a server. `PINNED`: only the link that holds the
    client's state could do it. `BUDGET`: the pool has made too many further tries lately. `FINAL`: no server
    could mend it, for the failure is the client's or the broker's own, or the request goes in a circle.
    """

    NOTHING_SENT = "nothing-sent"
    NOTHING_DONE = "nothing-done"
    REPLAYABLE = "replayable"
    RESUME = "resume"
    HEDGE = "hedge"
    METHOD = "method"
    STREAM = "stream"
    PINNED = "pinned"
    TOO_LARGE = "too-large"
    STORAGE_FULL = "storage-full"
    RESPONSE_BEGUN = "response-begun"
    TRIES = "tries"
    BUDGET = "budget"
    FINAL = "final"


class After(Enum):
    """What a connection is good for after an exchange."""

    REUSABLE = "reusable"
    PINNED = "pinned"
    CLOSE = "close"
