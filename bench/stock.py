"""Fills a database with generated models through the services that crawls use, but not over HTTP.

``python -m bench.stock 200000``: into the database that the environment names (DATABASE_URL, or ROOTSTOCK_VAR).
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator

SEED = 20
PAGE = 4_000
PRODUCERS = 2


def produce(models: int, number: int) -> None:
    """Write every PRODUCERS-th page of facts to standard output, newest models first, as a listing has them."""
    from samplehub.generator import Generated
    from workers.crawling.rows import facts_of

    generated = Generated(models, SEED)
    out = sys.stdout.buffer
    for page, start in enumerate(range(models, 0, -PAGE)):
        if page % PRODUCERS == number:
            rows = [facts_of(generated.row(i)) for i in range(start - 1, max(-1, start - PAGE - 1), -1)]
            pickle.dump(rows, out, protocol=pickle.HIGHEST_PROTOCOL)
            out.flush()


def pages(models: int) -> Iterator[list]:  # type: ignore[type-arg]
    """The pages of facts, made by processes of their own while the last ones are stored."""
    makers = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.stock", str(models), "--produce", str(number)], stdout=subprocess.PIPE
        )
        for number in range(PRODUCERS)
    ]
    for page in range(-(-models // PAGE)):
        source = makers[page % PRODUCERS].stdout
        assert source is not None
        yield pickle.load(source)
    for maker in makers:
        maker.wait()


def fill(models: int) -> None:
    """Migrate, store the models, grow their trees, fold and count for search."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hubapp.settings")
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection, transaction
    from django.utils import timezone

    from hubapp.catalog import services as catalog
    from hubapp.jobs.services import enqueue
    from hubapp.lineage import services as lineage
    from hubapp.searching import services as searching
    from workers.tasks import run_here

    began = time.monotonic()
    call_command("migrate", verbosity=0)
    spent = {"store": 0.0, "declare": 0.0, "index": 0.0}
    done = 0
    for facts in pages(models):
        with transaction.atomic():
            marks = [time.monotonic()]
            stored = catalog.store(facts=facts, now=timezone.now())
            marks.append(time.monotonic())
            lineage.declare(stored=stored, now=timezone.now())
            marks.append(time.monotonic())
            searching.index(stored=stored)
            marks.append(time.monotonic())
        for name, start, end in zip(spent, marks, marks[1:], strict=False):
            spent[name] += end - start
        done += len(facts)
        if done % 100_000 < PAGE:
            say(f"  {done:,} stored, {time.monotonic() - began:.0f} s")
    say("  " + ", ".join(f"{name} {seconds / done * 1e6:.1f} µs" for name, seconds in spent.items()) + " a model")
    for kind in ("lineage", "search"):
        start = time.monotonic()
        job = run_here(enqueue(kind=kind, params={}, send=False).pk)
        say(f"  {kind}: {job.state}, {time.monotonic() - start:.0f} s")
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE)" if connection.vendor == "postgresql" else "ANALYZE")
    say(f"  filled with {models:,} models in {time.monotonic() - began:.0f} s")


def say(text: str) -> None:
    """A line for whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    count = int(sys.argv[1])
    if "--produce" in sys.argv:
        produce(count, int(sys.argv[sys.argv.index("--produce") + 1]))
    else:
        fill(count)
