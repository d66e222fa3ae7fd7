"""A parent's children, shelf by shelf: of one relation, most popular first, as far as a visitor wants to see.

A parent may have 100,000 children. Without filters a page is one read of the index (parent, relation, rank). With
filters the index is walked in growing stretches, each joined to its repos, until the page is full or 10,000
children were looked at: a rare filter costs a bounded time, and the answer says how far it looked. One author's
children are found from the author's side, by the index (author, rank).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from hubapp.catalog import bulk
from hubapp.catalog.models import Repo
from hubapp.lineage.models import Edge, Finding
from hubapp.lineage.shapes import Filters
from workers.lineage.records import Relation

STRETCHES = (300, 1_700, 8_000)
"""How many children one stretch looks at; the next stretch is walked only where the page is not full yet."""
GLANCE = (300, 1_700)
"""Stretches where all relations are looked at in one answer."""
SAMPLE = 400
"""Authors are counted among so many of the most popular."""

Row = tuple[int, int]
"""Rank and id."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """A piece of a shelf. ``after`` goes on where this one ends (None at the end); ``looked`` is about how many
    children were looked at for it, in whole stretches.
    """

    child_ids: tuple[int, ...]
    after: int | None
    looked: int

    @property
    def done(self) -> bool:
        return self.after is None


def page(
    parent_id: int,
    relation: Relation,
    *,
    after: int | None = None,
    limit: int = 12,
    author: str = "",
    filters: Filters | None = None,
    stretches: Sequence[int] = STRETCHES,
) -> Shelf:
    """The next ``limit`` children by ``relation`` whose rank is greater than ``after``.

    ``author`` asks for one author's, exactly as written. ``filters.relations`` is the caller's business. At most
    ``sum(stretches)`` children are looked at.
    """
    wanted = _wanted(replace(filters, relations=frozenset()) if filters else Filters())
    if wanted is None and not author:
        rows = _next(parent_id, relation, after, limit + 1)
        return Shelf(tuple(pk for _, pk in rows[:limit]), rows[limit - 1][0] if len(rows) > limit else None, len(rows))
    edges = Edge.objects.filter(parent_id=parent_id, relation=relation)
    good_repos = Repo.objects.all() if wanted is None else wanted
    if author:
        repos = Repo.objects.filter(author=author)

        def children(start: int, end: int | None) -> list[Row]:
            within = repos.filter(rank__gt=start) if end is None else repos.filter(rank__gt=start, rank__lte=end)
            found = edges.filter(child__in=within & good_repos)
            return sorted(found.values_list("rank", "child_id"))

        return _walk(repos, children, after, limit, stretches)

    def passing(start: int, end: int | None) -> list[Row]:
        within = edges.filter(rank__gt=start) if end is None else edges.filter(rank__gt=start, rank__lte=end)
        rows = list(within.order_by("rank").values_list("rank", "child_id"))
        # The keys, not a subquery: given the choice, PostgreSQL goes through every repo where a condition has no index.
        good = set(good_repos.filter(pk__in=[pk for _, pk in rows]).values_list("pk", flat=True))
        return [row for row in rows if row[1] in good]

    return _walk(edges, passing, after, limit, stretches)


def _next(parent_id: int, relation: Relation, after: int | None, limit: int) -> list[Row]:
    """The next edges by rank: in SQL, for this is what every opened node costs, four times over."""
    return bulk.fetch(
        "SELECT rank, child_id FROM lineage_edge WHERE parent_id = %s AND relation = %s AND rank > %s "
        "ORDER BY rank LIMIT %s",
        [parent_id, int(relation), -1 if after is None else after, limit],
    )


def _walk(
    ranked: QuerySet[Any],
    passing: Callable[[int, int | None], list[Row]],
    after: int | None,
    limit: int,
    stretches: Sequence[int],
) -> Shelf:
    """Look at one stretch of ``ranked`` after the other until ``limit`` pass, it ends, or enough was looked at.

    ``passing(start, end)`` gives, in order, those with start < rank ≤ end (None: no end) that are wanted.
    """
    found: list[Row] = []
    looked = 0
    start = -1 if after is None else after
    for most in stretches:
        # Where the stretch ends: one look into the index by which ``ranked`` is ordered.
        end = ranked.filter(rank__gt=start).order_by("rank").values_list("rank", flat=True)[most - 1 : most].first()
        good = passing(start, end)
        found += good
        if len(found) > limit or (len(found) == limit and end is not None):
            found = found[:limit]
            return Shelf(tuple(pk for _, pk in found), found[-1][0], looked + most)
        looked += most
        if end is None:
            return Shelf(tuple(pk for _, pk in found), None, looked)
        start = end
    return Shelf(tuple(pk for _, pk in found), start, looked)


def _wanted(filters: Filters) -> QuerySet[Repo] | None:
    """The repos that pass, or None where all do."""
    if not filters:
        return None
    conditions = list(_conditions(filters))
    repos = Repo.objects.filter(*conditions)
    if filters.with_findings:
        repos = repos.filter(Exists(Finding.objects.filter(repo_id=OuterRef("pk"))))
    return repos


def _conditions(filters: Filters) -> Iterator[Q]:
    if filters.author:
        yield Q(author__iexact=filters.author)
    if filters.task:
        yield Q(task__value=filters.task)
    if filters.library:
        yield Q(library__value=filters.library)
    if filters.licence:
        yield Q(licence__value=filters.licence)
    if filters.text:
        yield Q(folded__contains=filters.text.lower())
    # What has no date is not hidden by a date: an unresolved parent was made at some time.
    if filters.created_from is not None:
        yield Q(created_at__gte=filters.created_from) | Q(created_at=None)
    if filters.created_to is not None:
        yield Q(created_at__lt=filters.created_to) | Q(created_at=None)
    if filters.min_downloads:
        yield Q(downloads__gte=filters.min_downloads)
    if filters.parameters_known is not None:
        yield Q(parameters__isnull=not filters.parameters_known)
    if filters.min_parameters is not None:
        yield Q(parameters__gte=filters.min_parameters)
    if filters.below_parameters is not None:
        yield Q(parameters__lt=filters.below_parameters)


def authors(parent_id: int, relation: Relation) -> tuple[tuple[tuple[str, int], ...], int]:
    """The most frequent authors among the ``SAMPLE`` most popular children, with their counts, and how many children
    were counted.
    """
    names = bulk.fetch(
        "SELECT r.author FROM lineage_edge e JOIN catalog_repo r ON r.id = e.child_id "
        "WHERE e.parent_id = %s AND e.relation = %s ORDER BY e.rank LIMIT %s",
        [parent_id, int(relation), SAMPLE],
    )
    counts = Counter(name for (name,) in names if name)
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:8]), len(names)
