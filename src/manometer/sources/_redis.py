"""What redis is asked for: operation, shape of the key, how many items, and the call around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .._fingerprint import key_of, values_of
from .._limits import MAX_KEY_SHAPES
from ._outgoing import add_part
from ._route import is_word

if TYPE_CHECKING:
    from .._model import Operation

_READS: Final = frozenset(
    [
        "GET",
        "MGET",
        "GETRANGE",
        "STRLEN",
        "EXISTS",
        "TTL",
        "PTTL",
        "TYPE",
        "HGET",
        "HMGET",
        "HGETALL",
        "HKEYS",
        "HVALS",
        "HLEN",
        "HEXISTS",
        "HSCAN",
        "HSTRLEN",
        "LRANGE",
        "LINDEX",
        "LLEN",
        "LPOS",
        "SMEMBERS",
        "SISMEMBER",
        "SMISMEMBER",
        "SCARD",
        "SRANDMEMBER",
        "SINTER",
        "SUNION",
        "SDIFF",
        "SSCAN",
        "ZRANGE",
        "ZREVRANGE",
        "ZRANGEBYSCORE",
        "ZREVRANGEBYSCORE",
        "ZSCORE",
        "ZMSCORE",
        "ZRANK",
        "ZREVRANK",
        "ZCARD",
        "ZCOUNT",
        "ZSCAN",
        "XRANGE",
        "XREVRANGE",
        "XLEN",
        "GETBIT",
        "BITCOUNT",
        "PFCOUNT",
        "GEOPOS",
        "GEODIST",
        "GEOSEARCH",
        "KEYS",
        "SCAN",
        "RANDOMKEY",
        "DBSIZE",
        "DUMP",
        "OBJECT",
        "JSON.GET",
        "JSON.MGET",
        "FT.SEARCH",
        "FT.AGGREGATE",
        "EVAL_RO",
        "EVALSHA_RO",
        "FCALL_RO",
        "SORT_RO",
    ]
)
_WRITES: Final = frozenset(
    [
        "SET",
        "SETEX",
        "PSETEX",
        "SETNX",
        "MSET",
        "MSETNX",
        "GETSET",
        "GETDEL",
        "GETEX",
        "APPEND",
        "SETRANGE",
        "INCR",
        "INCRBY",
        "INCRBYFLOAT",
        "DECR",
        "DECRBY",
        "DEL",
        "UNLINK",
        "EXPIRE",
        "PEXPIRE",
        "EXPIREAT",
        "PEXPIREAT",
        "PERSIST",
        "RENAME",
        "RENAMENX",
        "COPY",
        "MOVE",
        "TOUCH",
        "HSET",
        "HMSET",
        "HSETNX",
        "HDEL",
        "HINCRBY",
        "HINCRBYFLOAT",
        "LPUSH",
        "RPUSH",
        "LPUSHX",
        "RPUSHX",
        "LPOP",
        "RPOP",
        "LSET",
        "LREM",
        "LTRIM",
        "LINSERT",
        "LMOVE",
        "RPOPLPUSH",
        "SADD",
        "SREM",
        "SPOP",
        "SMOVE",
        "ZADD",
        "ZREM",
        "ZINCRBY",
        "ZPOPMIN",
        "ZPOPMAX",
        "ZREMRANGEBYSCORE",
        "ZREMRANGEBYRANK",
        "XADD",
        "XDEL",
        "XTRIM",
        "XACK",
        "SETBIT",
        "PFADD",
        "PFMERGE",
        "GEOADD",
        "PUBLISH",
        "SPUBLISH",
        "JSON.SET",
        "JSON.DEL",
        "FLUSHDB",
        "FLUSHALL",
        "RESTORE",
    ]
)
_CONTROL: Final = frozenset(
    [
        "PING",
        "ECHO",
        "AUTH",
        "HELLO",
        "SELECT",
        "QUIT",
        "CLIENT",
        "CONFIG",
        "INFO",
        "COMMAND",
        "CLUSTER",
        "READONLY",
        "READWRITE",
        "ASKING",
        "WAIT",
        "MULTI",
        "EXEC",
        "DISCARD",
        "WATCH",
        "UNWATCH",
        "SCRIPT",
        "FUNCTION",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "PSUBSCRIBE",
        "PUNSUBSCRIBE",
        "SSUBSCRIBE",
        "SUNSUBSCRIBE",
        "MONITOR",
        "SLOWLOG",
        "MEMORY",
        "LATENCY",
        "ACL",
        "ROLE",
        "TIME",
        "DEBUG",
        "SAVE",
        "BGSAVE",
        "SENTINEL",
        "BLPOP",
        "BRPOP",
        "BLMOVE",
        "BRPOPLPUSH",
        "BLMPOP",
        "BZPOPMIN",
        "BZPOPMAX",
        "XREAD",
        "XREADGROUP",
    ]
)
"""Settings, transactions and what waits for work: nothing that could be asked for less often."""
_MESSAGES: Final = frozenset({"PUBLISH", "SPUBLISH", "XADD"})
_KEYLESS: Final = frozenset(
    {"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO", "SCAN", "KEYS", "DBSIZE"}
)
_KEYS: Final = frozenset(
    {"MGET", "EXISTS", "DEL", "UNLINK", "TOUCH", "SUNION", "SINTER", "SDIFF", "PFCOUNT", "JSON.MGET"}
)
_ITEMS: Final = frozenset(
    {"HMGET", "HDEL", "SADD", "SREM", "SMISMEMBER", "LPUSH", "RPUSH", "ZREM", "ZMSCORE", "PFADD", "XDEL"}
)
_PAIRS: Final = frozenset({"HSET", "HMSET", "ZADD"})
_MAX_READ: Final = 512
_MAX_SEGMENTS: Final = 8
_shapes: Final[dict[str, str]] = {}
_READ_BACK: Final = 64


def command_of(args: tuple[Any, ...]) -> str:
    """Return the name of a command, `GET`; empty when it cannot be told."""
    first = args[0] if args else None
    if type(first) is bytes:
        first = first.decode("ascii", "replace")
    return first.partition(" ")[0].upper() if type(first) is str and len(first) <= _READ_BACK else ""


def operation_of(command: str) -> Operation:
    """Tell what a command does; of an unknown one nothing is said."""
    if command in _READS:
        return "read"
    if command in _WRITES:
        return "write"
    return "control" if command in _CONTROL else ""


def is_message(command: str) -> bool:
    """Tell whether a command sends a message to whoever listens."""
    return command in _MESSAGES


def shape_of(command: str, args: tuple[Any, ...]) -> str:
    """Return a command with the shape of its first key, `GET user:{id}`; 0.2 us once known, 3 us otherwise."""
    key = text_of(args[1]) if len(args) > 1 and command not in _KEYLESS else None
    if key is None:
        return command
    found = _shapes.get(key)
    if found is None:
        if len(_shapes) >= MAX_KEY_SHAPES:
            _shapes.clear()
        found = _shapes[key] = _folded(key)
    return f"{command} {found}"


def _folded(key: str) -> str:
    """Fold every part between colons or slashes that is no plain word."""
    parts = key[:_MAX_READ].replace("/", ":").split(":")
    more = len(key) > _MAX_READ or len(parts) > _MAX_SEGMENTS
    folded = ":".join(part if is_word(part) else "{id}" for part in parts[:_MAX_SEGMENTS])
    return f"{folded}:*" if more else folded


def text_of(value: object) -> str | None:
    """Return a key or value as text; None when it is of no plain type."""
    if type(value) is str:
        return value
    if type(value) is bytes:
        return value.decode("utf-8", "replace")
    return str(value) if type(value) is int else None


def batch_of(command: str, args: tuple[Any, ...]) -> int:
    """Return how many keys or items a command carries; 0 for those that always carry one."""
    if command in _KEYS:
        return len(args) - 1
    if command in _ITEMS:
        return len(args) - 2
    if command in _PAIRS:
        return (len(args) - 2) // 2
    return (len(args) - 1) // 2 if command in ("MSET", "MSETNX") else 0


def values_in(args: tuple[Any, ...]) -> tuple[int, ...]:
    """Return keyed hashes of what may be a key in a command: its key, the parts of that, its other arguments."""
    parts: list[object] = []
    for number, argument in enumerate(args[1:9]):
        text = text_of(argument)
        if text is None or len(text) > _MAX_READ:
            continue
        add_part(parts, text)
        if not number and (":" in text or "/" in text):
            for part in text.replace("/", ":").split(":")[:_MAX_SEGMENTS]:
                if not part.isalpha():
                    add_part(parts, part)
    return values_of(tuple(parts))


def reply_of(reply: object) -> tuple[int, tuple[int, ...], int | None]:
    """Return how many items a reply has, keyed hashes of the key-like ones, and one of the whole."""
    if reply is None:
        return 0, (), key_of(("none",))
    if type(reply) is set:
        return len(reply), _hashes(list(reply)), None
    if type(reply) is dict:
        return len(reply), _hashes(list(reply.values())), key_of(reply)
    if type(reply) is list or type(reply) is tuple:
        return len(reply), _hashes(reply), key_of(reply)
    return 1, _hashes((reply,)), key_of((reply,))


def _hashes(values: list[Any] | tuple[Any, ...]) -> tuple[int, ...]:
    found: list[int] = []
    for at in range(0, min(len(values), _READ_BACK), 4):
        parts: list[object] = []
        for value in values[at : at + 4]:
            text = text_of(value)
            if text is not None and len(text) <= _READ_BACK:
                add_part(parts, text)
        found.extend(values_of(tuple(parts)))
    return tuple(found)
