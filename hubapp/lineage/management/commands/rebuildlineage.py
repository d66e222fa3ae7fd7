"""Judges all evidence anew and places everything in a pass over the whole Hub."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from hubapp.jobs.models import Job, JobState
from hubapp.jobs.services import enqueue
from hubapp.lineage import queries, services


class Command(BaseCommand):
    help = "Rebuild all families from the stored evidence. Changes nothing where all is well."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--places-only", action="store_true", help="place everything anew, without judging the evidence again"
        )
        parser.add_argument("--queue", action="store_true", help="leave it to a worker instead of doing it here")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["places_only"]:
            services.mark_everything()
        services.want_whole()
        job = enqueue(kind="lineage", params={}, send=options["queue"])
        if options["queue"]:
            self.stdout.write(f"Job {job.pk} is queued.")
            return
        job = import_string("workers.tasks.run_here")(job.pk, self._tell)
        if job.state != JobState.DONE:
            raise CommandError(f"The job is {job.state}: {job.error or 'see manage.py jobs'}")
        totals = queries.totals()
        self.stdout.write(
            f"{totals.edges:,} edges, {totals.families:,} families, {totals.findings:,} findings, "
            f"{totals.stubs:,} parents that were never read."
        )

    def _tell(self, job: Job) -> None:
        progress = job.progress
        if self.stderr.isatty() and progress.get("note"):
            total = f" of {progress['total']:,}" if progress.get("total") else ""
            self.stderr.write(f"\r{progress['note']}: {progress.get('done', 0):,}{total}    ", ending="")
