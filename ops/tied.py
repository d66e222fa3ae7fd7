"""Runs ``python …`` tied to the life of the process that started it: when that one dies, however, this gets SIGTERM.

Supervisor's children would survive a supervisor that is killed, and keep the ports that its successor needs.
Usage: ``python tied.py [--after=PORT] [--nice=N] -m module …``: workers wait until the site answers (its first page
comes sooner when five processes don't start at once) and step back (nice) behind the pages that people wait for.
Linux only; elsewhere it runs the program and ties nothing.
"""

import ctypes
import os
import signal
import socket
import sys
import time

PR_SET_PDEATHSIG = 1
PATIENCE = 60.0  # seconds; a site that does not come is no reason to leave jobs undone


def wait_for(port: int) -> None:
    """Return when somebody listens on the port, or after PATIENCE."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)


if sys.platform == "linux":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.environ["ROOTSTOCK_TIED"] = "1"  # hubapp/wsgi.py ties a server's worker to its master
arguments = sys.argv[1:]
while arguments and arguments[0].startswith("--"):
    name, _, value = arguments.pop(0).partition("=")
    if name == "--after":
        wait_for(int(value))
    elif name == "--nice":
        os.nice(int(value))
os.execv(sys.executable, [sys.executable, *arguments])  # noqa: S606 - no shell is the point
