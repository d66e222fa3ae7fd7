"""Counts within a span of time, shared by all web processes: for rate limits and failed sign-ins.

With REDIS_URL in Redis, shared by all nodes; without, in a small SQLite file of its own beside the database (its
writers never wait for a crawl's transactions). When the store is down a process counts for itself: a limit that is
shared by fewer is better than a site that is down.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import structlog
from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

PURGE_EVERY = 500  # counts between two removals of what is over
MEMORY_MAX = 10_000  # keys that a process keeps for itself; beyond, it begins anew


@dataclass(frozen=True)
class Count:
    """How many, and in how many seconds the counting begins anew."""

    number: int
    seconds: float


NOTHING = Count(0, 0.0)


class Store(Protocol):
    """Where counts live. A store that can't answer raises one of FAILURES."""

    def hit(self, key: str, window: float) -> Count: ...
    def look(self, key: str) -> Count: ...
    def forget(self, key: str) -> None: ...


FAILURES = (RedisError, sqlite3.Error, OSError)


class MemoryStore:
    """In this process alone."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[int, float]] = {}
        self._lock = threading.Lock()

    def hit(self, key: str, window: float) -> Count:
        now = time.time()
        with self._lock:
            number, until = self._counts.get(key, (0, 0.0))
            if until <= now:
                number, until = 0, now + window
            if len(self._counts) >= MEMORY_MAX:
                self._counts.clear()
            self._counts[key] = (number + 1, until)
        return Count(number + 1, until - now)

    def look(self, key: str) -> Count:
        number, until = self._counts.get(key, (0, 0.0))
        left = until - time.time()
        return Count(number, left) if left > 0 else NOTHING

    def forget(self, key: str) -> None:
        self._counts.pop(key, None)


class FileStore:
    """In a SQLite file; one connection for each thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if found is None:
            found = sqlite3.connect(self._path, timeout=1, isolation_level=None)
            found.executescript(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"  # losing counts in a power cut harms nobody
                "CREATE TABLE IF NOT EXISTS counts (key TEXT PRIMARY KEY, number INTEGER, until REAL) WITHOUT ROWID"
            )
            self._local.connection, self._local.hits = found, 0
        return found

    def hit(self, key: str, window: float) -> Count:
        now = time.time()
        connection = self._connection()
        number, until = connection.execute(
            "INSERT INTO counts VALUES (:key, 1, :until) ON CONFLICT (key) DO UPDATE SET "
            "number = CASE WHEN until <= :now THEN 1 ELSE number + 1 END, "
            "until = CASE WHEN until <= :now THEN :until ELSE until END RETURNING number, until",
            {"key": key, "now": now, "until": now + window},
        ).fetchall()[0]
        self._local.hits += 1
        if self._local.hits % PURGE_EVERY == 0:
            connection.execute("DELETE FROM counts WHERE until <= ?", [now])
        return Count(number, until - now)

    def look(self, key: str) -> Count:
        now = time.time()
        rows = (
            self._connection()
            .execute("SELECT number, until FROM counts WHERE key = ? AND until > ?", [key, now])
            .fetchall()
        )
        return Count(rows[0][0], rows[0][1] - now) if rows else NOTHING

    def forget(self, key: str) -> None:
        self._connection().execute("DELETE FROM counts WHERE key = ?", [key])


class RedisStore:
    """In Redis; the keys end by themselves."""

    PREFIX = "rootstock:count:"

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5)

    def hit(self, key: str, window: float) -> Count:
        name = self.PREFIX + key
        with self._redis.pipeline() as both:
            both.incr(name)
            both.pexpire(name, int(window * 1000), nx=True)
            both.pttl(name)
            number, _, left = both.execute()
        return Count(number, max(0, left) / 1000)

    def look(self, key: str) -> Count:
        name = self.PREFIX + key
        with self._redis.pipeline() as both:
            both.get(name)
            both.pttl(name)
            number, left = both.execute()
        return Count(int(number), max(0, left) / 1000) if number else NOTHING

    def forget(self, key: str) -> None:
        self._redis.delete(self.PREFIX + key)


@lru_cache(maxsize=4)
def _shared(redis_url: str, path: Path) -> Store:
    return RedisStore(redis_url) if redis_url else FileStore(path)


_own = MemoryStore()


def _store() -> Store:
    return _shared(settings.REDIS_URL, settings.VAR / "counters.sqlite3")


def hit(key: str, *, window: float) -> Count:
    """Count one more of ``key``; the first one begins a span of ``window`` seconds."""
    try:
        return _store().hit(key, window)
    except FAILURES as error:
        log.warning("counters.down", error=type(error).__name__)
        return _own.hit(key, window)


def look(key: str) -> Count:
    """The count of ``key`` in its present span, without adding to it."""
    try:
        return _store().look(key)
    except FAILURES as error:
        log.warning("counters.down", error=type(error).__name__)
        return _own.look(key)


def forget(key: str) -> None:
    """Begin anew with ``key``."""
    _own.forget(key)
    try:
        _store().forget(key)
    except FAILURES as error:
        log.warning("counters.down", error=type(error).__name__)
