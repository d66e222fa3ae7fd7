"""How a worker that was told to stop tells its children: between two steps they give their jobs back and end.

Without it a worker would wait for the rest of a time slice, or be killed and leave its leases to run out.
"""

from __future__ import annotations

import mmap
import os

_flag = mmap.mmap(-1, 1)  # one byte of memory that forked children share
_parent: int | None = None


def ask() -> None:
    """Ask this process and all forked from it to stop. Safe in a signal handler."""
    _flag[0] = 1


def adopt() -> None:
    """Called in a new child of a worker: it is to stop as well when that worker dies."""
    global _parent  # noqa: PLW0603 - one process, one parent
    _parent = os.getppid()


def asked() -> bool:
    """Whether this process is to stop as soon as it can."""
    return _flag[0] == 1 or (_parent is not None and os.getppid() != _parent)
