"""Running a job: its lease, and every way in which a run can end. Each change is one conditional update."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import transaction
from django.db.models import F, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from hubapp.jobs import holders, kinds, messages
from hubapp.jobs.faults import MESSAGE, clean
from hubapp.jobs.models import Job, JobState
from workers.errors import LeaseLost

log = structlog.get_logger(__name__)

CLEARED = {"lease_token": None, "lease_until": None, "holder": ""}


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write a job's results, held by one run at a time. ``job`` is as it was when claimed."""

    job: Job
    token: uuid.UUID
    seconds: int

    @property
    def job_id(self) -> int:
        return self.job.pk


def claim(*, job_id: int) -> Lease | None:
    """Take the job for this process: None when it is not to be had (held, not due, paused, finished, gone).

    Of several that claim at once exactly one succeeds. A job that was tried ``max_attempts`` times without a step
    landing is parked instead.
    """
    now = timezone.now()
    job = Job.objects.filter(pk=job_id).first()
    if job is None or job.state not in (JobState.QUEUED, JobState.RUNNING):
        return None
    free = Q(state=JobState.QUEUED) | Q(state=JobState.RUNNING, lease_until__lt=now)
    due = Q(not_before=None) | Q(not_before__lte=now)
    candidate = Job.objects.filter(free, due, pk=job_id, attempts=job.attempts, wanted="")
    if job.attempts >= job.max_attempts:
        if candidate.update(**parked_values(job=job, now=now)):
            log.error("job.parked", job=job_id, kind=job.kind, attempts=job.attempts)
        return None
    seconds = kinds.get(job.kind).lease_seconds
    token = uuid.uuid4()
    taken = candidate.update(
        state=JobState.RUNNING,
        lease_token=token,
        lease_until=now + timedelta(seconds=seconds),
        holder=holders.here(),
        attempts=F("attempts") + 1,
        not_before=None,
        started_at=Coalesce(F("started_at"), Value(now)),
        updated_at=now,
    )
    if not taken:
        return None
    job.refresh_from_db()
    if job.lease_token != token:
        return None  # so slow that the lease ran out already
    return Lease(job=job, token=token, seconds=seconds)


def _held(lease: Lease) -> QuerySet[Job]:
    return Job.objects.filter(pk=lease.job_id, lease_token=lease.token, state=JobState.RUNNING)


def _write(lease: Lease, **values: Any) -> None:
    """Update the job if the lease still holds. Raises LeaseLost otherwise, which rolls the transaction back."""
    if not _held(lease).update(**{"updated_at": timezone.now(), **values}):
        raise LeaseLost(f"Job {lease.job_id} was taken over by another worker; this step's results are dropped.")


def advance(*, lease: Lease, cursor: Any, progress: dict[str, Any]) -> None:
    """Record that a step has landed: the last statement of the transaction that stores its results.

    Renews the lease and begins a new count of attempts. Raises LeaseLost: let it roll the transaction back.
    """
    _write(
        lease,
        cursor=cursor,
        progress=progress,
        lease_until=timezone.now() + timedelta(seconds=lease.seconds),
        attempts=1,
        error_code="",
        error="",
    )


def renew(*, lease: Lease) -> str:
    """Keep the lease during a long step. Returns what a person wants of the job: "", "pause" or "cancel".

    Raises LeaseLost.
    """
    _write(lease, lease_until=timezone.now() + timedelta(seconds=lease.seconds))
    return Job.objects.values_list("wanted", flat=True).get(pk=lease.job_id)


def attempts(*, lease: Lease) -> int:
    """How often the present step has been tried, this time included. Raises LeaseLost."""
    count = _held(lease).values_list("attempts", flat=True).first()
    if count is None:
        raise LeaseLost(f"Job {lease.job_id} was taken over by another worker.")
    return count


def finish(*, lease: Lease, cursor: Any, progress: dict[str, Any]) -> None:
    """The last step has landed: like ``advance``, in its transaction. Raises LeaseLost."""
    now = timezone.now()
    done = {
        **CLEARED,
        "state": JobState.DONE,
        "cursor": cursor,
        "progress": progress,
        "wanted": "",
        "attempts": 0,
        "error_code": "",
        "error": "",
        "finished_at": now,
        "updated_at": now,
    }
    if _held(lease).filter(again=False).update(**done):
        return
    with transaction.atomic():
        _write(lease, again=False, cursor=None, progress=progress)
        _release(lease, **queued_values(now))


def fail(*, lease: Lease, code: str, message: str) -> None:
    """Give the job up: asking again would give the same. Raises LeaseLost."""
    _write(
        lease,
        **CLEARED,
        state=JobState.FAILED,
        wanted="",
        error_code=code[:60],
        error=clean(message, MESSAGE),
        finished_at=timezone.now(),
    )


def defer(*, lease: Lease, seconds: float = 0.0, code: str = "", message: str = "", counts: bool = False) -> None:
    """Give the lease back and ask to be run again after ``seconds``. Raises LeaseLost.

    ``counts``: this was a failed attempt (``code`` and ``message`` say why); at ``max_attempts`` the job is parked.
    Otherwise it was an orderly wait, which no one counts.
    """
    now = timezone.now()
    job = Job.objects.get(pk=lease.job_id)
    if counts and job.attempts >= job.max_attempts:
        if _release(lease, **parked_values(job=job, now=now, code=code, message=message)):
            log.error("job.parked", job=job.pk, kind=job.kind, attempts=job.attempts, code=code)
        return
    due = now + timedelta(seconds=seconds) if seconds > 0 else None
    _release(
        lease,
        **CLEARED,
        state=JobState.QUEUED,
        not_before=due,
        sends=0,
        send_at=messages.later(now=now, due=due, sends=0),
        attempts=F("attempts") if counts else Greatest(F("attempts") - 1, 0),
        error_code=code[:60],
        error=clean(message, MESSAGE),
    )


def _release(lease: Lease, **values: Any) -> bool:
    """End the run as ``values`` say, unless a person wants otherwise: a wish goes first. Whether they were written.

    A job that is queued gets its message. Raises LeaseLost.
    """
    with transaction.atomic():
        while not _held(lease).filter(wanted="").update(**{"updated_at": timezone.now(), **values}):
            if obey(lease=lease):
                return False
        if values["state"] == JobState.QUEUED:
            messages.send_on_commit(Job.objects.get(pk=lease.job_id))
    return True


def obey(*, lease: Lease) -> bool:
    """Do what a person wants of this running job, between two steps. Whether the run is to stop. Raises LeaseLost."""
    while True:
        wanted = _held(lease).values_list("wanted", flat=True).first()
        if wanted is None:
            raise LeaseLost(f"Job {lease.job_id} was taken over by another worker.")
        if not wanted:
            return False
        if _held(lease).filter(wanted=wanted).update(**wanted_values(wanted)):
            return True


def wanted_values(wanted: str) -> dict[str, Any]:
    now = timezone.now()
    if wanted == "cancel":
        return {**CLEARED, "state": JobState.CANCELLED, "wanted": "", "finished_at": now, "updated_at": now}
    return {**CLEARED, "state": JobState.PAUSED, "wanted": "", "attempts": 0, "updated_at": now}


def parked_values(*, job: Job, now: datetime, code: str = "", message: str = "") -> dict[str, Any]:
    """What parking writes. Without a code the worker was lost each time, or an earlier error stands."""
    if not code:
        code = job.error_code or "job.worker_lost"
        message = job.error or (
            f"The worker was lost {job.attempts} times at this step: killed, out of memory, or powered off."
        )
    return {
        **CLEARED,
        "state": JobState.PARKED,
        "wanted": "",
        "error_code": code[:60],
        "error": clean(message, MESSAGE),
        "finished_at": now,
        "updated_at": now,
    }


def queued_values(now: datetime) -> dict[str, Any]:
    return {
        **CLEARED,
        "state": JobState.QUEUED,
        "wanted": "",
        "not_before": None,
        "attempts": 0,
        "sends": 0,
        "send_at": messages.later(now=now, due=None, sends=0),
    }
