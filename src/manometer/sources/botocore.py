"""The tap on botocore, which boto3 stands on: one call for each operation, whatever its own retries do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._fingerprint import key_of, row_values, values_of
from ._http import items_of
from ._outgoing import Outgoing, begin_outgoing, here, limit_ns, version_of
from ._patch import patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Undo

_POINT: Final = "sources.botocore"
_OWN_FRAMES: Final = 3
_READS: Final = ("Get", "List", "Describe", "Head", "Query", "Scan", "BatchGet", "Search", "Lookup", "Select")
_SENDS: Final = frozenset(
    {"SendMessage", "SendMessageBatch", "Publish", "PublishBatch", "PutRecord", "PutRecords", "PutEvents"}
)
_WAITS: Final = frozenset({"ReceiveMessage"})
_PAGES: Final = frozenset(
    {
        "NextToken",
        "ContinuationToken",
        "Marker",
        "ExclusiveStartKey",
        "StartingToken",
        "nextToken",
        "KeyMarker",
    }
)
_VALUES_READ: Final = 256
_PARTS: Final = 64
"""Parts of one level of a document that are looked at."""
_version = ""


@final
class BotocoreSource:
    """botocore 1.20 and later (boto3, aws-cli), through `BaseClient._make_api_call`, which every operation ends in.

    Tries are those that the answer tells or, where there is none, those that reached urllib3.
    """

    def install(self) -> Undo:
        """Patch `_make_api_call`.

        Raises:
            Unsupported: It has another signature.
        """
        global _version
        import botocore
        from botocore.client import BaseClient

        require(BaseClient._make_api_call, "self", "operation_name", "api_params")
        _version = version_of(botocore)
        return patch(BaseClient, "_make_api_call", _call)


def _call(wrapped: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    call: Outgoing | None = _guard.call(_POINT, _begin, client, args, kwargs)
    if call is None:
        return wrapped(*args, **kwargs)
    try:
        answer = wrapped(*args, **kwargs)
    except BaseException as error:
        _guard.call(_POINT, _note_tries, call, getattr(error, "response", None))
        call.finish(_name_of(error))
        raise
    _guard.call(_POINT, _end, call, answer)
    return answer


def _begin(client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outgoing | None:
    given = (*args, *kwargs.values())
    on = here(_POINT) if len(given) == 2 else None
    operation, parameters = given if len(given) == 2 else ("", None)
    if on is None or type(operation) is not str or operation in _WAITS:
        return None
    meta = client.meta
    service = meta.service_model.service_name
    shape = f"{service}.{operation}"
    pages = type(parameters) is dict and any(name in _PAGES for name in parameters)
    call = begin_outgoing(
        on,
        "queue" if operation in _SENDS else "http",
        shape,
        f"{shape} continuation" if pages else shape,
        operation="read" if operation.startswith(_READS) else "write",
        system=f"aws.{service}",
        target=f"{service}.{meta.region_name}" if type(meta.region_name) is str else service,
        library="botocore",
        version=_version,
        skip=_OWN_FRAMES,
    )
    if call is not None:
        call.key = _deep_key([operation, parameters])
        call.values = lambda: values_of(parameters)
        call.batch = _longest_list(parameters) if _is_batch(operation) else 0
        call.timeout_ns = limit_ns(getattr(meta.config, "read_timeout", -1))
        call.idempotent = operation.startswith(("Put", "Delete"))
        call.cover()
    return call


def _is_batch(operation: str) -> bool:
    return "Batch" in operation or operation in (
        "DeleteObjects",
        "PutRecords",
        "PutEvents",
        "TransactWriteItems",
    )


def _longest_list(parameters: object, depth: int = 3) -> int:
    if type(parameters) is list:
        return len(parameters)
    if type(parameters) is not dict or not depth:
        return 0
    return max((_longest_list(value, depth - 1) for value in list(parameters.values())[:32]), default=0)


def _name_of(error: BaseException) -> str:
    """Return the service's name of an error, `ThrottlingException`, or else its type."""
    answer = getattr(error, "response", None)
    found = answer.get("Error") if type(answer) is dict else None
    code = found.get("Code") if type(found) is dict else None
    return code[:64] if type(code) is str and code else type(error).__name__


def _note_tries(call: Outgoing, answer: Any) -> None:
    meta = answer.get("ResponseMetadata") if type(answer) is dict else None
    told = meta.get("RetryAttempts") if type(meta) is dict else None
    call.retries = max(told if type(told) is int else 0, call.entries - 1, 0)


def _end(call: Outgoing, answer: Any) -> None:
    _note_tries(call, answer)
    call.finish()
    if type(answer) is not dict:
        return
    plain = {name: value for name, value in answer.items() if name != "ResponseMetadata"}
    count, shown = items_of(plain)
    values = row_values(shown, _VALUES_READ) if shown else []
    call.returned(count, values, _deep_key(plain))


def _deep_key(value: object, depth: int = 8) -> int | None:
    """Return a keyed hash of a document as deep as this service nests them; None when a part is of no plain type."""
    if type(value) is dict:
        if any(type(name) is not str for name in value):
            return None
        parts = [part for name in sorted(value)[:_PARTS] for part in (name, value[name])]
    elif type(value) is list:
        parts = value[:_PARTS]
    else:
        return key_of((value,))
    keys = [_deep_key(part, depth - 1) if depth else None for part in parts]
    return None if None in keys else hash((len(value), *keys))  # of keyed hashes
