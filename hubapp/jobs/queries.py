"""What is being done, what waits, and what went wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from hubapp.jobs import kinds
from hubapp.jobs.models import ACTIVE_STATES, Fault, Job, JobState


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is: ``share`` from 0 to 1, ``rate`` in units per second, ``left`` in seconds; None: unknown."""

    done: int
    total: int | None
    unit: str
    share: float | None
    rate: float | None
    left: float | None
    elapsed: float | None
    counts: tuple[tuple[str, int], ...]
    note: str


# In the order in which people ask for them; a step may report others, which follow.
COUNTS = ("pages", "models", "edges", "errors")


def progress_of(job: Job) -> Progress:
    """The job's progress in figures fit to show, whatever its step has reported."""
    told = job.progress if isinstance(job.progress, dict) else {}
    done, total = _count(told.get("done")) or 0, _count(told.get("total"))
    elapsed = None
    if job.started_at is not None:
        elapsed = max(0.0, ((job.finished_at or timezone.now()) - job.started_at).total_seconds())
    rate = told.get("rate")
    if not isinstance(rate, int | float) or isinstance(rate, bool):
        rate = done / elapsed if elapsed and done else None
    active = job.state in ACTIVE_STATES
    share = 1.0 if job.state == JobState.DONE else None
    if total and share is None:
        share = min(1.0, done / total)
    left = None
    if active and total and rate and done <= total:
        left = (total - done) / rate
    known = [name for name in COUNTS if name in told]
    known += [name for name in told if name not in (*COUNTS, "done", "total", "unit", "rate", "note")]
    counts = tuple((name, value) for name in known if (value := _count(told[name])) is not None)
    return Progress(
        done=done,
        total=total,
        unit=str(told.get("unit") or ""),
        share=share,
        rate=float(rate) if rate is not None else None,
        left=left,
        elapsed=elapsed,
        counts=counts,
        note=str(told.get("note") or ""),
    )


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def title_of(job: Job) -> str:
    """How pages name the job's kind; its bare name where no room knows it any more."""
    known = {kind.name: kind.title for kind in kinds.registered()}
    return known.get(job.kind, job.kind)


def label_of(job: Job) -> str:
    """The job in words: its kind's title and what it was asked for."""
    asked = [
        str(value)
        for name, value in job.params.items()
        if name not in ("endpoint", "repo") and value not in ("", None) and not isinstance(value, bool)
    ]
    return f"{title_of(job)}: {' '.join(asked)}" if asked else title_of(job)


def active(*, kind: str | None = None) -> QuerySet[Job]:
    """Jobs that are not finished, the oldest first."""
    jobs = Job.objects.filter(state__in=ACTIVE_STATES).order_by("id")
    return jobs.filter(kind=kind) if kind else jobs


def parked() -> QuerySet[Job]:
    """Jobs that wait for a person, the latest first."""
    return Job.objects.filter(state=JobState.PARKED).order_by("-id")


def others_wait(*, job: Job) -> bool:
    """Whether another job of the same queue could run now, if this one made room."""
    now = timezone.now()
    return (
        Job.objects.filter(Q(not_before=None) | Q(not_before__lte=now), state=JobState.QUEUED, queue=job.queue)
        .exclude(pk=job.pk)
        .exists()
    )


def faults_by_code(*, jobs: Iterable[int]) -> list[tuple[str, int]]:
    """How many faults of each code those jobs recorded, the most frequent first."""
    rows = Fault.objects.filter(job__in=list(jobs)).values_list("code").annotate(count=Count("pk"))
    return sorted(rows, key=lambda row: (-row[1], row[0]))


# What a person may ask of a job, by its state: (verb, words of the button).
_VERBS: dict[str, tuple[tuple[str, str], ...]] = {
    JobState.QUEUED: (("pause", "Pause"), ("cancel", "Cancel")),
    JobState.RUNNING: (("pause", "Pause"), ("cancel", "Cancel")),
    JobState.PAUSED: (("resume", "Resume"), ("cancel", "Cancel")),
    JobState.FAILED: (("retry", "Retry from where it stopped"),),
    JobState.PARKED: (("retry", "Retry from where it stopped"),),
    JobState.CANCELLED: (("retry", "Retry from where it stopped"),),
}
SAID = {"pause": "Paused", "resume": "Resumed", "cancel": "Cancelled", "retry": "Queued again"}
SAID |= {"approve": "Agreed", "refuse": "Left as they are"}


def verbs_for(job: Job) -> tuple[tuple[str, str], ...]:
    """What a person may ask of the job now: (verb, words) each."""
    if job.state == JobState.RUNNING and job.wanted == "pause":
        return (("resume", "Don't pause"), ("cancel", "Cancel"))
    if job.state == JobState.RUNNING and job.wanted == "cancel":
        return (("resume", "Don't cancel"),)
    if job.state == JobState.QUEUED and job.not_before is not None:
        return (("retry", "Run now"), *_VERBS[JobState.QUEUED])
    return _VERBS.get(job.state, ())


def is_active(job: Job) -> bool:
    """Whether the job isn't finished."""
    return job.state in ACTIVE_STATES


def faults_count(*, jobs: Iterable[int]) -> dict[int, int]:
    """How many faults each of those jobs recorded; jobs without any are left out."""
    return dict(Fault.objects.filter(job__in=list(jobs)).values_list("job").annotate(count=Count("pk")))


def faults_of(*, job: Job, code: str = "", limit: int = 50) -> QuerySet[Fault]:
    """Faults of one job, the latest first; of one code where it is given."""
    faults = Fault.objects.filter(job=job).order_by("-pk")
    return (faults.filter(code=code) if code else faults)[:limit]
