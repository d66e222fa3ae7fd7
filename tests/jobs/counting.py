"""A kind of work for tests: it counts, and every number it stores is a row, so that nothing can be lost or doubled.

Workers in processes of their own run it by ``-A tests.jobs.counting``.
"""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hubapp.settings")

import time
import uuid

from workers.celery import app  # isort: skip - sets Django up

from hubapp.jobs import kinds, services
from hubapp.jobs.models import Fault, Job
from workers import steps

__all__ = ["COUNT", "RERUN", "app", "seen"]

COUNT = kinds.Kind("test-count", "crawl", "Counting", lease_seconds=30, max_attempts=3)
RERUN = kinds.Kind("test-rerun", "crawl", "Counting again", lease_seconds=30, max_attempts=3, rerun=True)


def count(job: Job, cursor: int | None) -> steps.Outcome:
    """Count to params["to"], "each" seconds a number; wait "wait" seconds after each; beat while at it."""
    number = (cursor or 0) + 1
    end = time.monotonic() + job.params.get("each", 0.0)
    while time.monotonic() < end:
        steps.heartbeat()
        time.sleep(0.01)

    def store() -> None:
        services.record_fault(job=job, subject=str(number), code=uuid.uuid4().hex, message=str(os.getpid()))

    done = number >= job.params["to"]
    return steps.Outcome(
        store=store,
        cursor=number,
        progress={"done": number, "total": job.params["to"], "unit": "numbers"},
        done=done,
        wait=job.params.get("wait", 0.0),
    )


def seen(job: Job) -> list[int]:
    """The numbers that were stored, in order; one that was stored twice stands there twice."""
    return [int(subject) for subject in Fault.objects.filter(job=job).order_by("id").values_list("subject", flat=True)]


for _kind in (COUNT, RERUN):
    kinds.register(_kind)
    steps.step(_kind.name)(count)
