"""The addresses of one host: from the hosts file, else from the domain name system.

Decides which names are asked for (`search` and `ndots` of resolv.conf), which servers of DNS are asked and
when the next one is, and how the answers for both kinds of address are put together. Invariant: a lookup
ends within its time limit, and a name is said to be unknown only when a server said so. Refuses to keep
answers: `names` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectError
from twisted.python.failure import Failure

from .. import settings
from . import dns
from .asking import ask
from .systemfiles import Hosts, ResolvConf, Resolving

#: Seconds for which what the hosts file says is kept: a look at whether it has changed costs little.
HOSTS_TTL = 5.0

#: How often each server is asked in one lookup, when none answers.
ROUNDS = 2

#: Seconds that the second kind of address has left when enough is known of the first: its addresses (RFC 8305
#: §3 has 50 ms for a person who waits; here a missing kind would be missing until the next lookup), or that
#: there is no such name. That holds for both kinds, but some servers say it where only one is missing (RFC
#: 4074 §4.2).
GRACE = 1.0

PORT = 53

Server = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """The addresses of a host, and for how many seconds they may be kept.

    `whole`: it is known that there are no others; else nobody has answered for one kind of them.
    """

    addresses: tuple[str, ...]
    ttl: float
    whole: bool = True


class NoSuchName(Exception):
    """Whoever ought to know says that the host has no address."""


class LookupFailed(Exception):
    """Nobody who ought to know has said anything of use in time."""


class Lookup:
    """Looks hosts up: call it with one."""

    def __init__(
        self,
        settings: settings.Names,
        reactor: Any,
        *,
        hosts: Path = Path("/etc/hosts"),
        resolv_conf: Path = Path("/etc/resolv.conf"),
    ) -> None:
        self._timeout = settings.timeout
        self._reactor = reactor
        self._servers = tuple(server(text) for text in settings.servers)
        self._hosts = Hosts(hosts)
        self._resolv_conf = ResolvConf(resolv_conf)
        self._answered: Server | None = None  # the one that answered last is asked first

    def __call__(self, host: str) -> Deferred[Answer]:
        """The host's addresses; fails with `NoSuchName` or `LookupFailed`. May be cancelled."""
        return Deferred.fromCoroutine(self._look_up(host))

    async def _look_up(self, host: str) -> Answer:
        known = self._hosts.addresses(host.removesuffix("."))
        if known:
            return Answer(known, HOSTS_TTL)
        if _is_local(host):
            return Answer(("127.0.0.1", "::1"), HOSTS_TTL)
        says = self._resolv_conf.now()
        until = self._reactor.seconds() + self._timeout
        asked = list(candidates(host, says))
        for name in asked:
            answer = await self._both(name, self._in_turn(says), until)
            if answer.addresses:
                return answer
        if not asked:
            raise NoSuchName(f"{host} is no name that DNS can know")
        words = ", ".join(name.decode() for name in asked)
        raise NoSuchName(f"DNS knows no address of {host} (asked for {words})")

    def _in_turn(self, says: Resolving) -> list[Server]:
        """The servers, first the one that answered last: a dead one costs its wait only once."""
        servers = list(self._servers or ((address, PORT) for address in says.servers))
        servers.sort(key=lambda each: each != self._answered)
        return servers

    async def _both(self, name: bytes, servers: Sequence[Server], until: float) -> Answer:
        """The addresses of both kinds, () when there are none; `LookupFailed` when that is not known."""
        under_way = [
            Deferred.fromCoroutine(self._ask(name, kind, servers, until)) for kind in (dns.A, dns.AAAA)
        ]
        replies: list[dns.Reply] = []
        failures: list[Failure] = []
        done: Deferred[None] = Deferred()

        def over(result: dns.Reply | Failure) -> None:
            (failures if isinstance(result, Failure) else replies).append(result)  # type: ignore[arg-type]
            if len(replies) + len(failures) == len(under_way):
                done.callback(None)
            elif isinstance(result, dns.Reply) and (result.addresses or result.code == dns.NO_SUCH_NAME):
                for each in under_way:
                    each.addTimeout(GRACE, self._reactor)

        for each in under_way:
            each.addBoth(over)
        try:
            await done
        except CancelledError:
            for each in under_way:
                each.cancel()
            raise
        found = [reply for reply in replies if reply.addresses]
        if found:
            addresses = tuple(address for reply in found for address in reply.addresses)
            return Answer(addresses, float(min(reply.ttl for reply in found)), whole=not failures)
        if failures and not any(reply.code == dns.NO_SUCH_NAME for reply in replies):
            failures[0].raiseException()
        return Answer((), 0.0)

    async def _ask(self, name: bytes, kind: int, servers: Sequence[Server], until: float) -> dns.Reply:
        """What the first server says that knows; each gets an equal share of the time that is left."""
        turns = list(servers) * ROUNDS
        why: dict[Server, str] = {}
        for turn, each in enumerate(turns):
            left = until - self._reactor.seconds()
            if left <= 0:
                break
            try:
                reply = await ask(self._reactor, each, name, kind, left / (len(turns) - turn))
            except TimeoutError:
                why[each] = "did not answer in time"
            except (OSError, ConnectError) as error:
                why[each] = f"cannot be reached ({getattr(error, 'strerror', None) or error})"
            except dns.NotTheAnswer as error:
                why[each] = f"sent what is no answer ({error})"
            else:
                if reply.code in (dns.FINE, dns.NO_SUCH_NAME):
                    self._answered = each
                    return reply
                why[each] = f"says {dns.CODES.get(reply.code, f'code {reply.code}')}"
        reasons = ", ".join(f"{address} {reason}" for (address, _), reason in why.items())
        raise LookupFailed(f"DNS says nothing of {name.decode()}: {reasons or 'the time limit has passed'}")


def server(text: str) -> Server:
    """An "address" or "address:port" (IPv6 with a port in brackets) of a server of DNS, else `ValueError`."""
    try:
        return str(ip_address(text.removeprefix("[").removesuffix("]"))), PORT
    except ValueError:
        host, _, port = text.rpartition(":")
        return str(ip_address(host.removeprefix("[").removesuffix("]"))), int(port)


def candidates(host: str, says: Resolving) -> Iterator[bytes]:
    """The names to ask for, in turn, as the system's resolver has it: a dot at the end ends the search.

    After a failure the next one is not asked for: a name that is not meant might have addresses."""
    name = _encoded(host.removesuffix("."))
    if name is None:
        return
    whole_first = host.endswith(".") or name.count(b".") >= says.ndots
    if whole_first:
        yield name
    if host.endswith("."):
        return
    for suffix in says.search:
        longer = _encoded(f"{host}.{suffix}")
        if longer is not None:
            yield longer
    if not whole_first:
        yield name


def _encoded(name: str) -> bytes | None:
    """As DNS has it; None for what it cannot have (RFC 1035 §2.3.4)."""
    try:
        encoded = name.encode("idna")
    except UnicodeError:
        return None
    return encoded if 0 < len(encoded) <= dns.LONGEST_NAME and not encoded.endswith(b".") else None


def _is_local(host: str) -> bool:
    """Names that are never asked for (RFC 6761 §6.3)."""
    return f".{host.lower().removesuffix('.')}".endswith(".localhost")
