"""What each Redis command is to a broker: may it be repeated, what does it leave behind, where are its keys.

Decides by a table of names, checked against a real server's `COMMAND` by the tests. Invariant: what the
table does not know is taken for the worst, a command that changes data and leaves state on its link.
Refuses to understand scripts and modules: nobody can tell from the outside what they do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple


class Kind(Enum):
    """How a command travels. The first four join others of their own kind in one exchange."""

    READ = "reads data"
    WRITE = "may change data"
    OWN = "is answered by the broker"
    QUEUED = "waits in an open MULTI"
    ALONE = "may leave state on its link"
    BLOCK = "waits at the server, for as long as it says"
    WAIT = "asks about earlier writes on the same link"
    GROUP = "is a whole MULTI … EXEC"
    STREAM = "makes a stream of the connection"
    LAST = "ends the connection"
    REFUSED = "cannot be carried"


class Effect(Enum):
    """What is left on a link that has done a command."""

    NONE = "nothing"
    SESSION = "something that only RESET takes back"
    HELLO = "a version of RESP"
    MULTI = "an open MULTI"
    EXEC = "no MULTI, no WATCH"
    WATCH = "a WATCH"
    UNWATCH = "no WATCH"
    SCAN = "a cursor"
    RESET = "nothing at all"


class Spec(NamedTuple):
    """What is known of a command by its name."""

    kind: Kind
    effect: Effect = Effect.NONE
    repeatable: bool = False  # the second time changes nothing
    first: int = 0  # position of the first key; 0: none, or none that is easily found
    last: int = 0  # of the last one; negative: from the end
    step: int = 1
    numkeys: int = 0  # position of the number of keys, which the keys follow; 0: there is none
    #: An error such as -READONLY proves that it did nothing: the server looks before it begins.
    plain: bool = True


class Command:
    """One command: its arguments, or the first of them when the rest is too long to be kept."""

    __slots__ = ("args", "count", "name", "size", "spec")

    def __init__(self, args: list[bytes], count: int, size: int) -> None:
        self.args = args
        self.count = count  # of arguments, the name included
        self.size = size  # of `args` as they are written
        self.name = args[0].upper()
        self.spec = spec_of(self.name, args)

    @property
    def whole(self) -> bool:
        return len(self.args) == self.count

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Command) and (self.args, self.count) == (other.args, other.count)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Command({self.args!r}{'' if self.whole else f' of {self.count}'})"


def spec_of(name: bytes, args: Sequence[bytes]) -> Spec:
    """What is known of the command `name`; of containers, by its subcommand."""
    if name == b"CLIENT":
        return _CLIENT.get(args[1].upper() if len(args) > 1 else b"", _SESSION)
    if name == b"XREAD" and not _blocks(args):
        return _READ
    return _TABLE.get(name, _UNKNOWN)


def keys_of(command: Command) -> list[bytes] | None:
    """The keys among its arguments; None when they cannot be told."""
    spec, args = command.spec, command.args
    if spec is _UNKNOWN:
        return None
    if command.name in (b"XREAD", b"XREADGROUP"):
        upper = [arg.upper() for arg in args]
        if b"STREAMS" not in upper or not command.whole:
            return None
        streams = args[upper.index(b"STREAMS") + 1 :]
        return streams[: len(streams) // 2]
    if spec.numkeys:
        found = [args[spec.first]] if spec.first and len(args) > spec.first else []
        number = args[spec.numkeys] if len(args) > spec.numkeys else b""
        if not number.isdigit() or len(number) > 7 or len(args) <= spec.numkeys + int(number):
            return found or None
        return found + args[spec.numkeys + 1 : spec.numkeys + 1 + int(number)]
    if not spec.first:
        return []
    if spec.last == spec.first:
        return args[spec.first : spec.first + 1]
    if not command.whole:
        return None
    end = spec.last + 1 if spec.last > 0 else command.count + spec.last + 1
    return args[spec.first : end : spec.step]


def first_key(command: Command) -> bytes | None:
    """The first key; None when there is none, or none is found."""
    if command.spec.first and len(command.args) > command.spec.first:
        return command.args[command.spec.first]
    keys = keys_of(command)
    return keys[0] if keys else None


def hash_tag(key: bytes) -> bytes:
    """The part of a key that places it: what is between the first braces, when that is not empty.

    As the Redis Cluster specification says under "Hash tags".
    """
    _, opened, rest = key.partition(b"{")
    tag, closed, _ = rest.partition(b"}")
    return tag if opened and closed and tag else key


def waits(command: Command) -> float | None:
    """Seconds that a blocking command may wait by its own words; 0.0: for ever; None: it says nothing."""
    where = _TIMES.get(command.name)
    args = command.args
    if where is None:
        if command.name not in (b"XREAD", b"XREADGROUP"):
            return None
        block = _blocks(args)
        return _seconds(args[block], 0.001) if block else None
    position, unit = where
    if not command.whole and (position < 0 or position >= len(args)):
        return 0.0  # its limit is among what was not kept
    if len(args) < 2 or position >= len(args):
        return None
    return _seconds(args[position], unit)


def _blocks(args: Sequence[bytes]) -> int:
    """Where XREAD says how long it waits; 0: it does not wait."""
    upper = [arg.upper() for arg in args[:_OPTIONS]]
    found = upper.index(b"BLOCK") + 1 if b"BLOCK" in upper else 0
    return found if found < len(args) else 0


def _seconds(text: bytes, unit: float) -> float | None:
    try:
        seconds = float(text) * unit
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


_OPTIONS = 12  # XREADGROUP GROUP g c COUNT n BLOCK m NOACK STREAMS: the options come first

#: Where a blocking command says how long it may wait, and in which unit of a second.
_TIMES: Final = {
    b"BLPOP": (-1, 1.0),
    b"BRPOP": (-1, 1.0),
    b"BZPOPMIN": (-1, 1.0),
    b"BZPOPMAX": (-1, 1.0),
    b"BLMOVE": (-1, 1.0),
    b"BRPOPLPUSH": (-1, 1.0),
    b"BLMPOP": (1, 1.0),
    b"BZMPOP": (1, 1.0),
    b"WAIT": (2, 0.001),
    b"WAITAOF": (3, 0.001),
}

_SESSION: Final = Spec(Kind.ALONE, Effect.SESSION, repeatable=True)
_UNKNOWN: Final = Spec(Kind.ALONE, Effect.SESSION, plain=False)
_WRITE: Final = Spec(Kind.WRITE)
_READ: Final = Spec(Kind.READ, repeatable=True)

_CLIENT: Final[dict[bytes, Spec]] = {
    b"SETINFO": Spec(Kind.OWN, repeatable=True),
    b"MAINT_NOTIFICATIONS": Spec(Kind.OWN, repeatable=True),
    b"REPLY": Spec(Kind.REFUSED),
    b"TRACKING": Spec(Kind.STREAM, repeatable=True),
    **dict.fromkeys((b"KILL", b"LIST", b"PAUSE", b"UNPAUSE", b"UNBLOCK"), _WRITE),
    b"HELP": _READ,
}

_TABLE: Final[dict[bytes, Spec]] = {}


def _add(names: str, spec: Spec) -> None:
    _TABLE.update(dict.fromkeys(names.upper().encode().split(), spec))


def _key(spec: Spec, first: int, last: int | None = None, step: int = 1, numkeys: int = 0) -> Spec:
    return spec._replace(first=first, last=first if last is None else last, step=step, numkeys=numkeys)


# Reads: by key, by several keys, by a number of keys, of the whole database or the server.
_add(
    """bitcount bitfield_ro bitpos digest dump expiretime geodist geohash geopos georadius_ro
    georadiusbymember_ro geosearch get getbit getrange hexists hget hgetall hkeys hlen hmget hrandfield
    hstrlen hvals hexpiretime hpexpiretime hpttl httl lindex llen lpos lrange pexpiretime pttl scard sismember
    smembers smismember sort_ro srandmember strlen substr ttl type xlen xpending xrange xrevrange zcard zcount
    zlexcount zmscore zrandmember zrange zrangebylex zrangebyscore zrank zrevrange zrevrangebylex
    zrevrangebyscore zrevrank zscore""",
    _key(_READ, 1),
)
_add("exists mget pfcount sdiff sinter sunion", _key(_READ, 1, -1))
_add("lcs", _key(_READ, 1, 2))
_add("sintercard zdiff zinter zintercard zunion", _READ._replace(numkeys=1))
_add("command dbsize echo info keys lastsave lolwut ping randomkey role time", _READ)
_add("hscan sscan zscan", _key(Spec(Kind.ALONE, Effect.SCAN, repeatable=True), 1))
_add("scan", Spec(Kind.ALONE, Effect.SCAN, repeatable=True))

# What may change data.
_add(
    """append bitfield decr decrby delex expire expireat geoadd georadius georadiusbymember getdel getex
    getset hdel hexpire hexpireat hgetdel hgetex hincrby hincrbyfloat hmset hpersist hpexpire hpexpireat hset
    hsetex hsetnx incr incrby incrbyfloat linsert lpop lpush lpushx lrem lset ltrim move persist pexpire
    pexpireat pfadd psetex restore rpop rpush rpushx sadd set setbit setex setnx setrange sort spop srem xack
    xadd xautoclaim xclaim xdel xsetid xtrim zadd zincrby zpopmax zpopmin zrem zremrangebylex zremrangebyrank
    zremrangebyscore""",
    _key(_WRITE, 1),
)
_add("del pfmerge sdiffstore sinterstore sunionstore touch unlink", _key(_WRITE, 1, -1))
_add("mset msetnx", _key(_WRITE, 1, -1, 2))
_add("copy geosearchstore lmove rename renamenx rpoplpush smove zrangestore", _key(_WRITE, 1, 2))
_add("bitop", _key(_WRITE, 2, -1))
_add("lmpop zmpop", _WRITE._replace(numkeys=1))
_add("zdiffstore zinterstore zunionstore", _key(_WRITE, 1, 1, 1, 2))
_add("memory object xgroup xinfo", _key(_WRITE, 2))
_add("flushall flushdb swapdb publish", _WRITE)
_add("spublish", _key(_WRITE, 1))
_add(
    """acl bgrewriteaof bgsave cluster config function latency module pubsub save script shutdown
    slowlog""",
    _WRITE._replace(plain=False),
)
_add("eval evalsha eval_ro evalsha_ro fcall fcall_ro", _WRITE._replace(numkeys=2, plain=False))

# What waits.
_add("blpop brpop bzpopmin bzpopmax", _key(Spec(Kind.BLOCK), 1, -2))
_add("blmove brpoplpush", _key(Spec(Kind.BLOCK), 1, 2))
_add("blmpop bzmpop", Spec(Kind.BLOCK, numkeys=2))
_add("xread", Spec(Kind.BLOCK, repeatable=True))
_add("xreadgroup", Spec(Kind.BLOCK))
_add("wait waitaof", Spec(Kind.WAIT))

# What leaves something behind.
_add("auth asking readonly readwrite select", _SESSION)
_add("hello", Spec(Kind.ALONE, Effect.HELLO, repeatable=True))
_add("multi", Spec(Kind.ALONE, Effect.MULTI, repeatable=True))
_add("exec discard", Spec(Kind.ALONE, Effect.EXEC))
_add("watch", _key(Spec(Kind.ALONE, Effect.WATCH, repeatable=True), 1, -1))
_add("unwatch", Spec(Kind.ALONE, Effect.UNWATCH, repeatable=True))
_add("reset", Spec(Kind.ALONE, Effect.RESET, repeatable=True))

# What makes a stream, or is answered by a number of replies that only a stream can carry.
_add("subscribe psubscribe unsubscribe punsubscribe monitor", Spec(Kind.STREAM, repeatable=True))
_add("ssubscribe sunsubscribe", _key(Spec(Kind.STREAM, repeatable=True), 1, -1))
_add("sync psync replconf", Spec(Kind.STREAM, plain=False))

_add("quit", Spec(Kind.LAST, repeatable=True))
