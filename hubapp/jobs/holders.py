"""Which process holds a lease, and whether it still lives.

A process that was killed leaves its lease behind. On the same machine that can be seen at once, so its job need not
wait for the lease to run out. Where it can't be seen (another machine, another container, no /proc) nothing is said
and the lease's time decides.
"""

from __future__ import annotations

import os
import socket
from functools import lru_cache
from pathlib import Path


def _started(pid: int) -> str:
    """When the process began, in clock ticks since boot: tells a process from a later one of the same number."""
    # The second field, the command's name, may hold blanks and brackets.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def _place() -> str:
    """This machine, this boot, this container: where process numbers mean the same."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{socket.gethostname()[:80]}/{boot}/{Path('/proc/self/ns/pid').readlink()}"


@lru_cache(maxsize=4)
def _name(pid: int) -> str:
    try:
        return f"{_place()}/{pid}/{_started(pid)}"
    except OSError:
        return ""


def here() -> str:
    """The name of this process, "" where the system doesn't tell. Forked children have names of their own."""
    return _name(os.getpid())


def is_dead(holder: str) -> bool:
    """Whether ``holder`` is certain to live no more; False when in doubt."""
    place, _, process = holder.rpartition("/")
    place, _, pid = place.rpartition("/")
    try:
        if not pid.isdecimal() or place != _place():
            return False
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return state[19] != process or state[0] in "ZX"  # a zombie waits to be reaped: it runs nothing any more
