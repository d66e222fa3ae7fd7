"""What the tree view draws: a focus, some generations above and below, and of each group how many there are."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hubapp.catalog import bulk
from hubapp.catalog.models import Repo
from hubapp.lineage.briefs import briefs, key_of
from hubapp.lineage.relatives import conditions
from hubapp.lineage.shapes import MAX_NODES, Filters, Group, Neighbourhood
from hubapp.lineage.walks import links_among
from workers.lineage.records import Relation

MAX_PARENTS = 100  # of one generation upwards; the longest real list of parents has 65
_AT_ONCE = 60  # index ranges in one statement: SQLite takes 500 parts
_SAMPLE = 1_000  # children whose authors are counted


def neighbourhood(
    repo: Repo | int,
    *,
    up: int = 2,
    down: int = 1,
    per_parent: int = 12,
    max_nodes: int = 2_000,
    filters: Filters | None = None,
) -> Neighbourhood:
    """Ancestors of ``repo`` to ``up`` generations, descendants to ``down``, of each parent's children by one relation
    the ``per_parent`` most popular that pass ``filters``. About ten statements, whatever the numbers of children.
    """
    focus = key_of(repo)
    filters = filters or Filters()
    max_nodes = max(1, min(max_nodes, MAX_NODES))
    ids: dict[int, None] = {focus: None}
    truncated = _add_above(ids, focus, up, max_nodes)
    cursors: dict[tuple[int, int], tuple[int, bool]] = {}
    expanded: list[int] = [focus]
    level = [focus]
    for _ in range(down):
        rows = _first_children(level, filters, per_parent)
        seen: Counter[tuple[int, int]] = Counter()
        fresh: list[int] = []
        for parent, child, relation, rank in rows:
            seen[parent, relation] += 1
            if seen[parent, relation] > per_parent:
                cursors[parent, relation] = (cursors.get((parent, relation), (0, False))[0], True)
                continue
            if child not in ids:
                if len(ids) >= max_nodes:
                    truncated = True
                    continue
                ids[child] = None
                fresh.append(child)
            cursors[parent, relation] = (rank, False)
        level = fresh
        expanded.extend(fresh)
        if not level or truncated:
            break
    known = briefs(ids)
    if focus not in known:
        raise Repo.DoesNotExist(f"No repo has the key {focus}.")
    links = links_among(known, known)
    shown = Counter((each.parent_id, int(each.relation)) for each in links)
    groups = [
        Group(
            brief.id,
            relation,
            total,
            shown[brief.id, relation],
            after=str(cursors[brief.id, relation][0]) if cursors.get((brief.id, relation), (0, False))[1] else None,
        )
        for brief in known.values()
        for relation, total in brief.children.by_relation().items()
        if total
    ]
    root = known.get(known[focus].root_id) or briefs([known[focus].root_id]).get(known[focus].root_id, known[focus])
    return Neighbourhood(
        focus, root, tuple(known[i] for i in ids if i in known), tuple(links), _with_authors(groups), truncated
    )


def _add_above(ids: dict[int, None], focus: int, up: int, max_nodes: int) -> bool:
    level = [focus]
    for _ in range(up):
        where, param = bulk.among("child_id", level)
        rows = bulk.fetch(
            f"SELECT parent_id, child_id FROM lineage_edge WHERE {where} ORDER BY place, child_id LIMIT %s",
            [param, MAX_PARENTS],
        )
        level = []
        for parent, _child in rows:
            if parent in ids:
                continue
            if len(ids) >= max_nodes:
                return True
            ids[parent] = None
            level.append(parent)
        if not level:
            break
    return False


def _first_children(parents: list[int], filters: Filters, per_parent: int) -> list[tuple[Any, ...]]:
    """(parent, child, relation, rank): the first children of each parent and relation, and one more where there is."""
    where, param = bulk.among("repo_id", parents)
    asked = [
        (parent, relation)
        for parent, *counts in bulk.fetch(
            f"SELECT repo_id, finetunes, adapters, quantized, merges, unknown FROM lineage_node WHERE {where}", [param]
        )
        for relation, number in zip(Relation, counts, strict=True)
        if number and (not filters.relations or relation in filters.relations)
    ]
    join, extra, params = conditions(filters)
    one = (
        f"SELECT e.parent_id, e.child_id, e.relation, e.rank FROM lineage_edge e {join} "
        f"WHERE e.parent_id = %s AND e.relation = %s {extra} ORDER BY e.rank LIMIT %s"
    )
    order = {parent: at for at, parent in enumerate(parents)}
    rows: list[tuple[Any, ...]] = []
    for at in range(0, len(asked), _AT_ONCE):
        part = asked[at : at + _AT_ONCE]
        sql = " UNION ALL ".join(f"SELECT * FROM ({one}) AS part{i}" for i, _ in enumerate(part))
        values = [v for parent, relation in part for v in (parent, int(relation), *params, per_parent + 1)]
        rows.extend(bulk.fetch(sql, values))
    return sorted(rows, key=lambda row: (order[row[0]], row[2], row[3]))


def _with_authors(groups: list[Group]) -> tuple[Group, ...]:
    """Where many are hidden, who made most of the popular ones."""
    hidden = sorted((g for g in groups if g.after is not None), key=lambda g: g.shown - g.total)[:20]
    if not hidden:
        return tuple(groups)
    one = (
        "SELECT {at}, r.author, count(*) FROM (SELECT child_id FROM lineage_edge "
        "WHERE parent_id = %s AND relation = %s ORDER BY rank LIMIT %s) AS e{at} "
        "JOIN catalog_repo r ON r.id = e{at}.child_id GROUP BY r.author"
    )
    sql = " UNION ALL ".join(one.format(at=at) for at, _ in enumerate(hidden))
    rows = bulk.fetch(sql, [v for g in hidden for v in (g.parent_id, int(g.relation), _SAMPLE)])
    authors: dict[tuple[int, Relation], list[tuple[str, int]]] = {}
    for at, author, number in rows:
        authors.setdefault((hidden[at].parent_id, hidden[at].relation), []).append((author, number))
    return tuple(
        Group(g.parent_id, g.relation, g.total, g.shown, _most(authors.get((g.parent_id, g.relation), [])), g.after)
        for g in groups
    )


def _most(counts: list[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts, key=lambda pair: (-pair[1], pair[0]))[:3])
