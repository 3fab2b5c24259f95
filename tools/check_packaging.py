"""Build the wheel and the sdist, install each as a user would, and run what was installed.

Decides whether a release would work. Invariant: nothing runs from the checkout, since twistd adds the
current folder to the path and would find the plugin there. Refuses to publish.
"""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
IN_SDIST = (
    "tests/__init__.py",
    "etc/sslbroker.toml",
    "examples/sslbroker-resp/pyproject.toml",
    "twisted/plugins/sslbroker_plugin.py",
    "Makefile",
)


class PackagingError(Exception):
    """Something a user would miss; the text says what."""


def run(argv: Sequence[str | Path], where: Path) -> str:
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=where,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PackagingError(f"{' '.join(map(str, argv))} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def build(out: Path) -> dict[str, Path]:
    """The sdist of the checkout, and the wheel made from that sdist alone."""
    run([sys.executable, "-m", "build", "--outdir", out, ROOT], ROOT)
    [wheel], [sdist] = list(out.glob("*.whl")), list(out.glob("*.tar.gz"))
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    if missing := [name for name in IN_SDIST if name not in names]:
        raise PackagingError(f"the sdist lacks {', '.join(missing)}: see MANIFEST.in")
    return {"wheel": wheel, "sdist": sdist}


def install(package: Path, venv: Path) -> None:
    run([sys.executable, "-m", "venv", venv], venv.parent)
    install_into(venv, package)


def install_into(venv: Path, package: Path) -> None:
    pip = (venv / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check")
    # Not from the checkout: pip takes an .egg-info in the current folder for an installed project.
    run([*pip, package], venv.parent)


def try_out(venv: Path, elsewhere: Path) -> None:
    """Run what a user runs first, from a folder that is not the checkout."""
    if not re.search(r"^ +sslbroker +\w", run([venv / "bin" / "twistd", "--help"], elsewhere), re.M):
        raise PackagingError("twistd --help does not list sslbroker: the plugin was not installed")
    if "--config" not in run([venv / "bin" / "twistd", "sslbroker", "--help"], elsewhere):
        raise PackagingError("twistd sslbroker --help does not know --config")
    for program in ("twistd", "sslbroker"):
        if not (venv / "bin" / program).exists():
            raise PackagingError(f"{venv.name}: no program {program} was installed")
    run([venv / "bin" / "sslbroker", "--version"], elsewhere)
    run([venv / "bin" / "sslbroker", "check", ROOT / "etc" / "sslbroker.toml"], elsewhere)
    demo(venv, elsewhere)


def try_plugin(venv: Path, elsewhere: Path) -> None:
    """Install the example of a protocol of one's own, as its README says; the broker must find it."""
    source = elsewhere / "example"
    shutil.copytree(ROOT / "examples" / "sslbroker-resp", source)  # setuptools would build in the checkout
    install_into(venv, source)
    file = elsewhere / "redis.toml"
    file.write_text(
        '[listeners.redis]\nendpoint = "tcp:6380"\npool = "replicas"\n'
        '[pools.replicas]\nprotocol = "resp"\nservers = ["127.0.0.1:6379"]\n'
    )
    run([venv / "bin" / "sslbroker", "check", file], elsewhere)
    shutil.rmtree(source)


def demo(venv: Path, elsewhere: Path) -> None:
    """Start the demo and read its front page, which needs every data file in its place."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv: list[str | Path] = [
        venv / "bin" / "twistd",
        "-n",
        "--pidfile=",
        "sslbroker",
        "--demo",
        "--http",
        str(port),
    ]
    with (elsewhere / "demo.output").open("w+") as out:
        child = subprocess.Popen(argv, cwd=elsewhere, stdout=out, stderr=subprocess.STDOUT)
        try:
            page = first_page(child, f"http://127.0.0.1:{port}/")
        finally:
            child.send_signal(signal.SIGINT)
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            out.seek(0)
            output = out.read()
    if b"<html" not in page.lower() or "Traceback" in output:
        raise PackagingError(f"the demo gave {page[:200]!r} and said:\n{output[-3000:]}")


def first_page(child: subprocess.Popen[bytes], url: str) -> bytes:
    for _ in range(200):
        if child.poll() is not None:
            return b""
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                page: bytes = answer.read()
                return page
        except OSError:
            time.sleep(0.1)
    return b""


def main() -> int:
    shutil.rmtree(ROOT / "build", ignore_errors=True)  # setuptools would pack what was removed since
    with tempfile.TemporaryDirectory(prefix="sslbroker-packaging-") as name:
        work = Path(name)
        elsewhere = work / "else where"
        elsewhere.mkdir()
        try:
            for kind, package in build(work / "dist").items():
                install(package, work / kind)
                try_out(work / kind, elsewhere)
                try_plugin(work / kind, elsewhere)
                print(f"{kind}: {package.name}: installed and tried")
            try_out(Path(sys.executable).parent.parent, elsewhere)
            print("editable: tried")
        except PackagingError as error:
            print(error)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
