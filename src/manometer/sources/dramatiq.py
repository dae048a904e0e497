"""The tap on what sends dramatiq's messages: one call for a message, one for a whole group of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, final

from ._outgoing import version_of
from ._patch import patch, require
from ._sends import Message, sending

if TYPE_CHECKING:
    from ..protocols import Undo

_POINT: Final = "sources.dramatiq"


@final
class DramatiqSource:
    """dramatiq 1.10 and later: `send`, `send_with_options` and `group.run`."""

    def install(self) -> Undo:
        """Patch `Actor.send_with_options`, in which `send` ends, and `group.run`.

        Raises:
            Unsupported: They have other signatures.
        """
        import dramatiq
        from dramatiq.actor import Actor
        from dramatiq.composition import group

        require(Actor.send_with_options, "self")
        require(group.run, "self")
        version = version_of(dramatiq)
        undos = [
            patch(Actor, "send_with_options", sending(_POINT, "dramatiq", version, _message)),
            patch(group, "run", sending(_POINT, "dramatiq", version, _group)),
        ]

        def undo() -> None:
            for each in reversed(undos):
                each()

        return undo


def _message(actor: Any, _: tuple[Any, ...], kwargs: dict[str, Any]) -> Message:
    name = actor.actor_name
    return Message(name if type(name) is str else "message", (kwargs.get("args", ()), kwargs.get("kwargs")))


def _group(group: Any, _: tuple[Any, ...], __: dict[str, Any]) -> Message:
    return Message("group", (), len(group.children) if type(group.children) is list else 2)
