"""The queue's settings, and what each kind of work needs."""

from __future__ import annotations

import subprocess
import sys

from hubapp.jobs import kinds, messages
from workers import celery, steps
from workers.celery import app


def test_every_kind_has_a_step_and_a_queue_that_workers_read():
    queues = {queue.name for queue in app.conf.task_queues}
    assert queues == set(kinds.QUEUES)
    for kind in kinds.registered():
        assert callable(steps.get(kind.name)), kind.name
        assert kind.queue in queues
        assert kind.title != kind.name


def test_every_step_has_a_kind():
    steps.load()
    known = {kind.name for kind in kinds.registered()}
    assert set(steps._steps) <= known


def test_messages_carry_json_alone():
    assert (app.conf.task_serializer, app.conf.accept_content) == ("json", ["json"])


def test_no_countdown_outlasts_the_visibility_of_a_message():
    assert celery._redis()["broker_transport_options"]["visibility_timeout"] > messages.COUNTDOWN_MAX


def test_a_crawl_worker_never_imports_torch():
    code = (
        "import sys; import workers.celery, workers.tasks; from workers import steps; steps.load();"
        "print([name for name in ('torch', 'sklearn', 'networkx') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
