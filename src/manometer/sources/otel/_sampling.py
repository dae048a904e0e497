"""What samplers leave out: said in words, or recorded all the same where the user asks for it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import sampling

if TYPE_CHECKING:
    from ...protocols import Undo

_log: Final = logging.getLogger("manometer")
_MAX_DESCRIPTION: Final = 80


def describe_sampler(provider: Any) -> str:
    """Return what decides which traces are recorded, in its own words; empty when all new ones are."""
    sampler = getattr(provider, "sampler", None)
    describe = getattr(sampler, "get_description", None)
    if describe is None:
        return ""
    text = str(describe()).partition(",remote")[0]
    return "" if "AlwaysOn" in text else text[:_MAX_DESCRIPTION]


def record_all(provider: Any) -> Undo | None:
    """Let every span be recorded, while what is exported stays as the sampler decided.

    Returns:
        What undoes it; None where this SDK cannot (before 1.45), which is logged.
    """
    always = getattr(sampling, "AlwaysRecordSampler", None)
    sampler = getattr(provider, "sampler", None)
    if always is None or sampler is None:
        _log.warning("record_unsampled needs opentelemetry-sdk 1.45; unsampled traces stay unseen")
        return None
    if isinstance(sampler, always):
        return None
    mine = always(sampler)
    # Tracers that exist already keep a sampler of their own.
    owners = [provider, *_tracers(provider)]
    changed = [owner for owner in owners if getattr(owner, "sampler", None) is sampler]
    for owner in changed:
        owner.sampler = mine

    def undo() -> None:
        for owner in [provider, *_tracers(provider), *changed]:
            if getattr(owner, "sampler", None) is mine:
                owner.sampler = sampler

    return undo


def _tracers(provider: Any) -> list[Any]:
    """Return the tracers made so far: only a private attribute knows them, and without it they stay as they are."""
    known = getattr(provider, "_tracers", None)
    values = known.values() if isinstance(known, dict) else known
    try:
        return list(values) if values is not None else []
    except (TypeError, RuntimeError):
        return []
