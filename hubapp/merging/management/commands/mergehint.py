"""Says in a terminal whether models can be merged, what stands in the way, and how it is done."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from hubapp.catalog import queries as catalog
from hubapp.catalog.models import Repo
from hubapp.jobs.models import Job, JobState
from hubapp.merging import queries, services
from hubapp.merging.answers import as_json
from hubapp.merging.queries import Judged
from workers.errors import BadRequest, RootstockError
from workers.merging import rules
from workers.merging.records import Fault, Level, Report

MARKS = {Level.STOP: "✗", Level.MEND: "!", Level.UNKNOWN: "?", Level.NOTE: "·"}


class Command(BaseCommand):
    help = (
        "Say whether two to eight models (or those of a mergekit configuration) can be merged: every fault with its "
        "cause and how to mend it, their common ancestor, licences, a method with its reasons and a configuration."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("models", nargs="*", metavar="MODEL", help="ids of crawled models, or folders")
        parser.add_argument("--config", metavar="FILE", help="a mergekit configuration, whose models are judged")
        parser.add_argument("--base", metavar="MODEL", help="compare their weights with this model as their base")
        parser.add_argument("--method", choices=rules.OFFERED, default="", help="write the recipe by this method")
        parser.add_argument("--full", action="store_true", help="read every number instead of a sample")
        parser.add_argument("--stored", action="store_true", help="read nothing: judge from what is stored")
        parser.add_argument("--write", metavar="FILE", help="write the recipe to this file")
        parser.add_argument("--json", action="store_true", help="print everything as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["models"]) == bool(options["config"]):
            raise CommandError("Name two to eight models, or give --config FILE.")
        try:
            config = _config(options["config"]) if options["config"] else None
            names = [model.name for model in rules.wanted(config)] if config else options["models"]
            if names and all(_is_folder(name) for name in names):
                answer: Judged | Report = self._folders(names, config, options)
            else:
                answer = self._stored(names, config, options)
        except RootstockError as error:
            raise CommandError(str(error)) from None
        report = answer.report if isinstance(answer, Judged) else answer
        if options["write"]:
            if report.recipe is None:
                raise CommandError("There is no recipe to write: these models can't be merged as they are.")
            Path(options["write"]).write_text(report.recipe.yaml, encoding="utf-8")
        if options["json"]:
            self.stdout.write(json.dumps(as_json(answer), indent=1, ensure_ascii=False))
            return
        self._tell(report)
        if isinstance(answer, Judged):
            self._tell_licences(answer)

    # --- where the models are ---
    def _folders(self, names: list[str], config: rules.Checked | None, options: dict[str, Any]) -> Report:
        base = options["base"] or (config.base.model if config is not None and config.base is not None else "")
        others = {base: base} if base and base not in names and _is_folder(base) else {}
        judge = import_string("workers.merging.opened.judge_folders")
        forebear = import_string("workers.merging.records.Forebear")
        given = bool(options["base"])
        report: Report = judge(
            {name: name for name in names},
            forebears={name: (forebear(base, 1, "finetune"),) for name in names if name != base} if given else {},
            others=others,
            config=config,
            full=options["full"],
            read=not options["stored"],
            method=options["method"],
        )
        return report

    def _stored(self, names: list[str], config: rules.Checked | None, options: dict[str, Any]) -> Judged:
        repos = queries.find(names)
        base = queries.find([options["base"]])[0] if options["base"] else None
        if base is None and config is not None:
            base = queries.base_of(queries.candidates(repos), config)
        if not options["stored"] and len(repos) > 1:
            self._read(repos, base, full=options["full"])
        return queries.judged(repos, config=config, method=options["method"], base=base)

    def _read(self, repos: list[Repo], base: Repo | None, *, full: bool) -> None:
        """Compare their weights, here. That they can't be laid beside each other is told by the judgement."""
        job: Job = services.ask(repos=repos, base=base, full=full, send=False)
        job = import_string("workers.tasks.run_here")(job.pk)
        if job.state != JobState.DONE:
            self.stderr.write(f"The weights were not compared: {job.error} ({job.error_code})")

    # --- in words ---
    def _tell(self, report: Report) -> None:
        say = self.stdout.write
        say(report.headline)
        if report.ancestor.sentence:
            say(f"Ancestor: {report.ancestor.sentence}")
        for fault in report.faults:
            self._tell_fault(fault)
        sampling = report.sampling
        if sampling is not None:
            say(f"Weights: {sampling.share:.2%} of the numbers compared, {sampling.bytes_read:,} bytes read.")
            for pair in sampling.pairs:
                figures = [f"cosine {pair.weights:.3f}"] if pair.weights is not None else []
                figures += [f"of changes {pair.tasks:.3f}"] if pair.tasks is not None else []
                figures += [f"opposite signs {pair.conflict:.0%}"] if pair.conflict is not None else []
                say(f"  {pair.a} and {pair.b}: {', '.join(figures)}")
        for way in report.instead:
            say(f"Instead: {way}")
        if report.recipe is not None:
            say(f"\nRecipe: {report.recipe.method}")
            for reason in report.recipe.reasons:
                say(f"  {reason}")
            say("\n" + report.recipe.yaml)

    def _tell_fault(self, fault: Fault) -> None:
        self.stdout.write(f" {MARKS[fault.level]} {rules.title(fault.code)}: {fault.cause}")
        for model, value in fault.compared:
            self.stdout.write(f"     {model}: {value}")
        if fault.mend:
            self.stdout.write(f"     → {fault.mend}")

    def _tell_licences(self, judged: Judged) -> None:
        found = judged.obligations
        say = self.stdout.write
        if found.fits:
            say(f"Licence: the merge may stand under {', '.join(found.fits)}.")
        for clash in found.clashes:
            say(f"Licence: {clash.sentence} ({' → '.join(clash.source.chain)})")
        for model, conflict in found.conflicts:
            say(f"Licence of {model}: {conflict.sentence} ({' → '.join(conflict.chain)})")
        for duty in (*found.duties, *found.limits):
            say(f"  {duty.text} ({', '.join(duty.because[:4])})")
        for text, model in found.conditions:
            say(f"  {text} ({model})")
        if found.unclear:
            say(f"  Not judged: {', '.join(source.model for source in found.unclear[:8])}")
        say(found.disclaimer)


def _config(path: str) -> rules.Checked:
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{path} can't be read: {error}.") from None
    return rules.check(rules.read(text))


def _is_folder(name: str) -> bool:
    return Path(name).is_dir() and catalog.find(name) is None
