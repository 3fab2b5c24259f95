"""PostgreSQL and Redis as streams: big results, copies in and out, cancelled queries, and their own TLS."""

from __future__ import annotations

import glob
import hashlib
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from .programs import Program, find, free_ports, until
from .site import DIRECT, Certificates
from .streams import WAYS, Account, Servers, Streams, Way, account, each_way, from_tls, to_tls

pytestmark = pytest.mark.skipif(DIRECT, reason="nginx, as it is set up here, carries no streams")

MB = 1_000_000
ROWS = 1_000_000


def postgres_program(name: str) -> str:
    """Debian keeps PostgreSQL's own programs out of PATH."""
    found = shutil.which(name) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))), None)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: postgresql)")
    return found


class Postgres:
    """A server with its own TLS, one more port for TLS from the first byte, and a broker before both."""

    def __init__(self, who: Account, certificates: Certificates) -> None:
        self.certificates = certificates
        directory, data = who.directory, who.directory / "data"
        words = [*who.words, postgres_program("initdb"), "-D", str(data), "-A", "trust", "-U", "test"]
        words += ["--no-sync", "--locale=C", "--encoding=UTF8"]
        subprocess.run(words, cwd=directory, check=True, capture_output=True, timeout=120)
        key = data / "server.pem"
        key.write_bytes(certificates.server.read_bytes())
        shutil.chown(key, who.name)
        key.chmod(0o600)
        (port,) = free_ports(1)
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": directory,
            "fsync": "off",
            "ssl": "on",
            "ssl_cert_file": key,
            "ssl_key_file": key,
        }
        argv = [*who.words, postgres_program("postgres"), "-D", str(data), "-p", str(port)]
        argv += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.server = Program("postgres", argv, directory, ports=[port])
        self._programs = [self.server]
        try:
            inside = from_tls("before-postgres", directory, certificates, port)
            self._programs.append(inside)
            self.streams = Streams(directory, certificates, {"sql": Servers([port], inside.ports)})
            self._programs.append(self.streams.broker)
            self._ports: dict[Way, int] = {}
            for way in WAYS:
                port = self._ports[way] = self.streams.port("sql", way)
                if way.secure:  # psql begins TLS by words of its own, so another program must do it
                    outside = to_tls(f"psql-{way}", directory, certificates, port)
                    self._programs.append(outside)
                    (self._ports[way],) = outside.ports
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        for program in reversed(self._programs):
            if program is self.server:
                program.child.send_signal(signal.SIGINT)  # SIGTERM waits for its clients
            program.end()

    def psql(self, way: Way, *words: str, tls: str = "sslmode=disable") -> list[str]:
        where = f"host=127.0.0.1 port={self._ports[way]} user=test dbname=postgres {tls}"
        return [find("psql"), "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", where, *words]

    def asks(self, way: Way, question: str, given: bytes = b"", tls: str = "sslmode=disable") -> bytes:
        argv = self.psql(way, "-c", question, tls=tls)
        done = subprocess.run(argv, input=given, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def postgres(certificates: Certificates) -> Iterator[Postgres]:
    with account() as who:
        postgres = Postgres(who, certificates)
        yield postgres
        postgres.end()
        assert "Traceback" not in postgres.streams.broker.log.read_text(errors="replace")


@each_way
def test_a_big_result(way: Way, postgres: Postgres) -> None:
    got = postgres.asks(way, f"SELECT i, md5(i::text) FROM generate_series(1, {ROWS}) AS i")
    whole = b"".join(
        b"%d|%s\n" % (i, hashlib.md5(b"%d" % i).hexdigest().encode()) for i in range(1, ROWS + 1)
    )
    assert got == whole


@each_way
def test_50_mb_are_copied_in_and_out(way: Way, postgres: Postgres) -> None:
    lines = [hashlib.shake_256(b"%d" % number).hexdigest(500).encode() + b"\n" for number in range(50_000)]
    data = b"".join(lines)
    assert len(data) > 50 * MB
    table = str(way).replace("-", "_")
    postgres.asks(way, f"CREATE TABLE {table} (number serial, words text)")
    postgres.asks(way, f"COPY {table} (words) FROM STDIN", data)
    own = postgres.asks(way, f"SELECT md5(string_agg(words, E'\\n' ORDER BY number) || E'\\n') FROM {table}")
    assert own.decode().strip() == hashlib.md5(data).hexdigest()
    assert postgres.asks(way, f"COPY (SELECT words FROM {table} ORDER BY number) TO STDOUT") == data


@each_way
def test_a_query_is_cancelled(way: Way, postgres: Postgres) -> None:
    """psql asks for it on a second connection, while the first one waits."""
    name = f"psql-{way}"
    asked = (
        f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}' AND query LIKE '%sleep%'"
    )
    argv = postgres.psql(way, "-c", "SELECT pg_sleep(600)", tls=f"sslmode=disable application_name={name}")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as psql:
        try:
            assert until(lambda: int(postgres.asks(way, asked)), 30)
            psql.send_signal(signal.SIGINT)
            _, error = psql.communicate(timeout=30)
        finally:
            psql.kill()
    assert b"canceling statement due to user request" in error


@pytest.mark.parametrize("mode", ["sslmode=verify-full", "sslmode=require channel_binding=disable"])
def test_its_own_tls_passes_a_plain_listener(mode: str, postgres: Postgres) -> None:
    """It begins after words of PostgreSQL's own; the broker sees none of what is inside."""
    way = Way(False, False)
    tls = f"{mode} sslrootcert={postgres.certificates.authority}"
    asked = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    assert postgres.asks(way, asked, tls=tls) == b"t\n"


def test_tls_from_its_first_byte(postgres: Postgres) -> None:
    """`sslnegotiation=direct` insists on the ALPN of PostgreSQL, which a secure listener does not choose."""
    done = subprocess.run([find("psql"), "--version"], capture_output=True, text=True, check=True)
    version = done.stdout.split()[2]
    if int(version.split(".")[0]) < 17:
        pytest.skip(f"psql {version} cannot; 17 can")
    way, tls = Way(True, False), f"sslrootcert={postgres.certificates.authority} sslmode=verify-full"
    words = postgres.psql(way, "-c", "SELECT 1", tls=f"{tls} sslnegotiation=direct")
    port = postgres.streams.port("sql", way)
    words = [word.replace(f"port={postgres._ports[way]}", f"port={port}") for word in words]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode
    assert "ALPN" in done.stderr


class Redis:
    """A server with a plain and a secure port, and a broker before both."""

    def __init__(self, directory: Path, certificates: Certificates) -> None:
        self.certificates = certificates
        port, secure_port = free_ports(2)
        argv: Sequence[str | Path] = [
            *(find("redis-server"), "--port", str(port), "--tls-port", str(secure_port)),
            *("--tls-cert-file", certificates.server, "--tls-key-file", certificates.server),
            *("--tls-ca-cert-file", certificates.authority, "--tls-auth-clients", "no"),
            *("--bind", "127.0.0.1", "--save", "", "--dir", directory),
        ]
        self.server = Program("redis", argv, directory, ports=[port, secure_port])
        try:
            self.streams = Streams(directory, certificates, {"redis": Servers([port], [secure_port])})
        except BaseException:
            self.server.end()
            raise

    def __enter__(self) -> Redis:
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self.streams.__exit__()
        finally:
            self.server.end()

    def runs(self, program: str, way: Way, *words: str, given: bytes = b"") -> str:
        argv = [find(program), "-h", "127.0.0.1", "-p", str(self.streams.port("redis", way))]
        if way.secure:
            argv += ["--tls", "--cacert", str(self.certificates.authority)]
        done = subprocess.run([*argv, *words], input=given, capture_output=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory, certificates: Certificates) -> Iterator[Redis]:
    with Redis(tmp_path_factory.mktemp("redis"), certificates) as redis:
        yield redis


@each_way
def test_redis_benchmark(way: Way, redis: Redis) -> None:
    """All its answers are right, for it counts an error as its end; 50 clients, 16 commands at once."""
    words = [
        "-n",
        "20000",
        "-c",
        "50",
        "-P",
        "16",
        "-d",
        "1000",
        "-e",
        "--csv",
        "-t",
        "ping,set,get,lpush,lrange_100",
    ]
    lines = redis.runs("redis-benchmark", way, *words).splitlines()
    names = [line.split(",")[0].strip('"').split()[0] for line in lines[1:]]
    assert names == ["PING_INLINE", "PING_MBULK", "SET", "GET", "LPUSH", "LPUSH", "LRANGE_100"], lines
    print(way, json.dumps([line.split(",")[:2] for line in lines[1:]]))


@each_way
def test_a_value_of_20_mb(way: Way, redis: Redis) -> None:
    data = hashlib.shake_256(b"redis").hexdigest(10 * MB).encode()
    assert redis.runs("redis-cli", way, "-x", "set", f"big-{way}", given=data) == "OK\n"
    assert redis.runs("redis-cli", way, "get", f"big-{way}").rstrip("\n").encode() == data
