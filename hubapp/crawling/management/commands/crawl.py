"""Crawls the Hub from a terminal, with a bar."""

from __future__ import annotations

import shutil
import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from hubapp.crawling import queries, services
from hubapp.crawling.models import Scope
from hubapp.jobs.models import FINAL_STATES, Job, JobState
from hubapp.jobs.queries import progress_of
from workers.errors import RootstockError

POLL = 0.5  # seconds between looks at a job that a worker runs
FOLLOW_UPS = ("lineage", "reconcile", "cards", "inspect", "verify")


class Command(BaseCommand):
    help = "Crawl the Hub: everything, what changed, the most downloaded, an author, a search, or one model's family."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("scope", choices=Scope.values, help="what to crawl")
        words = "; ".join(f"{scope.value}: {what}" for scope, what in queries.ARGUMENTS.items())
        parser.add_argument("argument", nargs="?", default="", help=words)
        how = parser.add_mutually_exclusive_group()
        how.add_argument("--wait", action="store_true", help="stay and show how far a worker is with it")
        how.add_argument(
            "--here", action="store_true", help="do it in this process, with what follows from it; needs no worker"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        here = options["here"]
        try:
            crawl = services.start(scope=options["scope"], argument=options["argument"], send=not here)
        except RootstockError as error:
            raise CommandError(str(error)) from None
        if not (here or options["wait"]):
            self.stdout.write(f"Crawl {crawl.pk} of {crawl.endpoint} is queued as job {crawl.job_id}.")
            return
        bar = Bar(self.stderr if self.stderr.isatty() else None)
        run = import_string("workers.tasks.run_here") if here else _watch
        job = run(crawl.job_id, bar)
        bar.close()
        self._tell(job)
        if here:
            self._follow(run, bar)

    def _follow(self, run: Callable[[int, Any], Job], bar: Bar) -> None:
        """Do what the crawl has asked for, until nothing of it is due."""
        while True:
            job = Job.objects.filter(kind__in=FOLLOW_UPS, state=JobState.QUEUED, not_before=None).order_by("id").first()
            if job is None:
                return
            job = run(job.pk, bar)
            bar.close()
            self._tell(job)

    def _tell(self, job: Job) -> None:
        progress = progress_of(job)
        counts = ", ".join(f"{value:,} {name}" for name, value in progress.counts if value) or f"{progress.done:,} done"
        took = f" in {progress.elapsed:.1f} s" if progress.elapsed is not None else ""
        if job.state == JobState.DONE:
            self.stdout.write(f"{job.kind}: {counts}{took}.")
        elif job.state == JobState.PAUSED:
            self.stdout.write(f"{job.kind}: paused after {counts}; `manage.py jobs resume {job.pk}` goes on.")
        else:
            raise CommandError(f"{job.kind} {job.state} after {counts}: {job.error} ({job.error_code})")


def _watch(job_id: int, on_progress: Callable[[Job], object]) -> Job:
    """Look on while a worker runs the job."""
    while True:
        job = Job.objects.get(pk=job_id)
        on_progress(job)
        if job.state in FINAL_STATES or job.state == JobState.PAUSED:
            return job
        time.sleep(POLL)


class Bar:
    """One line that is written over: a bar where the total is known, counts, rate, time left."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.drawn = 0.0
        self.wide = 0

    def __call__(self, job: Job) -> None:
        """Draw the job's progress; at most ten times a second."""
        if self.stream is None or time.monotonic() - self.drawn < 0.1:
            return
        self.drawn = time.monotonic()
        progress = progress_of(job)
        parts = []
        if progress.share is not None and progress.total:
            filled = int(progress.share * 24)
            parts.append(f"[{'█' * filled}{'·' * (24 - filled)}] {progress.share:4.0%}")
        parts += [f"{value:,} {name}" for name, value in progress.counts if value or name in ("pages", "models")]
        if not progress.counts:
            parts.append(f"{progress.done:,} {progress.unit}")
        if progress.rate:
            parts.append(f"{progress.rate:,.0f}/s")
        if progress.left is not None:
            parts.append(f"{_clock(progress.left)} left")
        if job.state == JobState.QUEUED:
            parts.append(job.error or "waiting")
        elif progress.note:
            parts.append(progress.note)
        width = shutil.get_terminal_size().columns - 1
        line = f"{job.kind}  " + "  ".join(parts)
        line = line if len(line) <= width else line[: width - 1] + "…"
        self.stream.write("\r" + line.ljust(self.wide), ending="")
        self.stream.flush()
        self.wide = len(line)

    def close(self) -> None:
        """Take the line away."""
        if self.stream is not None and self.wide:
            self.stream.write("\r" + " " * self.wide + "\r", ending="")
            self.stream.flush()
        self.wide, self.drawn = 0, 0.0


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
