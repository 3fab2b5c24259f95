"""docs/failover.md: each row of its table is played, and the log line that it promises is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sslbroker.settings import Failover, LinkTLS, Storage

from ..memory import BrokerCase, Peer
from .test_relay import CIRCLE, ERROR, GET, OK, POST, PUT
from .test_resume import CONTENT, part, whole

DOCUMENT = Path(__file__).parents[2] / "docs/failover.md"

Row = tuple[str, str]
"""An outcome, and what is said of the next try."""


def rows() -> set[Row]:
    """What the table has."""
    found = re.findall(r"^\| [^|*]+ \| `([a-z-]+)` \| `([a-z-]+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    return set(found) - {("outcome", "next")}  # the head


class TheTable(BrokerCase):
    def play(self, request: bytes = GET, *, servers: int = 2, **settings: Any) -> Peer:
        self.start(servers=servers, **settings)
        client = self.client()
        client.sends(request)
        return client

    def told(self) -> list[Row]:
        """The tries of the transactions that are over."""
        for client in self.clients:
            if client.lost is None:
                client.resets()
        self.settle()
        tries = [one for record in self.records.all for one in record["tries"]]
        return [(one["outcome"], one.get("next", "")) for one in tries]

    def refusal(self, behaviour: str, wait: float = 0.0) -> None:
        self.start(servers=2, failover=Failover(connect_timeout=1.0))
        self.servers[0].behaviour = behaviour
        client = self.client()
        client.sends(GET)
        self.wait(wait)
        self.servers[1].link().sends(OK)

    def no_tls(self) -> None:
        self.start(servers=2, continue_secure_link=True, tls=LinkTLS(verify=False))
        self.client().sends(GET)
        self.servers[0].link().sends(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    def stale(self) -> None:
        client = self.play(servers=1, failover=Failover(tries=2))
        first = self.servers[0].link()
        first.sends(OK)
        client.takes()
        self.closes_while_asked(first, client, GET)
        self.servers[0].link().sends(OK)

    def breaks(self, request: bytes = GET, end: str = "resets", **settings: Any) -> None:
        self.play(request, **settings)
        link = self.servers[0].link()
        link.takes()
        getattr(link, end)()
        self.settle()

    def silence(self) -> None:
        self.play()
        self.servers[0].link()
        self.wait(30.0)

    def answers(self, answer: bytes, request: bytes = GET) -> None:
        self.play(request)
        link = self.servers[0].link()
        link.takes()
        link.sends(answer)

    def storage_full(self) -> None:
        storage = Storage(initial=8192, minimum=4096, maximum=8192, per_transaction=8192)
        head = b"PUT /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 9000\r\n\r\n"
        self.play(head + b"x" * 5000, storage=storage)
        other = self.client()
        other.sends(head + b"x" * 4000)
        self.servers[0].link().resets()

    def half(self, head: bytes = b"") -> Peer:
        self.play()
        link = self.servers[0].link()
        link.sends((head or whole()) + CONTENT[:5000])
        return link

    def truncated(self, head: bytes = b"") -> None:
        self.half(head).resets()
        self.settle()

    def stalls(self) -> None:
        self.half()
        self.wait(30.0)

    def differs(self, answer: bytes) -> None:
        self.truncated()
        self.servers[1].link().sends(answer)

    def spent(self) -> None:
        self.start(servers=2)
        while self.pool.budget.take(self.clock.seconds()):
            pass
        self.client().sends(GET)
        self.servers[0].link().resets()

    def beside(self) -> tuple[Peer, Peer]:
        """The request is at two servers."""
        self.start(servers=2, failover=Failover(hedge=True))
        self.client(secure=True).sends(GET)
        first = self.servers[0].link()
        self.wait(0.05)
        return first, self.servers[1].link()

    def test_each_row_is_what_the_log_says(self) -> None:
        untrue = bytes([CONTENT[904] ^ 1]) + CONTENT[905:]
        large = Storage(per_transaction=3)
        plays: dict[Row, Callable[[], object]] = {
            ("refused", "nothing-sent"): lambda: self.refusal("refuse"),
            ("unreachable", "nothing-sent"): lambda: self.refusal("unreachable"),
            ("internal", "nothing-sent"): lambda: self.refusal("no files"),
            ("connect-timeout", "nothing-sent"): lambda: self.refusal("silent", 1.0),
            ("tls-failed", "nothing-sent"): self.no_tls,
            ("stale", "replayable"): self.stale,
            ("broken", "replayable"): self.breaks,
            ("empty", "replayable"): lambda: self.breaks(end="closes"),
            ("silent", "replayable"): self.silence,
            ("broken", "method"): lambda: self.breaks(POST),
            ("broken", "too-large"): lambda: self.breaks(PUT, storage=large),
            ("broken", "storage-full"): self.storage_full,
            ("malformed", "replayable"): lambda: self.answers(b"what?\r\n\r\n"),
            ("status", "replayable"): lambda: self.answers(ERROR),
            ("status", "method"): lambda: self.answers(ERROR, POST),
            ("status", "nothing-done"): lambda: self.misdirected(),
            ("status", "final"): lambda: self.answers(CIRCLE),
            ("truncated", "resume"): self.truncated,
            ("silent", "resume"): self.stalls,
            ("mismatch", "resume"): lambda: self.differs(part(904, b'ETag: "v2"\r\n')),
            ("mismatch", "final"): lambda: self.differs(part(904) + untrue),
            ("truncated", "response-begun"): lambda: self.truncated(whole(b'ETag: W/"v1"\r\n')),
            ("outrun", "hedge"): lambda: self.beside()[1].sends(OK),
            ("broken", "hedge"): lambda: self.beside()[0].resets(),
            ("broken", "tries"): lambda: self.breaks(failover=Failover(tries=1)),
            ("broken", "budget"): self.spent,
            ("client-gone", "final"): lambda: self.play().resets(),
        }
        self.assertEqual(set(plays), rows())
        for row, happens in plays.items():
            with self.subTest(row):
                happens()
                self.assertIn(row, self.told())
                self.tearDown()
                self.setUp()

    def misdirected(self) -> None:
        self.play(POST, failover=Failover(statuses=((421, 421),)))
        self.servers[0].link().sends(ERROR.replace(b"500 Oops", b"421 Wrong"))
