"""A part of bench.heritage: the sample hub's zoo crawled, and every declared edge verified as on a running site.

``python -m bench.heritage_site FOLDER`` prints one JSON object: how many of the edges that are true (by the zoo's own
tables, which no answer of the hub carries) and of those that are false were given each verdict.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

SKIPPED = ("meanings", "search", "inspect", "train", "probe")


def main(folder: str) -> None:
    from samplehub.running import serve

    with serve("zoo") as hub:
        os.environ.update(
            DJANGO_SETTINGS_MODULE="hubapp.settings",
            ROOTSTOCK_VAR=folder,
            HF_ENDPOINT=hub.url,
            ROOTSTOCK_READ_WEIGHTS="0",
        )
        os.environ.pop("DATABASE_URL", None)
        Path(folder).mkdir(parents=True, exist_ok=True)
        import django

        django.setup()
        from django.core.management import call_command

        from hubapp.crawling import services as crawling
        from hubapp.jobs.models import Job
        from hubapp.weights import sketches
        from workers.tasks import run_here

        call_command("migrate", verbosity=0)
        run_here(crawling.start(scope="everything", send=False).job_id)
        while job := Job.objects.filter(state="queued").exclude(kind__in=SKIPPED).order_by("id").first():
            run_here(job.pk)
        began = time.monotonic()
        job = run_here(sketches.ask_to_verify(scope="all", send=False).pk)
        if job.state != "done":
            raise SystemExit(f"verify {job.state}: {job.error}")
        sys.stdout.write(json.dumps({"seconds": time.monotonic() - began, **confusion()}) + "\n")


def confusion() -> dict[str, object]:
    """Verdicts by whether the parent is an ancestor in truth; the edges that were judged wrongly, by name."""
    from hubapp.lineage.models import Verdict
    from samplehub import collection
    from samplehub.zoo import pack

    told = collection.truth() | pack.truth()
    parents = {
        name: {p if isinstance(p, str) else p[0] for p in row.get("parents") or ()} for name, row in told.items()
    }
    counts: Counter[str] = Counter()
    wrong = []
    for row in Verdict.objects.select_related("child", "parent", "likelier"):
        child, parent = row.child.name, row.parent.name
        if child not in told:
            continue
        is_true = parent in _above(child, parents)
        counts[f"{'true' if is_true else 'false'} {row.verdict}"] += 1
        if (is_true and row.verdict == "contradicted") or (not is_true and row.verdict == "confirmed"):
            wrong.append(f"{parent} -> {child}: {row.verdict} ({row.reason})")
        if not is_true and row.likelier and row.likelier.name in _above(child, parents):
            counts["right one named"] += 1
    return {"counts": dict(counts), "wrong": wrong}


def _above(name: str, parents: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(parents.get(name, ()))
    while todo:
        at = todo.pop()
        if at not in found:
            found.add(at)
            todo += parents.get(at, ())
    return found


if __name__ == "__main__":
    main(sys.argv[1])
