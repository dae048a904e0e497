"""The tap on what puts jobs into RQ's queues: one call for a job, one for many of them at once."""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, final

from ._outgoing import version_of
from ._patch import patch, require
from ._sends import Message, sending

if TYPE_CHECKING:
    from ..protocols import Undo

_POINT: Final = "sources.rq_send"


@final
class RQSendSource:
    """RQ 1.10 and later: `enqueue` in all its forms, and `enqueue_many`."""

    def install(self) -> Undo:
        """Patch `Queue.enqueue_call` and `Queue.enqueue_many`.

        Raises:
            Unsupported: They have other signatures.
        """
        import rq
        from rq import Queue

        require(Queue.enqueue_call, "self", "func", "args", "kwargs")
        require(Queue.enqueue_many, "self", "job_datas")
        version = version_of(rq)
        undos = [
            patch(Queue, "enqueue_call", sending(_POINT, "rq", version, _job)),
            patch(Queue, "enqueue_many", sending(_POINT, "rq", version, _many)),
        ]

        def undo() -> None:
            for each in reversed(undos):
                each()

        return undo


def _job(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Message:
    given = (*args, None, None, None)
    function = kwargs.get("func", given[0])
    return Message(_name_of(function), (kwargs.get("args", given[1]), kwargs.get("kwargs", given[2])))


def _name_of(function: Any) -> str:
    if type(function) is MethodType:
        function = function.__func__
    if type(function) is FunctionType:
        return f"{function.__module__}.{function.__qualname__}"
    return function if type(function) is str else "job"


def _many(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Message:
    datas = kwargs.get("job_datas", args[0] if args else None)
    return Message("jobs", (), len(datas) if type(datas) is list or type(datas) is tuple else 2)
