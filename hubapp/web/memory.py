"""Answers that are dear and may be a little old, kept for some seconds in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def remembered(seconds: float) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Call the function again only when its last answer is older than ``seconds``.

    One thread at a time asks; others are given the old answer meanwhile, if there is one. ``function.forget()`` empties
    the memory. Only for hashable arguments, few of them.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        kept: dict[object, tuple[float, T]] = {}
        asking = threading.Lock()

        @wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            key = (args, tuple(sorted(kwargs.items())))
            entry = kept.get(key)
            if entry is not None and time.monotonic() - entry[0] < seconds:
                return entry[1]
            if entry is not None and not asking.acquire(blocking=False):
                return entry[1]
            if entry is None:
                asking.acquire()
            try:
                entry = kept.get(key)
                if entry is None or time.monotonic() - entry[0] >= seconds:
                    entry = (time.monotonic(), function(*args, **kwargs))
                    kept[key] = entry
                return entry[1]
            finally:
                asking.release()

        wrapper.forget = kept.clear  # type: ignore[attr-defined]
        return wrapper

    return decorate
