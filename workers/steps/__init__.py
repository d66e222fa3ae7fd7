"""Where what is computed meets what is stored: one module for each room, one function for each kind of work.

A step does one bounded piece of work outside any transaction and hands back how to store it::

    @step("lineage")
    def place(job, cursor):
        batch = judge(...)                          # seconds at most, or it calls heartbeat()
        return Outcome(store=lambda: services.store(batch=batch), cursor={"after": batch.last}, progress={"done": n})
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubapp.jobs.models import Job


def _nothing() -> None:
    """The store of a step that found nothing to write."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step found.

    ``store`` runs inside the transaction that also writes ``cursor`` (where the next step begins; JSON) and
    ``progress`` (JSON: {"done": int, "total": int | None, "unit": str, …}). ``done``: there is no next step.
    ``wait``: seconds until the next one, during which no worker is held.
    """

    store: Callable[[], object] = _nothing
    cursor: Any = None
    progress: dict[str, Any] = field(default_factory=dict)
    done: bool = False
    wait: float = 0.0


Step = Callable[["Job", Any], Outcome]
_steps: dict[str, Step] = {}
_beat: ContextVar[Callable[[], None] | None] = ContextVar("beat", default=None)


def heartbeat() -> None:
    """Say that a long step is still at work: call it as often as you like outside any transaction.

    Renews the job's lease when that is due. Raises LeaseLost when another worker has the job, and Interrupted when a
    person wants it to pause or end or the worker is to stop: let both pass. Outside a job it does nothing, and a
    thread that a step starts is outside.
    """
    beat = _beat.get()
    if beat is not None:
        beat()


@contextmanager
def beating(beat: Callable[[], None]) -> Iterator[None]:
    """While it lasts, ``heartbeat()`` calls ``beat``."""
    token = _beat.set(beat)
    try:
        yield
    finally:
        _beat.reset(token)


def step(kind: str) -> Callable[[Step], Step]:
    """Register a function as the step of a kind of work. It is called with the job and the cursor (at first None)."""

    def register(function: Step) -> Step:
        if _steps.setdefault(kind, function) is not function:
            raise ValueError(f"Two steps are registered for the kind {kind!r}.")
        return function

    return register


@lru_cache(maxsize=1)
def load() -> None:
    """Import every room's steps."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def get(kind: str) -> Step:
    """The step of that kind. Raises LookupError where no room has one."""
    load()
    try:
        return _steps[kind]
    except KeyError:
        raise LookupError(f"No module of workers/steps has a step for the kind {kind!r}.") from None
