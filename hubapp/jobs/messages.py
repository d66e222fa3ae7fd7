"""Wake-up calls for workers. A message carries a job's number and nothing else: losing one costs time, never work."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from kombu.exceptions import KombuError, OperationalError

from hubapp.jobs.models import Job, JobState

log = structlog.get_logger(__name__)

RESEND = 30.0  # seconds until the sweeper first doubts that a message arrived; each further doubt waits twice as long …
RESEND_MAX = 600.0  # … up to this, so that a long queue doesn't fill the broker with copies
DOWN = 5.0  # seconds for which a process doesn't ask again for a broker that was down: each time costs two of them
COUNTDOWN_MAX = 300.0  # a worker holds delayed messages in memory: what is due later is left to the sweeper

_down_until = 0.0


def later(*, now: datetime, due: datetime | None, sends: int) -> datetime:
    """When the sweeper is to send the message again that goes out now."""
    return max(now, due or now) + timedelta(seconds=min(RESEND_MAX, RESEND * 2 ** min(sends, 10)))


def send_on_commit(job: Job) -> None:
    """Send the job's message once the surrounding transaction has committed."""
    transaction.on_commit(lambda: send(job))


def send(job: Job) -> bool:
    """Send the job's message now; whether the broker took it. Never raises for a broker that is down."""
    now = timezone.now()
    wait = max(0.0, (job.not_before - now).total_seconds()) if job.not_before else 0.0
    queued = Job.objects.filter(pk=job.pk, state=JobState.QUEUED)
    if wait > COUNTDOWN_MAX:
        queued.update(send_at=job.not_before)
        return True
    global _down_until  # noqa: PLW0603 - what this process knows of the broker
    if time.monotonic() < _down_until:
        queued.update(send_at=None)
        return False
    try:
        import_string("workers.celery.app").send_task(
            "workers.tasks.run_job",
            args=[job.pk],
            queue=job.queue,
            countdown=wait or None,
            retry=False,
            ignore_result=True,
        )
    except (OperationalError, KombuError, OSError) as error:
        _down_until = time.monotonic() + DOWN
        log.warning("broker.unreachable", job=job.pk, error=type(error).__name__)
        queued.update(send_at=None)
        return False
    queued.update(sends=job.sends + 1, send_at=later(now=now, due=job.not_before, sends=job.sends))
    return True
