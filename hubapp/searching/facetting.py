"""What filters offer: the commonest values of all, and how often each occurs among a search's matches."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hubapp.catalog import bulk
from hubapp.searching import facets
from hubapp.searching.conditions import Conditions
from hubapp.searching.reading import matches
from workers.lineage.records import Relation

FEW = 3_000  # matches up to which values are counted: some milliseconds
OFFERED = 12  # values of each kind


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a filter and how many entries hold it."""

    value: str
    count: int


def offered(limit: int = OFFERED) -> dict[str, tuple[Value, ...]]:
    """By kind of term, the commonest values in the index, as last counted by the ``search`` job."""
    kinds = [kind for (kind,) in bulk.fetch("SELECT DISTINCT kind FROM searching_tally ORDER BY kind")]
    return {kind: commonest(kind, limit) for kind in kinds}


def commonest(kind: str, limit: int, part: str = "") -> tuple[Value, ...]:
    """The commonest values of a kind; with ``part``, of those that begin so."""
    rows = bulk.fetch(
        "SELECT t.value, y.count FROM searching_tally y JOIN catalog_term t ON t.id = y.term_id "
        "WHERE y.kind = %s AND lower(substr(t.value, 1, %s)) = %s ORDER BY y.count DESC, t.value LIMIT %s",
        [kind, len(part), part.lower(), limit],
    )
    return tuple(Value(*row) for row in rows)


def among(conditions: Conditions, limit: int = OFFERED) -> dict[str, tuple[Value, ...]]:
    """By kind of term, and for "relation", the commonest values among the matches. For up to FEW matches."""
    found = matches(conditions, FEW)
    held = Counter(number for _, written in found for number in facets.read(written) if number > 0)
    where, param = bulk.among("id", held)
    terms = bulk.fetch(f"SELECT id, kind, value FROM catalog_term WHERE {where}", [param])  # noqa: S608
    values: dict[str, list[Value]] = {}
    for number, kind, value in terms:
        values.setdefault(kind, []).append(Value(value, held[number]))
    values["relation"] = _relations([repo_id for repo_id, _ in found])
    return {
        kind: tuple(sorted(some, key=lambda one: (-one.count, one.value))[:limit])
        for kind, some in values.items()
        if some
    }


def _relations(repo_ids: list[int]) -> list[Value]:
    where, param = bulk.among("child_id", repo_ids)
    rows = bulk.fetch(
        f"SELECT relation, count(DISTINCT child_id) FROM lineage_edge WHERE {where} GROUP BY relation",  # noqa: S608
        [param],
    )
    return [Value(Relation(relation).name.lower(), count) for relation, count in rows]
