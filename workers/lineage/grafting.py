"""Families kept in step with a few changed edges: up from the changed nodes, down only from re-parented ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workers.lineage.families import choose_within
from workers.lineage.records import Stand


def choose(
    nodes: Iterable[int],
    parents: Mapping[int, Sequence[int]],
    pieces: Iterable[tuple[int, ...]] = (),
    keys: Mapping[int, Any] | None = None,
) -> dict[int, int | None]:
    """The primary parent of each node.

    ``parents`` lists parents, first choice first. Every piece that holds one of the nodes must be among ``nodes`` as a
    whole; ``keys`` sort the nodes of pieces, the oldest first.
    """
    chosen: dict[int, int | None] = {v: next(iter(parents.get(v, ())), None) for v in nodes}
    for piece in pieces:
        chosen.update(choose_within(piece, parents, keys or {}))
    return chosen


def graft(stands: Mapping[int, Stand], wanted: Mapping[int, int | None]) -> dict[int, Stand]:
    """Give the nodes of ``wanted`` their primary parents; returns every node whose stand is new or differs.

    ``stands`` must hold the stored nodes among ``wanted`` and its parents, all that are above those, and all that is
    below nodes whose parent changes. Nodes of ``wanted``, and their parents, that are missing there are new.
    """
    parent: dict[int, int | None] = {v: s.parent for v, s in stands.items()}
    below: dict[int, int] = {v: s.descendants for v, s in stands.items()}
    for v, p in wanted.items():
        for new in (v, p):
            if new is not None and new not in parent:
                parent[new] = None
                below[new] = 0
    moved = [v for v in sorted(wanted) if parent[v] != wanted[v]]
    # First every changed link is cut, then the new ones are tied: in between there is never a cycle.
    for v in moved:
        _add_above(parent, below, parent[v], -1 - below[v])
        parent[v] = None
    for v in moved:
        parent[v] = wanted[v]
        _add_above(parent, below, wanted[v], 1 + below[v])
    at: dict[int, tuple[int, int]] = {}  # root and depth
    below_moved = _below(stands, moved)
    result: dict[int, Stand] = {}
    for v, p in parent.items():
        if v in below_moved or v not in stands:
            root, depth = _place(v, parent, stands, below_moved, at)
        else:
            root, depth = stands[v].root, stands[v].depth
        stand = Stand(p, root, depth, below[v])
        if stands.get(v) != stand:
            result[v] = stand
    return result


def _add_above(parent: Mapping[int, int | None], below: dict[int, int], at: int | None, number: int) -> None:
    while at is not None:
        below[at] += number
        at = parent[at]


def _below(stands: Mapping[int, Stand], moved: Iterable[int]) -> set[int]:
    """The moved nodes and all that was below them."""
    children: dict[int, list[int]] = {}
    for v, stand in stands.items():
        if stand.parent is not None:
            children.setdefault(stand.parent, []).append(v)
    found: set[int] = set()
    ask = list(moved)
    while ask:
        v = ask.pop()
        if v not in found:
            found.add(v)
            ask.extend(children.get(v, ()))
    return found


def _place(
    v: int,
    parent: Mapping[int, int | None],
    stands: Mapping[int, Stand],
    stale: set[int],
    at: dict[int, tuple[int, int]],
) -> tuple[int, int]:
    """Root and depth, by going up to the first node that is known to be right."""
    path: list[int] = []
    u: int | None = v  # climbs
    while u is not None and u not in at and (u in stale or u not in stands):
        path.append(u)
        u = parent[u]
    if u is None:
        root, depth = path[-1], -1
    elif u in at:
        root, depth = at[u]
    else:
        root, depth = stands[u].root, stands[u].depth
    for w in reversed(path):
        depth += 1
        at[w] = (root, depth)
    return at[v] if path else (root, depth)
