"""The tap on RQ: every job is a unit of work named after its function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard, _limits, _rolling
from .._context import HOT, close_profile, open_profile, restore
from .._model import JOB
from ._patch import patch, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._context import OpenProfile
    from ..protocols import Undo

_POINT: Final = "sources.rq"
_HORSE_FLUSH_S: Final = 0.5
"""Longest wait at the end of a work horse, which leaves without running its exit handlers."""


@final
class RQSource:
    """RQ 1.10 and later: `Job.perform` is the unit of work, `Worker.perform_job` the end of a work horse."""

    def install(self) -> Undo:
        """Install the tap.

        Raises:
            Unsupported: This RQ has other signatures.
        """
        from rq import Worker
        from rq.job import Job

        require(Job.perform, "self")
        require(Worker.perform_job, "self", "job", "queue")
        undos = [patch(Job, "perform", _perform), patch(Worker, "perform_job", _run)]

        def undo() -> None:
            for one in reversed(undos):
                one()

        return undo


def _perform(wrapped: Callable[..., Any], job: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    opened = None if HOT["idle_"] else _guard.call(_POINT, _begin, job)
    if opened is None:
        return wrapped(*args, **kwargs)
    try:
        result = wrapped(*args, **kwargs)
    except BaseException as error:
        _guard.call(_POINT, _end, opened, type(error).__name__)
        raise
    _guard.call(_POINT, _end, opened, "")
    return result


def _begin(job: Any) -> OpenProfile:
    name = job.func_name
    opened = open_profile(name if type(name) is str and name else "(job)", "job", policy=JOB)
    if opened.profile is not None:
        opened.profile.framework = "rq"
    return opened


def _end(opened: OpenProfile, error: str) -> None:
    restore(opened)
    if opened.profile is not None:
        opened.profile.status = "failed" if error else "finished"
    close_profile(opened, error[: _limits.MAX_NAME])


def _run(wrapped: Callable[..., Any], worker: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return wrapped(*args, **kwargs)
    finally:
        if _rolling.finish is not None and getattr(worker, "_is_horse", False) is True:
            _guard.call(_POINT, _rolling.finish, _HORSE_FLUSH_S)
