"""The cases: which servers there are, what befalls them, what is asked, and what is to be reached.

Decides the table. Invariant: a case is the same for each proxy, seeds included. Refuses to know proxies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .befalling import Fault
from .content import SIZE

NOTHING = Fault("")
GOOD = ("good", "good", "good")
STOP, STOPPED = Fault("stop", every=4.0, away=3.0), "one of three stopped for 3 s, again and again"


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    kinds: Sequence[str] = GOOD  # of the three servers
    fault: Fault = NOTHING
    response_timeout: int = 30
    requests: int = 20_000
    size: int = SIZE  # of the files
    rate: float = 800.0  # requests a second, at most
    patience: float = 5.0  # seconds that a client waits for an answer
    posts: bool = False
    keyed: bool = False
    unseen: bool = True  # behind the broker no error may be visible
    note: str = ""


ONCE = ("once", "once", "once")  # they execute, count, and share the keys


def _posts(name: str, keyed: str, what: str, **more: Any) -> tuple[Case, Case]:
    """A case of POST, and the same with a key for each request, which may then be sent again."""
    plain = Case(name, f"POST, {what}", rate=400.0, posts=True, unseen=False, **more)
    title = f"POST with Idempotency-Key, {what}"
    return plain, replace(plain, name=keyed, title=title, keyed=True, unseen=True, note="")


POSTS = (
    *_posts(
        "post",
        "keyed",
        "one of three killed each second",
        kinds=ONCE,
        fault=Fault("kill"),
        requests=6000,
        note="what was sent is not sent again, and fails visibly",
    ),
    *_posts(
        "post-stop",
        "keyed-stop",
        STOPPED,
        kinds=ONCE,
        fault=STOP,
        response_timeout=1,
        requests=4000,
        note="as above",
    ),
    *_posts(
        "unsure",
        "unsure-keyed",
        "one of three executes and answers badly or not at all",
        kinds=("forgetful", "once", "once"),
        requests=3200,
        note="as above",
    ),
)

CASES = (
    Case("kill", "one of three killed each second", fault=Fault("kill")),
    Case(
        "stop",
        STOPPED,
        fault=STOP,
        response_timeout=1,
    ),
    Case("status", "one of three answers 500", kinds=("status", "good", "good")),
    Case("cut", "one of three ends within bodies", kinds=("cut", "good", "good")),
    Case(
        "garbage",
        "one of three answers with garbage",
        kinds=("garbage", "good", "good"),
        patience=1.0,  # garbage that a proxy hands on may be a head without an end
    ),
    Case(
        "long",
        "answers of 2 MB, one of three killed each second",
        fault=Fault("kill"),
        requests=500,
        size=2**21,
        rate=20.0,
    ),
    Case("outage", "all three killed every 4 s", fault=Fault("kill", every=4.0, together=3)),
    Case(
        "weak",
        "one of three killed each second, weak ETags",
        kinds=("weak", "weak", "weak"),
        fault=Fault("kill"),
        unseen=False,
        note="a body that cannot be continued is cut, visibly",
    ),
    *POSTS,
)
