"""Crawls that are disturbed on purpose: workers killed, hubs that fail, cursors that expire, two workers at one job.

Each crawl runs in processes forked from this one, so that a kill -9 hits a real worker in a real step and the next one
starts within milliseconds. The process that forks them never opens a database connection and never starts a thread.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 120.0  # seconds for one disturbed crawl


def configure(endpoint: str, var: Path, database_url: str = "") -> None:
    """Load Django for a hub and a folder of their own. Once in a process, before anything else of Django."""
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "hubapp.settings",
        "ROOTSTOCK_VAR": str(var),
        "HF_ENDPOINT": endpoint,
        "DATABASE_URL": database_url,
        "REDIS_URL": "",
        "ROOTSTOCK_CARDS": "0",
    }
    import django

    django.setup()
    import logging

    import structlog

    from workers import steps

    steps.load()  # before forking: children need not import it each time
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    for name in ("hubapp", "workers", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


@dataclass
class Child:
    """A forked process and the pipe on which it answers."""

    pid: int
    pipe: int
    status: int | None = None

    def kill(self) -> None:
        """kill -9."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        if self.status is None:
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def is_over(self) -> bool:
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def answer(self) -> str:
        with os.fdopen(self.pipe) as pipe:
            return pipe.read()


def fork(function: Callable[[], str], database: dict[str, Any] | None = None) -> Child:
    """Run ``function`` in a new process on ``database`` (settings to change); its text is the child's answer."""
    sys.stdout.flush()
    read, write = os.pipe()
    pid = os.fork()
    if pid:
        os.close(write)
        return Child(pid, read)
    status = 1
    try:
        os.close(read)
        from django.db import connections

        if database:
            connections.settings["default"].update(database)
            connections["default"] = connections.create_connection("default")
        text = function()
        connections.close_all()  # SQLite then puts its log into the file
        with os.fdopen(write, "w") as pipe:
            pipe.write(text)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def ask(function: Callable[[], str], database: dict[str, Any] | None = None) -> str:
    """The answer of a child that is left in peace. Raises RuntimeError where it failed."""
    child = fork(function, database)
    answer = child.answer()
    if child.wait():
        raise RuntimeError(f"{getattr(function, '__name__', function)} failed in its process")
    return answer


# --- what children do -----------------------------------------------------------------------------------------------
def small_pages(rows: int) -> None:
    """Ask for pages of so few rows, so that a small hub has many pages."""
    from workers.crawling import client

    client.PAGE = rows


def wish() -> str:
    """Ask for a crawl of everything; its job's key."""
    from hubapp.crawling import services

    return str(services.start(scope="everything", send=False).job_id)


def work(job_id: int) -> str:
    """Be a worker: the crawl, then all that follows from it."""
    from hubapp.jobs.models import Job, JobState
    from workers.tasks import run_here

    job = run_here(job_id)
    if job.state != JobState.DONE:
        raise RuntimeError(f"{job} ended {job.state}: {job.error}")
    while (due := Job.objects.filter(state__in=[JobState.QUEUED, JobState.RUNNING]).order_by("id").first()) is not None:
        done = run_here(due.pk)
        if done.state != JobState.DONE:
            raise RuntimeError(f"{done} ended {done.state}: {done.error}")
    return "done"


def dump() -> str:
    """The canonical dump's digest and counts."""
    from hubapp.crawling.management.commands.dumpcanonical import summary

    return summary()


def lose_one() -> str:
    """Take one statement of descent away: the dump must tell."""
    from hubapp.lineage.models import Evidence

    Evidence.objects.filter(pk=Evidence.objects.order_by("text", "child__name")[0].pk).delete()
    return ""


def migrate() -> str:
    """Make the tables."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    return ""


# --- databases ------------------------------------------------------------------------------------------------------
@dataclass
class SqliteStore:
    """Databases as copies of one migrated file."""

    folder: Path
    count: int = 0

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        ask(migrate, {"NAME": str(self.folder / "template.sqlite3")})

    def new(self) -> dict[str, Any]:
        self.count += 1
        path = self.folder / f"{self.count}.sqlite3"
        shutil.copy(self.folder / "template.sqlite3", path)
        return {"NAME": str(path)}

    def drop(self, database: dict[str, Any]) -> None:
        for end in ("", "-wal", "-shm"):
            Path(database["NAME"] + end).unlink(missing_ok=True)


@dataclass
class PostgresStore:
    """Databases as copies of one migrated template, on a cluster (``tests.support.servers.Postgres``)."""

    server: Any
    template: str = ""
    count: int = 0

    def prepare(self) -> None:
        self.template = self.server.create().rsplit("/", 1)[1]
        ask(migrate, {"NAME": self.template})

    def new(self) -> dict[str, Any]:
        import psycopg

        self.count += 1
        name = f"{self.template}_{self.count}"
        with psycopg.connect(self.server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {self.template}")  # type: ignore[call-overload]
        return {"NAME": name}

    def drop(self, database: dict[str, Any]) -> None:
        self.server.drop(self.server.url(database["NAME"]))


# --- disturbances ---------------------------------------------------------------------------------------------------
HUB_FAULTS = (
    "500:0.04", "503:0.03", "reset:0.03", "cut:0.03", "truncate:0.03", "invalid_json:0.02", "hang:0.01;seconds=0.2",
    "429:0.01;reset=1",
)  # fmt: skip
"""A fifth of all requests goes wrong, in eight ways."""


@dataclass
class Plan:
    """How one crawl is disturbed: when workers are killed (shares of an undisturbed crawl's time), how many race for
    the job, and the hub's faults."""

    kills: list[float] = field(default_factory=list)
    workers: int = 1
    faults: list[Any] = field(default_factory=list)
    seed: int = 0

    @classmethod
    def draw(cls, seed: int) -> Plan:
        dice = random.Random(seed)
        kind = seed % 5
        plan = cls(seed=seed)
        if kind in (0, 1, 4):
            plan.kills = sorted(dice.uniform(0.02, 1.1) for _ in range(dice.choice([1, 2, 3])))
        if kind in (1, 2):
            plan.faults += HUB_FAULTS
        if kind == 3 or dice.random() < 0.3:
            plan.workers = 2
        if kind == 4:
            plan.faults.append({"kind": "expired_cursor", "after": dice.randrange(3, 12), "times": dice.choice([1, 2])})
        return plan

    def __str__(self) -> str:
        parts = [f"killed at {', '.join(f'{share:.2f}' for share in self.kills)}"] if self.kills else []
        parts += ["two workers"] if self.workers == 2 else []
        parts += [f"{len(self.faults)} faults" if len(self.faults) > 1 else "expired cursor"] if self.faults else []
        return "; ".join(parts)


def disturbed(hub: Any, database: dict[str, Any], plan: Plan, usual: float, page: int) -> str:
    """Crawl under ``plan`` and give the dump. ``usual`` is an undisturbed crawl's time in seconds."""
    hub.faults(*plan.faults, seed=plan.seed)

    def worker() -> str:
        small_pages(page)
        return work(job_id)

    try:
        job_id = int(ask(wish, database))
        began = time.monotonic()
        for share in plan.kills:
            workers = [fork(worker, database) for _ in range(plan.workers)]
            time.sleep(max(0.0, share * usual - (time.monotonic() - began)))
            victim = workers[plan.seed % len(workers)]
            if not victim.is_over():
                victim.kill()
            for other in workers:  # where two raced, the other may go on for a moment and is killed as well
                if not other.is_over():
                    time.sleep(0.05)
                    other.kill()
        _finish([fork(worker, database) for _ in range(plan.workers)])
    finally:
        hub.faults()
    return ask(dump, database)


def _finish(workers: list[Child]) -> None:
    end = time.monotonic() + PATIENCE
    while not all(worker.is_over() for worker in workers):
        if time.monotonic() > end:
            for worker in workers:
                if not worker.is_over():
                    worker.kill()
            raise TimeoutError(f"A disturbed crawl was not over after {PATIENCE:.0f} s.")
        time.sleep(0.02)
    if any(worker.wait() for worker in workers):
        raise RuntimeError("A worker of a disturbed crawl failed.")
