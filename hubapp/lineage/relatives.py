"""One repo's nearest: its line, parents, children and siblings."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hubapp.catalog import bulk
from hubapp.catalog.models import Repo
from hubapp.lineage.briefs import LINK, briefs, key_of, link, stubs_among
from hubapp.lineage.cases import utc
from hubapp.lineage.remarks import remarks_of
from hubapp.lineage.shapes import (
    Brief,
    Child,
    ChildPage,
    Counts,
    Filters,
    Line,
    Link,
    Parent,
    Parents,
    Remark,
    Statement,
)
from hubapp.lineage.weighed import weighed
from workers.errors import BadRequest
from workers.lineage.records import Relation, Source

MAX_PAGE = 1_000


def line(repo: Repo | int, *, limit: int = 200) -> Line:
    """From the root to ``repo`` along primary parents, at most ``limit`` members (the lowest)."""
    key = key_of(repo)
    rows = bulk.fetch(
        "WITH RECURSIVE up(id, parent, n) AS ("
        "SELECT repo_id, parent_id, 1 FROM lineage_node WHERE repo_id = %s UNION ALL "
        "SELECT n.repo_id, n.parent_id, up.n + 1 FROM lineage_node n JOIN up ON n.repo_id = up.parent WHERE up.n < %s) "
        "SELECT id, parent FROM up ORDER BY n DESC",
        [key, limit],
    ) or [(key, None)]
    known = briefs(row[0] for row in rows)
    members = tuple(known[row[0]] for row in rows if row[0] in known)
    by_child = {each.child_id: each for each in links_to([m.id for m in members[1:]], known=known) if each.primary}
    steps = tuple(
        by_child.get(below.id) or Link(above.id, below.id, Relation.UNKNOWN, primary=True)
        for above, below in pairwise(members)
    )
    return Line(members, steps, truncated=rows[0][1] is not None)


def links_to(ids: list[int], *, known: dict[int, Brief] | None = None) -> list[Link]:
    """All edges to the parents of these repos, first choices first; parents outside ``known`` are looked up."""
    if not ids:
        return []
    where, param = bulk.among("e.child_id", ids)
    rows = bulk.fetch(f"SELECT {LINK} FROM lineage_edge e WHERE {where} ORDER BY e.child_id, e.place", [param])
    stubs = stubs_among(known or {}) | _stubs({row[0] for row in rows} - (known or {}).keys())
    return [link(row, stubs) for row in rows]


def _stubs(ids: set[int]) -> set[int]:
    if not ids:
        return set()
    where, param = bulk.among("id", sorted(ids))
    return {
        row[0]
        for row in bulk.fetch(f"SELECT id FROM catalog_repo WHERE state IN ('stub', 'renamed') AND {where}", [param])
    }


# --- parents --------------------------------------------------------------------------------------------------------
def parents(repo: Repo | int) -> Parents:
    """All parents of ``repo`` with the statements and findings about each, the primary one first."""
    key = key_of(repo)
    links = links_to([key])
    known = briefs([each.parent_id for each in links])
    statements = evidence(key)
    standing = [s for s in statements if s.withdrawn_at is None]
    owner = _owners({s.target for s in standing if s.target}, known)
    remarks = remarks_of([key]).get(key, ())
    said_by_weights = weighed([key])
    links.sort(key=lambda each: not each.primary)
    items = []
    used: set[Remark | int] = set()
    for each in links:
        if each.parent_id not in known:
            continue
        parent = known[each.parent_id]
        own = tuple(s for s in standing if owner.get(s.target) == parent.id)
        texts = {parent.name.lower()} | {s.text.lower() for s in own} | {s.target for s in own}
        about = tuple(r for r in remarks if r.subject and r.subject.lower() in texts)
        used.update(id(r) for r in about)
        items.append(Parent(parent, each, own, about, said_by_weights.get((parent.id, key))))
    held = {s.id for item in items for s in item.statements}
    return Parents(
        items=tuple(items),
        loose=tuple(s for s in standing if s.id not in held),
        remarks=tuple(r for r in remarks if id(r) not in used),
        withdrawn=tuple(s for s in statements if s.withdrawn_at is not None),
    )


def evidence(repo: Repo | int) -> tuple[Statement, ...]:
    """Every statement that was ever made of the descent of ``repo``, the most trusted source first."""
    rows = bulk.fetch(
        "SELECT id, source, text, target, relation, times, first_seen, last_seen, withdrawn_at "
        "FROM lineage_evidence WHERE child_id = %s ORDER BY source, text, relation",
        [key_of(repo)],
    )
    return tuple(
        Statement(
            row[0],
            Source(row[1]),
            row[2],
            row[3],
            Relation(row[4]) if row[4] else None,
            row[5],
            _time(row[6]),
            _time(row[7]),
            utc(row[8]),
        )
        for row in rows
    )


def _time(value: Any) -> Any:
    return utc(value)


def _owners(targets: set[str], known: dict[int, Brief]) -> dict[str, int]:
    """Which of the parents each folded name led to: by its name, or by an old one."""
    found = {brief.name.lower(): brief.id for brief in known.values()}
    left = sorted(targets - found.keys())
    if left:
        where, param = bulk.among("folded", left, "text")
        moves = bulk.fetch(f"SELECT folded, repo_id FROM catalog_alias WHERE {where}", [param])
        moves += bulk.fetch(
            f"SELECT folded, moved_to_id FROM catalog_repo WHERE state = 'renamed' AND {where}", [param]
        )
        found.update({folded: to for folded, to in moves if to in known})
    return found


# --- children -------------------------------------------------------------------------------------------------------
def relation_counts(repo: Repo | int) -> Counts:
    """The numbers of direct children by relation."""
    rows = bulk.fetch(
        "SELECT finetunes, adapters, quantized, merges, unknown FROM lineage_node WHERE repo_id = %s", [key_of(repo)]
    )
    return Counts(*rows[0]) if rows else Counts()


def children(
    repo: Repo | int,
    *,
    relation: Relation | None = None,
    after: str | None = None,
    limit: int = 50,
    filters: Filters | None = None,
) -> ChildPage:
    """Direct children, most popular first, by all edges (not only primary ones).

    ``after`` is the cursor of the page before. Raises BadRequest where it can't be read.
    """
    key = key_of(repo)
    limit = max(1, min(limit, MAX_PAGE))
    filters = filters or Filters()
    wanted = {relation} if relation else set(filters.relations) or set(Relation)
    rows = edge_rows(key, wanted, rank_after(after), limit + 1, filters)
    more = rows[limit - 1][-1] if len(rows) > limit else None
    rows = rows[:limit]
    known = briefs(row[1] for row in rows)
    stubs = _stubs({key}) if rows else set()
    counts = relation_counts(key).by_relation()
    only_relations = filters == Filters(relations=filters.relations)
    return ChildPage(
        items=tuple(Child(known[row[1]], link(row[:-1], stubs)) for row in rows if row[1] in known),
        after=None if more is None else str(more),
        total=sum(counts[r] for r in wanted) if only_relations else None,
    )


def rank_after(cursor: str | None) -> int:
    """The rank that a cursor stands for. Raises BadRequest."""
    if not cursor:
        return -1
    if not cursor.isdecimal() or len(cursor) > 19:
        raise BadRequest(f"The cursor {cursor[:40]!r} is not one that was handed out here.")
    return int(cursor)


def edge_rows(parent: int, relations: set[Relation], after: int, limit: int, filters: Filters) -> list[tuple[Any, ...]]:
    """Edges (``LINK``, then the rank) of a parent by popularity: one index range for each relation, merged."""
    join, where, params = conditions(filters)
    one = (
        f"SELECT {LINK}, e.rank FROM lineage_edge e {join} "
        f"WHERE e.parent_id = %s AND e.relation = %s AND e.rank > %s {where} ORDER BY e.rank LIMIT %s"
    )
    asked = sorted(relations)
    if not asked:
        return []
    sql = " UNION ALL ".join(f"SELECT * FROM ({one}) AS part{i}" for i, _ in enumerate(asked))
    values = [value for r in asked for value in (parent, int(r), after, *params, limit)]
    return sorted(bulk.fetch(sql, values), key=lambda row: row[-1])[:limit]


_TERMS = {"task": "task", "library": "library", "licence": "licence"}


def conditions(filters: Filters) -> tuple[str, str, list[Any]]:
    """(JOIN, AND …, parameters) of the filters that ask something of the child itself."""
    parts: list[str] = []
    params: list[Any] = []
    for name, kind in _TERMS.items():
        value = getattr(filters, name)
        if value:
            parts.append(f"r.{name}_id = (SELECT id FROM catalog_term WHERE kind = '{kind}' AND value = %s)")
            params.append(value)
    if filters.author:
        parts.append("r.author = %s")
        params.append(filters.author)
    if filters.text:
        parts.append(r"r.folded LIKE %s ESCAPE '!'")
        text = filters.text.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
        params.append(f"%{text}%")
    if filters.created_from:
        parts.append("r.created_at >= %s")
        params.append(bulk.moment(filters.created_from))
    if filters.created_to:
        parts.append("r.created_at < %s")
        params.append(bulk.moment(filters.created_to))
    if filters.min_downloads:
        parts.append("r.downloads >= %s")
        params.append(filters.min_downloads)
    if not parts:
        return "", "", []
    return "JOIN catalog_repo r ON r.id = e.child_id", "AND " + " AND ".join(parts), params


def siblings(repo: Repo | int, *, limit: int = 20) -> tuple[Child, ...]:
    """The most popular other children of the primary parent; those of the same relation come first."""
    key = key_of(repo)
    rows = bulk.fetch('SELECT parent_id, relation FROM lineage_edge WHERE child_id = %s AND "primary"', [key])
    if not rows:
        return ()
    parent, relation = rows[0]
    same = edge_rows(parent, {Relation(relation)}, -1, limit + 1, Filters())
    others = edge_rows(parent, set(Relation) - {Relation(relation)}, -1, limit, Filters()) if len(same) <= limit else []
    chosen = [row for row in [*same, *others] if row[1] != key][:limit]
    known = briefs(row[1] for row in chosen)
    stubs = _stubs({parent})
    return tuple(Child(known[row[1]], link(row[:-1], stubs)) for row in chosen if row[1] in known)


def findings(repo: Repo | int) -> tuple[Remark, ...]:
    """What doesn't fit about the descent of ``repo``, the gravest first."""
    key = key_of(repo)
    return remarks_of([key]).get(key, ())
