"""Writing what judging found: edges, findings, stubs. Only the lineage job writes here, one batch in a transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from hubapp.catalog import bulk
from hubapp.catalog.services import ensure_stubs, respell_stubs
from hubapp.catalog.stored import Stored
from hubapp.lineage import cases as reading
from hubapp.lineage import weighing
from hubapp.lineage.cases import Cases, Mark
from hubapp.lineage.models import Wants
from hubapp.lineage.services import mark
from workers.lineage.records import Judgement
from workers.lineage.rules import read

_EDGE = {
    "parent_id": "id",
    "child_id": "id",
    "relation": "small",
    "sources": "int",
    "repaired": "text",
    "place": "small",
    '"primary"': "bool",
    "closes": "bool",
    "rank": "id",
}
_JUDGED = {"relation": "small", "sources": "int", "repaired": "text", "place": "small"}
_FINDING = {"repo_id": "id", "code": "text", "subject": "text", "detail": "json", "first_seen": "time"}
_NONE = Judgement((), (), {})


def make_stubs(*, cases: Cases, judgements: Mapping[int, Judgement]) -> list[Stored]:
    """Make the parents that are only names, and let ``cases.names`` know them; returns the new ones, to be indexed.

    To be called in a short transaction of its own before ``store``: whoever makes repos keeps all crawls waiting until
    it commits. Done twice it changes nothing, so that a batch which is lost in between costs nothing.
    """
    made = _make_stubs(cases, judgements)
    cases.names.update(reading.names(_missing(judgements)))
    return made


def store(*, cases: Cases, judgements: Mapping[int, Judgement], now: datetime, mark_places: bool) -> list[Stored]:
    """Store the judgements of one batch, and take the batch's marks off; ``make_stubs`` came before.

    Children whose edges changed are marked for placing and their parents for counting, unless ``mark_places`` is False
    (a whole pass will follow). Returns the stubs that were respelt, for the search index.
    """
    made = _respell_stubs(cases, judgements)
    take_marks_off(marks=cases.marks, wants=Wants.JUDGE)
    moved, counted = _store_edges(cases, judgements)
    _store_findings(cases, judgements, now)
    if mark_places:
        # A cycle's finding names its members: one that is judged anew may have another name.
        mark(repo_ids=moved | cases.cyclic, wants=Wants.PLACE)
        mark(repo_ids=counted, wants=Wants.COUNT)
    return made


def take_marks_off(*, marks: Mapping[int, Mark], wants: int) -> None:
    """Clear these bits where nobody has marked the repo again since; drop the rows that want nothing more."""
    keys = {"repo_id": "id", "marks": "int"}
    left = {repo_id: m.wants & ~wants for repo_id, m in marks.items()}
    rows = [(repo_id, marks[repo_id].marks, rest) for repo_id, rest in sorted(left.items())]
    bulk.delete("lineage_dirty", keys, [row[:2] for row in rows if not row[2]])
    bulk.update("lineage_dirty", keys, {"wants": "small"}, [row for row in rows if row[2]])


# --- stubs ----------------------------------------------------------------------------------------------------------
def _make_stubs(cases: Cases, judgements: Mapping[int, Judgement]) -> list[Stored]:
    """A stub is called as its name is spelt by the most trusted source of all that name it, whoever came first."""
    missing = _missing(judgements)
    if not missing:
        return []
    spelt = {target: _first_spelling(texts) for target, texts in reading.spellings(missing).items()}
    return ensure_stubs(names=[spelt[target] for target in sorted(missing)])


def _missing(judgements: Mapping[int, Judgement]) -> set[str]:
    return {e.folded for j in judgements.values() for e in j.edges if e.parent_id is None}


def _respell_stubs(cases: Cases, judgements: Mapping[int, Judgement]) -> list[Stored]:
    """Keep the rule of spelling where a new statement comes first, or one that came first is gone."""
    known = cases.names | reading.names(cases.withdrawn - cases.names.keys())
    ask = {target for j in judgements.values() for target, text in j.spellings.items() if text != known[target].name}
    ask |= cases.withdrawn
    ask = {target for target in ask if target in known and known[target].is_stub}
    wrong = {
        known[target].id: name
        for target, texts in reading.spellings(ask).items()
        if (name := _first_spelling(texts)) != known[target].name
    }
    return respell_stubs(spellings=wrong)


def _first_spelling(written: Iterable[tuple[int, str]]) -> str:
    """The most trusted source's; of several the first in order of characters."""
    return min((source, read(text).target or text) for source, text in written)[1]


# --- edges ----------------------------------------------------------------------------------------------------------
def _store_edges(cases: Cases, judgements: Mapping[int, Judgement]) -> tuple[set[int], set[int]]:
    """Write what differs; returns the children that may have to move, and the parents whose children changed."""
    new: list[tuple[Any, ...]] = []
    changed: list[tuple[Any, ...]] = []
    gone: list[int] = []
    lost: list[tuple[int, int]] = []
    moved: set[int] = set()
    counted: set[int] = set()
    for child in cases.marks:
        stored = {edge.parent_id: edge for edge in cases.edges.get(child, ())}
        for edge in judgements.get(child, _NONE).edges:
            parent = edge.parent_id if edge.parent_id is not None else cases.names[edge.folded].id
            values = (edge.relation, edge.sources, edge.repaired, edge.place)
            old = stored.pop(parent, None)
            if old is None:
                new.append((parent, child, *values, edge.place == 0, False, cases.ranks[child]))
            elif old[2:] != values:
                changed.append((old.id, *values))
            if old is None or (old.relation, old.place) != (edge.relation, edge.place):
                moved.add(child)
                counted.add(parent)
        for old in stored.values():
            gone.append(old.id)
            lost.append((child, old.parent_id))
            moved.add(child)
            counted.add(old.parent_id)
    bulk.delete("lineage_edge", {"id": "id"}, [(edge_id,) for edge_id in sorted(gone)])
    weighing.forget(gone=lost)
    bulk.update("lineage_edge", {"id": "id"}, _JUDGED, sorted(changed))
    insert_edges(sorted(new, key=lambda row: (row[1], row[0])))
    return moved, counted


def insert_edges(rows: Sequence[tuple[Any, ...]]) -> None:
    """Write new edges, each as (parent, child, relation, sources, repaired, place, primary, closes, rank)."""
    bulk.insert("lineage_edge", _EDGE, rows)


# --- findings -------------------------------------------------------------------------------------------------------
def _store_findings(cases: Cases, judgements: Mapping[int, Judgement], now: datetime) -> None:
    new: list[tuple[Any, ...]] = []
    changed: list[tuple[Any, ...]] = []
    gone: list[int] = []
    stamp = bulk.moment(now)
    for repo_id in cases.marks:
        stored = {(f.code, f.subject): f for f in cases.findings.get(repo_id, ())}
        for finding in judgements.get(repo_id, _NONE).findings:
            old = stored.pop((finding.code, finding.subject), None)
            if old is None:
                new.append((repo_id, finding.code, finding.subject, json.dumps(finding.detail), stamp))
            elif old.detail != finding.detail:
                changed.append((old.id, json.dumps(finding.detail)))
        gone.extend(old.id for old in stored.values())
    bulk.delete("lineage_finding", {"id": "id"}, [(row_id,) for row_id in sorted(gone)])
    bulk.update("lineage_finding", {"id": "id"}, {"detail": "json"}, sorted(changed))
    bulk.insert("lineage_finding", _FINDING, sorted(new))
