"""The operator's own changes to the headers that a server sees, checked and made ready for use.

Decides what ``[pools.NAME.headers]`` may say and in which order it acts: ``remove``, then ``set``,
then ``add``, all after the broker's own fields, so the operator has the last word. Invariant: what is
made here can be written as it is; nothing in it can change how a message is framed. Refuses to touch
a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ...errors import ConfigurationError, Problem
from ...settings import HeaderRules, Pool
from .fields import CERTIFICATE, CERTIFIED, HOP_BY_HOP, WRITTEN
from .message import Field

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_HOST = re.compile(r"[!$%&'()*+,\-.0-9:;=A-Z\[\]_a-z~]+")
_PSEUDONYM = re.compile(r"[!#$%&'*+\-.:^_`|~0-9A-Za-z\[\]]+")
_TAKEN = HOP_BY_HOP | WRITTEN

#: By ``headers.client_certificate``: the fields that no server of the pool sees, whoever wrote them.
UNTOLD: Mapping[str, frozenset[bytes]] = {
    "full": frozenset(),
    "details": CERTIFICATE,
    "none": CERTIFIED,
}


class OwnHeaders:
    """An operator's header rules in the form that the rewriting of a request uses."""

    __slots__ = ("drop", "host", "write")

    def __init__(self, drop: frozenset[bytes], write: tuple[Field, ...], host: bytes | None) -> None:
        self.drop = drop  # names to take away, whoever wrote the field: `remove`, `set`, `UNTOLD`
        self.write = write  # fields to put at the end: `set`, then `add`
        self.host = host  # the Host of every request, when `set` has one


def own_headers(pool: Pool, broker_name: str) -> OwnHeaders:
    """The pool's rules, made ready; `ConfigurationError` with every mistake in them at once.

    `broker_name` is checked here too, since ``Via`` is written with it (RFC 9110 §7.6.3).
    """
    rules = pool.headers
    problems = list(_problems(rules, f"pools.{pool.name}.headers"))
    if not _PSEUDONYM.fullmatch(broker_name):
        problems.append(
            Problem("broker.name", repr(broker_name), "letters, digits, '.', '-' or '_', and at least one")
        )
    if problems:
        raise ConfigurationError(f"pool {pool.name!r}", problems)
    host = next((value for name, value in rules.set.items() if name.lower() == "host"), None)
    replaced = {name: value for name, value in rules.set.items() if name.lower() != "host"}
    return OwnHeaders(
        drop=UNTOLD[rules.client_certificate].union(
            name.lower().encode("ascii") for name in (*rules.remove, *replaced)
        ),
        write=tuple(_field(name, value) for name, value in (*replaced.items(), *rules.add.items())),
        host=None if host is None else host.encode("ascii"),
    )


def _field(name: str, value: str) -> Field:
    spelt = name.encode("ascii")
    return spelt.lower(), spelt, value.strip(" \t").encode("utf-8")


def _problems(rules: HeaderRules, path: str) -> Iterator[Problem]:
    if rules.host not in ("keep", "server"):
        yield Problem(f"{path}.host", repr(rules.host), '"keep" or "server"')
    if rules.client_certificate not in UNTOLD:
        told = rules.client_certificate
        yield Problem(f"{path}.client_certificate", repr(told), '"full", "details" or "none"')
    for table, names in (("set", rules.set), ("add", rules.add), ("remove", rules.remove)):
        seen: set[str] = set()
        for name in names:
            where = f"{path}.{table}.{name}"
            if not _NAME.fullmatch(name):
                yield Problem(where, repr(name), "the name of a header field (RFC 9110 §5.1)")
            elif name.lower().encode("ascii") in _TAKEN and not (table == "set" and name.lower() == "host"):
                yield Problem(where, name, "a field that the broker does not write itself", _help(name))
            elif name.lower() in seen:
                yield Problem(where, name, "each name once, in whatever spelling")
            seen.add(name.lower())
    for table, values in (("set", rules.set), ("add", rules.add)):
        for name, value in values.items():
            if name.lower() == "host":
                if table == "set" and not _HOST.fullmatch(value):
                    yield Problem(f"{path}.set.{name}", repr(value), "a host, or host:port")
            elif not _VALUE.fullmatch(value):
                yield Problem(f"{path}.{table}.{name}", repr(value), "a value without control characters")


def _help(name: str) -> str:
    return 'use host = "server", or set' if name.lower() == "host" else "the connection decides it"
