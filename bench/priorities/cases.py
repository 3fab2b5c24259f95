"""The cases: how much comes when, which server is slow meanwhile, and what the broker is to reach.

Decides loads and aims. Invariant: loads are shares of `CAPACITY`, which follows from the servers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

SERVERS, PLACES, SERVICE = 3, 4, 0.02
CAPACITY = SERVERS * PLACES / SERVICE  # transactions a second
PRIORITY, THRESHOLD = 5, "40ms"  # of the group

#: Seconds after which figures are those of a proxy that has seen the load.
SETTLED = 3.0


@dataclass(frozen=True)
class Aim:
    """What a figure of a front is to be: at most so much, or at least."""

    front: str
    figure: str  # a path in its figures
    limit: float
    says: str
    least: bool = False


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    phases: Sequence[tuple[float, float]]  # share of the capacity, and for how many seconds
    slow: Sequence[tuple[float, float]] = ()  # from when until when the first server is `factor` times slower
    factor: float = 10.0
    fronts: Sequence[str] = ("broker", "broker-limits", "haproxy", "haproxy-limits", "nginx", "nginx-limits")
    aims: Sequence[Aim] = ()

    @property
    def seconds(self) -> float:
        return sum(seconds for _, seconds in self.phases)

    def lasting(self, seconds: float) -> Case:
        """The same with another time for its last phase."""
        return replace(self, phases=(*self.phases[:-1], (self.phases[-1][0], seconds)))

    @property
    def ends(self) -> list[float]:
        """When a trouble ends that comes in this case: too much load, or slowness."""
        found = [end for _, end in self.slow if end < self.seconds]
        at = 0.0
        for (share, seconds), (following, _) in zip(self.phases, self.phases[1:], strict=False):
            at += seconds
            if share > 1 >= following:
                found.append(at)
        return sorted(found)


_FOUR = ("broker", "broker-limits", "haproxy", "haproxy-limits")


def _secure(front: str, limit: float) -> Aim:
    return Aim(front, "later.secure.p99", limit, f"p99 of secure at most {limit:g} ms")


def _none_failed(front: str) -> Aim:
    return Aim(front, "later.secure.failed", 0, "no secure one failed")


def _throughput(front: str) -> Aim:
    return Aim(front, "ratio", 0.95, "throughput at least 95 % of HAProxy's with limits", least=True)


CASES = (
    Case("60", "60 % of the capacity", [(0.6, 20.0)]),
    Case(
        "100",
        "100 %",
        [(1.0, 20.0)],
        aims=(_secure("broker", 60), _throughput("broker"), _throughput("broker-limits")),
    ),
    Case(
        "150",
        "150 %",
        [(1.5, 25.0)],
        aims=(
            _secure("broker", 80),
            _none_failed("broker"),
            Aim("broker-limits", "later.secure.wait_p99", 14, "waiting of secure at most 14 ms (p99)"),
            _throughput("broker"),
            _throughput("broker-limits"),
        ),
    ),
    Case(
        "slow",
        "60 %, one of three servers ten times slower for 4 s of 12",
        [(0.6, 24.0)],
        slow=((4.0, 8.0), (16.0, 20.0)),
        aims=(
            _secure("broker", 60),
            _secure("broker-limits", 60),
            Aim("broker", "share.back", 10, "plain traffic is back 10 s after"),
        ),
    ),
    Case(
        "back",
        "150 % for 10 s, then 60 %",
        [(1.5, 10.0), (0.6, 15.0)],
        fronts=_FOUR,
        aims=(
            Aim("broker", "share.back", 10, "plain traffic is back 10 s after"),
            Aim("broker-limits", "share.back", 10, "plain traffic is back 10 s after"),
        ),
    ),
    Case(
        "steady",
        "150 % for a minute",
        [(1.5, 60.0)],
        fronts=("broker", "broker-limits", "haproxy-limits"),
        aims=(
            _secure("broker", 80),
            Aim("broker", "share.turns", 3, "the plain share turns at most 3 times a minute"),
        ),
    ),
)
