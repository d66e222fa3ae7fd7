"""Families of the whole Hub: on arrays against networkx, with loading and storing beside it, and after small changes.

The peer takes the same arrays and hands back the same: a DiGraph of all models and edges, one topological pass for
roots and depths, one backwards for descendants, counts by relation. Both run in processes of their own; their memory is
the highest resident size during the pass over that before it. The stored part uses the job's own steps on SQLite and
on PostgreSQL.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench import Bench, median

MODELS = {"full": 2_000_000, "small": 60_000}
LEAVES = 1_000
ROUNDS = 5
SEED = 11
PARTS = ("ours", "peer", "sqlite", "postgresql")


def main() -> int:
    bench = Bench("lineage")
    parser = bench.parser(__doc__ or "")
    parser.add_argument("--only", default="", help="arrays or stored")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)  # what the processes of their own do
    arguments = parser.parse_args()
    bench.begin(arguments)
    models = MODELS[arguments.size]
    if arguments.part:
        json.dump(_part(arguments.part, models), sys.stdout)
        return 0
    if arguments.only in ("", "arrays"):
        _arrays(bench, models)
    if arguments.only in ("", "stored"):
        _stored(bench, models)
    return bench.close()


def _child(part: str, bench: Bench, **environment: str) -> dict[str, Any]:
    size = "small" if bench.small else "full"
    answer = subprocess.run(
        [sys.executable, "-m", "bench.lineage", "--part", part, "--size", size],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return dict(json.loads(answer.stdout))


def _part(part: str, models: int) -> dict[str, Any]:
    if part == "ours":
        return measure_pass(models, ours, ROUNDS)
    if part == "peer":
        return measure_pass(models, peer, 1)
    return stored(models)


# --- arrays ---------------------------------------------------------------------------------------------------------
def _arrays(bench: Bench, models: int) -> None:
    mine, other = _child("ours", bench), _child("peer", bench)
    bench.say(
        f"{models:,} models, {mine['edges']:,} edges, on arrays: {mine['seconds'] * 1e3:.0f} ms and "
        f"{mine['megabytes']:.0f} MB; networkx {other['seconds']:.1f} s and {other['megabytes']:.0f} MB"
    )
    if mine["digest"] != other["digest"]:
        raise SystemExit("The two passes do not give the same.")
    bench.figure(
        "times faster than networkx",
        other["seconds"] / mine["seconds"],
        ">= 10",
        seconds=mine["seconds"],
        peer_seconds=other["seconds"],
    )
    bench.figure(
        "share of its memory",
        mine["megabytes"] / other["megabytes"],
        "<= 0.2",
        megabytes=mine["megabytes"],
        peer_megabytes=other["megabytes"],
    )


Arrays = tuple[Any, Any, Any, Any]


def the_edges(models: int) -> Arrays:
    """(parent, child, relation, place) of the Hub's shape."""
    import numpy as np

    from samplehub.generator import edges

    parent, child, relation = edges(models, SEED)  # sorted by child
    first = np.concatenate([[True], child[1:] != child[:-1]])
    at = np.arange(len(child))
    place = at - np.maximum.accumulate(np.where(first, at, 0))
    return (
        parent.astype(np.int32),
        child.astype(np.int32),
        (relation + 1).astype(np.int8),
        place.astype(np.int16),
    )


def ours(models: int, arrays: Arrays) -> tuple[Any, ...]:
    """What the lineage job computes."""
    from workers.lineage.families import Edges, plant

    forest = plant(models, Edges(*arrays))
    return forest.parent, forest.root, forest.depth, forest.descendants, forest.children


def peer(models: int, arrays: Arrays) -> tuple[Any, ...]:
    """The same in networkx."""
    import networkx as nx
    import numpy as np

    parent, child, relation, place = arrays
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_nodes_from(range(models))
    graph.add_edges_from(
        (p, c, {"relation": r, "place": k})
        for p, c, r, k in zip(parent.tolist(), child.tolist(), relation.tolist(), place.tolist(), strict=True)
    )
    up = [-1] * models
    root = list(range(models))
    depth = [0] * models
    below = [0] * models
    children = np.zeros((models, 5), np.int32)
    order = list(nx.topological_sort(graph))
    for v in order:
        for p, _, data in graph.in_edges(v, data=True):
            if data["place"] == 0:
                up[v], root[v], depth[v] = p, root[p], depth[p] + 1
            children[p, data["relation"] - 1] += 1
    for v in reversed(order):
        if up[v] >= 0:
            below[up[v]] += below[v] + 1
    return (*(np.array(x, np.int32) for x in (up, root, depth, below)), children)


def measure_pass(models: int, work: Callable[[int, Arrays], tuple[Any, ...]], rounds: int) -> dict[str, Any]:
    """Seconds (the median) and megabytes of a pass, and a digest of what it gave."""
    import gc
    import hashlib
    from importlib import import_module

    for library in ("networkx", "scipy.sparse.csgraph", "workers.lineage.families"):  # no part of either's memory
        import_module(library)
    arrays = the_edges(models)
    seconds = []
    megabytes = 0.0
    for _ in range(rounds):
        gc.collect()
        before = _forget_peak()
        start = time.perf_counter()
        answer = work(models, arrays)
        seconds.append(time.perf_counter() - start)
        megabytes = max(megabytes, (_status("VmHWM") - before) / 1024)
    digest = hashlib.sha256(b"".join(part.tobytes() for part in answer)).hexdigest()
    return {"seconds": median(seconds), "megabytes": megabytes, "edges": len(arrays[0]), "digest": digest}


def _forget_peak() -> int:
    """Begin a new count of the highest resident size; returns the present one in kilobytes."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise LookupError(name)


# --- stored ---------------------------------------------------------------------------------------------------------
def _stored(bench: Bench, models: int) -> None:
    for vendor in ("sqlite", "postgresql"):
        with _database(vendor) as environment:
            found = _child(vendor, bench, **environment)
        bench.say(
            f"{vendor}: whole pass {found['whole']:.1f} s (loading and placing {found['compute']:.1f} s, storing "
            f"{found['nodes']:,} nodes {found['write']:.1f} s); a second one, with nothing to change, "
            f"{found['again']:.1f} s"
        )
        bench.say(
            f"{vendor}: {LEAVES:,} leaves {found['leaves'] * 1e3:.0f} ms (their evidence judged before it: "
            f"{found['judged'] * 1e3:.0f} ms); two families joined ({found['joined_size']:,} repos) "
            f"{found['joined'] * 1e3:.0f} ms; an inner node re-parented ({found['moved_size']:,} repos) "
            f"{found['moved'] * 1e3:.0f} ms"
        )
        bench.figure(
            f"leaves / whole pass, {vendor}",
            found["leaves"] / found["whole"],
            "<= 0.02",
            **{
                key: found[key] for key in ("whole", "compute", "write", "again", "leaves", "judged", "joined", "moved")
            },
        )


@contextlib.contextmanager
def _database(vendor: str) -> Iterator[dict[str, str]]:
    with contextlib.ExitStack() as stack:
        var = stack.enter_context(tempfile.TemporaryDirectory(prefix="rootstock-bench-"))
        environment = {"ROOTSTOCK_VAR": var, "DJANGO_SETTINGS_MODULE": "hubapp.settings", "DATABASE_URL": ""}
        if vendor == "postgresql":
            from tests.support.servers import postgres_server

            server = stack.enter_context(postgres_server(shared_buffers="512MB", max_wal_size="4GB"))
            environment["DATABASE_URL"] = server.create()
        yield environment


def stored(models: int) -> dict[str, Any]:
    """Whole passes and small changes in the database that the environment names."""
    import django

    django.setup()
    from datetime import UTC, datetime

    from django.core.management import call_command
    from django.db import connection, transaction

    call_command("migrate", verbosity=0)
    fill(models)
    from hubapp.lineage import placed, places
    from workers.steps import placing

    def whole() -> tuple[float, float, int]:
        start = time.perf_counter()
        pass_ = placing.whole()
        computed = time.perf_counter()
        writes = 0
        for write in pass_.writes:
            with transaction.atomic():
                write()
            writes += 1
        return computed - start, time.perf_counter() - computed, writes

    compute, write, _ = whole()
    again = sum(whole()[:2])
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
        cursor.execute("SELECT count(*) FROM lineage_node")
        nodes = cursor.fetchone()[0]
    placed.store_totals(totals=places.totals(), now=datetime.now(UTC))
    rounds = [leaves(models, number) for number in range(ROUNDS)]
    joined, joined_size = join()
    moved, moved_size = reparent()
    return {
        "compute": compute,
        "write": write,
        "whole": compute + write,
        "again": again,
        "nodes": nodes,
        "judged": median([judged for judged, _ in rounds]),
        "leaves": median([placed for _, placed in rounds]),
        "joined": joined,
        "joined_size": joined_size,
        "moved": moved,
        "moved_size": moved_size,
    }


def fill(models: int) -> None:
    """Repos and edges, as crawls and judging leave them; no nodes yet."""
    from datetime import UTC, datetime

    from django.db import transaction

    from hubapp.catalog import services as catalog
    from hubapp.lineage import judged
    from workers.crawling.records import RepoFacts

    now = datetime.now(UTC)
    size = 20_000
    for at in range(0, models, size):
        facts = [RepoFacts(f"m/{i}", f"{i:024x}") for i in range(at, min(models, at + size))]
        with transaction.atomic():
            catalog.store(facts=facts, now=now)
    ids = keys()
    rows = sorted(
        (ids[p], ids[c], r, 4, "", k, k == 0, False, ids[c])
        for p, c, r, k in zip(*(array.tolist() for array in the_edges(models)), strict=True)
    )
    for at in range(0, len(rows), size):
        with transaction.atomic():
            judged.insert_edges(rows[at : at + size])


def keys() -> list[int]:
    """The keys of the models, by their number."""
    from hubapp.catalog import bulk

    found = {int(name[2:]): key for key, name in bulk.fetch("SELECT id, name FROM catalog_repo WHERE name LIKE 'm/%%'")}
    return [found[i] for i in range(len(found))]


def leaves(models: int, number: int) -> tuple[float, float]:
    """Seconds to judge and to place a thousand new models under parents of large families."""
    from hubapp.catalog import bulk

    parents = [
        name
        for (name,) in bulk.fetch(
            "SELECT r.name FROM lineage_node n JOIN catalog_repo r ON r.id = n.repo_id WHERE n.root_id IN "
            "(SELECT repo_id FROM lineage_node WHERE parent_id IS NULL ORDER BY descendants DESC LIMIT 20) "
            "ORDER BY (n.repo_id * 7919) %% 1000003 LIMIT %s",
            [LEAVES],
        )
    ]
    return settle({f"leaf{number}/{at}": parents[at % len(parents)] for at in range(LEAVES)})


def settle(declared: dict[str, str]) -> tuple[float, float]:
    """Let models (keys) declare parents; seconds of the job's judging and placing."""
    from datetime import UTC, datetime

    from django.db import transaction

    from hubapp.catalog import services as catalog
    from hubapp.jobs.models import Job
    from hubapp.lineage import cases, services
    from workers.crawling.records import RepoFacts
    from workers.lineage.records import Declared, Relation, Source
    from workers.steps import lineage as steps

    now = datetime.now(UTC)
    facts = [
        RepoFacts(name, f"{abs(hash(name)):024x}"[:24], declared=(Declared(Source.HUB, parent, Relation.FINETUNE),))
        for name, parent in declared.items()
    ]
    with transaction.atomic():
        services.declare(stored=catalog.store(facts=facts, now=now), now=now)
    job = Job(pk=1, kind="lineage")
    spent = {"judge": 0.0, "place": 0.0}
    cursor: dict[str, Any] = {"done": 0}
    while True:
        judge, place = cases.dirty_counts()
        if not judge and not place:
            return spent["judge"], spent["place"]
        start = time.perf_counter()
        outcome = steps.lineage(job, cursor)
        with transaction.atomic():
            outcome.store()
        spent["judge" if judge else "place"] += time.perf_counter() - start
        cursor = outcome.cursor


def join() -> tuple[float, int]:
    """The root of one family of thousands gets a parent in the largest: seconds of placing, repos moved."""
    from hubapp.catalog import bulk

    roots = bulk.fetch(
        "SELECT r.name, n.descendants FROM lineage_node n JOIN catalog_repo r ON r.id = n.repo_id "
        "WHERE n.parent_id IS NULL ORDER BY n.descendants DESC LIMIT 400"
    )
    largest = roots[0][0]
    name, size = next((row for row in roots[1:] if row[1] < 5_000), roots[-1])
    return settle({name: largest})[1], size + 1


def reparent() -> tuple[float, int]:
    """An inner node with many descendants moves to another family: seconds of placing, repos moved."""
    from hubapp.catalog import bulk

    ((name, size, root),) = bulk.fetch(
        "SELECT r.name, n.descendants, n.root_id FROM lineage_node n JOIN catalog_repo r ON r.id = n.repo_id "
        "WHERE n.parent_id IS NOT NULL AND n.descendants < 5000 ORDER BY n.descendants DESC LIMIT 1"
    )
    ((other,),) = bulk.fetch(
        "SELECT r.name FROM lineage_node n JOIN catalog_repo r ON r.id = n.repo_id "
        "WHERE n.parent_id IS NULL AND n.repo_id <> %s ORDER BY n.descendants DESC LIMIT 1",
        [root],
    )
    return settle({name: other})[1], size + 1


if __name__ == "__main__":
    sys.exit(main())
