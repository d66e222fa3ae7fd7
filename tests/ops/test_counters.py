"""Counting across processes: exact under contention, ending by itself, alive when its store is not."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pytest_django import Settings

from hubapp import counters
from hubapp.counters import FileStore, MemoryStore, RedisStore, Store
from tests.support.needs import ROOT
from tests.support.servers import free_port, wait_until


@pytest.fixture(params=["memory", "file", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "memory":
        return MemoryStore()
    if request.param == "file":
        return FileStore(tmp_path / "counters.sqlite3")
    return RedisStore(request.getfixturevalue("redis_url"))


def test_counts_within_the_window_and_forgets_after_it(store: Store, request: pytest.FixtureRequest) -> None:
    key = request.node.name
    assert store.look(key) == counters.NOTHING
    assert [store.hit(key, 0.3).number for _ in range(3)] == [1, 2, 3]
    assert store.look(key).number == 3
    assert 0 < store.look(key).seconds <= 0.3
    wait_until(lambda: store.look(key) == counters.NOTHING, seconds=2)
    assert store.hit(key, 60).number == 1
    store.forget(key)
    assert store.look(key) == counters.NOTHING


def test_no_count_is_lost_between_threads(store: Store, request: pytest.FixtureRequest) -> None:
    def work() -> None:
        for _ in range(50):
            store.hit(request.node.name, 60)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.look(request.node.name).number == 200


def test_processes_share_a_count(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from hubapp.counters import FileStore\n"
        f"store = FileStore(Path({str(tmp_path / 'counters.sqlite3')!r}))\n"
        "for _ in range(100): store.hit('key', 60)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    assert FileStore(tmp_path / "counters.sqlite3").look("key").number == 200


def test_a_store_that_is_down_leaves_each_process_its_own_count(settings: Settings) -> None:
    settings.REDIS_URL = f"redis://127.0.0.1:{free_port()}/0"
    assert [counters.hit("down", window=60).number for _ in range(3)] == [1, 2, 3]
    assert counters.look("down").number == 3
    counters.forget("down")
    assert counters.look("down").number == 0
