"""Servers that tests run for real: PostgreSQL, Redis, each private, on loopback, gone with the test run."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from tests.support.needs import postgres_bin

START_SECONDS = 30.0  # two cores shared with a whole test run


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def die_with_parent() -> None:
    """To be called in a child before it runs its program: it ends when this process does, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def wait_until(condition: Callable[[], Any], *, seconds: float = START_SECONDS, what: str = "the condition") -> Any:
    """The first true answer of ``condition``; raises TimeoutError after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        if answer := condition():
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.05)


def is_listening(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex(("127.0.0.1", port)) == 0


def end(process: subprocess.Popen[Any], *, sign: int = signal.SIGTERM, seconds: float = 10) -> None:
    """Stop a process of ours and wait for it; what does not go in time is killed."""
    if process.poll() is None:
        process.send_signal(sign)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Postgres:
    """A private PostgreSQL cluster; ``create()`` makes a new empty database and gives its URL."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._numbers = itertools.count(1)

    def url(self, name: str) -> str:
        return f"postgresql://rootstock@127.0.0.1:{self.port}/{name}"

    def _administer(self, statement: str, name: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))

    def create(self) -> str:
        name = f"t{os.getpid()}_{next(self._numbers)}"
        self._administer("CREATE DATABASE {}", name)
        return self.url(name)

    def drop(self, url: str) -> None:
        self._administer("DROP DATABASE IF EXISTS {} WITH (FORCE)", urlsplit(url).path.lstrip("/"))


@contextlib.contextmanager
def postgres_server(**settings: str) -> Iterator[Postgres]:
    """A cluster of its own in a temporary folder, without the safety (fsync) that costs time; ends with the block.

    ``settings`` are PostgreSQL's own, in place of the ones for tests.
    """
    initdb, server = postgres_bin("initdb"), postgres_bin("postgres")
    assert initdb, "initdb"
    assert server, "postgres"
    home = Path(tempfile.mkdtemp(prefix="rootstock-pg-"))
    as_user: dict[str, Any] = {}
    if os.geteuid() == 0:  # initdb refuses to run as root
        account = pwd.getpwnam("postgres")
        os.chown(home, account.pw_uid, account.pw_gid)
        as_user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    data, port = home / "data", free_port()
    process = None
    try:
        subprocess.run(
            [initdb, "-D", data, "-U", "rootstock", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=home,
            **as_user,
        )
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": home,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": 100,
            "shared_buffers": "64MB",
            **settings,
        }
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [server, "-D", data, *itertools.chain(*(("-c", f"{key}={value}") for key, value in options.items()))],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=home,
                preexec_fn=die_with_parent,
                **as_user,
            )
        cluster = Postgres(port)

        def answers() -> bool:
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(cluster.url("postgres")):
                return True
            return False

        wait_until(answers, what=f"PostgreSQL on port {port} ({(home / 'log').read_text()[-500:]})")
        yield cluster
    finally:
        if process is not None:
            end(process, sign=signal.SIGINT)  # "fast shutdown": does not wait for clients
        shutil.rmtree(home, ignore_errors=True)


@contextlib.contextmanager
def redis_server(port: int | None = None) -> Iterator[str]:
    """A Redis of its own that keeps nothing on disk; gives its URL and ends with the block."""
    port = port or free_port()
    with tempfile.TemporaryDirectory(prefix="rootstock-redis-") as home:
        process = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            cwd=home,
            preexec_fn=die_with_parent,
        )
        try:
            wait_until(lambda: is_listening(port), what=f"Redis on port {port}")
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            end(process)
