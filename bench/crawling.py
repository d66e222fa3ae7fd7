"""One crawl as it runs in life, timed: ``python -m bench.crawling ENDPOINT VAR DATABASE_URL|sqlite MODELS``.

A helper of ``bench.crawl``, in a process of its own because Django is loaded for one database. The last line is JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

from bench.disturbing import ask, configure, fork, migrate, small_pages, wish


def crawl(job_id: int) -> str:
    """The worker of the queue "crawl"; its peak memory in MB and its processor time."""
    peak = 0.0

    def look(_: object) -> None:
        nonlocal peak
        peak = max(peak, memory())

    from hubapp.jobs.models import JobState
    from workers.tasks import run_here

    small_pages(int(os.environ.get("BENCH_PAGE", "1000")))
    job = run_here(job_id, look)
    if job.state != JobState.DONE:
        raise RuntimeError(f"the crawl ended {job.state}: {job.error}")
    return json.dumps({"mb": round(peak, 1), "cpu": round(time.process_time(), 3)})


def memory() -> float:
    """MB of this process's own memory, without the mapped pages of the database file, which are the system's cache."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def grow(job_id: int) -> str:
    """The worker of the queue "analyse": lineage as it is asked for, until the crawl is over and nothing is left."""
    from django.db.models import Q

    from hubapp.jobs.models import ACTIVE_STATES, Job, JobState
    from workers.tasks import run_here

    while True:
        over = Job.objects.get(pk=job_id).state == JobState.DONE
        due = Job.objects.filter(Q(state__in=ACTIVE_STATES), kind="lineage").order_by("id").first()
        if due is not None:
            job = run_here(due.pk)
            if job.state != JobState.DONE:
                raise RuntimeError(f"lineage ended {job.state}: {job.error}")
        elif over:
            return json.dumps({"mb": round(memory(), 1), "cpu": round(time.process_time(), 3)})
        else:
            time.sleep(0.05)


def check(models: int) -> str:
    """That all is there: models, edges, evidence, entries; and that search finds the last one. Seconds it took."""
    from hubapp.catalog.models import Repo
    from hubapp.lineage.models import Dirty, Edge, Evidence
    from hubapp.searching import queries
    from hubapp.searching.models import Entry

    began = time.monotonic()
    last = Repo.objects.exclude(hub_id=None).order_by("-pk")[0]
    page = queries.search(queries.Query(text=last.name))
    if last.name not in {hit.name for hit in page.hits}:
        raise RuntimeError(f"search does not find {last.name}")
    seconds = time.monotonic() - began
    counts = {
        "models": Repo.objects.exclude(hub_id=None).count(),
        "entries": Entry.objects.count(),
        "evidence": Evidence.objects.count(),
        "edges": Edge.objects.count(),
        "left": Dirty.objects.count(),
    }
    if counts["models"] != models or counts["entries"] < models or counts["left"] or counts["edges"] < models // 10:
        raise RuntimeError(f"not all is there: {counts}")
    return json.dumps({"found": seconds, **counts})


def main(endpoint: str, var: str, database_url: str, models: int) -> None:
    Path(var).mkdir(parents=True)
    os.environ["ROOTSTOCK_LOOKUPS"] = "0"  # of names that nobody has: the peer asks for none either
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    configure(endpoint, Path(var), "" if database_url == "sqlite" else database_url)
    if database_url != "sqlite":
        ask(_empty)
    ask(migrate)
    job_id = int(ask(wish))
    began = time.monotonic()
    workers = [fork(lambda: crawl(job_id)), fork(lambda: grow(job_id))]
    crawler = workers[0].answer()
    crawled = time.monotonic() - began
    grower = workers[1].answer()
    if any(worker.wait() for worker in workers):
        raise SystemExit("a worker failed")
    grown = time.monotonic() - began
    found = json.loads(ask(lambda: check(models)))
    sys.stdout.write(
        json.dumps(
            {
                "seconds": round(grown + found.pop("found"), 3),
                "crawl": round(crawled, 3),
                **{f"crawl_{key}": value for key, value in json.loads(crawler).items()},
                **{f"grow_{key}": value for key, value in json.loads(grower).items()},
                **found,
            }
        )
        + "\n"
    )


def _empty() -> str:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE")
        cursor.execute("CREATE SCHEMA public")
    return ""


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
