"""Reading for placing: the edges, stands and closures around changed repos, and the whole Hub as arrays."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from hubapp.catalog import bulk
from hubapp.catalog.ranks import unknown_rank
from hubapp.lineage.cases import StoredFinding, decoded, utc
from hubapp.lineage.models import Placement
from workers.errors import TooLarge
from workers.lineage.records import PLACED_CODES, Code, Relation, Stand

if TYPE_CHECKING:
    import numpy as np

MAX_AROUND = 20_000
"""Nodes that an incremental placing loads at most: with more, a pass over everything is cheaper."""


class PlacedEdge(NamedTuple):
    """An edge as placing sees it."""

    id: int
    parent_id: int
    child_id: int
    relation: int
    place: int
    primary: bool
    closes: bool


class Age(NamedTuple):
    created_at: datetime | None
    folded: str
    name: str


_EDGES = 'SELECT id, parent_id, child_id, relation, place, "primary", closes FROM lineage_edge'
_STANDS = "SELECT repo_id, parent_id, root_id, depth, descendants FROM lineage_node"


def parent_edges(ids: Collection[int]) -> dict[int, list[PlacedEdge]]:
    """The edges to the parents of each repo, first choice first."""
    found: dict[int, list[PlacedEdge]] = {}
    if not ids:
        return found
    where, param = bulk.among("child_id", ids)
    for row in bulk.fetch(f"{_EDGES} WHERE {where} ORDER BY child_id, place, parent_id", [param]):
        found.setdefault(row[2], []).append(PlacedEdge(*row))
    return found


def with_children(ids: Collection[int]) -> set[int]:
    """Which of these repos are parents."""
    where, param = bulk.among("r.id", ids)
    return {
        row[0]
        for row in bulk.fetch(
            f"SELECT r.id FROM catalog_repo r WHERE {where} "
            "AND EXISTS (SELECT 1 FROM lineage_edge e WHERE e.parent_id = r.id)",
            [param],
        )
    }


def with_nodes(ids: Collection[int]) -> set[int]:
    """Which of these repos have been placed before."""
    if not ids:
        return set()
    where, param = bulk.among("repo_id", ids)
    return {row[0] for row in bulk.fetch(f"SELECT repo_id FROM lineage_node WHERE {where}", [param])}


def edges_above(ids: Collection[int]) -> list[tuple[int, int]]:
    """All (parent, child) edges on the ways up from these repos. Raises TooLarge over ``MAX_AROUND``."""
    found: list[tuple[int, int]] = []
    seen = set(ids)
    ask = seen
    while ask:
        where, param = bulk.among("child_id", sorted(ask))
        rows = bulk.fetch(f"SELECT parent_id, child_id FROM lineage_edge WHERE {where}", [param])
        found.extend(rows)
        ask = {row[0] for row in rows} - seen
        seen |= ask
        if len(found) > MAX_AROUND:
            raise TooLarge(f"More than {MAX_AROUND:,} edges lie above {len(ids):,} changed repos.")
    return found


def cycle_fellows(ids: Collection[int]) -> set[int]:
    """All members of the cycles that these repos were found in, last time."""
    where, param = bulk.among("f.repo_id", ids)
    return {
        row[0]
        for row in bulk.fetch(
            "SELECT o.repo_id FROM lineage_finding f "
            "JOIN lineage_finding o ON o.code = f.code AND o.subject = f.subject "
            f"WHERE f.code = '{Code.CYCLE.value}' AND {where}",
            [param],
        )
    }


def stands_above(ids: Collection[int]) -> dict[int, Stand]:
    """The stored stands of these repos and of all above them along primary parents.

    A generation at a time: PostgreSQL takes a recursive query for a large one, and reads the whole table.
    """
    found: dict[int, Stand] = {}
    ask = set(ids)
    while ask:
        where, param = bulk.among("repo_id", ask)
        rows = bulk.fetch(f"{_STANDS} WHERE {where}", [param])
        found.update((row[0], Stand(*row[1:])) for row in rows)
        ask = {row[1] for row in rows if row[1] is not None} - found.keys()
    return found


def stands_below(ids: Collection[int]) -> dict[int, Stand]:
    """The stored stands of all below these repos along primary parents. Raises TooLarge over ``MAX_AROUND``."""
    where, param = bulk.among("parent_id", ids)
    rows = bulk.fetch(
        f"WITH RECURSIVE down(id) AS (SELECT repo_id FROM lineage_node WHERE {where} "
        "UNION SELECT n.repo_id FROM lineage_node n JOIN down ON n.parent_id = down.id) "
        f"{_STANDS} WHERE repo_id IN (SELECT id FROM down LIMIT {MAX_AROUND + 1})",
        [param],
    )
    if len(rows) > MAX_AROUND:
        raise TooLarge(f"More than {MAX_AROUND:,} repos lie below {len(ids):,} re-parented ones.")
    return {row[0]: Stand(*row[1:]) for row in rows}


def stored_children(ids: Collection[int]) -> set[int]:
    """Repos that stand below these, as they were placed last. Raises TooLarge over ``MAX_AROUND``."""
    if not ids:
        return set()
    where, param = bulk.among("parent_id", ids)
    rows = bulk.fetch(f"SELECT repo_id FROM lineage_node WHERE {where} LIMIT {MAX_AROUND + 1}", [param])
    if len(rows) > MAX_AROUND:
        raise TooLarge(f"More than {MAX_AROUND:,} repos stood below {len(ids):,} that have lost all their edges.")
    return {row[0] for row in rows}


def child_counts(ids: Collection[int]) -> dict[int, list[int]]:
    """The numbers of children by relation, in the order of ``Relation``; repos without children are missing."""
    found: dict[int, list[int]] = {}
    if not ids:
        return found
    where, param = bulk.among("parent_id", ids)
    for parent, relation, number in bulk.fetch(
        f"SELECT parent_id, relation, count(*) FROM lineage_edge WHERE {where} GROUP BY parent_id, relation",
        [param],
    ):
        found.setdefault(parent, [0] * len(Relation))[relation - 1] = number
    return found


def ages(ids: Iterable[int]) -> dict[int, Age]:
    """When each repo was created, and what it is called."""
    where, param = bulk.among("id", sorted(ids))
    return {
        repo_id: Age(utc(created_at), folded, name)
        for repo_id, created_at, folded, name in bulk.fetch(
            f"SELECT id, created_at, folded, name FROM catalog_repo WHERE {where}",
            [param],
        )
    }


def quantized_children(ids: Collection[int]) -> list[int]:
    """Children of these repos that any source calls quantized. Raises TooLarge over ``MAX_AROUND``."""
    if not ids:
        return []
    where, param = bulk.among("parent_id", ids)
    rows = bulk.fetch(
        f"SELECT child_id FROM lineage_edge WHERE {where} AND relation = {int(Relation.QUANTIZED)} "
        f"LIMIT {MAX_AROUND + 1}",
        [param],
    )
    if len(rows) > MAX_AROUND:
        raise TooLarge(f"More than {MAX_AROUND:,} quantized children of {len(ids):,} changed repos.")
    return [row[0] for row in rows]


def placed_findings(ids: Collection[int] | None = None) -> dict[int, list[StoredFinding]]:
    """The findings of placing, of these repos or of all."""
    codes = ", ".join(f"'{code.value}'" for code in sorted(PLACED_CODES))
    sql = f"SELECT repo_id, id, code, subject, detail FROM lineage_finding WHERE code IN ({codes})"
    params = []
    if ids is not None:
        where, param = bulk.among("repo_id", ids)
        sql, params = f"{sql} AND {where}", [param]
    found: dict[int, list[StoredFinding]] = {}
    for repo_id, row_id, code, subject, detail in bulk.fetch(sql, params):
        found.setdefault(repo_id, []).append(StoredFinding(row_id, code, subject, decoded(detail)))
    return found


def size() -> int:
    """Edges and nodes, as they were counted last: what a pass over everything has to handle."""
    row = Placement.objects.filter(pk=1).first()
    return row.edges + row.nodes if row else 0


def totals() -> dict[str, int]:
    """The figures of everything, counted now along indexes: repos that were read, names, edges, families, findings."""
    known = _count("SELECT count(*) FROM catalog_repo WHERE state <> 'gone'")
    names = _count(f"SELECT count(*) FROM catalog_repo WHERE rank >= {unknown_rank(0)}")  # ranked last: never read
    return {
        "listed": max(0, known - names),
        "stubs": names,
        "nodes": _count("SELECT count(*) FROM lineage_node"),
        "edges": _count("SELECT count(*) FROM lineage_edge"),
        "families": _count("SELECT count(*) FROM lineage_node WHERE parent_id IS NULL AND descendants > 0"),
        "findings": _count("SELECT count(*) FROM lineage_finding"),
    }


def _count(sql: str) -> int:
    return int(bulk.fetch(sql)[0][0])


# --- the whole Hub --------------------------------------------------------------------------------------------------
def all_edges() -> np.ndarray[Any, Any]:
    """Every edge, as a structured array (id, parent, child, relation, place, primary, closes)."""
    import numpy as np

    dtype = np.dtype(
        [
            ("id", "i8"),
            ("parent", "i8"),
            ("child", "i8"),
            ("relation", "i1"),
            ("place", "i2"),
            ("primary", "?"),
            ("closes", "?"),
        ]
    )
    return _array(_EDGES, dtype)


def all_nodes() -> np.ndarray[Any, Any]:
    """Every stored node, by repo: (repo, root, parent (-1: none), depth, descendants, children by relation)."""
    import numpy as np

    dtype = np.dtype(
        [
            ("repo", "i8"),
            ("root", "i8"),
            ("parent", "i8"),
            ("depth", "i4"),
            ("descendants", "i4"),
            ("children", "i4", (len(Relation),)),
        ]
    )
    flat = np.dtype([(name, dtype[name]) for name in dtype.names[:5]] + [(f"c{i}", "i4") for i in range(5)])  # type: ignore[index]
    rows = _array(
        "SELECT repo_id, root_id, coalesce(parent_id, -1), depth, descendants, finetunes, adapters, quantized, merges, "
        "unknown FROM lineage_node ORDER BY repo_id",
        flat,
    )
    return rows.view(dtype)


def _array(sql: str, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """The rows of a query as a structured array, a hundred thousand at a time."""
    import numpy as np
    from django.db import connection

    parts = []
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql)
        while rows := cursor.fetchmany(100_000):
            parts.append(np.array(rows, dtype=dtype))
    return np.concatenate(parts) if parts else np.empty(0, dtype)
