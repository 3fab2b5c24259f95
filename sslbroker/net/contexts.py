"""What both sides of the broker have in common of TLS: how a context begins, and what it shows.

Decides versions, options and groups, for listeners and for links to servers alike. Invariant: two contexts
that were begun with the same minimum differ in nothing that a handshake decides before it knows a name.
Refuses to verify anybody and to choose a certificate.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from OpenSSL import SSL

from ..errors import Problem, StartError
from .certificates import Identity

#: The settings `minimum` of both sides.
_MINIMUM = {"TLSv1.2": SSL.TLS1_2_VERSION, "TLSv1.3": SSL.TLS1_3_VERSION}

#: Key agreement: what Mozilla's "intermediate" allows, after the post-quantum hybrid, for which a client
#: is asked (HelloRetryRequest) when it supports it. Others would let a client choose how much a handshake
#: costs the broker. Towards a server a key share is sent for each group with an asterisk, so that one
#: without the hybrid costs no round trip more. The other forms are for an OpenSSL before 3.5, and for one
#: that has NIST curves only.
_GROUPS = (b"?*X25519MLKEM768/?*X25519:?secp256r1/?secp384r1", b"X25519:P-256:P-384", b"P-256:P-384")


def new_context(method: int, minimum: str) -> SSL.Context:
    """A context with what both sides of the broker have in common: versions, options, groups."""
    context = SSL.Context(method)
    context.set_min_proto_version(_MINIMUM[minimum])
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # 34 KiB less for each idle connection
    # pyOpenSSL has no public call for several groups; without this one OpenSSL's own groups remain.
    with suppress(AttributeError):
        set_groups = SSL._lib.SSL_CTX_set1_curves_list  # type: ignore[attr-defined]
        any(set_groups(context._context, groups) for groups in _GROUPS)  # the first that works
        # Before 4.0 OpenSSL would take what it said of the others for an error of the next connection.
        SSL._lib.ERR_clear_error()  # type: ignore[attr-defined]
    return context


def use_identity(context: SSL.Context, identity: Identity) -> None:
    """Let a context show this certificate, with its chain; `StartError` when OpenSSL refuses it."""
    try:
        with _readable(identity.pem()) as path:
            # Only this call gives each certificate of a context a chain of its own.
            context.use_certificate_chain_file(path)
        context.use_privatekey(identity.key)
    except (SSL.Error, TypeError) as error:
        reasons = [each[-1] for each in error.args[0]] if isinstance(error, SSL.Error) else [str(error)]
        found = f"a certificate that OpenSSL refuses: {', '.join(reasons)}"
        expected = "an ECDSA or Ed25519 key, or RSA of 2048 bits or more, signed with SHA-256 or better"
        raise StartError(str(Problem(identity.source, found, expected, "have it issued anew"))) from None


@contextmanager
def _readable(data: bytes) -> Iterator[str]:
    """A path under which OpenSSL can read public bytes; in memory where the system can."""
    in_memory = hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd")
    with os.fdopen(os.memfd_create("chain"), "wb") if in_memory else tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        yield f"/proc/self/fd/{file.fileno()}" if in_memory else file.name
