"""The tap on what sends Celery's messages: one call for a task, one for a whole group of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from ._outgoing import version_of
from ._patch import patch, require
from ._sends import Message, sending

if TYPE_CHECKING:
    from ..protocols import Undo

_POINT: Final = "sources.celery_send"


@final
class CelerySendSource:
    """Celery 5: `delay`, `apply_async` and `send_task`, and groups and chunks of tasks."""

    def install(self) -> Undo:
        """Patch `Celery.send_task`, in which they all end, and `group.apply_async`.

        Raises:
            Unsupported: They have other signatures.
        """
        import celery
        from celery.app.base import Celery
        from celery.canvas import group

        require(Celery.send_task, "self", "name", "args", "kwargs")
        require(group.apply_async, "self", "args", "kwargs")
        version = version_of(celery)
        undos = [
            patch(Celery, "send_task", sending(_POINT, "celery", version, _task)),
            patch(group, "apply_async", sending(_POINT, "celery", version, _group)),
        ]

        def undo() -> None:
            for each in reversed(undos):
                each()

        return undo


def _task(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Message:
    given = (*args, None, None, None)
    name = kwargs.get("name", given[0])
    positional, named = kwargs.get("args", given[1]), kwargs.get("kwargs", given[2])
    return Message(name if type(name) is str else "task", (positional, named))


def _group(group: Any, _: tuple[Any, ...], __: dict[str, Any]) -> Message:
    tasks = group.tasks
    names = {
        each.get("task")
        for each in (tasks[:8] if type(tasks) in (list, tuple) else ())
        if isinstance(each, dict) and type(each.get("task")) is str
    }
    # Its arguments are in its tasks: nobody repeats a group of many with others.
    return Message(
        f"group of {names.pop()}" if len(names) == 1 else "group",
        (),
        len(tasks) if type(tasks) in (list, tuple) else 2,
    )
