"""The whole stack as users start it (scripts/run.py), for tests that kill parts of it."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.needs import ROOT
from tests.support.servers import die_with_parent, end, free_port, wait_until

START_SECONDS = 120.0


@dataclass
class Site:
    """A running stack: its address, its folder, and hands to kill its processes with."""

    port: int
    var: Path
    process: subprocess.Popen[Any]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """All that the command has printed so far."""
        return (self.var / "output.txt").read_text()

    def get(self, path: str, *, timeout: float = 10) -> tuple[int, str]:
        """Status and body, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8", "replace")
        finally:
            connection.close()

    def answers(self) -> bool:
        """Whether a visitor is served. A connection that the killed process had taken is reset, and asked for again,
        as browsers do; that nobody listens is an answer of no."""
        for _ in range(3):
            try:
                return self.get("/healthz")[0] == 200
            except (ConnectionResetError, http.client.RemoteDisconnected):
                continue
            except ConnectionRefusedError:
                return False
        return False

    def listeners(self) -> int:
        """How many servers wait at the site's port."""
        local = f":{self.port:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        return sum(row[1].endswith(local) and row[3] == "0A" for row in rows)

    def pid(self, name: str) -> int:
        """The present process of a program: hub, web0, web1, crawl, analyse, beat, supervisord."""
        if name == "supervisord":
            return int((self.var / "supervisord.pid").read_text())
        log = (self.var / "log" / "supervisord.log").read_text()
        return int(re.findall(rf"spawned: '{name}' with pid (\d+)", log)[-1])

    def kill(self, name: str) -> int:
        """kill -9; gives the number of the process that was killed."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_back(self, name: str, killed: int, *, seconds: float = 10) -> float:
        """How many seconds until ``name`` runs again as another process."""
        started = time.monotonic()
        wait_until(lambda: self.pid(name) != killed and is_alive(self.pid(name)), seconds=seconds, what=f"{name} back")
        return time.monotonic() - started

    def descendants(self) -> list[int]:
        """All processes of the stack but the command's own."""
        children: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = stat.read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        found, queue = [], [self.process.pid]
        while queue:
            more = children.get(queue.pop(), [])
            found += more
            queue += more
        return found


def is_alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def running_site(var: Path, *, environment: Mapping[str, str] | None = None, root: Path = ROOT) -> Iterator[Site]:
    """``make run`` without make, on free ports, with its state in ``var``; ends with the block.

    ``environment`` adds CONTENT="generated:300", DATABASE_URL, … Raises TimeoutError where no page comes.
    """
    var.mkdir(parents=True, exist_ok=True)
    port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ROOTSTOCK_", "DJANGO_"))}
    env |= {"ROOTSTOCK_VAR": str(var), "PORT": str(port), "HUB_PORT": str(free_port()), **(environment or {})}
    with (var / "output.txt").open("w") as out:
        process = subprocess.Popen(
            [sys.executable, str(root / "scripts" / "run.py")],
            cwd=root,
            env=env,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=die_with_parent,
        )
    site = Site(port, var, process)

    def is_up() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"make run ended with {process.returncode}:\n{site.output}")
        return "Rootstock is running" in site.output

    try:
        wait_until(is_up, seconds=START_SECONDS, what="the site")
        yield site
    finally:
        end(process, seconds=60)
