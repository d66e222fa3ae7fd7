"""The broker of files: every message arrives once, whole, and in order."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections import Counter
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection
from kombu.exceptions import OperationalError

from hubapp.jobs import messages, services
from hubapp.jobs.models import Job
from tests.jobs.counting import COUNT, app
from workers import filebroker


def connection(root: Path) -> Connection:
    return Connection(
        f"{filebroker.SCHEME}://localhost",
        transport_options={**filebroker.make_folders(root), "polling_interval": 0.01},
    )


def put(root: Path, name: str, count: int) -> None:
    with connection(root) as link, link.channel() as channel:
        for number in range(count):
            channel._put("crawl", {"body": f"{name} {number}", "padding": "x" * 20_000})


def take(root: Path, queue: str, found: list[str], until: threading.Event) -> None:
    with connection(root) as link, link.channel() as channel:
        while True:
            try:
                found.append(channel._get(queue)["body"])
            except Empty:
                if until.is_set():
                    return


def test_nothing_is_lost_doubled_or_half_read_by_many_at_once(tmp_path):
    writers = [multiprocessing.get_context("fork").Process(target=put, args=(tmp_path, str(n), 60)) for n in range(3)]
    over = threading.Event()
    found: list[list[str]] = [[] for _ in range(3)]
    readers = [threading.Thread(target=take, args=(tmp_path, "crawl", mine, over)) for mine in found]
    for one in (*writers, *readers):
        one.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    over.set()
    for reader in readers:
        reader.join()
    counted = Counter(body for mine in found for body in mine)
    assert len(counted) == 180
    assert set(counted.values()) == {1}
    for mine in found:  # each reader saw each writer's messages in order
        for name in "012":
            numbers = [int(body.split()[1]) for body in mine if body.startswith(name)]
            assert numbers == sorted(numbers)
    assert not list((tmp_path / "taken").iterdir())


def test_queues_do_not_mix_and_what_is_cut_short_is_skipped(tmp_path):
    with connection(tmp_path) as link, link.channel() as channel:
        (tmp_path / "messages" / "00000000000000000001_x.crawl.msg").write_text('{"half": ')
        channel._put("crawl", {"body": "a"})
        channel._put("gpu", {"body": "b"})
        assert channel._size("crawl") == 2
        assert channel._get("crawl")["body"] == "a"
        with pytest.raises(Empty):
            channel._get("crawl")
        assert channel._get("gpu")["body"] == "b"


def test_bindings_made_at_the_same_time_are_all_kept(tmp_path):
    def bind(name: str) -> None:
        with connection(tmp_path) as link, link.channel() as channel:
            for number in range(10):
                channel._queue_bind("exchange", f"{name}.{number}", "", f"{name}.{number}")
            channel._delete(f"{name}.0", "exchange", f"{name}.0", "")

    threads = [threading.Thread(target=bind, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = json.loads((tmp_path / "control" / "exchange.exchange").read_text())
    assert sorted(row[2] for row in rows) == sorted(f"{name}.{number}" for name in range(4) for number in range(1, 10))


@pytest.mark.django_db
def test_a_broker_that_is_down_is_not_asked_again_at_once(monkeypatch):
    asked = []

    def send_task(*_, **__):
        asked.append(time.monotonic())
        raise OperationalError("refused")

    monkeypatch.setattr(messages, "_down_until", 0.0)
    monkeypatch.setattr(app, "send_task", send_task)
    jobs = [services.enqueue(kind=COUNT.name, params={"n": number}) for number in range(3)]
    assert [messages.send(job) for job in jobs] == [False] * 3
    assert len(asked) == 1
    assert set(Job.objects.values_list("state", "send_at")) == {("queued", None)}
    monkeypatch.undo()
    monkeypatch.setattr(messages, "_down_until", 0.0)
    assert services.sweep().sent == 3
