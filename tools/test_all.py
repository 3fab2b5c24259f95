"""``make test-all``: `make test`, Twisted's own tests, real programs, other Pythons, packaging; one summary.

Decides what is tried with which transport (`broker.transport`), and what may be installed for it: Debian
packages when run by root where there is apt-get, and Python clients in an environment of their own.
Invariant: whatever could not run is in the summary as ``NOT RUN: name: why``; it never counts as passed.
Refuses to install anything else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from glob import glob
from pathlib import Path
from subprocess import DEVNULL

from .check import BIN, check, pytest_step
from .steps import ROOT, WORK, Result, Step, run, summary

CACHE = ROOT / ".cache"
CLIENTS = CACHE / "venv-real"
REDIS_PY = "redis==8.1.0"  # with its own tests, which are run through a broker
REDIS_TESTS_NEED = ("pytest", "pytest-asyncio", "pytest-timeout", "packaging", "numpy", "cryptography")
CLIENT_PACKAGES = ("requests", "aiohttp", "websockets", "aiosmtpd", "sslyze", REDIS_PY, *REDIS_TESTS_NEED)
PYTHONS = ("3.11", "3.12", "3.13")

#: Of tests/real, those that depend most on how bytes are carried: they are run with Twisted's transport too.
CARRYING = (
    "broken_tls",
    "cascade",
    "clients",
    "curl",
    "failover",
    "hostile",
    "secure_links",
    "soak",
    "streams",
)

#: Programs, Perl modules and files that the tests in tests/real use, and the Debian packages that have them.
PROGRAMS = {
    "nginx": "nginx",
    "curl": "curl",
    "node": "nodejs",
    "chromium": "chromium",
    "openssl": "openssl",
    "testssl": "testssl.sh",
    "/usr/lib/*/engines-*/gost.so": "libengine-gost-openssl",  # for ciphers that testssl.sh looks for
    "redis-server": "redis-server",
    "redis-cli": "redis-tools",
    "redis-benchmark": "redis-tools",
    "git": "git",
    "fcgiwrap": "fcgiwrap",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sshd": "openssh-server",
    "stunnel": "stunnel4",
    "nc": "netcat-openbsd",
    "socat": "socat",
    "swaks": "swaks",
    "Net::SSLeay": "libnet-ssleay-perl",  # with it swaks speaks TLS
    "psql": "postgresql",
    "postgres": "postgresql",  # its account runs what refuses root
    "setpriv": "util-linux",
}

#: Of `tests/sockets/twisted_suite.py`: our sockets on these reactors, and our reactor with Twisted's sockets.
TWISTED = ("direct", "epoll", "poll", "select", "asyncio", "reactor")

Missing = list[tuple[str, str]]


def installed(program: str) -> bool:
    if program.startswith("/"):
        return bool(glob(program))
    if "::" in program:
        return installed("perl") and not subprocess.call(["perl", f"-M{program}", "-e", "1"], stderr=DEVNULL)
    places = [os.environ.get("PATH", ""), "/usr/sbin", "/sbin", *glob("/usr/lib/postgresql/*/bin")]
    return shutil.which(program, path=":".join(places)) is not None


def install_programs(missing: Missing) -> list[Result]:
    """Install what is not there, where that is allowed; what is still absent goes to `missing`."""
    absent = [program for program in PROGRAMS if not installed(program)]
    results = []
    if absent and os.geteuid() == 0 and shutil.which("apt-get"):
        packages = sorted({PROGRAMS[program] for program in absent})
        env = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # 1: Debian starts no servers of theirs
        run(Step("apt-get update", ("apt-get", "-q", "update"), env=env))
        argv = ("apt-get", "-q", "install", "-y", "--no-install-recommends", *packages)
        results.append(run(Step("install programs", argv, env=env)))
        absent = [program for program in absent if not installed(program)]
    why = "not installed, and only root with apt-get may" if not results else "could not be installed"
    missing += [(program, f"{why} (Debian: {PROGRAMS[program]})") for program in absent]
    return results


def install_clients() -> list[Result]:
    """The Python clients, once; they need not share the project's versions of anything."""
    stamp = CLIENTS / "packages"
    wanted = " ".join(CLIENT_PACKAGES)
    if stamp.exists() and stamp.read_text() == wanted:
        return []
    made = run(Step("make .cache/venv-real", (sys.executable, "-m", "venv", "--clear", str(CLIENTS))))
    pip = (str(CLIENTS / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check")
    filled = run(Step("install clients", (*pip, *CLIENT_PACKAGES)))
    if filled.passed:
        stamp.write_text(wanted)
    return [made, filled]


def get_redis_tests() -> list[Result]:
    """redis-py's own tests, which are in its sdist only; once."""
    folder = CACHE / "redis-py"
    if (folder / "tests").is_dir():
        return []
    with tempfile.TemporaryDirectory() as made:
        pip = (str(CLIENTS / "bin" / "python"), "-m", "pip", "download", "-q", "--disable-pip-version-check")
        got = run(
            Step("get redis-py's tests", (*pip, "--no-deps", "--no-binary", ":all:", "-d", made, REDIS_PY))
        )
        for archive in Path(made).glob("*.tar.gz"):
            shutil.unpack_archive(archive, made, filter="data")
            shutil.rmtree(folder, ignore_errors=True)
            shutil.move(next(path for path in Path(made).iterdir() if path.is_dir()), folder)
    return [got]


def real_programs(missing: Missing) -> list[Result]:
    results = [*install_programs(missing), *install_clients(), *get_redis_tests()]
    carrying = [f"tests/real/test_{name}.py" for name in CARRYING]
    return [*results, run(real_step("own", "tests/real")), run(real_step("stock", *carrying))]


def real_step(transport: str, *paths: str) -> Step:
    """Tests of tests/real; `transport` carries their brokers' connections (tests/real/site.py)."""
    junit = WORK / f"real-{transport}.xml"
    argv = (sys.executable, "-m", "pytest", *paths, f"--junitxml={junit}", "-o", "junit_family=xunit2")
    options = ("-p", "no:cacheprovider", "-rP", "-o", "faulthandler_timeout=300")
    env = {"SSLBROKER_TRANSPORT": transport}
    name = f"real programs with {transport} transport"
    return Step(name, (*argv, *options), limit=2700, env=env, junit=junit)


def twisteds_tests() -> list[Result]:
    """Twisted's own tests of transports and reactors, against ours: on its reactors, and on ours."""
    results = []
    for kind in TWISTED:
        argv = (sys.executable, "-m", "tests.sockets.twisted_suite", kind)
        results.append(run(Step(f"Twisted's tests, {kind}", argv, limit=300, note=_last_line)))
    return results


def _last_line(output: str) -> str:
    return output.rstrip().rpartition("\n")[2].partition(": ")[2]


def find_python(version: str) -> str | None:
    """A Python of this minor version that starts; a pyenv shim may be there and not start."""
    found = [shutil.which(f"python{version}"), f"/usr/bin/python{version}"]
    found += sorted(glob(os.path.expanduser(f"~/.pyenv/versions/{version}*/bin/python")))
    for path in found:
        if path is None or not Path(path).exists():
            continue
        code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([path, "-c", code], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return path
    return None


def other_pythons(missing: Missing) -> list[Result]:
    """The tests once more under each other Python; what `make test` used is not repeated."""
    results = []
    for version in PYTHONS:
        if version == f"{sys.version_info[0]}.{sys.version_info[1]}":
            continue
        python = find_python(version)
        if python is None:
            missing.append((f"Python {version}", "not found on PATH, in /usr/bin or in ~/.pyenv"))
            continue
        venv = CACHE / f"venv-{version}"
        argv = (python, "tools/environment.py", "--venv", str(venv), "--extra", "dev")
        results.append(run(Step(f"set up Python {version}", argv)))
        if results[-1].passed:
            name = f"tests with own transport on {version}"
            results.append(run(pytest_step(venv / "bin" / "python", name, WORK, measured=False)))
    return results


def main() -> int:
    missing: Missing = []
    results = check()
    step = pytest_step(BIN / "python", "tests with stock transport", WORK, transport="stock", measured=False)
    results.append(run(step))
    results += twisteds_tests()
    results += real_programs(missing)
    results += other_pythons(missing)
    results.append(run(Step("packaging", (sys.executable, "-m", "tools.check_packaging"))))
    return summary(results, missing)


if __name__ == "__main__":
    sys.exit(main())
