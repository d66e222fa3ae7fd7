"""Writing what placing found: nodes, primary edges, cycles. Only the lineage job writes here."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from hubapp.catalog import bulk
from hubapp.lineage.cases import Mark, StoredFinding
from hubapp.lineage.judged import take_marks_off
from hubapp.lineage.models import FamilySummary, Placement, Wants
from workers.lineage.records import Code, JudgedFinding, Stand

if TYPE_CHECKING:
    import numpy as np

CHUNK = 5_000
"""Rows of one transaction of a whole pass: about 50 ms of writing, which no other writer notices."""

_STAND = {"root_id": "id", "parent_id": "id", "depth": "int", "descendants": "int"}
_COUNTS = {"finetunes": "int", "adapters": "int", "quantized": "int", "merges": "int", "unknown": "int"}
_FLAGS = {'"primary"': "bool", "closes": "bool"}
_FINDING = {"repo_id": "id", "code": "text", "subject": "text", "detail": "json", "first_seen": "time"}
_UPSERT = "ON CONFLICT (repo_id) DO UPDATE SET " + ", ".join(f"{c} = excluded.{c}" for c in (*_STAND, *_COUNTS))


@dataclass(slots=True)
class Change:
    """What one incremental placing writes.

    ``stands`` are new or differing nodes; ``counts`` the children by relation of all that were counted, all new nodes
    among them; ``gone`` are repos without any edge left; ``flags`` maps an edge's key to (primary, closes) where they
    differ; ``findings`` maps every repo that was looked at to the placing findings that it has now; of those ``beside``
    only their being quantized twice was looked at.
    """

    stands: dict[int, Stand] = field(default_factory=dict)
    counts: dict[int, list[int]] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    flags: dict[int, tuple[bool, bool]] = field(default_factory=dict)
    findings: dict[int, list[JudgedFinding]] = field(default_factory=dict)
    beside: set[int] = field(default_factory=set)


def store_change(
    *,
    change: Change,
    marks: Mapping[int, Mark],
    stored: Mapping[int, list[StoredFinding]],
    now: datetime,
) -> list[int]:
    """Write an incremental placing and take its marks off. Returns the stubs that nobody names any more, now gone."""
    both = sorted(change.stands.keys() & change.counts.keys())
    rows = [(i, *_stand(change.stands[i]), *change.counts[i]) for i in both]
    bulk.insert("lineage_node", {"repo_id": "id", **_STAND, **_COUNTS}, rows, _UPSERT)
    moved = [(i, *_stand(s)) for i, s in sorted(change.stands.items()) if i not in change.counts]
    bulk.update("lineage_node", {"repo_id": "id"}, _STAND, moved)
    counted = [(i, *c) for i, c in sorted(change.counts.items()) if i not in change.stands]
    bulk.update("lineage_node", {"repo_id": "id"}, _COUNTS, counted)
    bulk.update("lineage_edge", {"id": "id"}, _FLAGS, [(i, *f) for i, f in sorted(change.flags.items())])
    looked_at = {
        v: [f for f in many if v not in change.beside or f.code == Code.QUANTIZED_OF_QUANTIZED]
        for v, many in stored.items()
    }
    write_findings(findings=change.findings, stored=looked_at, now=now)
    dropped = drop(change.gone)
    take_marks_off(marks=marks, wants=Wants.PLACE | Wants.COUNT)
    return dropped


def write_findings(
    *, findings: Mapping[int, list[JudgedFinding]], stored: Mapping[int, list[StoredFinding]], now: datetime
) -> None:
    """Make the placing findings of these repos what they are now."""
    new: list[tuple[Any, ...]] = []
    changed: list[tuple[Any, ...]] = []
    gone: list[int] = []
    stamp = bulk.moment(now)
    for repo_id, wanted in findings.items():
        old = {(f.code, f.subject): f for f in stored.get(repo_id, ())}
        for finding in wanted:
            same = old.pop((finding.code, finding.subject), None)
            if same is None:
                new.append((repo_id, finding.code, finding.subject, json.dumps(finding.detail), stamp))
            elif same.detail != finding.detail:
                changed.append((same.id, json.dumps(finding.detail)))
        gone.extend(f.id for f in old.values())
    bulk.delete("lineage_finding", {"id": "id"}, [(row_id,) for row_id in sorted(gone)])
    bulk.update("lineage_finding", {"id": "id"}, {"detail": "json"}, sorted(changed))
    bulk.insert("lineage_finding", _FINDING, sorted(new))


def drop(repo_ids: Collection[int]) -> list[int]:
    """Delete the nodes of repos without an edge, and those of them that are only names which nobody writes any more.

    Returns the latter's keys: the caller takes them out of the search index.
    """
    if not repo_ids:
        return []
    ids = [(repo_id,) for repo_id in sorted(repo_ids)]
    bulk.delete("lineage_node", {"repo_id": "id"}, ids)
    where, param = bulk.among("r.id", repo_ids)
    stubs = [
        row[0]
        for row in bulk.fetch(
            f"SELECT r.id FROM catalog_repo r WHERE {where} AND r.state = 'stub' "
            "AND NOT EXISTS (SELECT 1 FROM lineage_evidence e WHERE e.target = r.folded AND NOT (e.target = '') "
            "AND e.withdrawn_at IS NULL) "
            "AND NOT EXISTS (SELECT 1 FROM lineage_edge e WHERE e.parent_id = r.id) "
            "AND NOT EXISTS (SELECT 1 FROM lineage_evidence e WHERE e.child_id = r.id) ORDER BY r.id",
            [param],
        )
    ]
    rows = [(repo_id,) for repo_id in stubs]
    for table in ("lineage_finding", "lineage_dirty", "lineage_familysummary"):
        bulk.delete(table, {"repo_id" if table != "lineage_familysummary" else "root_id": "id"}, rows)
    bulk.delete("catalog_repo", {"id": "id"}, rows)
    return stubs


def _stand(stand: Stand) -> tuple[Any, ...]:
    return (stand.root, stand.parent, stand.depth, stand.descendants)


# --- the whole Hub --------------------------------------------------------------------------------------------------
Write = Callable[[], "list[int] | None"]
"""One transaction's worth of a whole pass; returns the stubs that are gone with it, if any."""


def whole_writes(
    *,
    nodes: np.ndarray[Any, Any],
    stored: np.ndarray[Any, Any],
    edges: np.ndarray[Any, Any],
    primary: np.ndarray[Any, Any],
    closes: np.ndarray[Any, Any],
) -> Iterator[Write]:
    """The writes of a whole pass, each small enough for a transaction: only what differs from what is stored.

    ``nodes`` and ``stored`` are arrays as ``places.all_nodes`` gives them, sorted by repo, ``edges`` as
    ``places.all_edges``; ``primary`` and ``closes`` are the flags that the edges shall have.
    """
    import numpy as np

    present = np.isin(nodes["repo"], stored["repo"], assume_unique=True)
    kept = np.isin(stored["repo"], nodes["repo"], assume_unique=True)
    new = nodes[~present]
    changed = nodes[present][nodes[present] != stored[kept]]
    columns = {"repo_id": "id", **_STAND, **_COUNTS}
    # Roots and parents are repos, not nodes: the order of nodes among themselves is free.
    for part in _parts(new):
        yield partial(bulk.insert, "lineage_node", columns, _rows(part))
    for part in _parts(changed):
        yield partial(bulk.update, "lineage_node", {"repo_id": "id"}, {**_STAND, **_COUNTS}, _rows(part))
    off = (edges["primary"] != primary) | (edges["closes"] != closes)
    flags = list(zip(edges["id"][off].tolist(), primary[off].tolist(), closes[off].tolist(), strict=True))
    flags.sort()
    for at in range(0, len(flags), CHUNK):
        yield partial(bulk.update, "lineage_edge", {"id": "id"}, _FLAGS, flags[at : at + CHUNK])
    # Nodes whose last edge is gone, and after them (nothing refers to it any more) whoever is only a name.
    for part in _parts(stored["repo"][~kept]):
        yield partial(drop, part.tolist())


def _parts(rows: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    return [rows[at : at + CHUNK] for at in range(0, len(rows), CHUNK)]


def _rows(part: np.ndarray[Any, Any]) -> list[tuple[Any, ...]]:
    parents = [None if p < 0 else p for p in part["parent"].tolist()]
    return [
        (repo, root, parent, depth, descendants, *children)
        for repo, root, parent, depth, descendants, children in zip(
            part["repo"].tolist(),
            part["root"].tolist(),
            parents,
            part["depth"].tolist(),
            part["descendants"].tolist(),
            part["children"].tolist(),
            strict=True,
        )
    ]


def finish_whole(*, now: datetime) -> None:
    """A whole pass is stored: nobody wants one, or to be placed, any more."""
    Placement.objects.update_or_create(pk=1, defaults={"whole_wanted": False})
    bulk.run("DELETE FROM lineage_dirty WHERE (wants & %s) = 0", [int(Wants.JUDGE)])
    bulk.run("UPDATE lineage_dirty SET wants = %s WHERE wants <> %s", [int(Wants.JUDGE), int(Wants.JUDGE)])


# --- figures --------------------------------------------------------------------------------------------------------
def store_summaries(*, counted: Mapping[int, dict[str, Any]], now: datetime) -> None:
    """Store what was counted of large families."""
    rows = [
        FamilySummary(root_id=root, size=sum(data["by_depth"]), data=data, counted_at=now)
        for root, data in sorted(counted.items())
    ]
    FamilySummary.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["root"], update_fields=["size", "data", "counted_at"]
    )


def drop_summaries(roots: Collection[int]) -> None:
    """Forget what was counted of families that are no more."""
    bulk.delete("lineage_familysummary", {"root_id": "id"}, [(root,) for root in sorted(roots)])


def store_totals(*, totals: Mapping[str, int], now: datetime) -> None:
    """Keep the figures of everything for the pages."""
    Placement.objects.update_or_create(pk=1, defaults={**totals, "counted_at": now})
