"""The tap on Celery: every task run by a worker is a unit of work named after the task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard, _limits, _rolling
from .._context import HOT, close_profile, open_profile, restore
from .._model import JOB
from ._patch import Unsupported, nothing

if TYPE_CHECKING:
    from .._context import OpenProfile
    from ..protocols import Undo

_POINT: Final = "sources.celery"
_CHILD_FLUSH_S: Final = 0.5
"""Longest wait at the end of a pool process, which leaves without running its exit handlers."""
_installed = False
_open: Final[dict[str, OpenProfile]] = {}


@final
class CelerySource:
    """Celery 5, through its public signals; eager tasks too, inside whatever runs them."""

    def install(self) -> Undo:
        """Connect to the signals.

        Raises:
            Unsupported: Another major version.
        """
        global _installed
        import celery
        from celery import signals

        if not celery.__version__.startswith("5."):
            msg = f"Celery {celery.__version__} is not supported (5.x is)"
            raise Unsupported(msg)
        if _installed:
            return nothing
        _installed = True
        pairs = (
            (signals.task_prerun, _started),
            (signals.task_postrun, _ended),
            (signals.worker_process_shutdown, _leaving),
        )
        for signal, receiver in pairs:
            signal.connect(receiver, weak=False)

        def undo() -> None:
            global _installed
            _installed = False
            for signal, receiver in pairs:
                signal.disconnect(receiver)
            _open.clear()

        return undo


def _started(task_id: Any = None, task: Any = None, **_: Any) -> None:
    if not HOT["idle_"]:
        _guard.call(_POINT, _begin, task_id, task)


def _begin(task_id: Any, task: Any) -> None:
    if type(task_id) is not str or len(_open) >= _limits.MAX_LIVE_PROFILES:
        return
    name = getattr(task, "name", None)
    opened = open_profile(name if type(name) is str else "(task)", "task", policy=JOB)
    if opened.profile is not None:
        opened.profile.framework = "celery"
    _open[task_id] = opened


def _ended(task_id: Any = None, retval: Any = None, state: Any = None, **_: Any) -> None:
    _guard.call(_POINT, _end, task_id, retval, state)


def _end(task_id: Any, retval: Any, state: Any) -> None:
    opened = _open.pop(task_id, None) if type(task_id) is str else None
    if opened is None:
        return
    restore(opened)
    if opened.profile is not None and type(state) is str:
        opened.profile.status = state[: _limits.MAX_NAME]
    failed = state == "FAILURE" and isinstance(retval, BaseException)
    close_profile(opened, type(retval).__name__ if failed else "")


def _leaving(**_: Any) -> None:
    """Export what a pool process has: it ends by `os._exit`, after one task where it is told to."""
    if _rolling.finish is not None:
        _guard.call(_POINT, _rolling.finish, _CHILD_FLUSH_S)
