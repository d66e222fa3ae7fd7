"""Long work as pages show it: a bar, a rate, the time left, in words that a visitor may read."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils import timezone

from hubapp.jobs.models import ACTIVE_STATES, Job, JobState
from hubapp.jobs.queries import Progress, progress_of
from hubapp.web import wording

STATES = {
    JobState.QUEUED: "waiting to start",
    JobState.RUNNING: "running",
    JobState.PAUSED: "paused",
    JobState.DONE: "complete",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
    JobState.PARKED: "parked: it waits for staff",
}


@dataclass(frozen=True, slots=True)
class Work:
    """A job with its progress. ``says`` are the figures beside the bar, ``state`` its state in words."""

    job: Job
    title: str
    state: str
    active: bool
    progress: Progress
    percent: float | None
    says: tuple[str, ...]


def work_of(job: Job, *, title: str) -> Work:
    """What there is to tell of a job."""
    progress = progress_of(job)
    active = job.state in ACTIVE_STATES
    says = []
    if progress.done and progress.unit and progress.unit not in dict(progress.counts):
        of = f" of {wording.number(progress.total)}" if progress.total else ""
        says.append(f"{wording.number(progress.done)}{of} {progress.unit}")
    for name, value in progress.counts:
        word = name[:-1] if value == 1 and name.endswith("s") else name
        says.append(f"{wording.number(value)} {word.replace('_', ' ')}")
    if job.state == JobState.RUNNING and progress.rate:
        says.append(f"{wording.number(round(progress.rate))} a second")
    if progress.left is not None:
        says.append(f"{wording.duration(progress.left)} left")
    elif job.finished_at and job.started_at:
        says.append(f"took {wording.duration((job.finished_at - job.started_at).total_seconds())}")
    state = STATES.get(JobState(job.state), job.state)
    if active and job.not_before is not None and job.not_before > timezone.now():
        state = f"goes on {wording.ago(job.not_before)}"
    return Work(
        job=job,
        title=title,
        state=state,
        active=active,
        progress=progress,
        percent=None if progress.share is None else round(100 * progress.share, 1),
        says=tuple(says),
    )
