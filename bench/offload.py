"""What clients and a server gain when the broker does the TLS: ``python -m bench.offload``.

Decides a comparison: a Python web application that does its own TLS, against the same one behind the
broker, which does it instead. Invariant: same page, same certificate, same clients at the same times; each
client comes with a new TLS connection. The broker has a core; the application is held to a third of another,
so that the clients, who have the rest of it, are not what is slow. Rates are shares of what the application
can do with its own TLS.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import ab, plot, result, site
from .asking import ask, order
from .gains import WAYS, lines, middle
from .holding import held, threads
from .measuring import Disturbance, cost
from .programs import ROOT, CannotRun, Program, free_ports, install, open_files
from .proxies import Running, Setting
from .proxies.broker import Broker
from .site import SAME_TLS, SUITE, Site

SHARES = (0.3, 0.5, 0.7, 0.9, 1.1, 1.4)
HELD = 0.33
PUBLISHED = ROOT / "bench" / "results" / "offload.json"
PRIVATE = ROOT / ".cache" / "bench" / "offload.json"


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.offload", description="The gain of offloading TLS."
    )
    add = parser.add_argument
    add("--certificate", choices=("rsa", "ecdsa"), default="rsa", help="of which kind (%(default)s)")
    add("--rounds", type=int, default=3, help="of each rate (%(default)s)")
    add("--seconds", type=float, default=3, help="of load for a figure (%(default)s)")
    add("--shares", default=",".join(map(str, SHARES)), help="rates, as shares of its capacity (%(default)s)")
    add("--python", default=sys.executable, help="interpreter of application and broker (%(default)s)")
    add("--set", action="append", default=[], metavar="PATH=VALUE", dest="sets", help="a broker's setting")
    add("-r", "--reactor", default="", help="the broker's reactor")
    add("--json", type=Path, metavar="FILE", default=PRIVATE, help="the result (%(default)s); FILE.png too")
    add("--publish", action="store_true", help="the result goes to bench/results")
    found = parser.parse_args(arguments)
    if found.publish:
        found.json = PUBLISHED
    return found


@contextmanager
def both_ways(said: argparse.Namespace, where: Site) -> Iterator[tuple[Running, Mapping[str, Running]]]:
    """The application, and the doors to it: its own, and the broker's."""
    plain, secure = free_ports(2)
    settings = {"plain": plain, "secure": secure, "suite": SUITE}
    settings["certificate"] = str(where.certificate(said.certificate))
    argv: list[str | Path] = [said.python, "-m", "bench.application", json.dumps(settings)]
    env = {"PYTHONPATH": str(ROOT)}
    program = Program(
        "application", argv, where.directory, cores=where.load_cores, ports=[plain, secure], env=env
    )
    with program, held([threads(program.pid)], HELD):
        own = Running("application", program, {said.certificate: secure})
        behind = replace(where, plain=(plain,), secure=(secure,))
        broker = Broker(Path(os.path.abspath(said.python)), said.sets, said.reactor)
        running = broker.start(behind, where.directory, Setting())
        with running.program:
            yield own, dict(zip(WAYS, (own, running), strict=True))


def capacity(said: argparse.Namespace, where: Site, own: Running) -> float:
    """New clients a second that the application can serve when it does its own TLS."""
    cores, url = where.load_cores, own.url(said.certificate, "")
    return ab.load(url, connections=16, seconds=3, cores=cores, directory=where.directory).rate


def measure(
    said: argparse.Namespace, where: Site, application: Running, door: Running, rate: float
) -> dict[str, float]:
    pids = [application.pid] if door is application else [application.pid, door.pid]
    others = Disturbance.begin(pids)
    before = [cost(pid) for pid in pids]
    asked = order("arrive", door, said.certificate, "", rate=rate, seconds=said.seconds, regular=False)
    answers = ask(asked, where.load_cores)
    spent = [cost(pid) - earlier for pid, earlier in zip(pids, before, strict=True)]
    count = len(answers.times)
    found = {**answers.figures(), "server_us": spent[0].cpu / count * 1e6, "others": others.share()}
    found["server_busy"] = spent[0].cpu / max(said.seconds, answers.ended)
    if len(spent) > 1:
        found["broker_us"] = spent[1].cpu / count * 1e6
    return found


def run(said: argparse.Namespace, where: Site) -> dict[str, Any]:
    with both_ways(said, where) as (application, doors):
        most = capacity(said, where, application)
        print(f"with its own TLS the application does {most:.0f} new clients a second", flush=True)
        points = []
        for share in map(float, said.shares.split(",")):
            point: dict[str, Any] = {"share": share, "rate": share * most, "rounds": []}
            for _ in range(said.rounds):
                figures = {}
                for way, door in doors.items():
                    try:
                        figures[way] = measure(said, where, application, door, share * most)
                    except CannotRun as error:
                        point.setdefault("not_run", {})[way] = str(error)
                point["rounds"].append(figures)
            points.append(point)
            print("\n".join(lines(point)), flush=True)
    clients = "a new connection for each request, no session resumed"
    conditions = f"{said.certificate.upper()} certificate, {clients}; {SAME_TLS}"
    return {"conditions": conditions, "capacity": most, "points": points}


def draw(found: Mapping[str, Any], file: Path) -> None:
    pyplot = plot.pyplot()
    figure, (times, spent) = pyplot.subplots(1, 2, figsize=(10, 4))
    for way, color in zip(WAYS, ("#34495e", "#c0392b"), strict=True):
        label = "the server does its own TLS" if way == WAYS[0] else "the broker does it"
        for name, style in (("p50_ms", "o-"), ("p99_ms", "o:")):
            shown = [(point["rate"], middle(point, way, name)) for point in found["points"]]
            there = [(rate, value) for rate, value in shown if value is not None]
            times.plot(*zip(*there, strict=True), style, color=color, label=f"{label}, {name[:3]}")
        shown = [(point["rate"], middle(point, way, "server_busy")) for point in found["points"]]
        there = [(rate, 100 * value) for rate, value in shown if value is not None]
        spent.plot(*zip(*there, strict=True), "o-", color=color, label=label)
    times.set(
        yscale="log", ylabel="response time, ms (new connection included)", xlabel="new clients a second"
    )
    spent.axhline(100 * HELD, color="#888888", lw=1)
    spent.set(ylim=(0, 120 * HELD), ylabel="the server's core used, %", xlabel="new clients a second")
    for axes in (times, spent):
        axes.axvline(found["capacity"], color="#888888", lw=1, ls="--")
        axes.legend(fontsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"A Python web server and its TLS ({found['conditions'].split(',')[0]})", fontsize=10)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    pyplot.close(figure)


def main() -> None:
    said = options()
    install()
    open_files()
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as made,
        site.started(Path(made)) as where,
    ):
        version = Broker(Path(os.path.abspath(said.python)), said.sets, said.reactor).version()
        found = {**result.origin(), "versions": {"broker": version}, **run(said, where)}
    result.finish(found, said.json, draw, publish=said.publish)


if __name__ == "__main__":
    result.program(main)
