"""What a broker says when it begins."""

from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent

from sslbroker import announce
from sslbroker.errors import StartError
from sslbroker.settings import Listener


def test_each_line_for_a_terminal_names_the_program() -> None:
    assert announce.explain(StartError("a\nb")) == "sslbroker: a\nsslbroker: b"


def test_where_it_is() -> None:
    with capturedLogs() as events:
        announce.listening(Listener("http", "tcp:0", "shop"), "127.0.0.1:80")
        announce.admin("127.0.0.1:9100")
        announce.admin("/run/admin")
    assert [formatEvent(event) for event in events] == [
        "listening on 127.0.0.1:80 for pool shop (plain)",
        "admin pages on http://127.0.0.1:9100/",
        "admin pages on the UNIX socket /run/admin",
    ]
