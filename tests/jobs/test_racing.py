"""Several processes after the same jobs: each step lands once, on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import time

import pytest

from hubapp.jobs import services
from hubapp.jobs.models import Job, JobState
from tests.jobs.conftest import python
from tests.jobs.counting import COUNT, seen

JOBS, STEPS, RACERS = 25, 4, 3


@pytest.mark.slow
@pytest.mark.both_databases
def test_racing_processes_do_each_step_once(environment):
    jobs = [services.enqueue(kind=COUNT.name, params={"to": STEPS, "n": number}, send=False) for number in range(JOBS)]
    arguments = [str(time.time() + 3), *(str(job.pk) for job in jobs)]
    racers = [
        python("-m", "tests.jobs.racer", *arguments, environment=environment, stdout=subprocess.PIPE)
        for _ in range(RACERS)
    ]
    told = []
    for racer in racers:
        output, _ = racer.communicate(timeout=60)
        assert racer.returncode == 0
        told.append(json.loads(output.splitlines()[-1]))
    won = [number for one in told for number in one["won"]]
    assert sorted(won) == [job.pk for job in jobs]  # no job was begun by two
    assert sum(one["lost"] for one in told) > 0  # and they did meet
    for job in jobs:
        assert seen(job) == list(range(1, STEPS + 1))
    assert set(Job.objects.values_list("state", flat=True)) == {JobState.DONE}
