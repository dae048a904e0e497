"""The tap on Django's management commands: each run is a unit of work, `manage.py migrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from .. import _guard
from .._context import HOT, close_profile, open_profile, restore, variable
from .._model import JOB
from ._patch import patch
from ._route import is_excluded

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._context import OpenProfile
    from ..protocols import Undo

_POINT: Final = "sources.django-commands"
_PROGRAM: Final = "manage.py"
ENDLESS: Final = frozenset(
    {
        "celery", "daphne", "db_worker", "dbshell", "process_tasks", "qcluster", "rqscheduler", "rqworker", "rundramatiq",
        "run_huey", "runapscheduler", "runmodwsgi", "runserver", "runserver_plus", "runworker", "shell", "shell_plus", "test",
        "testserver", "uvicorn",
    }
)  # fmt: skip
"""Commands that serve, wait or run others until somebody stops them: what they do are units of work of its own."""


@final
class DjangoCommandsSource:
    """Django 4.2 to 6.x, through `BaseCommand.execute`, by which `manage.py` and `call_command` both go."""

    def install(self) -> Undo:
        """Patch `BaseCommand.execute`."""
        from django.core.management.base import BaseCommand

        return patch(BaseCommand, "execute", _execute)


def _execute(wrapped: Callable[..., Any], command: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    opened = None if HOT["idle_"] else _guard.call(_POINT, _open, command)
    if opened is None:
        return wrapped(*args, **kwargs)
    try:
        found = wrapped(*args, **kwargs)
    except BaseException as error:
        _close(opened, _outcome(error))
        raise
    _close(opened, "")
    return found


def _open(command: Any) -> OpenProfile | None:
    current = variable.get()
    if current is False or (current and current.profile.kind != "process"):
        return None  # called from a request, a task or another command, whose work it then is
    name = type(command).__module__.rpartition(".")[2]
    if name in ENDLESS or is_excluded(_PROGRAM, name):
        return None
    opened = open_profile(f"{_PROGRAM} {name}", "job", policy=JOB)
    if opened.profile is not None:
        opened.profile.route = opened.profile.name
        opened.profile.framework = "django"
    return opened


def _outcome(error: BaseException) -> str:
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return ""
    return type(error).__name__


def _close(opened: OpenProfile, error: str) -> None:
    restore(opened)
    _guard.call(_POINT, close_profile, opened, error)
