"""RESP, the protocol of Redis, for the broker: ``protocol = "resp"`` and ``protocol = "resp-sharded"``.

Decides which codecs and rules belong together. Invariant: a codec of ``resp-sharded`` never puts commands
into one exchange whose keys have different places. Refuses to know a pool's servers.
"""

from __future__ import annotations

from zope.interface import implementer

from sslbroker.interfaces import IBackendProtocol, IExchangeRules, IProbe, IResponseClassifier
from sslbroker.settings import Pool

from .client_codec import ClientCodec
from .rules import Classifier, Rules
from .server_codec import ServerCodec


@implementer(IBackendProtocol, IProbe)
class RESP:
    """`by_key`: the pool's servers divide the keys among them, by ``balance = "hash"``."""

    alpn: tuple[bytes, ...] = ()
    server_first = False

    def __init__(self, name: str = "resp", *, by_key: bool = False) -> None:
        self.name = name
        self.by_key = by_key

    def client_codec(self, head_size: int, headers: int) -> ClientCodec:
        """`headers` has no use: what counts the arguments of a command are their bytes."""
        return ClientCodec(head_size, by_key=self.by_key)

    def server_codec(self, head_size: int, headers: int) -> ServerCodec:
        return ServerCodec(head_size)

    def rules(self, pool: Pool, broker_name: str) -> IExchangeRules:
        rules: IExchangeRules = Rules(pool, by_key=self.by_key)
        return rules

    def classifier(self, pool: Pool) -> IResponseClassifier:
        classifier: IResponseClassifier = Classifier()
        return classifier

    def probe(self, host: str) -> bytes:
        return b"*1\r\n$4\r\nPING\r\n"

    def answers(self, received: bytes) -> bool | None:
        """An error is an answer too: of a server that asks for a user, or is loading."""
        if not received:
            return None
        return received[:1] in (b"+", b"-")
