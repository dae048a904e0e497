"""What to do about repeated work, in the words of the library it was done with."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from .._statement import statement

if TYPE_CHECKING:
    from .._model import Callsite
    from ._claims import Group

_FETCH_MODES: Final = (6, 1)
"""Version of Django that brought `fetch_mode`."""
_ANY: Final = frozenset({"psycopg", "psycopg2", "asyncpg"})


def _version(callsite: Callsite) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,6}", callsite.version)[:2])


def _place(source: Callsite | None) -> str:
    if source is None or not source.file:
        return ""
    name = source.file.replace("\\", "/").rpartition("/")[2]
    return f" at {name}:{source.line}"


def _is_many(group: Group) -> bool:
    """Whether a call returns several rows, so that a collection is loaded and not one object."""
    return group.rows_max > 1 if group.rows_calls else False


def batch_reads(group: Group, source: Callsite | None) -> str:
    """Say how one call can read what many read now.

    Args:
        group: The repeated reads.
        source: The read whose rows supplied the arguments; None when unknown.
    """
    kind = group.callsite.kind
    if kind == "db":
        return _batch_queries(group, source)
    if group.callsite.system in _SPECIAL:
        return _SPECIAL[group.callsite.system]
    if kind == "http":
        return "Ask for all items in one request if the service has a batch endpoint; else send them at once with a limit."
    if kind == "cache":
        return _batch_lookups(group.callsite)
    if kind == "queue":
        return "Publish the messages in one batch."
    return "Ask for all items in one call."


_SPECIAL: Final = {
    "celery": "Send one group(...) of signatures, or task.chunks(...): one message for each chunk and not for each item.",
    "rq": "Put all jobs into the queue at once: queue.enqueue_many([Queue.prepare_data(...), ...]).",
    "dramatiq": "Send one message that carries all the keys, or a dramatiq.group([...]).",
    "dns": "Keep what was looked up for as long as it is valid, or keep the connection: one client for all calls.",
}
"""How one call serves many, by the system that is asked."""


def _batch_queries(group: Group, source: Callsite | None) -> str:
    library = group.callsite.library
    if library == "sqlalchemy":
        return _sqlalchemy(group, source)
    if library == "django":
        return _django(group, source)
    if library == "pymongo":
        return 'Read all documents in one find before the loop: {field: {"$in": keys}}.'
    if library in _ANY:
        return (
            "Read all keys in one query before the loop: WHERE ... = ANY(...) with the list as one parameter."
        )
    return "Read all keys in one query before the loop: WHERE ... IN (...)."


def _sqlalchemy(group: Group, source: Callsite | None) -> str:
    if group.batch_sum:  # an eager load is there already, and runs once for each parent fetched alone
        return "Fetch the parents in one query, so that the eager load runs once for all of them."
    if source is None:
        return "Read all keys in one query before the loop: select(...).where(....in_(keys))."
    option = "selectinload(...)" if _is_many(group) else "joinedload(...) or selectinload(...)"
    return (
        f"Add {option} to the options of the query{_place(source)}, or read all keys with one IN (...) query."
    )


def _django(group: Group, source: Callsite | None) -> str:
    if group.batch_sum:  # a prefetch is there already, and runs once for each instance
        return "Prefetch once for all instances: prefetch_related_objects(instances, ...) before the loop."
    if source is None:
        return "Read all keys in one query before the loop: filter(pk__in=keys) or in_bulk(keys)."
    place = _place(source)
    shape = group.callsite.template
    if shape.startswith("SELECT COUNT("):
        return f"Count with the queryset{place}: annotate(...=Count(...))."
    if shape.startswith("SELECT ? AS a "):
        return f"Ask with the queryset{place}: annotate(...=Exists(...))."
    known = statement(shape)
    if _is_many(group) or not known.has_limit:  # whoever wants one object asks with a LIMIT
        return f"Add prefetch_related(...) to the queryset{place}."
    peers = ", or fetch_mode(FETCH_PEERS)" if _version(group.callsite) >= _FETCH_MODES else ""
    if known.table == statement(source.template).table:
        return f"Load the deferred field, or the related row by select_related(...){peers}, with the queryset{place}."
    return f"Add select_related(...) or prefetch_related(...){peers} to the queryset{place}."


def use_what_is_loaded(load: Callsite, reader: Callsite | None = None) -> str:
    """Say how rows that an eager load brought can be used, instead of being read again.

    Args:
        load: The eager load.
        reader: Where its rows are read again; None where the advice is told there.
    """
    what = (
        "Use" if reader is None else f"At{_place(reader).removeprefix(' at')}, use" if reader.file else "Use"
    )
    where = _place(load) if reader is None else ""
    if load.library == "sqlalchemy":
        return (
            f"{what} what the eager load{where} has loaded: filter the collection in Python, "
            "or load it filtered with selectinload(....and_(...))."
        )
    return (
        f"{what} what the prefetch{where} has loaded: filter the list in Python, "
        "or prefetch it filtered with Prefetch(..., queryset=..., to_attr=...)."
    )


def _batch_lookups(callsite: Callsite) -> str:
    if callsite.library == "django":
        return "Read all keys at once with cache.get_many(keys)."
    if callsite.system in ("redis", "valkey"):
        return "Read all keys with one MGET, or send the commands in one pipeline."
    return "Read all keys in one call with a multi-get."


def check_repeats() -> str:
    """Say what to do about a statement that is repeated with unknown arguments."""
    return (
        "Check what differs between these calls: one call for all, or one kept result, replaces the repeats."
    )


def read_once(callsite: Callsite, places: int) -> str:
    """Say how a result can be kept that is read again with the same arguments."""
    all_places = (
        " and pass it to all the places that need it" if places > 1 else " and keep it for the unit of work"
    )
    if callsite.library == "sqlalchemy" and callsite.kind == "db":
        return f"Read it once{all_places}; the session only remembers rows that something still holds."
    return f"Read it once{all_places}."


def compute_once(is_method: bool) -> str:
    """Say how the result of a function can be kept that is computed again with the same arguments."""
    if is_method:
        return "Compute it once per unit of work and keep it on the instance (functools.cached_property where it fits)."
    return "Compute it once per unit of work, or decorate the function with functools.cache if it is pure."


def make_linear(by: str) -> str:
    """Say how the cost of a function can be made to grow no faster than its input."""
    return (
        f"Look for a search, a copy or a removal inside the loop over {by}: a set or dict made once, a join of parts "
        "at the end, or one sort makes it linear."
    )


def walk_once() -> str:
    """Say how a recursion can be made to visit everything once."""
    return "Remember what was visited, in a set or with functools.cache: the number of paths grows, that of arguments does not."


def read_in_order(callsite: Callsite) -> str:
    """Say how a read can be kept from taking longer with each page."""
    if "OFFSET" in callsite.template.upper():
        stream = {
            "django": ", or iterate once with queryset.iterator()",
            "sqlalchemy": ", or stream once with yield_per(...)",
        }.get(callsite.library, ", or read everything through one cursor")
        return f"Continue behind the last key instead of counting rows again: WHERE id > ? ORDER BY id LIMIT n{stream}."
    return "Look at the plan of this statement for a step that runs once for each row: an index, or a join on equal keys, ends it."


def bound_result(callsite: Callsite) -> str:
    """Say how a read can be kept from returning all there is."""
    if callsite.library == "django":
        return (
            "Give it a limit (a slice, a Paginator), or stream it with iterator(); select only what is shown."
        )
    if callsite.library == "sqlalchemy":
        return "Give it a limit(...) and page through it, or stream it with yield_per(...); select only what is shown."
    return "Give it a LIMIT and page through it, or stream it; select only what is shown."


def load_apart(callsite: Callsite) -> str:
    """Say how children of several sorts can be read without their product."""
    if callsite.library == "django":
        return "Join one collection at most: read the others with prefetch_related(...), or count them in subqueries."
    if callsite.library == "sqlalchemy":
        return (
            "Join one collection at most: load the others with selectinload(...) instead of joinedload(...)."
        )
    return "Join one collection at most, and read the others with a query each: WHERE parent IN (...)."


def bound_container() -> str:
    """Say how a container can be kept from growing for ever."""
    return "Give it a bound (functools.lru_cache(maxsize=...), deque(maxlen=...)), or remove what is no longer needed."


def larger_chunks(callsite: Callsite) -> str:
    """Say how the same values can travel in fewer calls."""
    if callsite.library == "django":
        return "Raise chunk_size (or batch_size) to some hundreds, so that one query carries more keys."
    if callsite.library == "sqlalchemy":
        return "Raise the size of the chunks (yield_per, or the list given to in_()) to some hundreds."
    return "Put some hundreds of values into one call."


def batch_writes(callsite: Callsite) -> str:
    """Say how one call can write what many write now."""
    if callsite.kind == "http":
        return "Send all items in one request where the service has a bulk endpoint."
    if callsite.kind == "cache":
        django = callsite.library == "django"
        return (
            "Write all keys at once with cache.set_many(...)."
            if django
            else "Send the writes in one pipeline."
        )
    if callsite.kind == "queue":
        return "Publish the messages in one batch."
    return _batch_statements(callsite)


def _batch_statements(callsite: Callsite) -> str:
    verb = callsite.template[:6].upper()
    if callsite.library == "django":
        if verb == "UPDATE":
            return "Write all rows at once with bulk_update(...), or one queryset.update(...)."
        return (
            "Delete them with one filter(...).delete()."
            if verb == "DELETE"
            else "Create them with bulk_create(...)."
        )
    if callsite.library == "sqlalchemy":
        if verb == "DELETE":
            return "Delete them with one delete(...).where(....in_(keys))."
        name = "update" if verb == "UPDATE" else "insert"
        return f"Give all rows to one session.execute({name}(...), [...])."
    if callsite.library == "pymongo":
        return "Send all writes in one insert_many(...) or bulk_write(...)."
    if callsite.library in ("psycopg", "asyncpg") and verb == "INSERT":
        return "Write all rows with one COPY or executemany(...)."
    return "Give all rows to one executemany(...)."
