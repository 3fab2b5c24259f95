"""Twisted's tests of connections, and of aborted ones, through our own endpoints: for `twisted_suite`.

Decides nothing: each case takes its tests from Twisted's mixins, and its two endpoints from here. Refuses to
be run by pytest: `twisted_suite` chooses the reactor.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.ssl import CertificateOptions
from twisted.internet.test.connectionmixins import ConnectionTestsMixin, EndpointCreator
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.internet.test.test_tcp import AbortConnectionMixin
from twisted.internet.test.test_tls import ContextGeneratingMixin

from sslbroker.sockets.endpoints import ClientEndpoint, ServerEndpoint


class Endpoints(EndpointCreator, ContextGeneratingMixin):
    """Plain ones, or secure ones, on this address."""

    def __init__(self, host: str, is_secure: bool) -> None:
        self._host = host
        self._is_secure = is_secure

    def server(self, reactor: Any) -> ServerEndpoint:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.bind((self._host, 0))
        return ServerEndpoint(reactor, listening, self.getServerContext() if self._is_secure else None)

    def client(self, reactor: Any, serverAddress: Any) -> ClientEndpoint:
        creator = CertificateOptions() if self._is_secure else None
        return ClientEndpoint(reactor, self._host, serverAddress.port, creator)


class PlainEndpoints(ReactorBuilder, ConnectionTestsMixin, AbortConnectionMixin):
    requiredInterfaces = (IReactorFDSet,)
    endpoints = Endpoints("127.0.0.1", False)


class SecureEndpoints(ReactorBuilder, ConnectionTestsMixin, AbortConnectionMixin):
    requiredInterfaces = (IReactorFDSet,)
    endpoints = Endpoints("127.0.0.1", True)


for builder in (PlainEndpoints, SecureEndpoints):
    globals().update(builder.makeTestCaseClasses())
