"""Reads what weights tell, from a terminal."""

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
from hubapp.weights import queries, services
from workers.errors import RootstockError
from workers.weights import records
from workers.weights.records import State, as_json


class Command(BaseCommand):
    help = (
        "Read the headers and small files of models' weights by range (never the whole files, never a pickle), keep "
        "what they tell, and print it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("models", nargs="*", metavar="MODEL", help="ids of models that were crawled")
        parser.add_argument("--all", action="store_true", help="every model whose present revision was not read yet")
        parser.add_argument("--family", action="store_true", help="the whole families of the models")
        parser.add_argument("--file", metavar="PATH", help="a folder or file on this machine, of which nothing is kept")
        parser.add_argument("--onward", action="store_true", help="then go on to what builds on it (verdicts, …)")
        parser.add_argument("--queue", action="store_true", help="leave it to a worker instead of reading it here")
        parser.add_argument("--json", action="store_true", help="print it as JSON, tensors included")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["file"]:
            self._tell(_local(options["file"]), as_json_=options["json"])
            return
        if bool(options["models"]) == options["all"]:
            raise CommandError("Name models, or give --all, or --file PATH.")
        repos = [_found(name) for name in options["models"]]
        scope = "all" if options["all"] else "family" if options["family"] else "model"
        wanted: list[Repo | None] = [*repos] or [None]
        for repo in wanted:
            job = services.ask(scope=scope, repo=repo, onward=options["onward"], send=options["queue"])
            if options["queue"]:
                self.stdout.write(f"Reading {repo.name if repo else 'all weights'} is queued as job {job.pk}.")
                continue
            self._ran(import_string("workers.tasks.run_here")(job.pk))
            if repo is not None and scope == "model":
                found = queries.inspection(repo.pk)
                if found is None:
                    raise CommandError(f"{repo.name} can't be read: it is {repo.state}, or its revision is not known.")
                self._tell(found, as_json_=options["json"])

    def _ran(self, job: Job) -> None:
        counts = ", ".join(f"{value:,} {name}" for name, value in progress_of(job).counts if value)
        for fault in job.faults.order_by("id")[:20]:
            self.stderr.write(f"{fault.subject}: {fault.message} ({fault.code})")
        if job.state != JobState.DONE:
            raise CommandError(f"inspect {job.state} after {counts or 'nothing'}: {job.error} ({job.error_code})")
        self.stderr.write(f"inspect: {counts or 'nothing new to read'}.")

    def _tell(self, found: records.Inspection, *, as_json_: bool) -> None:
        if as_json_:
            self.stdout.write(json.dumps(_plain(found), indent=1, ensure_ascii=False))
            return
        where = f" at {found.revision[:12]}" if found.revision else ""
        self.stdout.write(f"{found.name}{where}: {found.state.value}. {found.reason}".rstrip())
        schema = found.schema
        if schema is not None:
            dtypes = ", ".join(f"{dtype} {count:,}" for dtype, count in schema.dtypes.items())
            self.stdout.write(
                f"  {schema.format}: {schema.parameters:,} numbers ({dtypes}) in {len(schema.tensors):,} tensors, "
                f"{len(schema.files)} file(s), {schema.size:,} bytes; signature {schema.signature}"
            )
        if found.quantization is not None:
            kind = found.quantization
            self.stdout.write(f"  quantized: {kind.method} {kind.bits:g} bits {kind.detail} (by {kind.source})")
        if found.adapter is not None:
            lora = found.adapter
            marks = "".join(f" {word}" for word, on in (("DoRA", lora.dora), ("rsLoRA", lora.rslora)) if on)
            self.stdout.write(
                f"  adapter: {lora.kind}{marks} rank {lora.rank} alpha {lora.alpha:g} on {', '.join(lora.targets)}; "
                f"its base is said to be {lora.base or 'nothing'}"
            )
        if found.tokenizer is not None:
            self.stdout.write(f"  tokenizer: {found.tokenizer.kind}, {found.tokenizer.size:,} tokens")
        for oddity in found.oddities:
            self.stdout.write(f"  {oddity}")
        self.stdout.write(f"  {found.bytes_read:,} bytes read in {found.requests} requests")


def _found(name: str) -> Repo:
    found = catalog.find(name)
    if found is None:
        raise CommandError(f"No model named {name!r} is stored. Crawl it first: manage.py crawl family {name}")
    return found.repo


def _local(path: str) -> records.Inspection:
    found: records.Inspection
    try:
        source = import_string("workers.weights.reading.LocalSource")(path)
        found = import_string("workers.weights.inspecting.inspect")(source, name=path)
    except RootstockError as error:
        raise CommandError(str(error)) from None
    return found


def _plain(found: records.Inspection) -> dict[str, Any]:
    schema = found.schema
    return {
        "name": found.name,
        "revision": found.revision,
        "state": State(found.state).value,
        "code": found.code,
        "reason": found.reason,
        "config": found.config,
        "tokenizer": as_json(found.tokenizer),
        "adapter": as_json(found.adapter),
        "quantization": as_json(found.quantization),
        "format": schema.format if schema else None,
        "signature": schema.signature if schema else None,
        "parameters": schema.parameters if schema else None,
        "dtypes": schema.dtypes if schema else {},
        "files": [file._asdict() for file in schema.files] if schema else [],
        "metadata": schema.metadata if schema else {},
        "tensors": [tensor._asdict() for tensor in schema.tensors] if schema else [],
        "oddities": list(found.oddities),
        "bytes_read": found.bytes_read,
        "requests": found.requests,
    }
