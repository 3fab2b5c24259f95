"""Which trailer fields of a request its server sees.

Decides by name, against the head that the same server got (RFC 9110 §6.5). Invariant: for a server that
merges trailers into the head, merging changes nothing that the rules decided: no trailer has the name
of a field that the pool's rules take away or write, or of one that the head already has. Refuses to
know where the messages come from; what can be a trailer at all is `grammar.may_be_trailer`'s.
"""

from __future__ import annotations

from .fields import dashed
from .message import Request, Trailers


def for_server(trailers: Trailers | None, head: Request | None) -> Trailers | None:
    """The trailers that may follow the body of `head`; None when there is none."""
    if trailers is None or head is None:
        return None
    refused = head.guarded.union([dashed(name) for name, _, _ in head.fields])
    fields = [field for field in trailers.fields if dashed(field[0]) not in refused]
    return Trailers(fields) if fields else None
