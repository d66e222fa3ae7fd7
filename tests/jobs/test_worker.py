"""Real workers, killed and stopped, and a broker that goes away: what was asked for is done, each step once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from hubapp.jobs import services
from hubapp.jobs.models import Job, JobState
from tests.jobs.conftest import children, python, worker
from tests.jobs.counting import COUNT, seen
from tests.support.servers import end, free_port, redis_server, wait_until

pytestmark = pytest.mark.slow
STEPS = 60


def enqueue(**params) -> Job:
    return services.enqueue(kind=COUNT.name, params={"to": STEPS, "each": 0.03, **params})


def cursor(job: Job) -> int:
    return Job.objects.values_list("cursor", flat=True).get(pk=job.pk) or 0


def state(job: Job) -> str:
    return Job.objects.values_list("state", flat=True).get(pk=job.pk)


def test_a_killed_worker_costs_time_and_nothing_else(environment, tmp_path):
    log = tmp_path / "worker.log"
    job = enqueue()
    with worker(environment, log) as first:
        wait_until(lambda: cursor(job) >= 3, what="the first steps")
        (child,) = children(first.pid)
        os.kill(child, signal.SIGKILL)
        # As beat does every 15 s; the lease itself would last 30 s.
        wait_until(lambda: services.sweep().recovered, what="the sweeper")
        here = cursor(job)
        wait_until(lambda: cursor(job) >= here + 3, what="another child to go on")
        for pid in (*children(first.pid), first.pid):
            os.kill(pid, signal.SIGKILL)
        first.wait()
    left = cursor(job)
    assert 6 <= left < STEPS
    assert state(job) == JobState.RUNNING  # nobody has noticed yet
    with worker(environment, log, name="w2"):  # its start sweeps
        wait_until(lambda: state(job) == JobState.DONE, what="the second worker to finish")
    assert seen(job) == list(range(1, STEPS + 1))


def test_a_stopped_worker_gives_its_job_back_at_once(environment, tmp_path):
    job = enqueue(each=0.5)
    with worker(environment, tmp_path / "worker.log") as process:
        wait_until(lambda: cursor(job) >= 1, what="the first step")
        began = time.monotonic()
        end(process, seconds=20)
        assert time.monotonic() - began < 10
    job.refresh_from_db()
    assert (job.state, job.lease_token) == (JobState.QUEUED, None)
    assert job.attempts <= 1
    assert seen(job) == list(range(1, job.cursor + 1))


ASK = """
import sys, time
from tests.jobs.counting import COUNT, app
from hubapp.jobs import services
began = time.monotonic()
job = services.enqueue(kind=COUNT.name, params={"to": 3, "n": int(sys.argv[1])})
print(job.pk, job.state, time.monotonic() - began)
"""


def test_a_lost_redis_costs_time_and_nothing_else(environment, tmp_path):
    from tests.support.needs import require

    require("redis")
    port = free_port()
    environment = {**environment, "REDIS_URL": f"redis://127.0.0.1:{port}/0"}

    def ask(number: int) -> Job:
        """Ask for work in a process whose broker is Redis, as the web does."""
        told = subprocess.run(
            [sys.executable, "-c", ASK, str(number)], env=environment, capture_output=True, text=True, check=True
        ).stdout.split()
        assert told[1] == JobState.QUEUED
        assert float(told[2]) < 5  # a visitor waits no longer for a broker that is down
        return Job.objects.get(pk=int(told[0]))

    with ExitStack() as stack:
        broker = stack.enter_context(ExitStack())
        broker.enter_context(redis_server(port))
        stack.enter_context(worker(environment, tmp_path / "worker.log"))
        long = enqueue(each=0.1)  # its message went to files: it waits for a sweep
        sweep = ("manage.py", "jobs", "sweep")
        assert python(*sweep, environment=environment, stdout=subprocess.DEVNULL).wait() == 0
        wait_until(lambda: cursor(long) >= 3, what="a job sent by way of Redis")
        broker.close()  # Redis is gone
        here = cursor(long)
        asked = ask(1)
        assert asked.send_at is None  # known to be unsent
        wait_until(lambda: cursor(long) > here + 3, what="the job under way to go on without a broker")
        stack.enter_context(redis_server(port))
        assert python(*sweep, environment=environment, stdout=subprocess.DEVNULL).wait() == 0
        wait_until(lambda: state(asked) == JobState.DONE, what="what was asked for meanwhile")
        wait_until(lambda: state(long) == JobState.DONE, what="the long job")
    assert seen(asked) == [1, 2, 3]
    assert seen(long) == list(range(1, STEPS + 1))
