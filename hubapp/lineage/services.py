"""Writing of descent: what a crawl declares, and what is marked for the lineage job."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from hubapp.catalog import bulk
from hubapp.catalog.stored import Stored
from hubapp.jobs.services import enqueue
from hubapp.lineage.models import Dirty, Placement, Wants
from workers.lineage.records import Declared, Source
from workers.lineage.rules import target_of

ROW_SOURCES = (Source.HUB, Source.CARD, Source.TAG)
"""The sources that a listing row speaks for: what it no longer says is withdrawn. Files speak for the others."""

_EVIDENCE = {
    "child_id": "id",
    "source": "small",
    "text": "text",
    "target": "text",
    "relation": "small",
    "hub_id": "text",
    "times": "small",
    "first_seen": "time",
    "last_seen": "time",
}
_DIRTY_CONFLICT = (
    "ON CONFLICT (repo_id) DO UPDATE SET wants = lineage_dirty.wants | excluded.wants, marks = lineage_dirty.marks + 1"
)
_MAX_TIMES = 32_767


def declare(*, stored: Sequence[Stored], now: datetime, sources: Collection[Source] = ROW_SOURCES) -> int:
    """Keep evidence in step with the rows just stored; call it inside their transaction.

    ``sources`` are those that the facts speak for: of these, statements that a repo makes are inserted or revived,
    those it no longer makes are withdrawn, and unchanged ones cost no write. Repos whose evidence or name changed are
    marked dirty, and so are the children that name a repo which is new, renamed or in another state. Edges follow
    their child's rank.
    Returns how many statements the facts make.
    """
    count = _state(
        facts=[
            (s.repo_id, s.is_new, s.facts.declared)
            for s in stored
            if s.facts is not None and (s.is_new or s.descent_changed)
        ],
        sources=frozenset(sources),
        now=now,
    )
    names = {s.folded for s in stored if s.is_new or s.old_name != s.name or s.old_state != s.state}
    names |= {s.old_name.lower() for s in stored if s.old_name is not None and s.old_name != s.name}
    mark_named(names=names)
    mark(repo_ids=[s.repo_id for s in stored if s.descent_changed and not s.is_new], with_evidence_only=True)
    moved = sorted((s.repo_id, s.rank) for s in stored if s.old_rank is not None and s.old_rank != s.rank)
    bulk.update("lineage_edge", {"child_id": "id"}, {"rank": "id"}, moved)
    return count


def mark(*, repo_ids: Iterable[int], wants: int = Wants.JUDGE, with_evidence_only: bool = False) -> None:
    """Mark repos for the lineage job; ``with_evidence_only`` leaves out those that never declared a parent."""
    ids = sorted(set(repo_ids))
    if not ids:
        return
    if not with_evidence_only:
        columns = {"repo_id": "id", "wants": "small", "marks": "int"}
        bulk.insert("lineage_dirty", columns, [(i, wants, 1) for i in ids], _DIRTY_CONFLICT)
        return
    where, param = bulk.among("child_id", ids)
    bulk.run(
        "INSERT INTO lineage_dirty (repo_id, wants, marks) "
        f"SELECT DISTINCT child_id, {int(wants)}, 1 FROM lineage_evidence "
        f"WHERE {where} ORDER BY child_id {_DIRTY_CONFLICT}",
        [param],
    )


def mark_named(*, names: Iterable[str]) -> None:
    """Mark the children whose standing evidence names one of these folded ids."""
    folded = sorted(set(names))
    if not folded:
        return
    where, param = bulk.among("target", folded, "text")
    bulk.run(
        f"INSERT INTO lineage_dirty (repo_id, wants, marks) SELECT DISTINCT child_id, {int(Wants.JUDGE)}, 1 "
        f"FROM lineage_evidence WHERE {where} AND NOT (target = '') AND withdrawn_at IS NULL ORDER BY child_id "
        f"{_DIRTY_CONFLICT}",
        [param],
    )


def mark_everything() -> None:
    """Mark every repo with evidence or an edge for judging, ten thousand at a time."""
    last = 0
    while True:
        rows = bulk.fetch(
            "SELECT DISTINCT child_id FROM lineage_evidence WHERE child_id > %s ORDER BY child_id LIMIT 10000", [last]
        )
        if not rows:
            return
        with transaction.atomic():
            mark(repo_ids=[row[0] for row in rows])
        last = rows[-1][0]


def want_whole() -> None:
    """Ask the lineage job for a pass over everything."""
    Placement.objects.update_or_create(pk=1, defaults={"whole_wanted": True})


def wake() -> None:
    """Ask for a lineage job if there is anything for it to do; while one is active it is told to look again."""
    if Dirty.objects.exists() or Placement.objects.filter(whole_wanted=True).exists():
        enqueue(kind="lineage", params={})


# --- evidence -------------------------------------------------------------------------------------------------------
_Key = tuple[int, int, str, int]  # child, source, text, relation


def _state(*, facts: Sequence[tuple[int, bool, Iterable[Declared]]], sources: frozenset[Source], now: datetime) -> int:
    wanted: dict[_Key, list[Any]] = {}
    known = []
    for repo_id, is_new, declared in facts:
        if not is_new:
            known.append(repo_id)
        for d in declared:
            if d.source not in sources:
                continue
            key = (repo_id, int(d.source), d.text, int(d.relation or 0))
            if key in wanted:
                wanted[key][0] += 1
            else:
                wanted[key] = [1, d.hub_id]
    stamp = bulk.moment(now)
    count = len(wanted)
    changed: set[int] = set()
    withdrawn: list[tuple[Any, ...]] = []
    altered: list[tuple[Any, ...]] = []
    for row_id, key, times, hub_id, stands in _existing(known, sources):
        asked = wanted.pop(key, None)
        if asked is None:
            if stands:
                withdrawn.append((row_id, stamp, stamp))
                changed.add(key[0])
        elif not stands or (min(asked[0], _MAX_TIMES), asked[1]) != (times, hub_id):
            altered.append((row_id, None, stamp, min(asked[0], _MAX_TIMES), asked[1]))
            changed.add(key[0])
    seen = {"withdrawn_at": "time", "last_seen": "time"}
    bulk.update("lineage_evidence", {"id": "id"}, seen, sorted(withdrawn))
    bulk.update("lineage_evidence", {"id": "id"}, {**seen, "times": "small", "hub_id": "text"}, sorted(altered))
    rows = [
        (child, source, text, target_of(text, source), relation, hub_id, min(times, _MAX_TIMES), stamp, stamp)
        for (child, source, text, relation), (times, hub_id) in sorted(wanted.items())
    ]
    bulk.insert("lineage_evidence", _EVIDENCE, rows)
    changed.update(row[0] for row in rows)
    mark(repo_ids=changed)
    return count


def _existing(ids: list[int], sources: frozenset[Source]) -> list[tuple[int, _Key, int, str, bool]]:
    if not ids:
        return []
    where, param = bulk.among("child_id", ids)
    rows = bulk.fetch(
        f"SELECT id, child_id, source, text, relation, times, hub_id, withdrawn_at FROM lineage_evidence "
        f"WHERE {where} AND source IN ({', '.join(str(int(s)) for s in sorted(sources))})",
        [param],
    )
    return [(r[0], (r[1], r[2], r[3], r[4]), r[5], r[6], r[7] is None) for r in rows]
