"""Reading for the lineage job: dirty repos with all that judging and placing need, in few statements."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from hubapp.catalog import bulk
from hubapp.lineage.models import Placement, Wants
from workers.lineage.records import PLACED_CODES, WEIGHED_CODES, ChildFacts, Code, Named, Said, Source

_ORDER = {"listed": 0, "gated": 1, "disabled": 2, "private": 3, "gone": 8, "stub": 9}
_OTHER = 7
_HOPS = 8  # renames of renames that are followed


class Mark(NamedTuple):
    """How often a dirty repo was marked, and what it wants."""

    marks: int
    wants: int


class StoredEdge(NamedTuple):
    id: int
    parent_id: int
    relation: int
    sources: int
    repaired: str
    place: int


class StoredFinding(NamedTuple):
    id: int
    code: str
    subject: str
    detail: dict[str, Any]


@dataclass(slots=True)
class Cases:
    """A batch of dirty repos: who they are, what stands, what the names mean, and what was judged last time.

    ``marks`` has all of the batch; the other mappings are keyed by repo and hold only
    those that have something. ``withdrawn`` are the targets of statements that no longer stand, ``cyclic`` the repos
    that were found in a cycle.
    """

    marks: dict[int, Mark]
    children: dict[int, ChildFacts] = field(default_factory=dict)
    ranks: dict[int, int] = field(default_factory=dict)
    said: dict[int, list[Said]] = field(default_factory=dict)
    names: dict[str, Named] = field(default_factory=dict)
    edges: dict[int, list[StoredEdge]] = field(default_factory=dict)
    findings: dict[int, list[StoredFinding]] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    cyclic: set[int] = field(default_factory=set)


def dirty(*, wants: int, limit: int) -> dict[int, Mark]:
    """The next repos that want any of this done (bits of ``Wants``), by key."""
    return {
        row[0]: Mark(*row[1:])
        for row in bulk.fetch(
            "SELECT repo_id, marks, wants FROM lineage_dirty WHERE (wants & %s) <> 0 ORDER BY repo_id LIMIT %s",
            [wants, limit],
        )
    }


def dirty_counts() -> tuple[int, int]:
    """How many repos want to be judged, and how many to be placed or counted."""
    counts = bulk.fetch("SELECT wants, count(*) FROM lineage_dirty GROUP BY wants")
    return (
        sum(number for wants, number in counts if wants & Wants.JUDGE),
        sum(number for wants, number in counts if wants & (Wants.PLACE | Wants.COUNT)),
    )


def whole_wanted() -> bool:
    """Whether a pass over the whole Hub was asked for."""
    return Placement.objects.filter(pk=1, whole_wanted=True).exists()


def cases(marks: dict[int, Mark]) -> Cases:
    """All that judging these repos needs; ``marks`` as ``dirty`` gave them."""
    found = Cases(marks)
    where, param = bulk.among("child_id", marks)
    targets: set[str] = set()
    for child, source, text, target, relation, times, withdrawn_at in bulk.fetch(
        f"SELECT child_id, source, text, target, relation, times, withdrawn_at FROM lineage_evidence WHERE {where} "
        f"AND source <> {int(Source.WEIGHTS)}",  # what weights say follows from the edges, not the other way round
        [param],
    ):
        if withdrawn_at is not None:
            found.withdrawn.add(target)
            continue
        found.said.setdefault(child, []).append(Said(source, text, target, relation, times))
        targets.add(target)
    targets.discard("")
    found.withdrawn.discard("")
    for row_id, child, *rest in bulk.fetch(
        f"SELECT id, child_id, parent_id, relation, sources, repaired, place FROM lineage_edge WHERE {where}",
        [param],
    ):
        found.edges.setdefault(child, []).append(StoredEdge(row_id, *rest))
    _read_findings(found)
    _read_children(found)
    found.names = names(targets)
    return found


def _read_children(found: Cases) -> None:
    if not found.said:
        return
    where, param = bulk.among("id", sorted(found.said))
    for repo_id, name, created_at, rank, tags in bulk.fetch(
        f"SELECT id, name, created_at, rank, tags FROM catalog_repo WHERE {where}",
        [param],
    ):
        found.children[repo_id] = ChildFacts(repo_id, name, utc(created_at), tags)
        found.ranks[repo_id] = rank or 0


def _read_findings(found: Cases) -> None:
    where, param = bulk.among("repo_id", found.marks)
    for row_id, repo_id, code, subject, detail in bulk.fetch(
        f"SELECT id, repo_id, code, subject, detail FROM lineage_finding WHERE {where}",
        [param],
    ):
        if code == Code.CYCLE:
            found.cyclic.add(repo_id)
        if code in PLACED_CODES or code in WEIGHED_CODES:
            continue
        found.findings.setdefault(repo_id, []).append(StoredFinding(row_id, code, subject, decoded(detail)))


def names(folded: Collection[str]) -> dict[str, Named]:
    """Which repo each folded name stands for: a name in use before an old name, an old name before one that is gone,
    and a mere name last. Names that nobody has are missing.
    """
    if not folded:
        return {}
    where, param = bulk.among("folded", sorted(folded), "text")
    best: dict[str, tuple[int, str, Named]] = {}
    moved: dict[str, int] = {}
    for repo_id, name, fold, state, created_at, moved_to, hub_id in bulk.fetch(
        f"SELECT id, name, folded, state, created_at, moved_to_id, hub_id FROM catalog_repo WHERE {where}",
        [param],
    ):
        if state == "renamed":
            state = "stub"  # what it moved to decides; should that be lost, it is a mere name  # noqa: PLW2901
            if moved_to is not None:
                moved[fold] = moved_to
        order = _ORDER.get(state, _OTHER)
        other = best.get(fold)
        # The Hub's keys grow with time: of several that had the name and are gone, the last one counts.
        if other is None or order < other[0] or (order == other[0] and (hub_id or "") > other[1]):
            best[fold] = (order, hub_id or "", Named(repo_id, name, state, utc(created_at)))
    found = {fold: named for fold, (order, _, named) in best.items() if order < _OTHER}
    left = [fold for fold in folded if fold not in found]
    if not left:
        return found
    where, param = bulk.among("folded", left, "text")
    moved.update(bulk.fetch(f"SELECT folded, repo_id FROM catalog_alias WHERE {where}", [param]))
    targets = _follow(set(moved.values()))
    for fold, repo_id in moved.items():
        if fold not in found and repo_id in targets:
            found[fold] = targets[repo_id]._replace(via_alias=True)
    for fold, (_, _, named) in best.items():
        found.setdefault(fold, named)
    return found


def _follow(ids: set[int]) -> dict[int, Named]:
    """The repos of these keys, each followed to where it moved."""
    rows: dict[int, tuple[Named, int | None]] = {}
    ask = ids
    for _ in range(_HOPS):
        if not ask:
            break
        where, param = bulk.among("id", sorted(ask))
        for repo_id, name, state, created_at, moved_to in bulk.fetch(
            f"SELECT id, name, state, created_at, moved_to_id FROM catalog_repo WHERE {where}",
            [param],
        ):
            rows[repo_id] = (Named(repo_id, name, state, utc(created_at)), moved_to if state == "renamed" else None)
        ask = {to for _, to in rows.values() if to is not None} - rows.keys()
    found = {}
    for repo_id in ids:
        at = repo_id
        for _ in range(_HOPS):
            if at not in rows or rows[at][1] is None:
                break
            at = rows[at][1]  # type: ignore[assignment]
        if at in rows and rows[at][0].state != "renamed":
            found[repo_id] = rows[at][0]
    return found


def spellings(targets: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
    """How standing evidence writes each of these folded names: the distinct (source, text)."""
    asked = sorted(set(targets))
    if not asked:
        return {}
    where, param = bulk.among("target", asked, "text")
    found: dict[str, list[tuple[int, str]]] = {}
    for target, source, text in bulk.fetch(
        "SELECT DISTINCT target, source, text FROM lineage_evidence "
        f"WHERE {where} AND NOT (target = '') AND withdrawn_at IS NULL AND source <> {int(Source.WEIGHTS)}",
        [param],
    ):
        found.setdefault(target, []).append((source, text))
    return found


# --- details --------------------------------------------------------------------------------------------------------
def utc(value: datetime | None) -> datetime | None:
    """A time as the driver gives it (SQLite: naive), aware."""
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def decoded(value: Any) -> dict[str, Any]:
    """A JSON column as the driver gives it: text or read already."""
    return json.loads(value) if isinstance(value, str) else value
