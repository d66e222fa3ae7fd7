"""Where workers take jobs: one loop, run by Celery or inline."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import structlog
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from hubapp.jobs import queries, services
from hubapp.jobs.models import FINAL_STATES, Job, JobState
from workers import steps, stopping
from workers.celery import app
from workers.errors import Interrupted, LeaseLost, RateLimited, RootstockError

log = structlog.get_logger(__name__)

SLICE = 30.0  # seconds after which a job makes room where others wait: a long crawl doesn't starve a short one
SLICE_MAX = 600.0  # … and in any case: Celery looks at a child's memory and age between tasks only
SWEEP = 15.0  # seconds between sweeps
NAP = 2.0  # seconds that a run rather waits than gives its job back: a message takes about one
BACKOFF = 2.0  # seconds after the first failed attempt, doubled after each further one …
BACKOFF_MAX = 300.0
POLL = 0.5  # seconds between looks at a job that another process runs

Progress = Callable[[Job], object]
_swept = 0.0


@app.task(name="workers.tasks.run_job")
def run_job(job_id: int) -> None:
    """Run the job's steps until it ends, waits, is asked to stop, or its time slice is over."""
    if time.monotonic() - _swept > SWEEP:
        sweep()  # where many jobs wait, the periodic message for it waits behind them
    lease = services.claim(job_id=job_id)
    if lease is not None:
        run(lease, turn=Turn(lease.job))


@app.task(name="workers.tasks.sweep")
def sweep() -> None:
    """Take jobs back from lost workers and send again what was not picked up."""
    global _swept  # noqa: PLW0603 - when this process last did it
    _swept = time.monotonic()
    services.sweep()


@app.task(name="workers.tasks.wake")
def wake() -> None:
    """Ask for the work that follows from what crawls stored, should its own wish have been lost."""
    from hubapp.lineage import services as lineage
    from hubapp.searching import services as searching

    lineage.wake()
    searching.wake()


@app.task(name="workers.tasks.start_crawl")
def start_crawl(scope: str, argument: str = "") -> None:
    """Start a crawl on behalf of a schedule."""
    from hubapp.crawling import services as crawling

    crawling.start(scope=scope, argument=argument, by=None)


def run_here(job_id: int, on_progress: Progress | None = None) -> Job:
    """Run the job in this process until it ends or is paused, for commands and tests; returns it as it is then.

    Where another process holds it, look on until that one is finished with it. ``on_progress`` is called with the
    job after each step. Interrupted by Ctrl-C, the job goes back to its queue.
    """
    while True:
        lease = services.claim(job_id=job_id)
        if lease is not None:
            run(lease, on_progress=on_progress)
        job = Job.objects.get(pk=job_id)
        if on_progress is not None:
            on_progress(job)
        if job.state in FINAL_STATES or job.state == JobState.PAUSED:
            return job
        due = (job.not_before - timezone.now()).total_seconds() if job.not_before else 0.0
        if job.state == JobState.RUNNING:
            services.sweep()
            time.sleep(POLL)
        elif due > 0:
            time.sleep(min(due, POLL))


class Turn:
    """A worker's time for one job, before others have theirs."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.began = self.looked = time.monotonic()

    def over(self) -> bool:
        """Whether to give the job back now, after a step."""
        now = time.monotonic()
        if now - self.looked < SLICE:
            return False
        self.looked = now
        return now - self.began >= SLICE_MAX or queries.others_wait(job=self.job)


def run(lease: services.Lease, *, turn: Turn | None = None, on_progress: Progress | None = None) -> None:
    """Take steps while the lease holds, and settle what comes of each kind of error."""
    bound = log.bind(job=lease.job_id, kind=lease.job.kind)
    try:
        with steps.beating(_beat_for(lease)):
            _take_steps(lease, turn, on_progress)
    except LeaseLost:
        bound.warning("job.lease_lost")
    except Interrupted:
        _settle(_stop, lease=lease)
    except RateLimited as error:
        _settle(services.defer, lease=lease, seconds=error.wait, code=error.code, message=str(error))
    except RootstockError as error:
        if error.retry:
            _settle(_again, lease=lease, code=error.code, message=str(error))
        else:
            _settle(services.fail, lease=lease, code=error.code, message=str(error))
    except OperationalError as error:
        bound.warning("job.database", error=str(error))
        connection.close_if_unusable_or_obsolete()
        _settle(_again, lease=lease, code="database", message=f"The database did not answer in time: {error}")
    except Exception as error:
        bound.exception("job.bug")
        _settle(_again, lease=lease, code="bug", message=f"{type(error).__name__}: {error}")
    except BaseException:  # Ctrl-C, or the worker's own end: the next one goes on at once
        _settle(services.defer, lease=lease)
        raise


def _take_steps(lease: services.Lease, turn: Turn | None, on_progress: Progress | None) -> None:
    job = lease.job
    take = steps.get(job.kind)
    while not services.obey(lease=lease):
        if turn is not None and stopping.asked():
            raise Interrupted("The worker is to stop.")
        try:
            outcome = take(job, job.cursor)
        except RateLimited as error:
            if error.wait > NAP:
                raise
            time.sleep(max(0.0, error.wait))
            continue
        waits = outcome.wait > NAP and not outcome.done
        with transaction.atomic():
            outcome.store()
            if outcome.done:
                services.finish(lease=lease, cursor=outcome.cursor, progress=outcome.progress)
            else:
                services.advance(lease=lease, cursor=outcome.cursor, progress=outcome.progress)
            if waits:
                services.defer(lease=lease, seconds=outcome.wait)
        job.cursor, job.progress = outcome.cursor, outcome.progress
        if on_progress is not None:
            on_progress(job)
        if outcome.done or waits:
            return
        if turn is not None and turn.over():
            services.defer(lease=lease)
            return
        if outcome.wait > 0:
            time.sleep(outcome.wait)


def _beat_for(lease: services.Lease) -> Callable[[], None]:
    every = lease.seconds / 4
    last = time.monotonic()

    def beat() -> None:
        nonlocal last
        if stopping.asked():
            raise Interrupted("The worker is to stop.")
        if time.monotonic() - last < every:
            return
        last = time.monotonic()
        if services.renew(lease=lease):
            raise Interrupted("A person asked for this job to pause or end.")

    return beat


def _stop(*, lease: services.Lease) -> None:
    if not services.obey(lease=lease):
        services.defer(lease=lease)


def _again(*, lease: services.Lease, code: str, message: str) -> None:
    """Back to the queue after an error, later with each attempt."""
    tries = max(0, services.attempts(lease=lease) - 1)
    wait = min(BACKOFF_MAX, BACKOFF * 2**tries) * random.uniform(0.8, 1.2)  # noqa: S311 - to spread, not to hide
    services.defer(lease=lease, seconds=wait, code=code, message=message, counts=True)


def _settle(how: Callable[..., object], *, lease: services.Lease, **arguments: object) -> None:
    """Write down how a run ended. Should even that fail, the lease runs out and the sweeper takes the job back."""
    try:
        how(lease=lease, **arguments)
    except LeaseLost:
        log.warning("job.lease_lost", job=lease.job_id)
    except OperationalError as error:
        log.warning("job.unsettled", job=lease.job_id, error=str(error))
