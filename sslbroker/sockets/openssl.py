"""What a transport asks of OpenSSL for each read and write: to take bytes, to open records, to seal them.

Decides how OpenSSL is called. pyOpenSSL's own calls cost more than what OpenSSL does for a small message:
fresh buffers, exceptions. So `Direct` calls the functions of the binding below it, with one buffer
for all connections; what does not succeed is still judged by pyOpenSSL, which raises what it always does.
Names of pyOpenSSL that are not public are used here and nowhere else; where one is missing, `Public` does the
same by public calls. Invariant: a session opens all that there is, hands out nothing that another session
can change later, but for records that are sent at once, and leaves no plain text in the common buffer.
Refuses to shake hands and to say the end: pyOpenSSL does.

The common buffers are the reactor's thread's. No protocol is called between filling one and emptying it.
"""

from __future__ import annotations

from typing import Any, Protocol

from OpenSSL import SSL

#: The most that one record carries (RFC 8446 §5.1).
RECORD = 16384

#: Bytes that TLS adds to a record, at most: header, explicit nonce, padding and tag.
_AROUND = 64

#: Records that are sealed together: what one read of a link brings, with its head, is no more.
_TOGETHER = 8

#: Bytes of each of the common buffers.
_ROOM = _TOGETHER * (RECORD + _AROUND)

try:
    from OpenSSL.SSL import _ffi, _lib  # type: ignore[attr-defined]

    _BIO_get_mem_data, _BIO_read, _BIO_write = _lib.BIO_get_mem_data, _lib.BIO_read, _lib.BIO_write
    _SSL_read, _SSL_want_read, _SSL_write = _lib.SSL_read, _lib.SSL_want_read, _lib.SSL_write
    _from_buffer, _memmove, _NULL = _ffi.from_buffer, _ffi.memmove, _ffi.NULL
    _OPENED, _SEALED = _ffi.new("char[]", _ROOM), _ffi.new("char[]", _ROOM)
    _OPENED_BYTES, _SEALED_BYTES = _ffi.buffer(_OPENED), _ffi.buffer(_SEALED)
    _SEALED_VIEW = memoryview(_SEALED_BYTES)
    _ZEROS = bytes(_ROOM)
except (ImportError, AttributeError):
    HAS_BINDING = False
else:
    HAS_BINDING = True


class Session(Protocol):
    """One `SSL.Connection`."""

    def feed(self, data: bytes) -> None:
        """Take what came from the peer."""

    def open(self) -> tuple[bytes, SSL.Error | None, bool]:
        """All that the peer has said; what has ended that, if anything; and whether OpenSSL has an answer."""

    def seal(self, data: bytes, at: int) -> tuple[bytes | memoryview, int]:
        """Some records of `data` from `at` on, and how far they go.

        The records are to be sent or copied before anything else is asked of any session. Raises
        `SSL.WantReadError` when the peer must speak first, and any `SSL.Error`; then nothing was sealed.
        """

    def take(self) -> bytes:
        """What OpenSSL itself has to say, or the first of it; nothing when it has nothing."""


class Public:
    """By pyOpenSSL's public calls."""

    __slots__ = ("_tls",)

    def __init__(self, tls: Any) -> None:
        self._tls = tls

    def feed(self, data: bytes) -> None:
        self._tls.bio_write(data)

    def open(self) -> tuple[bytes, SSL.Error | None, bool]:
        receive = self._tls.recv
        pieces = []
        failure = None
        try:
            while True:
                pieces.append(receive(RECORD))
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            failure = error.with_traceback(None)
        return b"".join(pieces), failure, True

    def seal(self, data: bytes, at: int) -> tuple[bytes | memoryview, int]:
        start, view = at, memoryview(data)
        end = min(len(data), at + _TOGETHER * RECORD)
        try:
            while at < end:
                at += self._tls.send(view[at : min(at + RECORD, end)])
        except SSL.Error:
            if at == start:
                raise
        # In records as small as the peer has asked for (RFC 6066 §4) that may need more room.
        pieces = [self.take()]
        while len(pieces[-1]) == _ROOM:
            pieces.append(self.take())
        return b"".join(pieces), at

    def take(self) -> bytes:
        try:
            return self._tls.bio_read(_ROOM)  # type: ignore[no-any-return]
        except SSL.WantReadError:
            return b""


class Direct:
    """By the binding's functions."""

    __slots__ = ("_into", "_out_of", "_ssl", "_tls")

    def __init__(self, tls: Any) -> None:
        self._tls = tls
        self._ssl = tls._ssl
        self._into = tls._into_ssl
        self._out_of = tls._from_ssl

    def feed(self, data: bytes) -> None:
        size = len(data)
        if _BIO_write(self._into, data, size) != size:
            self._tls.bio_write(data)  # which says why not

    def open(self) -> tuple[bytes, SSL.Error | None, bool]:
        ssl, into = self._ssl, self._into
        data, failure = b"", None
        size = _SSL_read(ssl, _OPENED, _ROOM)
        if size > 0:
            # No byte is left to OpenSSL: then it has opened all, and need not be asked in vain.
            while _BIO_get_mem_data(into, _NULL):
                if size > _ROOM - RECORD:
                    data += _OPENED_BYTES[:size]
                    _memmove(_OPENED, _ZEROS, size)
                    size = 0
                more = _SSL_read(ssl, _OPENED + size, _ROOM - size)
                if more <= 0:
                    failure = self._why(more)
                    break
                size += more
            data = data + _OPENED_BYTES[:size] if data else _OPENED_BYTES[:size]
            _memmove(_OPENED, _ZEROS, size)
        else:
            failure = self._why(size)
        return data, failure, _BIO_get_mem_data(self._out_of, _NULL) > 0

    def seal(self, data: bytes, at: int) -> tuple[bytes | memoryview, int]:
        ssl, out_of = self._ssl, self._out_of
        size = len(data)
        if size <= RECORD and not at:
            at = _SSL_write(ssl, data, size)
            if at <= 0:
                self._tls._raise_ssl_error(ssl, at)
            return _SEALED_BYTES[: _BIO_read(out_of, _SEALED, _ROOM)], at
        start = _from_buffer(data)
        sealed = 0
        while at < size and sealed <= _ROOM - RECORD - _AROUND:
            done = _SSL_write(ssl, start + at, min(RECORD, size - at))
            if done <= 0:
                if sealed:
                    break  # it will say so again
                self._tls._raise_ssl_error(ssl, done)
            at += done
            # Out of OpenSSL's buffer at once, which otherwise grows, and is copied whenever it does.
            sealed += _BIO_read(out_of, _SEALED + sealed, _ROOM - sealed)
        return _SEALED_VIEW[:sealed], at

    def take(self) -> bytes:
        if not _BIO_get_mem_data(self._out_of, _NULL):
            return b""
        return _SEALED_BYTES[: _BIO_read(self._out_of, _SEALED, _ROOM)]  # type: ignore[no-any-return]

    def _why(self, result: int) -> SSL.Error | None:
        """Why a read gave nothing; None: more must come.

        That is asked first: the errors by which pyOpenSSL judges are the thread's, not one connection's.
        """
        failure = None
        if not _SSL_want_read(self._ssl):
            try:
                self._tls._raise_ssl_error(self._ssl, result)
            except SSL.Error as error:
                failure = error.with_traceback(None)  # which would keep its frames, and they a transport
        return failure


def session(tls: Any) -> Session:
    """The session of what a creator has made: most often, but not always, an `SSL.Connection` and no more."""
    if HAS_BINDING and type(tls) is SSL.Connection:
        try:
            return Direct(tls)
        except AttributeError:
            pass
    return Public(tls)
