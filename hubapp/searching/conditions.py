"""What a search asks of an entry, as SQL for either database. Values travel as parameters, never in the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hubapp.catalog import bulk
from hubapp.catalog.models import RepoState, TermKind
from hubapp.lineage.remarks import QUIET
from hubapp.searching import facets
from hubapp.searching.query import Query
from workers.searching.rules import fold, phrases

RARE = 2_000  # entries: fewer than this are fetched at once rather than looked for along the order
_TERMS = {
    "task": TermKind.TASK,
    "library": TermKind.LIBRARY,
    "licence": TermKind.LICENCE,
    "language": TermKind.LANGUAGE,
    "dataset": TermKind.DATASET,
    "architecture": TermKind.ARCHITECTURE,
    "model_type": TermKind.MODEL_TYPE,
}
_IN_STATE = {
    RepoState.GATED.value: [facets.GATED_AUTO, facets.GATED_MANUAL],
    RepoState.STUB.value: [facets.STUB],
    RepoState.DISABLED.value: [facets.DISABLED],
}
_GATED = {"auto": [facets.GATED_AUTO], "manual": [facets.GATED_MANUAL]}
_ANY_STATE = [facets.GATED_AUTO, facets.GATED_MANUAL, facets.STUB, facets.DISABLED]
TOLD = "f.code NOT IN ({})".format(", ".join(f"'{code}'" for code in sorted(QUIET)))
"""Findings that count as such: what is merely worth knowing (see lineage.remarks) is none."""

_ANY_GATE = [facets.GATED_AUTO, facets.GATED_MANUAL]


@dataclass(frozen=True, slots=True)
class Test:
    """A condition on the entry ``e``: SQL and its parameters."""

    sql: str
    params: tuple[Any, ...] = ()


@dataclass(slots=True)
class Conditions:
    """All that an entry must meet.

    ``tests`` are answered by the entry itself, ``probes`` by one look-up in another table for an entry; ``sets`` say
    the same as the probes as membership of a set, for when few entries are in it. ``match`` is the full-text expression
    of SQLite; ``is_indexed``: the trigram index narrows the search, on either database; ``is_rare``: to few entries,
    as last counted; ``is_empty``: to none. ``relation`` is the first of the probes once more: edges can be walked by
    popularity.
    """

    tests: list[Test] = field(default_factory=list)
    probes: list[Test] = field(default_factory=list)
    sets: list[Test] = field(default_factory=list)
    match: str = ""
    relation: int | None = None
    is_indexed: bool = False
    is_rare: bool = False
    is_empty: bool = False


def of(query: Query) -> Conditions:
    """The conditions of a search. One query, where it names terms."""
    found = Conditions()
    wanted = phrases(query.text)
    numbers, counts = _numbers(query)
    if (query.text and not wanted) or numbers is None:
        found.is_empty = True
        return found
    if query.author:
        numbers.append(facets.author(query.author))
        found.tests.append(_begins(fold(query.author)))
    found.tests += [_holds(phrase) for phrase in wanted]
    if numbers:
        found.tests.append(_has_all(numbers))
    for some in _some_of(query):
        found.tests.append(_has_any(some))
    for none in _none_of(query):
        found.tests.append(_has_none(none))
    _add_ranges(found, query)
    _add_descent(found, query)
    found.match = _match(wanted, numbers, _some_of(query))
    found.is_indexed = bool(found.match)
    found.is_rare = any(count < RARE for count in counts)
    return found


def _numbers(query: Query) -> tuple[list[int] | None, list[int]]:
    """The ids of the terms that the search names, and how many entries hold each; None if there is no such term."""
    asked = [(kind.value, getattr(query, name)) for name, kind in _TERMS.items() if getattr(query, name)]
    if not asked:
        return [], []
    where = " OR ".join(["(t.kind = %s AND t.value IN (%s, %s))"] * len(asked))
    rows = bulk.fetch(
        "SELECT t.kind, t.value, t.id, COALESCE(y.count, 0) FROM catalog_term t "  # noqa: S608
        f"LEFT JOIN searching_tally y ON y.term_id = t.id WHERE {where}",
        [part for kind, value in asked for part in (kind, value, value.lower())],
    )
    known = {(kind, value): (number, count) for kind, value, number, count in rows}
    # As it is written, or else in lower case: "Apache-2.0" is what people type.
    found = [known.get((kind, value)) or known.get((kind, value.lower())) for kind, value in asked]
    if None in found:
        return None, []
    chosen = [pair for pair in found if pair is not None]
    return [number for number, _ in chosen], [count for _, count in chosen]


def _some_of(query: Query) -> list[list[int]]:
    """Facets of which one at least must be there."""
    found = []
    if query.state in _IN_STATE:
        found.append(_IN_STATE[query.state])
    if query.gated == "yes":
        found.append(_ANY_GATE)
    elif query.gated in _GATED:
        found.append(_GATED[query.gated])
    return found


def _none_of(query: Query) -> list[list[int]]:
    """Facets of which none may be there."""
    found = []
    if query.state == RepoState.LISTED:
        found.append(_ANY_STATE)
    if query.gated == "no":
        found.append(_ANY_GATE)
    return found


def _add_ranges(found: Conditions, query: Query) -> None:
    if query.min_parameters is not None:
        found.tests.append(Test("e.parameters >= %s", (query.min_parameters,)))
    if query.max_parameters is not None:
        found.tests.append(Test("e.parameters <= %s", (query.max_parameters,)))
    if query.created_after is not None:
        found.tests.append(Test("e.created >= %s", (_seconds(query.created_after),)))
    if query.created_before is not None:
        found.tests.append(Test("e.created < %s", (_seconds(query.created_before) + 86_400,)))


def _add_descent(found: Conditions, query: Query) -> None:
    child = "SELECT 1 FROM lineage_edge d WHERE d.child_id = e.repo_id"
    if query.relation is not None:
        found.relation = int(query.relation)
        found.probes.append(Test(f"({child} AND d.relation = %s LIMIT 1) IS NOT NULL", (int(query.relation),)))
        found.sets.append(
            Test("e.repo_id IN (SELECT child_id FROM lineage_edge WHERE relation = %s)", (int(query.relation),))
        )
    if query.no_parent:
        found.probes.append(Test(f"({child} LIMIT 1) IS NULL"))
        found.sets.append(Test(f"NOT EXISTS ({child})"))
    if query.finding or query.has_findings:
        code, params = (" AND f.code = %s", (query.finding,)) if query.finding else (f" AND {TOLD}", ())
        one = f"SELECT 1 FROM lineage_finding f WHERE f.repo_id = e.repo_id{code}"  # noqa: S608
        found.probes.append(Test(f"({one} LIMIT 1) IS NOT NULL", params))
        code = code.replace(" AND", " WHERE", 1)
        found.sets.append(Test(f"e.repo_id IN (SELECT f.repo_id FROM lineage_finding f{code})", params))  # noqa: S608


def _seconds(day: date) -> int:
    return int(
        (datetime(day.year, day.month, day.day, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(seconds=1)
    )


# --- by database ----------------------------------------------------------------------------------------------------
# A folded phrase holds letters, digits and blanks alone, so LIKE and FTS5 have nothing in it to misread.
def _holds(phrase: str) -> Test:
    if bulk.is_postgres():
        return Test("e.text LIKE %s", (f"%{phrase}%",))
    return Test("instr(e.text, %s) > 0", (phrase,))


def _begins(folded: str) -> Test:
    if bulk.is_postgres():
        return Test("e.text LIKE %s", (f"{folded}%",))
    return Test("instr(e.text, %s) = 1", (folded,))


def _has_all(numbers: Sequence[int]) -> Test:
    if bulk.is_postgres():
        return Test("e.facets @> %s::integer[]", (list(numbers),))
    return Test(" AND ".join(["instr(e.facets, %s) > 0"] * len(numbers)), tuple(map(facets.token, numbers)))


def _has_any(numbers: Sequence[int]) -> Test:
    if bulk.is_postgres():
        return Test("e.facets && %s::integer[]", (list(numbers),))
    either = " OR ".join(["instr(e.facets, %s) > 0"] * len(numbers))
    return Test(f"({either})", tuple(map(facets.token, numbers)))


def _has_none(numbers: Sequence[int]) -> Test:
    if bulk.is_postgres():
        return Test("NOT (e.facets && %s::integer[])", (list(numbers),))
    return Test(" AND ".join(["instr(e.facets, %s) = 0"] * len(numbers)), tuple(map(facets.token, numbers)))


def _match(wanted: Sequence[str], numbers: Sequence[int], some: Sequence[Sequence[int]]) -> str:
    """The full-text expression of SQLite: all trigrams of the phrases, all facets."""
    grams = [phrase[at : at + 3] for phrase in wanted for at in range(len(phrase) - 2)]
    grams += [facets.token(number) for number in numbers]
    parts = [f'"{gram}"' for gram in dict.fromkeys(grams)]
    parts += ["(" + " OR ".join(f'"{facets.token(number)}"' for number in either) + ")" for either in some]
    return " AND ".join(parts)
