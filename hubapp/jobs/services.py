"""Every change of a job's state, each one conditional update: who comes second changes nothing.

The states and who moves a job between them::

    enqueue ─► queued ──claim──► running ──finish──► done
                 ▲ ▲                │ │ └──fail────► failed   (asking again would give the same)
          resume │ └──defer/sweep───┘ ├──park──────► parked   (tried too often)
               paused ◄──────pause────┴──cancel────► cancelled
                       retry: failed, parked, cancelled ─► queued
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from hubapp.jobs import audit, holders, kinds, messages
from hubapp.jobs.faults import record_fault, record_faults
from hubapp.jobs.leases import (
    Lease,
    advance,
    attempts,
    claim,
    defer,
    fail,
    finish,
    obey,
    parked_values,
    queued_values,
    renew,
    wanted_values,
)
from hubapp.jobs.models import ACTIVE_STATES, Job, JobState
from workers.errors import BadRequest

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

__all__ = [
    "Lease",
    "Swept",
    "advance",
    "attempts",
    "cancel",
    "claim",
    "defer",
    "enqueue",
    "fail",
    "finish",
    "obey",
    "pause",
    "record_fault",
    "record_faults",
    "renew",
    "resume",
    "retry",
    "sweep",
]

log = structlog.get_logger(__name__)


def key_of(*, kind: str, params: dict[str, Any]) -> str:
    """The digest that makes a wish recognisable: the same kind and parameters give the same key."""
    text = json.dumps([kind, params], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


# --- asking ---------------------------------------------------------------------------------------------------------
def enqueue(
    *,
    kind: str,
    params: dict[str, Any],
    by: AbstractBaseUser | None = None,
    not_before: datetime | None = None,
    send: bool = True,
) -> Job:
    """Ask for work. While a job of the same kind and parameters is active that one is returned (and, for a kind with
    ``rerun`` that has begun, told to start over when it is done).

    A message goes out when the surrounding transaction commits; ``send=False`` leaves it out, for callers that run
    the job themselves (the sweeper sends one later should they fail to). Raises BadRequest for an unknown kind.
    """
    known = kinds.get(kind)
    key = key_of(kind=kind, params=params)
    now = timezone.now()
    while True:
        job = Job.objects.filter(key=key, state__in=ACTIVE_STATES).first()
        if job is not None:
            begun = job.state == JobState.RUNNING or job.cursor is not None
            if not (known.rerun and begun) or job.again:
                return job
            if Job.objects.filter(pk=job.pk, state__in=ACTIVE_STATES).update(again=True):
                return job
            continue  # it ended in this moment
        try:
            with transaction.atomic():
                job = Job.objects.create(
                    kind=kind,
                    queue=known.queue,
                    params=params,
                    key=key,
                    max_attempts=known.max_attempts,
                    created_by=by,  # type: ignore[misc]
                    not_before=not_before,
                    send_at=messages.later(now=now, due=not_before, sends=0),
                )
        except IntegrityError:
            continue  # another process asked for the same in this moment
        if send:
            messages.send_on_commit(job)
        return job


# --- a person's wishes ----------------------------------------------------------------------------------------------
def pause(*, job_id: int, by: AbstractBaseUser | None = None) -> Job:
    """Stop the job after its present step and keep it. Raises BadRequest where it is finished or unknown."""
    return _wish(
        job_id=job_id,
        by=by,
        verb="paused",
        at_rest={JobState.QUEUED: {"state": JobState.PAUSED, "not_before": None, "attempts": 0}},
        running={"wanted": "pause"},
        already={JobState.PAUSED},
    )


def cancel(*, job_id: int, by: AbstractBaseUser | None = None) -> Job:
    """End the job after its present step; what is stored stays. Raises BadRequest where it is finished or unknown."""
    rest = {"state": JobState.CANCELLED, "wanted": "", "not_before": None, "finished_at": timezone.now()}
    return _wish(
        job_id=job_id,
        by=by,
        verb="cancelled",
        at_rest={JobState.QUEUED: rest, JobState.PAUSED: rest},
        running={"wanted": "cancel"},
        already={JobState.CANCELLED},
    )


def resume(*, job_id: int, by: AbstractBaseUser | None = None) -> Job:
    """Let a paused job go on where it stopped. Raises BadRequest where it isn't paused."""
    with transaction.atomic():
        job = _wish(
            job_id=job_id,
            by=by,
            verb="resumed",
            at_rest={JobState.PAUSED: queued_values(timezone.now())},
            running={"wanted": ""},
            already={JobState.QUEUED},
        )
        if job.state == JobState.QUEUED:
            messages.send_on_commit(job)
    return job


def retry(*, job_id: int, by: AbstractBaseUser | None = None) -> Job:
    """Run a failed, parked or cancelled job again from its cursor, or a waiting one now.

    Where the same work has been asked for anew in the meantime, that job is returned instead. Raises BadRequest.
    """
    fresh = {**queued_values(timezone.now()), "finished_at": None, "error": "", "error_code": ""}
    try:
        with transaction.atomic():
            job = _wish(
                job_id=job_id,
                by=by,
                verb="retried",
                at_rest=dict.fromkeys((JobState.FAILED, JobState.PARKED, JobState.CANCELLED, JobState.QUEUED), fresh),
                running={},
                already={JobState.RUNNING},
            )
            if job.state == JobState.QUEUED:
                messages.send_on_commit(job)
    except IntegrityError:
        key = Job.objects.values_list("key", flat=True).get(pk=job_id)
        job = Job.objects.get(key=key, state__in=ACTIVE_STATES)
    return job


def _wish(
    *,
    job_id: int,
    by: AbstractBaseUser | None,
    verb: str,
    at_rest: dict[JobState, dict[str, Any]],
    running: dict[str, Any],
    already: set[JobState],
) -> Job:
    """Change a job from the state it is in now; should that change meanwhile, look again."""
    while True:
        job = Job.objects.filter(pk=job_id).first()
        if job is None:
            raise BadRequest(f"There is no job {job_id}.")
        state = JobState(job.state)
        values = running if state == JobState.RUNNING else at_rest.get(state)
        if state in already and not values:
            return job
        if values is None:
            raise BadRequest(f"{job} is {job.state}: it can't be {verb}.")
        with transaction.atomic():
            changed = Job.objects.filter(pk=job_id, state=state).update(updated_at=timezone.now(), **values)
            if changed:
                audit.record(by=by, target=job, what=f"{verb.capitalize()}; it was {state.value}.")
        if changed:
            job.refresh_from_db()
            return job


# --- nothing is lost ------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did: jobs taken back from lost workers, jobs parked, messages sent again."""

    recovered: int = 0
    parked: int = 0
    sent: int = 0


def sweep(*, everything: bool = False) -> Swept:
    """Take jobs back from workers that are gone and send again what no one has picked up.

    ``everything`` sends for each job that is due, whenever its last message was: after the start of a worker or a
    broker nobody knows what was lost. A message too many costs one query.
    """
    now = timezone.now()
    recovered = parked = 0
    for job in Job.objects.filter(state=JobState.RUNNING):
        if job.lease_until is not None and job.lease_until > now and not holders.is_dead(job.holder):
            continue
        if job.wanted:
            values = wanted_values(job.wanted)
        elif job.attempts >= job.max_attempts:
            values = parked_values(job=job, now=now)
        else:
            values = {**queued_values(now), "attempts": job.attempts, "send_at": now}
        if Job.objects.filter(
            pk=job.pk,
            state=JobState.RUNNING,
            lease_token=job.lease_token,
            lease_until=job.lease_until,
            wanted=job.wanted,
        ).update(**values):
            recovered += values["state"] == JobState.QUEUED
            parked += values["state"] == JobState.PARKED
            log.warning("job.worker_lost", job=job.pk, kind=job.kind, attempts=job.attempts, state=values["state"])
    waiting = Job.objects.filter(Q(not_before=None) | Q(not_before__lte=now), state=JobState.QUEUED)
    if not everything:
        waiting = waiting.filter(Q(send_at=None) | Q(send_at__lte=now))
    sent = 0
    for job in waiting.order_by("id"):
        if not messages.send(job):
            break  # no broker: the rest would fail as slowly
        sent += 1
    return Swept(recovered=recovered, parked=parked, sent=sent)
