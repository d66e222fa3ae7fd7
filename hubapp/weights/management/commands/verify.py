"""Holds declared descent against the weights, from a terminal."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from hubapp.catalog import queries as catalog
from hubapp.catalog.models import Repo
from hubapp.jobs.models import Job, JobState
from hubapp.jobs.queries import progress_of
from hubapp.lineage import queries as lineage
from hubapp.lineage.weighed import KINSHIPS, WORDS, sentence, spelt
from hubapp.weights import sketches


class Command(BaseCommand):
    help = (
        "Read sampled rows of a model and of its declared parents (a few MB at most), say whether the weights confirm "
        "or contradict the descent, and by which figures."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", nargs="?", metavar="MODEL", help="a model that was crawled")
        parser.add_argument("--base", metavar="OTHER", help="compare with this model, declared or not; nothing is kept")
        parser.add_argument("--family", action="store_true", help="every declared edge of the model's family")
        parser.add_argument("--all", action="store_true", help="every declared edge")
        parser.add_argument("--queue", action="store_true", help="leave it to a worker instead of doing it here")
        parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["model"]) == options["all"]:
            raise CommandError("Name a model, or give --all.")
        if options["base"] and (options["all"] or options["family"]):
            raise CommandError("--base goes with one model, not with --family or --all.")
        repo = _found(options["model"]) if options["model"] else None
        base = _found(options["base"]) if options["base"] else None
        if base is not None and base == repo:
            raise CommandError("A model is not held against itself: name another as --base.")
        scope = "all" if options["all"] else "family" if options["family"] else "model"
        job = sketches.ask_to_verify(scope=scope, repo=repo, base=base, send=options["queue"])
        if options["queue"]:
            self.stdout.write(f"Queued as job {job.pk}.")
            return
        job = import_string("workers.tasks.run_here")(job.pk)
        self._ran(job)
        if scope == "model" and repo is not None:
            found = [(base.name, job.progress["answer"])] if base is not None else _stored(repo)
            if options["json"]:
                self.stdout.write(json.dumps([{"parent": name, **told} for name, told in found], indent=1))
            else:
                self._tell(repo, found)

    def _ran(self, job: Job) -> None:
        counts = ", ".join(f"{value:,} {name}" for name, value in progress_of(job).counts if value)
        for fault in job.faults.order_by("id")[:20]:
            self.stderr.write(f"{fault.subject}: {fault.message} ({fault.code})")
        if job.state != JobState.DONE:
            raise CommandError(f"verify {job.state} after {counts or 'nothing'}: {job.error} ({job.error_code})")
        self.stderr.write(f"verify: {counts or 'nothing new'}.")

    def _tell(self, repo: Repo, found: list[tuple[str, dict[str, Any]]]) -> None:
        if not found:
            self.stdout.write(f"{repo.name} has no declared parent whose weights can be read.")
        for name, told in found:
            kinship = f", {KINSHIPS[told['kinship']]}" if told["kinship"] else ""
            self.stdout.write(f"{name} → {repo.name}: {WORDS[told['verdict']]}{kinship}.")
            self.stdout.write(f"  {sentence(told['reason'], told['figures'])}")
            if told["likelier"]:
                word = "Nearer" if told["verdict"] == "confirmed" else "Likelier"
                self.stdout.write(f"  {word}: {told['likelier']}")
            figures = [f"{key.replace('_', ' ')} {_spelt(key, value)}" for key, value in told["figures"].items()]
            self.stdout.write(f"  {', '.join(figures)}")
            if told["layers"]:
                layers = " ".join(f"{label}:{spelt(value)}" for label, value, _ in told["layers"])
                self.stdout.write(f"  by layer: {layers}")
            self.stdout.write(
                f"  read: {told['bytes_read']:,} bytes of {repo.name}, {told['parent_bytes']:,} bytes of {name}; "
                f"method {told['version']}"
            )


def _spelt(key: str, value: float) -> str:
    return f"{value:,.0f}" if key in ("tensors", "values", "modules", "misfits") else spelt(value)


def _stored(repo: Repo) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for parent in lineage.parents(repo).items:
        said = parent.weighed
        if said is not None:
            told = {key: getattr(said, key) for key in (
                "verdict", "kinship", "reason", "likelier", "bytes_read", "parent_bytes", "version",
            )} | {"figures": dict(said.figures), "layers": [list(layer) for layer in said.layers]}  # fmt: skip
            found.append((parent.repo.name, told))
    return found


def _found(name: str) -> Repo:
    found = catalog.find(name)
    if found is None:
        raise CommandError(f"No model named {name!r} is stored. Crawl it first: manage.py crawl family {name}")
    return found.repo
