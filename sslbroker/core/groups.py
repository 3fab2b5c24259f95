"""Which group a client belongs to, by its address or by what its certificate names.

Decides between several that fit: of networks the longest prefix wins, of names the most exact one. Invariant:
networks are cut into ranges in which the answer is the same all over, the ranges are sorted, and a look-up is
one search in them, however many networks there are. Refuses to guess: what is no address is in no group; and
to read files and certificates.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence

from ..settings import Group, Network
from .networks import LONGEST, number, place

#: Networks that are worked on until others have their turn: a fraction of a millisecond.
SLICE = 64

Span = tuple[int, int]
"""A network on the line of all addresses: the first one, and how many there are, negated.

As they are sorted, of two that begin together the larger one, which has the other in it, is first."""


def span(network: Network) -> Span:
    """A network on the line of all addresses."""
    return number(network.network_address), -network.num_addresses


class GroupNetworks:
    """Whose an address is. The addresses are text, as for `networks.Networks`."""

    __slots__ = ("_owners", "_starts")

    def __init__(self) -> None:
        # A range begins at each start and is over at the next one. Before the first address (what is no
        # address stands there) and after all networks is nobody's.
        self._starts: list[int] = [-1]
        self._owners: list[Group | None] = [None]

    def fill(self, owned: Iterable[tuple[Span, Group]]) -> Iterator[None]:
        """Take these, which are sorted and differ. It goes on each time it is asked to, since there may be
        many; nothing is to be looked up before the end."""
        around: list[tuple[int, Group]] = []  # the networks that the next one is in: their ends, their groups
        for count, ((first, negated), group) in enumerate(owned):
            self._leave(around, first)
            self._begin(first, group)
            around.append((first - negated, group))
            if count % SLICE == SLICE - 1:
                yield
        self._leave(around, None)

    def _leave(self, around: list[tuple[int, Group]], first: int | None) -> None:
        """Those that end before `first`: what is after them is of the next one around."""
        while around and (first is None or around[-1][0] <= first):
            end, _ = around.pop()
            self._begin(end, around[-1][1] if around else None)

    def _begin(self, start: int, owner: Group | None) -> None:
        if self._starts[-1] == start:
            self._owners[-1] = owner
        elif self._owners[-1] is not owner:
            self._starts.append(start)
            self._owners.append(owner)

    def of(self, address: str) -> Group | None:
        """The group of the smallest network that the address is in."""
        if len(address) > LONGEST:
            return None
        return self._owners[bisect_right(self._starts, place(address)) - 1]


class GroupNames:
    """Whose a certificate is, by what it names.

    A group's entry is a whole subject (it has a ``=``), a URI (it has ``://``), a name, which is that of a
    host or the common name, or ``*.`` and the name of a domain: all names one label below it. They count in
    this order; where several groups have one of the same kind, the one with the highest priority wins, then
    the one that stands first. Case matters in subjects and URIs.
    """

    __slots__ = ("_below", "_groups", "_names", "_subjects", "_uris")

    def __init__(self, entries: Iterable[tuple[Group, str]]) -> None:
        # By text, the place among all groups: those that win stand first.
        self._subjects: dict[str, int] = {}
        self._uris: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self._below: dict[str, int] = {}
        ordered = sorted(entries, key=lambda entry: -entry[0].priority)
        self._groups = [group for group, _ in ordered]
        for rank, (_, entry) in enumerate(ordered):
            kind, text = self._kind(entry)
            kind.setdefault(text, rank)

    def _kind(self, entry: str) -> tuple[dict[str, int], str]:
        if is_uri(entry):
            return self._uris, entry
        if is_subject(entry):
            return self._subjects, entry
        name = _host(entry)
        return (self._below, name[2:]) if name.startswith("*.") else (self._names, name)

    def __bool__(self) -> bool:
        return bool(self._groups)

    def of(self, subject: str, names: Sequence[str], uris: Sequence[str]) -> Group | None:
        """What the certificate has: its subject, as RFC 4514 writes it, common names and those of hosts, and
        URIs. Each is compared with entries of its own kind only, for who asks for a certificate may be free
        to choose some of them, and an authority vouches for each in the sense of its kind."""
        hosts = [_host(name) for name in names]
        for kind, texts in (
            (self._subjects, [subject]),
            (self._uris, uris),
            (self._names, hosts),
            (self._below, [name.partition(".")[2] for name in hosts]),
        ):
            ranks = [kind[text] for text in texts if text in kind]
            if ranks:
                return self._groups[min(ranks)]
        return None


def is_uri(entry: str) -> bool:
    return "://" in entry


def is_subject(entry: str) -> bool:
    """Is this entry of `Group.certificates` a whole subject?"""
    return "=" in entry and not is_uri(entry)


def _host(name: str) -> str:
    """A name as it is compared: those of hosts and common names know no case."""
    return name.lower().rstrip(".")
