"""Real Redis servers and clients: redis-cli, redis-benchmark, and redis-py with its own tests."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sslbroker_resp.commands import Command, Kind, keys_of, spec_of
from sslbroker_resp.message import written
from sslbroker_resp.reader import Reader

from sslbroker.errors import FramingError
from sslbroker.testkit import mutated

from .programs import HERE, ROOT, client_python, find
from .redis_site import RedisSite, ask
from .site import Certificates

SUITE = ROOT / ".cache" / "redis-py"
#: Of redis-py's own tests, in files, those that ask a server; the example's README tells of the others.
TESTED = (
    *("commands", "pipeline", "pubsub", "scripting", "lock", "monitor", "encoding", "function"),
    *("keyspace_notifications", "cache"),
)
#: What the broker does not carry: without replies nobody can tell what was done.
NOT_CARRIED = "tests/test_commands.py::TestRedisCommands::test_client_reply"
#: It makes connections of its own, which are not of TLS.
PLAIN = "tests/test_pubsub.py::TestPubSubDeadlock::test_pubsub_deadlock"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[RedisSite]:
    site = RedisSite(tmp_path_factory.mktemp("redis"), certificates)
    yield site
    site.close()
    assert site.complaints() == ""


def test_redis_cli_writes_and_reads(redis: RedisSite) -> None:
    port = redis.secure_ports["one"]
    tls = ("--tls", "--cacert", str(redis.certificates.authority))
    assert redis.cli(port, *tls, "SET", "greeting", "hello") == "OK\n"
    assert redis.cli(port, *tls, "GET", "greeting") == "hello\n"
    assert redis.cli(port, *tls, "-3", "HGETALL", "nothing") == "\n"


def test_a_script_of_redis_cli_keeps_its_database(redis: RedisSite) -> None:
    done = subprocess.run(
        [find("redis-cli"), "-p", str(redis.ports["one"])],
        input="SELECT 3\nSET there 1\nMULTI\nINCR there\nGET there\nEXEC\nRESET\nGET there\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["OK", "OK", "OK", "QUEUED", "QUEUED", "2", "2", "RESET"]


def test_redis_benchmark_completes_with_pipelines(redis: RedisSite) -> None:
    tls = ("--tls", "--cacert", str(redis.certificates.authority))
    for port, words in ((redis.ports["one"], ()), (redis.secure_ports["one"], tls)):
        argv = [find("redis-benchmark"), "-p", str(port), *words, "-P", "16", "-n", "5000", "-c", "20"]
        done = subprocess.run(
            [*argv, "-q", "-t", "set,get,incr,lpush,lrange_100,mset"],
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )
        found = re.findall(r"^(.+): ([\d.]+) requests per second", done.stdout.replace("\r", "\n"), re.M)
        assert len({name for name, _ in found}) == 7, done.stdout
        print(port, *(f"{name} {rate}/s" for name, rate in found))  # shown by make test-all


def test_no_reader_notices_that_a_replica_is_killed(tmp_path: Path, certificates: Certificates) -> None:
    site = RedisSite(tmp_path, certificates)
    try:
        for number in range(100):
            site.cli(site.primary, "SET", f"key:{number}", str(number))
        site.cli(site.primary, "WAIT", "3", "10000")
        port = str(site.secure_ports["readers"])
        argv = [client_python(), str(HERE / "clients" / "redis_readers.py"), port]
        readers = subprocess.Popen(
            [*argv, str(certificates.authority), "8"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert readers.stderr is not None
        assert [readers.stderr.readline() for _ in range(8)] == ["READING\n"] * 8
        before = dict(
            line.split(":", 1)
            for line in site.cli(site.replica_ports[0], "INFO", "stats").splitlines()
            if ":" in line
        )
        site.replicas[0].kill()
        out, err = readers.communicate(timeout=60)
    finally:
        site.close()
    assert int(before["total_commands_processed"]) > 8, "the replica to kill had nothing to do"
    print(out)
    assert '"errors": []' in out, out + err
    assert site.complaints() == ""


def test_writes_find_the_primary_among_its_replicas(redis: RedisSite) -> None:
    port = redis.ports["mixed"]
    assert ask(port, b"INCR counted\r\n" * 5) == b":1\r\n:2\r\n:3\r\n:4\r\n:5\r\n"
    transaction = b"MULTI\r\nINCR counted\r\nEXEC\r\n"
    assert ask(port, transaction) == b"+OK\r\n+QUEUED\r\n*1\r\n:6\r\n"
    assert redis.cli(redis.primary, "GET", "counted") == "6\n"


def test_a_subscriber_hears_what_is_published(redis: RedisSite) -> None:
    port = redis.ports["one"]
    with socket.create_connection(("127.0.0.1", port), 10) as subscriber:
        subscriber.sendall(b"SUBSCRIBE news\r\n")
        answer = subscriber.makefile("rb")
        subscribed = b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"
        assert answer.read(len(subscribed)) == subscribed
        assert redis.cli(port, "PUBLISH", "news", "good") == "1\n"
        message = b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$4\r\ngood\r\n"
        assert answer.read(len(message)) == message


def test_what_is_taken_for_commands_a_server_takes_for_the_same(redis: RedisSite) -> None:
    """Bytes of every kind: the commands that the broker finds in them a server finds first, in order."""
    chance = random.Random(3)
    samples = [
        b"*2\r\n$4\r\nECHO\r\n$3\r\nabc\r\n",
        b"*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$12\r\n$4\r\nPING\r\n\r\n\r\n",
        b"PING\r\nECHO 'a b'\r\n",
        b'ECHO "\\x41\\n"\n*0\r\n\r\nPING\r\n',
    ]
    same = 0
    for number in range(600):
        data = b"".join(chance.choice(samples) for _ in range(2))
        for _ in range(number and chance.randrange(1, 4)):
            data = mutated(data, chance)
        commands = found_in(data)
        if commands:
            same += 1
            expected = ask(redis.alone, written(commands))
            assert ask(redis.alone, data).startswith(expected), (data, commands)
    assert same > 200


def found_in(data: bytes) -> list[Command]:
    reader = Reader(1 << 20)
    reader.feed(data)
    commands = []
    try:
        while (command := reader.next()) is not None:
            commands.append(command)
    except FramingError:
        pass
    return commands


def test_the_table_agrees_with_a_server(redis: RedisSite) -> None:
    """A read may not write, a command that waits must be known to, and keys are where a server has them."""
    listed = redis.cli(redis.alone, "COMMAND", "LIST").split()
    wrong = []
    for name in listed:
        if "|" in name:
            continue
        spec = spec_of(name.upper().encode(), [])
        info = redis.cli(redis.alone, "COMMAND", "INFO", name).split("\n")
        flags, first, last, step = set(), info[-1], info[-1], info[-1]
        at = next(index for index, word in enumerate(info[2:], 2) if re.fullmatch(r"-?\d+", word))
        flags = set(info[2:at])
        first, last, step = info[at : at + 3]
        if spec.repeatable and spec.kind in (Kind.READ, Kind.BLOCK) and "write" in flags:
            wrong.append(f"{name}: writes, and is said to read")
        if "blocking" in flags and spec.kind not in (Kind.BLOCK, Kind.WAIT) and name != "xread":
            wrong.append(f"{name}: waits")
        if "movablekeys" in flags or spec.kind is Kind.ALONE or int(first) == 0:
            continue
        words = [name.upper().encode(), *(b"key%d" % number for number in range(1, 8))]
        keys = keys_of(Command(words, len(words), 0))
        end = int(last) if int(last) > 0 else len(words) + int(last)
        if keys != words[int(first) : end + 1 : int(step)]:
            wrong.append(f"{name}: its keys are {first} to {last} by {step}, found {keys}")
    assert wrong == []


def test_redis_pys_own_tests_end_over_tls_as_without_a_broker(redis: RedisSite) -> None:
    if not (SUITE / "tests").is_dir():
        pytest.skip(f"no {SUITE} (make test-all gets it)")
    files = [f"tests/test_{name}.py" for name in TESTED]
    direct = suite(f"redis://127.0.0.1:{redis.alone}/0", *files)
    authority = f"ssl_ca_certs={redis.certificates.authority}"
    tls = f"rediss://127.0.0.1:{redis.secure_ports['one']}/0?{authority}"
    through = suite(tls, "-p", "redis_py_over_tls", *files)
    assert list(direct.values()).count("PASSED") > 700
    different = {name for name in {*direct, *through} if direct.get(name) != through.get(name)}
    assert different == {NOT_CARRIED, PLAIN}
    print(f"{list(through.values()).count('PASSED')} of redis-py's own tests pass through the broker")
    assert suite(f"redis://127.0.0.1:{redis.ports['one']}/0", PLAIN) == {PLAIN: "PASSED"}


def suite(url: str, *words: str) -> dict[str, str]:
    """How each of redis-py's tests ends with this server."""
    how = ["--redis-url", url, "--timeout", "30", "-p", "no:cacheprovider", "-rA"]
    done = subprocess.run(
        [client_python(), "-m", "pytest", "-q", *how, *words],
        cwd=SUITE,
        env={**os.environ, "COLUMNS": "400", "PYTHONPATH": str(HERE / "clients")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    found = re.findall(r"^(PASSED|FAILED|ERROR) (tests/\S+)", done.stdout, re.M)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    return {name: end for end, name in found}
