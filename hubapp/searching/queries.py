"""Reading the index: search, suggestions, and finding one model by whatever a person pasted."""

from __future__ import annotations

from dataclasses import dataclass

from hubapp.searching import conditions, facetting, hits, mending, reading
from hubapp.searching.facetting import Value, commonest, offered
from hubapp.searching.hits import Hit
from hubapp.searching.locating import Location, locate
from hubapp.searching.orders import Mark, read_mark
from hubapp.searching.query import Query, Sort
from hubapp.searching.reading import MOST

__all__ = [
    "MOST",
    "Hit",
    "Location",
    "Page",
    "Query",
    "Sort",
    "Value",
    "commonest",
    "count",
    "facets",
    "locate",
    "offered",
    "search",
    "suggest",
]
LITTLE = 3  # matches below which a misspelling is thought of


@dataclass(frozen=True, slots=True)
class Page:
    """One page of results.

    ``total`` is the number of all matches where it is known at once, None where it is left to ``count``. ``next``
    continues the list ("" at its end). ``corrected`` is the text that was searched instead of the query's, which found
    nothing; ``suggestion`` is another spelling where it found little. Both "" where the text stands.
    """

    hits: tuple[Hit, ...]
    total: int | None
    next: str
    corrected: str = ""
    suggestion: str = ""


def search(query: Query) -> Page:
    """The page of results that ``query`` asks for. Raises BadRequest for an ``after`` of another order."""
    mark = read_mark(query.after, query.sort)
    found = _found(query, mark)
    if mark is not None or query.literal or not query.text or len(found) >= LITTLE:
        return _page(query, found, mark)
    meant = mending.mend(query.text)
    if not meant:
        return _page(query, found, mark)
    if found:
        return _page(query, found, mark, suggestion=meant)
    mended = query.but(text=meant)
    other = _found(mended, None)
    return _page(mended, other, None, corrected=meant) if other else _page(query, found, mark)


def count(query: Query) -> int:
    """How many match: exact up to MOST (10,000); MOST + 1 stands for more."""
    return reading.count(conditions.of(query))


def facets(query: Query) -> dict[str, tuple[Value, ...]]:
    """By kind of term, and for "relation", the commonest values among the matches and how many hold each.

    Meant for searches with at most ``facetting.FEW`` matches: of more, so many are looked at and the rest is not.
    """
    return facetting.among(conditions.of(query))


def suggest(text: str, limit: int = 8) -> tuple[Hit, ...]:
    """The most popular models whose name holds ``text``, the one it names exactly first: for pickers."""
    query = Query(text=text[:200], limit=limit)
    found = [repo_id for _, repo_id in _found(query, None)]
    exact = locate(text)
    if exact is not None:
        found = [exact.repo_id, *[repo_id for repo_id in found if repo_id != exact.repo_id]]
    if not found and (meant := mending.mend(query.text)):
        found = [repo_id for _, repo_id in _found(query.but(text=meant), None)]
    return hits.of(found[:limit])


def _found(query: Query, mark: Mark | None) -> list[tuple[Mark, int]]:
    """The matches of a page, and one more if there is one."""
    return reading.page(conditions.of(query), query.sort, mark, query.limit + 1)


def _page(
    query: Query, found: list[tuple[Mark, int]], mark: Mark | None, corrected: str = "", suggestion: str = ""
) -> Page:
    shown = found[: query.limit]
    more = len(found) > query.limit
    return Page(
        hits=hits.of([repo_id for _, repo_id in shown]),
        total=len(found) if mark is None and not more else None,
        next=shown[-1][0].write(query.sort) if more else "",
        corrected=corrected,
        suggestion=suggestion,
    )
