"""What two scanners say about the TLS of a running listener.

    python tests/real/tls_scan.py [HOST:PORT] [--sslyze PROGRAM] [--testssl PROGRAM]

Runs sslyze against Mozilla's "intermediate" configuration, and testssl.sh with -p -s -f -U (protocols,
ciphers, forward secrecy, vulnerabilities). Without an address it starts tests/real/tls_server.py and
scans that. Exits 0 when nothing was found, 1 for any finding above LOW, 3 when a scanner or one of its
checks did not run: a check that did not run is never a passed one.

What sslyze says of the certificate itself is shown but not counted: one made for a test is trusted by
nobody. sslyze pins its libraries, so it wants a virtual environment of its own.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 900
COUNTED = ("MEDIUM", "HIGH", "CRITICAL")
#: One check of each section that must be in a whole result of testssl.sh; some were renamed in 3.2.
SECTIONS = {"-p": {"TLS1_3"}, "-s": {"cipherlist_NULL"}, "-f": {"PFS", "FS"}, "-U": {"RC4"}}


@dataclass
class Result:
    """What one scanner found: counted findings, remarks, and what it did not do."""

    program: str
    checks: int = 0
    findings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)


def sslyze(program: str, address: str) -> Result:
    """Compliance with Mozilla's intermediate configuration, and whether each scan was completed."""
    result = Result("sslyze")
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "result.json")
        output = run(result, [program, "--mozilla_config=intermediate", f"--json_out={file}", address])
        if file.exists():
            for server in json.loads(file.read_text())["server_scan_results"]:
                for name, scan in (server["scan_result"] or {}).items():
                    result.checks += scan["status"] == "COMPLETED"
                    if scan["status"] == "ERROR":
                        result.not_run.append(f"{name}: {scan['error_reason']}")
    read_compliance(result, output)
    return result


def read_compliance(result: Result, output: str) -> None:
    """The verdict, which is in the text that sslyze prints and not in its JSON."""
    _, _, compliance = output.partition('Mozilla\'s "intermediate" configuration')
    if not re.search(r": (OK - Compliant|FAILED - Not compliant)", compliance):
        result.not_run.append(f"no verdict on compliance; its last words: {output.strip()[-300:]!r}")
    for name, text in re.findall(r"^ +\* (\w+): (.*)$", compliance, re.MULTILINE):
        certificate = name.startswith("certificate")
        (result.remarks if certificate else result.findings).append(f"{name}: {text}")


def testssl(program: str, address: str) -> Result:
    """Protocols, ciphers, forward secrecy and vulnerabilities as testssl.sh grades them."""
    result = Result("testssl.sh")
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "result.json")
        flags = ["-p", "-s", "-f", "-U", "--quiet", "--color", "0", "--warnings", "batch"]
        output = run(result, [program, *flags, "--jsonfile", str(file), address])
        try:
            read_severities(result, json.loads(file.read_text()))
        except (OSError, ValueError):
            result.not_run.append(f"no result in JSON; its last words: {output.strip()[-300:]!r}")
    return result


def read_severities(result: Result, entries: list[dict[str, Any]]) -> None:
    result.checks = len(entries)
    for entry in entries:
        text = f"{entry['severity']}: {entry['id']}: {entry['finding']}"
        if entry["severity"] in COUNTED:
            result.findings.append(text)
        elif entry["severity"] in ("WARN", "FATAL"):
            result.not_run.append(text)
        elif entry["severity"] not in ("OK", "INFO"):
            result.remarks.append(text)
    present = {entry["id"] for entry in entries}
    for flag, ids in SECTIONS.items():
        if not present & ids:
            result.not_run.append(f"nothing of section {flag} in its result")


def run(result: Result, command: list[str]) -> str:
    """What a program prints. Their exit codes say what was found, so they are not looked at."""
    try:
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        result.not_run.append(f"not done after {SECONDS} seconds")
        return ""
    except OSError as error:
        result.not_run.append(str(error))
        return ""
    return ended.stdout


@contextmanager
def own_listener() -> Iterator[str]:
    script = Path(__file__).with_name("tls_server.py")
    command = [sys.executable, str(script), "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if line.startswith("ready "):
                yield f"127.0.0.1:{line.split()[1]}"
                return
        raise SystemExit("tls_server.py did not start")


def report(results: list[Result]) -> int:
    """Print all; the exit code."""
    for result in results:
        print(f"{result.program}: {result.checks} results, {len(result.findings)} findings above LOW")
        for text in result.findings:
            print(f"  FINDING: {text}")
        for text in result.remarks:
            print(f"  not counted: {text}")
        for text in result.not_run:
            print(f"NOT RUN: {result.program}: {text}")
    if any(result.findings for result in results):
        return 1
    return 3 if any(result.not_run for result in results) else 0


def scan(address: str, programs: argparse.Namespace) -> list[Result]:
    results = []
    for name, scanner, program in (
        ("sslyze", sslyze, programs.sslyze),
        ("testssl.sh", testssl, programs.testssl),
    ):
        found = next(filter(None, map(shutil.which, program)), None)
        if found:
            results.append(scanner(found, address))
        else:
            results.append(Result(name, not_run=[f"no program {' or '.join(program)} found"]))
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("address", nargs="?", metavar="HOST:PORT")
    beside = str(Path(sys.executable).with_name("sslyze"))
    parser.add_argument("--sslyze", nargs=1, default=["sslyze", beside], metavar="PROGRAM")
    parser.add_argument("--testssl", nargs=1, default=["testssl", "testssl.sh"], metavar="PROGRAM")
    options = parser.parse_args()
    if options.address:
        return report(scan(options.address, options))
    with own_listener() as address:
        return report(scan(address, options))


if __name__ == "__main__":
    sys.exit(main())
