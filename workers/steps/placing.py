"""How the lineage job places repos: a few, around what changed, or all of them on arrays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np

from hubapp.lineage import places
from hubapp.lineage.placed import CHUNK, Change, Write, whole_writes, write_findings
from hubapp.lineage.places import PlacedEdge
from workers.lineage import grafting
from workers.lineage.families import Edges, Forest, plant
from workers.lineage.records import Code, JudgedFinding, Relation, Stand
from workers.lineage.rules import age_key

MAX_MEMBERS = 50  # of a cycle that its findings name
_TWICE = JudgedFinding(Code.QUANTIZED_OF_QUANTIZED.value, "", {})
_NO_CHILDREN = [0] * len(Relation)


# --- a few ----------------------------------------------------------------------------------------------------------
def change_for(moved: Collection[int], counted: Collection[int] = ()) -> Change:
    """What changes in the families when the edges to the parents of ``moved`` have changed, and those to children of
    ``counted``. Raises TooLarge where too much changes.
    """
    counts = places.child_counts({*moved, *counted})
    # Of the merely counted, those without a node or without a child left need a look at their parents as well.
    nodes = places.with_nodes(counted)
    pieces, affected = _pieces_around({*moved, *(v for v in counted if v not in nodes or v not in counts)})
    edges = places.parent_edges(affected)
    counts |= places.child_counts(set(affected).difference(moved, counted))
    gone = {v for v in affected if v not in edges and v not in counts}
    left_behind = places.stored_children(gone).difference(affected)
    if left_behind:  # they have lost an edge as well, but their turn is later: place them with the others
        return change_for({*moved, *left_behind}, counted)
    ages = places.ages({v for piece in pieces for v in piece})
    chosen = grafting.choose(
        affected,
        {v: [e.parent_id for e in many] for v, many in edges.items()},
        pieces,
        {v: age_key(a.created_at, a.folded) for v, a in ages.items()},
    )
    stands = _stands_around(chosen)
    # A repo without edges stands alone; whoever was below it has been cut off before.
    changed = grafting.graft(stands, chosen)
    fresh = {v for v in changed if v not in stands}
    counts |= places.child_counts(fresh.difference(affected, counted))
    change = Change(
        stands={v: stand for v, stand in changed.items() if v not in gone},
        counts={v: counts.get(v, _NO_CHILDREN) for v in {*affected, *counted, *fresh} if v not in gone},
        gone=gone,
        flags=_flags((e for many in edges.values() for e in many), chosen, pieces),
    )
    _find(change, affected, set(moved).union(*pieces), edges)
    for piece in pieces:
        finding = _cycle([ages[v] for v in piece])
        for v in piece:
            change.findings[v].append(finding)
    return change


def _pieces_around(marked: Collection[int]) -> tuple[tuple[tuple[int, ...], ...], list[int]]:
    """The cycles through these repos, and the repos with all that are or were in a cycle with them."""
    affected = set(marked) | places.cycle_fellows(marked)
    inner = places.with_children(affected)  # only a parent can be its own ancestor
    if not inner:
        return (), sorted(affected)
    above = places.edges_above(inner)
    from workers.lineage import neighbourhoods  # networkx: only where something may be its own ancestor

    pieces = neighbourhoods.strong_pieces(neighbourhoods.build(above))
    around = tuple(piece for piece in pieces if affected.intersection(piece))
    # All of a piece that is touched is placed anew; pieces above are as they were.
    return around, sorted(affected.union(*around))


def _stands_around(chosen: Mapping[int, int | None]) -> dict[int, Stand]:
    ids = {v for pair in chosen.items() for v in pair if v is not None}
    stands = places.stands_above(ids)
    moved = [v for v, p in chosen.items() if v in stands and stands[v].parent != p and stands[v].descendants]
    if moved:
        stands.update(places.stands_below(moved))
    return stands


def _flags(
    edges: Iterable[PlacedEdge], chosen: Mapping[int, int | None], pieces: Iterable[tuple[int, ...]]
) -> dict[int, tuple[bool, bool]]:
    """(primary, closes) of the edges where these differ from what is stored."""
    piece_of = {v: at for at, piece in enumerate(pieces) for v in piece}
    flags = {}
    for e in edges:
        primary = chosen[e.child_id] == e.parent_id
        closes = not primary and e.child_id in piece_of and piece_of[e.child_id] == piece_of.get(e.parent_id)
        if (primary, closes) != (e.primary, e.closes):
            flags[e.id] = (primary, closes)
    return flags


def _find(
    change: Change,
    affected: Sequence[int],
    turned: Collection[int],
    edges: Mapping[int, list[PlacedEdge]],
) -> None:
    """Who is quantized from a quantized copy: of all affected, and of the children of those with new parents."""
    change.findings = {v: [] for v in affected}
    children = set(places.quantized_children(turned)) - set(affected)
    change.beside = children
    quantized: dict[int, int] = {}  # child → parent, where the primary edge says so
    _note_quantized(quantized, edges, change.flags)
    _note_quantized(quantized, places.parent_edges(children), change.flags)
    above = {p for p in quantized.values() if p not in edges and p not in children}
    _note_quantized(quantized, places.parent_edges(above), change.flags)
    for v in (*affected, *children):
        change.findings[v] = [_TWICE] if quantized.get(v) in quantized else []


def _note_quantized(
    quantized: dict[int, int], edges: Mapping[int, list[PlacedEdge]], flags: Mapping[int, tuple[bool, bool]]
) -> None:
    for v, many in edges.items():
        for e in many:
            primary = flags[e.id][0] if e.id in flags else e.primary
            if primary and e.relation == Relation.QUANTIZED:
                quantized[v] = e.parent_id


def _cycle(members: Sequence[places.Age]) -> JudgedFinding:
    """One finding for all members of a piece, under the first of their names."""
    inside = sorted(members, key=lambda age: age.folded)
    names = [age.name for age in inside[:MAX_MEMBERS]]
    return JudgedFinding(Code.CYCLE.value, inside[0].folded, {"members": names, "size": len(inside)})


# --- everything -----------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Pass:
    """A pass over everything that is being stored, piece by piece."""

    writes: Iterator[Write]
    written: int = 0


def whole(heartbeat: Callable[[], None] = lambda: None) -> Pass:
    """Place every repo that has an edge, from the edges alone; what differs from what is stored is to be written."""
    edges = places.all_edges()
    heartbeat()
    ids, compact = np.unique(np.concatenate([edges["parent"], edges["child"]]), return_inverse=True)
    parent, child = compact[: len(edges)].astype(np.int32), compact[len(edges) :].astype(np.int32)
    ages: dict[int, places.Age] = {}

    def keys(piece: Sequence[int]) -> dict[int, Any]:
        ages.update(places.ages(int(ids[v]) for v in piece))
        return {v: age_key(ages[int(ids[v])].created_at, ages[int(ids[v])].folded) for v in piece}

    forest = plant(len(ids), Edges(parent, child, edges["relation"], edges["place"]), keys)
    heartbeat()
    stored = places.all_nodes()
    nodes = np.empty(len(ids), stored.dtype)
    nodes["repo"] = ids
    nodes["root"] = ids[forest.root] if len(ids) else 0
    nodes["parent"] = np.where(forest.parent < 0, -1, ids[forest.parent]) if len(ids) else 0
    nodes["depth"], nodes["descendants"], nodes["children"] = forest.depth, forest.descendants, forest.children
    piece_of = np.full(len(ids), -1, np.int32)
    for at, piece in enumerate(forest.cycles):
        piece_of[list(piece)] = at
    inside = (piece_of[parent] >= 0) & (piece_of[parent] == piece_of[child])
    closes = ~forest.primary & inside
    heartbeat()
    writes = whole_writes(nodes=nodes, stored=stored, edges=edges, primary=forest.primary, closes=closes)
    cycles = [[ages[int(ids[v])] for v in piece] for piece in forest.cycles]
    members = [[int(ids[v]) for v in piece] for piece in forest.cycles]
    twice = ids[_twice_quantized(parent, child, edges["relation"], forest)].tolist() if len(ids) else []

    def all_writes() -> Iterator[Write]:
        yield from writes
        yield from _finding_writes(members, cycles, twice)

    return Pass(all_writes())


def _twice_quantized(
    parent: np.ndarray[Any, Any],
    child: np.ndarray[Any, Any],
    relation: np.ndarray[Any, Any],
    forest: Forest,
) -> np.ndarray[Any, Any]:
    """The nodes whose way up begins with two quantizations."""
    here = forest.primary & (relation == int(Relation.QUANTIZED))
    source = np.full(len(forest.parent), -1, np.int32)
    source[child[here]] = parent[here]
    return np.flatnonzero((source >= 0) & (source[source] >= 0))


def _finding_writes(
    members: Sequence[Sequence[int]], cycles: Sequence[Sequence[places.Age]], twice: Sequence[int]
) -> Iterator[Write]:
    """The findings of placing, where they differ from what is stored."""
    stored = places.placed_findings()
    wanted: dict[int, list[JudgedFinding]] = defaultdict(list)
    for piece, ages in zip(members, cycles, strict=True):
        finding = _cycle(ages)
        for v in piece:
            wanted[v].append(finding)
    for v in twice:
        wanted[v].append(_TWICE)
    differ = {
        v: wanted.get(v, [])
        for v in sorted(stored.keys() | wanted.keys())
        if sorted((f.code, f.subject, str(f.detail)) for f in stored.get(v, ()))
        != sorted((f.code, f.subject, str(f.detail)) for f in wanted.get(v, ()))
    }
    repos = list(differ)
    for at in range(0, len(repos), CHUNK):
        yield partial(
            write_findings,
            findings={v: differ[v] for v in repos[at : at + CHUNK]},
            stored=stored,
            now=datetime.now(UTC),
        )
