"""Families: a root and all that follow it along primary parents, counted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone

from hubapp.catalog import bulk
from hubapp.catalog.models import Repo
from hubapp.lineage.briefs import briefs, key_of
from hubapp.lineage.cases import utc
from hubapp.lineage.models import FamilySummary
from hubapp.lineage.remarks import QUIET
from hubapp.lineage.shapes import Brief, Family
from workers.lineage.records import Relation

LARGE = 500
"""Families from this size on are counted by the lineage job; smaller ones when asked, which costs some milliseconds."""
MOST = 12  # authors and licences that are kept by name


def family(root: Repo | int) -> Family | None:
    """The family of ``root``; None where it is no root or has no descendants."""
    key = key_of(root)
    brief = briefs([key]).get(key)
    if brief is None or brief.parent_id is not None or not brief.descendants:
        return None
    summary = FamilySummary.objects.filter(pk=key).first()
    if summary is not None:
        return _from_data(brief, summary.data, summary.counted_at)
    return _from_data(brief, count(key), timezone.now())


def largest_families(limit: int = 12) -> tuple[Family, ...]:
    """The families with most members, the largest first."""
    rows = bulk.fetch(
        "SELECT repo_id FROM lineage_node WHERE parent_id IS NULL ORDER BY descendants DESC, repo_id LIMIT %s",
        [max(1, min(limit, 200))],
    )
    ids = [row[0] for row in rows]
    known = briefs(ids)
    summaries = FamilySummary.objects.in_bulk(ids)
    found = []
    for key in ids:
        brief = known.get(key)
        if brief is None or not brief.descendants:
            continue
        summary = summaries.get(key)
        if summary is not None:
            found.append(_from_data(brief, summary.data, summary.counted_at))
        else:
            found.append(_from_data(brief, count(key), timezone.now()))
    return tuple(found)


def has_family(repo: Repo | int) -> bool:
    """Whether the repo has any edge: parents or children."""
    return bool(bulk.fetch("SELECT 1 FROM lineage_node WHERE repo_id = %s", [key_of(repo)]))


def search_in_family(root: Repo | int, text: str, *, limit: int = 20) -> tuple[Brief, ...]:
    """Members of a family whose name holds ``text``, in any case, the most popular first."""
    folded = text.strip().lower()
    if not folded:
        return ()
    pattern = "%" + folded.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"
    rows = bulk.fetch(
        "SELECT r.id FROM lineage_node n JOIN catalog_repo r ON r.id = n.repo_id "
        "WHERE n.root_id = %s AND r.folded LIKE %s ESCAPE '!' ORDER BY r.rank LIMIT %s",
        [key_of(root), pattern, max(1, min(limit, 200))],
    )
    known = briefs(row[0] for row in rows)
    return tuple(known[row[0]] for row in rows if row[0] in known)


def _from_data(root: Brief, data: dict[str, Any], counted_at: datetime) -> Family:
    by_depth = tuple(data["by_depth"])
    return Family(
        root=root,
        size=root.descendants + 1,
        depth=len(by_depth) - 1,
        growth=tuple((month, number) for month, number in data["growth"]),
        undated=data["undated"],
        by_depth=by_depth,
        relations={Relation(int(r)): number for r, number in data["relations"].items()},
        authors=tuple((name, number) for name, number in data["authors"]),
        licences=tuple((name, number) for name, number in data["licences"]),
        unresolved=data["unresolved"],
        findings=data["findings"],
        guests=data["guests"],
        counted_at=utc(counted_at),
    )


def count(root: int) -> dict[str, Any]:
    """The figures of a family, counted now: what ``FamilySummary.data`` holds."""
    member = "FROM lineage_node n JOIN catalog_repo r ON r.id = n.repo_id WHERE n.root_id = %s"
    month = (
        "to_char(r.created_at AT TIME ZONE 'UTC', 'YYYY-MM')" if bulk.is_postgres() else "substr(r.created_at, 1, 7)"
    )
    quiet = ", ".join(f"'{code}'" for code in sorted(QUIET))
    growth = bulk.fetch(f"SELECT {month}, count(*) {member} GROUP BY 1 ORDER BY 1", [root])
    depths = dict(bulk.fetch("SELECT depth, count(*) FROM lineage_node WHERE root_id = %s GROUP BY depth", [root]))
    relations = bulk.fetch(
        "SELECT e.relation, count(*) FROM lineage_node n "
        'JOIN lineage_edge e ON e.child_id = n.repo_id AND e."primary" WHERE n.root_id = %s GROUP BY e.relation',
        [root],
    )
    authors = bulk.fetch(f"SELECT r.author, count(*) {member} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MOST}", [root])
    licences = bulk.fetch(
        "SELECT coalesce(t.value, ''), count(*) FROM lineage_node n JOIN catalog_repo r ON r.id = n.repo_id "
        "LEFT JOIN catalog_term t ON t.id = r.licence_id WHERE n.root_id = %s "
        f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MOST}",
        [root],
    )
    return {
        "growth": [(m, number) for m, number in growth if m],
        "undated": sum(number for m, number in growth if not m),
        "by_depth": [depths.get(d, 0) for d in range(max(depths, default=0) + 1)],
        "relations": {str(relation): number for relation, number in sorted(relations)},
        "authors": authors,
        "licences": licences,
        "unresolved": _one(f"SELECT count(*) {member} AND r.state IN ('stub', 'renamed')", root),
        "findings": _one(
            "SELECT count(DISTINCT f.repo_id) FROM lineage_node n JOIN lineage_finding f ON f.repo_id = n.repo_id "
            f"WHERE n.root_id = %s AND f.code NOT IN ({quiet})",
            root,
        ),
        "guests": _one(
            "SELECT count(DISTINCT e.child_id) FROM lineage_node n JOIN lineage_edge e ON e.parent_id = n.repo_id "
            'AND NOT e."primary" JOIN lineage_node c ON c.repo_id = e.child_id AND c.root_id <> n.root_id '
            "WHERE n.root_id = %s",
            root,
        ),
    }


def _one(sql: str, root: int) -> int:
    return int(bulk.fetch(sql, [root])[0][0])


def due_summaries(limit: int) -> list[int]:
    """Large families that were never counted, or have grown or shrunk by a hundredth since."""
    rows = bulk.fetch(
        "SELECT n.repo_id FROM lineage_node n LEFT JOIN lineage_familysummary s ON s.root_id = n.repo_id "
        "WHERE n.parent_id IS NULL AND n.descendants >= %s "
        "AND (s.size IS NULL OR abs(s.size - n.descendants - 1) * 100 > s.size) "
        "ORDER BY n.descendants DESC LIMIT %s",
        [LARGE - 1, limit],
    )
    return [row[0] for row in rows]


def stale_summaries() -> list[int]:
    """Summaries of families that are no longer large, or no families."""
    rows = bulk.fetch(
        "SELECT s.root_id FROM lineage_familysummary s LEFT JOIN lineage_node n ON n.repo_id = s.root_id "
        "WHERE n.repo_id IS NULL OR n.parent_id IS NOT NULL OR n.descendants < %s",
        [LARGE - 1],
    )
    return [row[0] for row in rows]
