"""Jobs in a terminal: see what is being done, and do what the admin can."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from hubapp.jobs import queries, services
from hubapp.jobs.models import Job, JobState
from workers.errors import RootstockError

VERBS = {
    "pause": services.pause,
    "resume": services.resume,
    "cancel": services.cancel,
    "retry": services.retry,
}

HELP = {
    "pause": "stop after the present step; what is stored stays",
    "resume": "let paused jobs go on where they stopped",
    "cancel": "end after the present step; what is stored stays",
    "retry": "run failed, parked or cancelled jobs again from where they stopped, and waiting ones now",
}


class Command(BaseCommand):
    help = "List jobs, show one, pause, resume, cancel or retry some, or sweep up after lost workers."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|show|pause|resume|cancel|retry|sweep")
        listing = verbs.add_parser("list", help="jobs, the latest first")
        listing.add_argument("--state", choices=JobState.values, help="only those in this state")
        listing.add_argument("--kind", help="only those of this kind")
        listing.add_argument("--limit", type=int, default=20)
        listing.add_argument("--json", action="store_true", help="one JSON object a line")
        show = verbs.add_parser("show", help="one job with its error and what it could not use")
        show.add_argument("id", type=int)
        for verb in VERBS:
            some = verbs.add_parser(verb, help=HELP[verb])
            some.add_argument("id", type=int, nargs="*")
            if verb == "retry":
                some.add_argument("--parked", action="store_true", help="all parked jobs")
        verbs.add_parser("sweep", help="take jobs back from lost workers, and send all that wait again")

    def handle(self, *args: Any, **options: Any) -> None:
        verb = options["verb"]
        if verb == "list":
            self._list(options)
        elif verb == "show":
            self._show(options["id"])
        elif verb == "sweep":
            swept = services.sweep(everything=True)
            self.stdout.write(f"{swept.recovered} taken back, {swept.parked} parked, {swept.sent} sent.")
        else:
            self._each(verb, options)

    def _each(self, verb: str, options: dict[str, Any]) -> None:
        numbers = list(options["id"])
        if options.get("parked"):
            numbers += queries.parked().values_list("pk", flat=True)
        elif not numbers:
            raise CommandError(f"Which jobs to {verb}? Give their numbers; `jobs list` shows them.")
        refused = 0
        for number in dict.fromkeys(numbers):
            try:
                job = VERBS[verb](job_id=number)
                self.stdout.write(f"{job}: {job.state}" + (f", will {job.wanted}" if job.wanted else ""))
            except RootstockError as error:
                refused += 1
                self.stderr.write(str(error))
        if refused:
            raise CommandError(f"{refused} of {len(numbers)} could not be done.")

    def _list(self, options: dict[str, Any]) -> None:
        jobs = Job.objects.order_by("-id")
        if options["state"]:
            jobs = jobs.filter(state=options["state"])
        if options["kind"]:
            jobs = jobs.filter(kind=options["kind"])
        rows = list(jobs[: options["limit"]])
        if options["json"]:
            for job in rows:
                self.stdout.write(json.dumps(_facts(job), default=str))
        elif not rows:
            self.stdout.write("No jobs.")
        for job in [] if options["json"] else rows:
            progress = queries.progress_of(job)
            share = "" if progress.share is None else f"{progress.share:>4.0%}"
            what = " ".join(f"{name}={value}" for name, value in job.params.items() if value not in ("", None))
            error = f"{job.error_code}: {job.error.splitlines()[0]}" if job.error else ""
            self.stdout.write(
                f"{job.pk:>6} {job.kind:<10} {job.state:<9} {share:>4} {progress.done:>9,} {progress.unit:<7} "
                f"{what:<40} {error}".rstrip()
            )

    def _show(self, number: int) -> None:
        job = Job.objects.filter(pk=number).first()
        if job is None:
            raise CommandError(f"There is no job {number}.")
        for name, value in _facts(job).items():
            self.stdout.write(f"{name:<12} {value}")
        for code, count in queries.faults_by_code(jobs=[number]):
            self.stdout.write(f"{count:>12} {code}")
        for fault in job.faults.order_by("-id")[:20]:
            self.stdout.write(f"  {fault.subject}: {fault.message}")


def _facts(job: Job) -> dict[str, Any]:
    names = (
        "id",
        "kind",
        "queue",
        "state",
        "wanted",
        "params",
        "progress",
        "cursor",
        "attempts",
        "error_code",
        "error",
    )
    times = ("created_at", "started_at", "updated_at", "not_before", "finished_at")
    return {name: getattr(job, name) for name in (*names, *times)}
