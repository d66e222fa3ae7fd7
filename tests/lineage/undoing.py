"""Examples of hypothesis, each on a database as it was before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction


@contextmanager
def undone() -> Iterator[None]:
    """Roll an example's rows back: the test's own transaction lasts for all examples."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
