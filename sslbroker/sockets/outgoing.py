"""What has been written to a connection and has not left it, and who writes more.

Decides when bytes leave. Small writes leave at the end of the reactor's turn, with those of others, where the
reactor tells of that (`reactor.DirectEPollReactor.turn`): who reads them is woken once for several. Larger
ones leave at once, in the call that writes them. What the kernel does not take waits here: so a write needs
no turn of its own and no change of the reactor's interest. Invariant: bytes leave in the order in which they
were written; what waits is ours alone. Refuses to end a connection, even a broken one: the next turn tells.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

#: Bytes that wait here before the producer must pause, unless somebody sets a transport's `bufferSize`.
HIGH_WATER = 65536

#: Bytes of a write that leaves at once: what waking its reader costs is little beside it.
LARGE = 16384

#: Bytes that are offered to the kernel at once: more it does not take, and copying them together costs.
SEND = 131072


class Outgoing:
    """The half of a transport that is written to."""

    __slots__ = (
        "_aborting",
        "_broken",
        "_closing",
        "_offset",
        "_over",
        "_turn",
        "_waiting",
        "bufferSize",
        "connected",
        "disconnected",
        "producer",
        "producerPaused",
        "reactor",
        "socket",
        "streamingProducer",
        "unsent",
    )

    def __init__(self, reactor: Any, connected: socket.socket) -> None:
        self.reactor = reactor
        self.socket = connected
        self.connected = True
        self.disconnected = False
        self.producer: Any = None
        self.producerPaused = False
        self.streamingProducer = False
        self.bufferSize = HIGH_WATER
        self.unsent = 0  # bytes that the kernel has not taken
        self._waiting: list[bytes] = []  # those bytes, after the first `_offset`
        self._offset = 0
        self._aborting = False
        self._broken = 0  # why the kernel has refused a write (errno): the next turn of the reactor tells
        self._closing = False  # the socket is to be closed when nothing waits
        self._over = False  # nothing can be written any more: no producer is waited for
        self._turn: list[Any] | None = getattr(reactor, "turn", None)

    # --- IConsumer ---

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Raises `RuntimeError` while another producer is registered."""
        if self.producer is not None:
            raise RuntimeError(
                f"Cannot register producer {producer}, because producer {self.producer} was never "
                "unregistered."
            )
        if self.disconnected:
            producer.stopProducing()
            return
        self.producer = producer
        self.streamingProducer = streaming
        if not streaming:
            self.reactor.addWriter(self)  # what was written before may be sent already: then this turn asks
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        self.producer = None
        if self.connected and self._closing and not self._aborting:
            self.reactor.addWriter(self)

    # --- sending ---

    def end_turn(self) -> None:
        """Send what was written in this turn of the reactor."""
        if not self._waiting or self._aborting or self.disconnected:
            return
        pulls = self.producer is not None and not self.streamingProducer
        if not self._send_waiting() or self.producerPaused or pulls:
            self.reactor.addWriter(self)  # which goes on sending, and asks the producer for more

    def _wants_more(self) -> bool:
        """Is the producer to be asked, now that nothing waits?"""
        paused = self.producerPaused or not self.streamingProducer
        return self.producer is not None and paused and not self._over

    def _send(self, data: bytes | memoryview) -> None:
        """Give `data` to the kernel; what it does not take waits: of a buffer that changes, a copy.

        Who writes must then `_hold` the producer, if too much is `unsent`.
        """
        size = len(data)
        if self._waiting or self._broken:
            self._waiting.append(bytes(data))
            self.unsent += size
            return
        if size < LARGE and self._turn is not None:
            self._waiting.append(bytes(data))
            self.unsent = size
            self._turn.append(self)
            return
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            sent = 0
            self._broken = error.errno or errno.EIO
        if sent == size:
            if self.producer is not None and not self.streamingProducer:
                self.reactor.addWriter(self)  # which asks it for more
            return
        self._waiting.append(bytes(data))
        self._offset = sent
        self.unsent = size - sent
        if not self._aborting:
            self.reactor.addWriter(self)

    def _hold(self) -> None:
        """Pause who pushes."""
        if self.producer is not None and self.streamingProducer:
            self.producerPaused = True
            self.producer.pauseProducing()

    def _send_waiting(self) -> bool:
        """Send of what waits as much as the kernel takes; True: that was all."""
        waiting = self._waiting
        if len(waiting) > 1:
            self._join()
        data: bytes | memoryview = waiting[0]
        if self._offset:
            data = memoryview(data)[self._offset :]
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            return False
        except OSError as error:
            self._broken = error.errno or errno.EIO
            return False
        self.unsent -= sent
        if sent < len(data):
            self._offset += sent
            return False
        self._offset = 0
        del waiting[0]
        return not waiting

    def _join(self) -> None:
        """What waits in many small pieces leaves in one large one."""
        waiting, size, count = self._waiting, -self._offset, 0
        while count < len(waiting) and size < SEND:
            size += len(waiting[count])
            count += 1
        if count > 1:
            pieces: list[Any] = [memoryview(waiting[0])[self._offset :], *waiting[1:count]]
            waiting[:count] = [b"".join(pieces)]
            self._offset = 0
