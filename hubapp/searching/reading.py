"""Finding entries in order, without ever sorting more than it must.

Two ways lead to a page. *Walking* goes along the order's index and tests each entry: at once done where many match,
endless where few do. *Gathering* asks the trigram index for all that match and sorts them: the other way round. So a
search first walks a bounded stretch, and gathers if that did not fill the page; what is known to be rare is gathered
at once. On SQLite the trigram index itself is in the order of popularity, and a walk along it is both at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hubapp.catalog import bulk
from hubapp.searching import folding
from hubapp.searching.conditions import Conditions, Test
from hubapp.searching.indexes import FTS, SAMPLED
from hubapp.searching.orders import Mark, Stretch, after, stretches
from hubapp.searching.query import Sort

WINDOW = 5_000  # entries that a walk by popularity looks at: one B-tree, about 2 ms
WINDOW_ELSEWHERE = 1_500  # that a walk by another order looks at: each costs a look-up in the other table
FURTHER = 8  # times as far, where a walk by another order found an eighth of a page
MOST = 10_000  # matches that are counted
SURE = 160  # matches in the sample from which on there are more than MOST without counting
_TABLES = {"s": ("searching_standing", "repo_id"), "r": ("catalog_repo", "id")}
_ENTRY = "key, repo_id, text, facets, created, parameters"

Found = tuple[Any, int, int]  # value in the order (None by popularity), key, repo id


def page(conditions: Conditions, sort: Sort, mark: Mark | None, limit: int) -> list[tuple[Mark, int]]:
    """Up to ``limit`` matches after ``mark``, in order: the mark and the repo id of each."""
    found: list[tuple[Mark, int]] = []
    if conditions.is_empty:
        return found
    for number, stretch in enumerate(stretches(sort)):
        if mark is not None and number < mark.stretch:
            continue
        start = mark if mark is not None and number == mark.stretch else None
        rows = _stretch(conditions, stretch, start, limit - len(found))
        found += [(Mark(number, value, key), repo_id) for value, key, repo_id in rows]
        if len(found) >= limit:
            break
    return found


def count(conditions: Conditions, most: int = MOST) -> int:
    """How many match; ``most`` + 1 stands for more."""
    if most == MOST and bulk.is_postgres() and _is_surely_more(conditions):
        return most + 1
    return sum(row[0] for row in _some("count(*)", "1", conditions, most + 1))


def _is_surely_more(conditions: Conditions) -> bool:
    """Whether so many of the sample match that more than MOST must do in all.

    With MOST matches 78 of a sample of one in 128 are expected, give or take 9: SURE lies nine times that beyond. The
    ids that a sample picks have nothing to do with what it is asked for.
    """
    if conditions.is_empty:
        return False
    tests = _all([Test(SAMPLED), *conditions.tests, *conditions.probes])
    return len(_part("1", "1", "searching_entry e", tests, SURE)) == SURE


def matches(conditions: Conditions, most: int) -> list[tuple[int, Any]]:
    """Repo id and facets (as the database holds them) of up to ``most`` matches, in no order."""
    return _some("repo_id, facets", "e.repo_id, e.facets", conditions, most)


def _some(wanted: str, columns: str, conditions: Conditions, most: int) -> list[tuple[Any, ...]]:
    """SELECT ``wanted`` of up to ``most`` matches; of two parts where a backlog is looked through."""
    if conditions.is_empty:
        return []
    if bulk.is_postgres() or not conditions.match:
        probes = conditions.sets if bulk.is_postgres() or conditions.relation is None else conditions.probes
        return _part(wanted, columns, "searching_entry e", _all([*conditions.tests, *probes]), most)
    backlog = folding.backlog()
    tests = _all([*conditions.tests, *conditions.probes])
    found = _part(wanted, columns, _FROM_FTS, _all([_matched(conditions), tests, *_folded_only(backlog)]), most)
    if backlog:
        found += _part(wanted, columns, "searching_entry e", _all([tests, _lacking(backlog)]), most)
    return found


def _part(wanted: str, columns: str, source: str, tests: Test, most: int) -> list[tuple[Any, ...]]:
    sql = f"SELECT {wanted} FROM (SELECT {columns} FROM {source} WHERE {tests.sql} LIMIT %s) AS part"  # noqa: S608
    return bulk.fetch(sql, [*tests.params, most])


# --- one stretch of an order ----------------------------------------------------------------------------------------
def _stretch(conditions: Conditions, stretch: Stretch, mark: Mark | None, limit: int) -> list[Found]:
    along_index = bool(conditions.match) and not bulk.is_postgres()
    if along_index and not stretch.value:
        return _gather(conditions, stretch, mark, limit)
    if conditions.is_indexed and conditions.is_rare:
        return _gather(conditions, stretch, mark, limit)
    window = WINDOW if stretch.table == "e" else WINDOW_ELSEWHERE
    found = _walk(conditions, stretch, mark, limit, window)
    if stretch.value and limit / FURTHER < len(found) < limit:
        # Not far off: sorting all matches by another table's column would cost more than going on.
        found = _walk(conditions, stretch, mark, limit, window * FURTHER)
    if len(found) >= limit:
        return found
    if conditions.is_indexed or conditions.sets or bulk.is_postgres():
        return _gather(conditions, stretch, mark, limit)
    return _walk(conditions, stretch, mark, limit, None)


def _walk(conditions: Conditions, stretch: Stretch, mark: Mark | None, limit: int, window: int | None) -> list[Found]:
    """Along the order's index, testing each of the next ``window`` entries (None: of all)."""
    beyond, params = after(stretch, mark)
    part = f"LIMIT {window}" if window else ""
    tests = [*conditions.tests, *conditions.probes]
    if stretch.value:
        table, repo = _TABLES[stretch.table]
        source = (
            f"(SELECT {repo}, {stretch.value}, {stretch.key} FROM {table} {stretch.table} "  # noqa: S608
            f"WHERE {stretch.condition} AND {beyond} ORDER BY {stretch.columns()} {part}) {stretch.table} "
            f"{_one_entry(f'e.repo_id = {stretch.table}.{repo}')}"
        )
    elif stretch.is_popularity and conditions.relation is not None:
        edges = "SELECT DISTINCT rank FROM lineage_edge d WHERE relation = %s AND rank > %s ORDER BY rank"
        source = f"({edges} {part}) d {_one_entry('e.key = d.rank')}"
        params = (conditions.relation, mark.key if mark else -1)
        tests = [*conditions.tests, *conditions.probes[1:]]
    else:
        source = (
            f"(SELECT {_ENTRY} FROM searching_entry e WHERE {beyond} "  # noqa: S608
            f"ORDER BY {stretch.columns()} {part}) e"
        )
        tests.append(Test(stretch.condition))
    return _rows(source, params, _all(tests), stretch, limit)


def _one_entry(link: str) -> str:
    """Join ``e`` by looking each one up: no plan that reads all entries is wanted here."""
    if bulk.is_postgres():
        return f"CROSS JOIN LATERAL (SELECT {_ENTRY} FROM searching_entry e WHERE {link} OFFSET 0) e"  # noqa: S608
    return f"CROSS JOIN searching_entry e ON {link}"


def _gather(conditions: Conditions, stretch: Stretch, mark: Mark | None, limit: int) -> list[Found]:
    """All matches, by whatever index narrows the search, sorted."""
    place = [Test(stretch.condition), Test(*after(stretch, mark))]
    if bulk.is_postgres():
        return _gather_on_postgres(conditions, stretch, place, limit)
    join = ""
    if stretch.value:
        table, repo = _TABLES[stretch.table]
        join = f" CROSS JOIN {table} {stretch.table} ON {stretch.table}.{repo} = e.repo_id"  # to SQLite: in this order
    if not conditions.match:
        tests = _all([*conditions.tests, *conditions.sets, *place])
        return _rows(f"searching_entry e{join}", (), tests, stretch, limit)
    backlog = folding.backlog()
    tests = _all([*conditions.tests, *conditions.probes, *place])
    in_fts = _all([_matched(conditions), tests, *_folded_only(backlog)])
    found = _rows(_FROM_FTS + join, (), in_fts, stretch, limit)
    if backlog:
        found += _rows(f"searching_entry e{join}", (), _all([tests, _lacking(backlog)]), stretch, limit)
        found.sort(key=lambda row: row[1])
        if stretch.value:
            found.sort(key=lambda row: row[0], reverse=not stretch.is_up)
    return found[:limit]


def _gather_on_postgres(conditions: Conditions, stretch: Stretch, place: list[Test], limit: int) -> list[Found]:
    met = _all([*conditions.tests, *conditions.sets])
    # Where the trigram index narrows the search it is to be used, whatever the planner thinks of the order's.
    sort = conditions.is_indexed
    if not stretch.value:
        return _rows("searching_entry e", (), _all([met, *place]), stretch, limit, sort=sort)
    table, repo = _TABLES[stretch.table]
    # The matches first (OFFSET 0 keeps them apart): the planner would rather sort all models there are.
    matching = f"(SELECT key, repo_id FROM searching_entry e WHERE {met.sql} OFFSET 0)" if sort else "searching_entry"  # noqa: S608
    source = f"{matching} e JOIN {table} {stretch.table} ON {stretch.table}.{repo} = e.repo_id"
    if sort:
        return _rows(source, met.params, _all(place), stretch, limit, sort=True)
    return _rows(source, (), _all([met, *place]), stretch, limit)


def _rows(
    source: str, params: Sequence[Any], tests: Test, stretch: Stretch, limit: int, *, sort: bool = False
) -> list[Found]:
    value = f"{stretch.table}.{stretch.value}" if stretch.value else "NULL"
    if source.startswith(FTS):
        order = stretch.columns() if stretch.value else "f.rowid"  # in this order the full-text table is read
    else:
        order = stretch.columns(sort=sort)
    sql = f"SELECT {value}, e.key, e.repo_id FROM {source} WHERE {tests.sql} ORDER BY {order} LIMIT %s"  # noqa: S608
    return bulk.fetch(sql, [*params, *tests.params, limit])


def _all(tests: Sequence[Test]) -> Test:
    if not tests:
        return Test("TRUE")
    return Test(" AND ".join(f"({test.sql})" for test in tests), tuple(p for test in tests for p in test.params))


# --- SQLite's full-text table and what it lacks ---------------------------------------------------------------------
_FROM_FTS = f"{FTS} f CROSS JOIN searching_entry e ON e.key = f.rowid"


def _matched(conditions: Conditions) -> Test:
    return Test(f"{FTS} MATCH %s", (conditions.match,))


def _folded_only(backlog: folding.Backlog) -> list[Test]:
    """Entries that are not looked through as part of the backlog."""
    if not backlog.changed:
        return []  # newer repos are not in the table at all
    return [Test("NOT EXISTS (SELECT 1 FROM searching_unfolded u WHERE u.key = e.key)")]


def _lacking(backlog: folding.Backlog) -> Test:
    """The backlog."""
    if not backlog.changed:
        return Test("e.repo_id > %s", (backlog.repo_id,))
    return Test("(e.repo_id > %s OR e.key IN (SELECT key FROM searching_unfolded))", (backlog.repo_id,))
