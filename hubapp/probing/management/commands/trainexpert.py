"""Trains experts, from a terminal."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from hubapp.catalog import queries as catalog
from hubapp.jobs.models import Job, JobState
from hubapp.probing import queries, services


class Command(BaseCommand):
    help = (
        "Train an expert for the tree of a model: read its labelled models, compare methods on held-out ones, and put "
        "the better into service. Without a model: for every tree that has enough labelled models and no expert yet."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", nargs="?", metavar="MODEL", help="any model of the tree")
        parser.add_argument("--again", action="store_true", help="even where the tree has an expert")
        parser.add_argument("--queue", action="store_true", help="leave it to a worker instead of doing it here")

    def handle(self, *args: Any, **options: Any) -> None:
        repo = None
        if options["model"]:
            found = catalog.find(options["model"])
            if found is None:
                raise CommandError(f"No model named {options['model']!r} is stored. Crawl it first: manage.py crawl")
            repo = found.repo
        job = services.ask(
            kind="train",
            scope="all" if repo is None else "family",
            repo=repo,
            again=options["again"],
            send=options["queue"],
        )
        if options["queue"]:
            self.stdout.write(f"Queued as job {job.pk}.")
            return
        job = import_string("workers.tasks.run_here")(job.pk, self._tell)
        for fault in job.faults.order_by("id")[:20]:
            self.stderr.write(f"{fault.subject}: {fault.message} ({fault.code})")
        if job.state != JobState.DONE:
            raise CommandError(f"train {job.state}: {job.error} ({job.error_code})")
        mine = [expert for expert in queries.experts() if expert.job_id == job.pk]
        if not mine:
            self.stdout.write(f"No expert was trained: {job.progress.get('note', '')}.")
        for expert in mine:
            self.stdout.write(
                f"{expert.root.name} ({expert.get_form_display()}): {expert.method} is in service, fitted to "
                f"{expert.fitted} models with {len(expert.labels)} labels; {expert.bytes_read:,} bytes read"
            )
            for method, quality in expert.quality.items():
                zero = (
                    "" if quality["zero_shot"] is None else f", unseen labels by their text {quality['zero_shot']:.3f}"
                )
                self.stdout.write(
                    f"  {method}: held-out models {quality['top1']:.3f}{zero}, {quality['seconds']:.0f} s"
                )

    def _tell(self, job: Job) -> None:
        if self.stderr.isatty() and job.progress.get("note"):
            self.stderr.write(f"\r\033[K{job.progress['note']}", ending="")
