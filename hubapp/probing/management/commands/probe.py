"""Says what a model was trained on, from its weights, in a terminal."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from hubapp.catalog import queries as catalog
from hubapp.catalog.models import Repo
from hubapp.jobs.models import JobState
from hubapp.probing import queries, services


class Command(BaseCommand):
    help = "Ask the expert of a model's tree what the model was trained on; --family and --all ask about many."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", nargs="?", metavar="MODEL", help="a model that was crawled")
        parser.add_argument("--family", action="store_true", help="every model of its family")
        parser.add_argument("--all", action="store_true", help="every model that an expert can read")
        parser.add_argument("--queue", action="store_true", help="leave it to a worker instead of doing it here")
        parser.add_argument("--json", action="store_true", help="print the answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["model"]) == options["all"]:
            raise CommandError("Name a model, or give --all.")
        repo = _found(options["model"]) if options["model"] else None
        scope = "all" if repo is None else "family" if options["family"] else "model"
        job = services.ask(kind="probe", scope=scope, repo=repo, send=options["queue"])
        if options["queue"]:
            self.stdout.write(f"Queued as job {job.pk}.")
            return
        job = import_string("workers.tasks.run_here")(job.pk)
        for fault in job.faults.order_by("id")[:20]:
            self.stderr.write(f"{fault.subject}: {fault.message} ({fault.code})")
        if job.state != JobState.DONE:
            raise CommandError(f"probe {job.state}: {job.error} ({job.error_code})")
        counts = ", ".join(f"{job.progress.get(name, 0):,} {name}" for name in ("answered", "abstained", "errors"))
        self.stderr.write(f"probe: {counts}.")
        if repo is not None and scope == "model":
            self._tell(repo, as_json=options["json"])

    def _tell(self, repo: Repo, *, as_json: bool) -> None:
        found = queries.training(repo)
        if as_json:
            told = {
                "model": repo.name,
                "state": found.state,
                "why": found.why,
                "guesses": [{"label": bar.label, "probability": bar.probability} for bar in found.bars],
                "claims": list(found.claims),
                "expert": None if found.expert is None else {"id": found.expert.pk, "method": found.expert.method},
            }
            self.stdout.write(json.dumps(told, indent=1, ensure_ascii=False))
            return
        words = {
            "no_expert": "no expert for its tree: too few of its relatives say what they were trained on",
            "not_asked": "its weights were not read yet (manage.py inspect)",
        }
        self.stdout.write(f"{repo.name}: {words.get(found.state, found.state)}. {found.why}".rstrip())
        for bar in found.bars:
            self.stdout.write(f"  {bar.probability:6.1%}  {bar.label}{'  (its card says so)' if bar.claimed else ''}")
        if found.claims:
            self.stdout.write(f"  its card says: {', '.join(found.claims)}")
        if found.expert is not None and found.quality is not None:
            self.stdout.write(
                f"  {found.expert.method} for the tree of {found.expert.root.name}: {found.quality['top1']:.1%} of "
                f"held-out models right; {len(found.layers)} layers"
            )


def _found(name: str) -> Repo:
    found = catalog.find(name)
    if found is None:
        raise CommandError(f"No model named {name!r} is stored. Crawl it first: manage.py crawl family {name}")
    return found.repo
