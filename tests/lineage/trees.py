"""Rows put into the database page by page, the lineage job run here, and what must hold of the result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from hubapp.catalog import services as catalog
from hubapp.catalog.models import Repo
from hubapp.jobs.services import enqueue
from hubapp.lineage import services as lineage
from hubapp.lineage.models import Dirty, Edge, Finding, Node
from hubapp.searching import services as searching
from workers.crawling.rows import read
from workers.lineage.records import Relation
from workers.tasks import run_here

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def put(rows: Sequence[dict[str, Any]], *, page: int = 1_000) -> None:
    """Store rows as a crawl does, ``page`` at a time."""
    for at in range(0, len(rows), page):
        facts, rejected, _ = read([dict(row) for row in rows[at : at + page]])
        assert not rejected
        with transaction.atomic():
            stored = catalog.store(facts=facts, now=NOW)
            lineage.declare(stored=stored, now=NOW)
            searching.index(stored=stored)


def settle() -> None:
    """Run the lineage job until nothing is dirty."""
    job = run_here(enqueue(kind="lineage", params={}, send=False).pk)
    assert job.state == "done", (job.state, job.error)
    assert not Dirty.objects.exists()


def grow(rows: Sequence[dict[str, Any]]) -> None:
    """Store rows and settle."""
    put(rows)
    settle()


def repo(name: str) -> Repo:
    return Repo.objects.exclude(state="gone").get(name=name)


def edges() -> set[tuple[Any, ...]]:
    """All edges by name: (parent, child, relation, sources, repaired, place, primary, closes)."""
    return set(
        Edge.objects.values_list(
            "parent__name", "child__name", "relation", "sources", "repaired", "place", "primary", "closes"
        )
    )


def nodes() -> set[tuple[Any, ...]]:
    """All nodes by name."""
    return set(
        Node.objects.values_list(
            "repo__name",
            "root__name",
            "parent__name",
            "depth",
            "descendants",
            "finetunes",
            "adapters",
            "quantized",
            "merges",
            "unknown",
        )
    )


def findings() -> dict[tuple[str, str, str], Any]:
    """All findings by (model, code, subject)."""
    return {
        (name, code, subject): detail
        for name, code, subject, detail in Finding.objects.values_list("repo__name", "code", "subject", "detail")
    }


def codes(name: str) -> dict[str, str]:
    """The findings of one model: code → subject."""
    return {code: subject for (model, code, subject) in findings() if model == name}


def learned() -> tuple[Any, ...]:
    """Everything that lineage learned, by name: no keys, no times of ours."""
    stubs = set(Repo.objects.filter(state="stub").values_list("name", flat=True))
    return edges(), nodes(), findings(), stubs


def check_nodes() -> None:
    """Hold every node to its definition, counted naively from the edges."""
    all_edges = list(Edge.objects.values_list("parent_id", "child_id", "relation", "place", "primary"))
    parent = {child: up for up, child, _, _, primary in all_edges if primary}
    assert len(parent) == sum(1 for e in all_edges if e[4]), "a child has two primary parents"
    members = {v for e in all_edges for v in e[:2]}
    below: Counter[int] = Counter()
    expected = {}
    for v in members:
        line = [v]
        while line[-1] in parent:
            line.append(parent[line[-1]])
            assert len(line) <= len(members), "the primary parents hold a cycle"
        below.update(line[1:])
        expected[v] = (line[-1], parent.get(v), len(line) - 1)
    counts = Counter((up, relation) for up, _, relation, _, _ in all_edges)
    stored = {
        n.repo_id: (
            n.root_id,
            n.parent_id,
            n.depth,
            n.descendants,
            [n.finetunes, n.adapters, n.quantized, n.merges, n.unknown],
        )
        for n in Node.objects.all()
    }
    assert stored == {v: (*expected[v], below[v], [counts[v, relation] for relation in Relation]) for v in members}


def by_name(items: Iterable[Any]) -> list[str]:
    """The names of briefs, children, parents."""
    return [item.name if hasattr(item, "name") else item.repo.name for item in items]
