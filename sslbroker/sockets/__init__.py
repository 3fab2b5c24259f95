"""Sockets on Twisted's reactor, plain and with TLS: a transport that costs little.

Knows nothing of brokers: to a protocol it is what Twisted's transports are, and `endpoints` gives it to any
Twisted program. `broker.transport` chooses between it and Twisted's own.
"""

from __future__ import annotations

import sys


def install_reactor_if_free() -> None:
    """Make `reactor.DirectEPollReactor` this process's, where there is epoll and nobody has chosen another.

    To be called before anything imports `twisted.internet.reactor`, which installs Twisted's choice.
    """
    if sys.platform == "linux" and "twisted.internet.reactor" not in sys.modules:
        from .reactor import install

        install()
