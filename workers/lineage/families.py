"""Families from edges, on arrays: primary parents, roots, depths, numbers of descendants and children, cycles.

A family is the tree of one root under primary parents. A child's primary parent is the parent of place 0, unless that
would close a cycle; within a strongly connected piece the youngest choose first, and nobody may choose a parent that
already descends from them, so that the oldest of a cycle becomes its root (docs/decisions/primary-parent.md).

All passes are O(edges · log(depth)): pointers are doubled, nothing walks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]
NONE = -1
RELATIONS = 5


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges as arrays of one length, in any order: nodes are 0 … n-1, ``relation`` is 1 … 5, ``place`` is 0 for the
    child's first choice of a parent and unique for each child. No edge leads from a node to itself.
    """

    parent: Ints
    child: Ints
    relation: NDArray[Any]
    place: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Forest:
    """Where each of ``n`` nodes stands. All arrays have length n, but for ``primary``, one for each edge.

    ``parent`` is NONE for a root, whose ``root`` is itself. ``children[v, r - 1]`` counts v's edges to children by
    relation r, primary or not. ``cycles`` are the strongly connected pieces of more than one node, sorted.
    """

    parent: Ints
    root: Ints
    depth: Ints
    descendants: Ints
    children: Ints
    primary: NDArray[np.bool_]
    cycles: tuple[tuple[int, ...], ...]


AgeKey = Callable[[Sequence[int]], Mapping[int, Any]]


def plant(n: int, edges: Edges, age_key: AgeKey | None = None) -> Forest:
    """Place ``n`` nodes by their edges.

    ``age_key`` maps the nodes of a cycle to keys that sort the oldest first; it is called only where there are
    cycles. Raises ValueError where there are some and it is missing.
    """
    parent, child, relation, place = edges.parent, edges.child, edges.relation, edges.place
    first = place == 0
    up = np.full(n, NONE, np.int32)
    up[child[first]] = parent[first]
    cycles = tuple(strong_pieces(n, parent, child))
    primary = np.asarray(first, bool).copy()
    if cycles:
        if age_key is None:
            raise ValueError("the edges hold cycles: an age_key must say which of their nodes is older")
        _break(up, primary, edges, cycles, age_key)
    root, depth, descendants = measure(up)
    children = np.empty((n, RELATIONS), np.int32)
    for column in range(RELATIONS):  # one at a time: bincount answers in 8 bytes for each node
        children[:, column] = np.bincount(parent[relation == column + 1], minlength=n)
    return Forest(up, root, depth, descendants, children, primary, cycles)


def measure(up: Ints) -> tuple[Ints, Ints, Ints]:
    """(root, depth, descendants) of each node of a forest given by its parents, NONE for a root.

    In round k each node knows its 2^k-th ancestor and how many descendants it has within 2^k generations.
    """
    n = len(up)
    is_root = up < 0
    jump = np.where(is_root, np.arange(n, dtype=np.int32), up).astype(np.int32)
    depth = (~is_root).astype(np.int32)
    below = np.bincount(up[~is_root], minlength=n).astype(np.int32)
    moving = np.flatnonzero(~is_root[jump]).astype(np.int32)  # nodes whose jump has not arrived at a root
    # All whose 2^k-th ancestor exists hand their count of 2^k generations to it. A node at depth d < 2^k has none.
    reach = 1
    while len(moving):
        # ancestors at a distance of exactly ``reach`` exist where depth (so far capped at reach) equals reach
        full = np.flatnonzero((depth == reach) & (below > 0)).astype(np.int32)
        ends, at = np.unique(jump[full], return_inverse=True)
        gain = np.bincount(at, weights=below[full], minlength=len(ends))
        depth[moving] += depth[jump[moving]]
        jump[moving] = jump[jump[moving]]
        below[ends] += gain.astype(np.int32)
        reach *= 2
        moving = moving[~is_root[jump[moving]]]
        if reach > 2 * n:
            raise ValueError("the parents hold a cycle")
    return jump, depth, below


def strong_pieces(n: int, parent: Ints, child: Ints) -> list[tuple[int, ...]]:
    """The strongly connected pieces of more than one node, each sorted, in order of their first node."""
    # A node of a cycle is both a parent and a child: peel off all edges that lead to a leaf or come from a source.
    while len(parent):
        has_parent = np.zeros(n, bool)
        has_parent[child] = True
        has_child = np.zeros(n, bool)
        has_child[parent] = True
        keep = has_parent[parent] & has_child[child]
        if keep.all():
            break
        parent, child = parent[keep], child[keep]
    if not len(parent):
        return []
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    nodes, compact = np.unique(np.concatenate([parent, child]), return_inverse=True)
    size, m = len(nodes), len(parent)
    matrix = csr_matrix((np.ones(m, np.int8), (compact[:m], compact[m:])), shape=(size, size))
    _, label = connected_components(matrix, connection="strong")
    order = np.argsort(label, kind="stable")
    bounds = np.flatnonzero(np.diff(label[order])) + 1
    pieces = [tuple(sorted(int(v) for v in nodes[piece])) for piece in np.split(order, bounds) if len(piece) > 1]
    return sorted(pieces)


def _break(
    up: Ints, primary: NDArray[np.bool_], edges: Edges, cycles: Iterable[tuple[int, ...]], age_key: AgeKey
) -> None:
    parent, child, place = edges.parent, edges.child, edges.place
    members = np.zeros(len(up), bool)
    for piece in cycles:
        members[list(piece)] = True
    inside = np.flatnonzero(members[child])
    choices: dict[int, list[tuple[int, int, int]]] = {}
    for edge in inside:
        choices.setdefault(int(child[edge]), []).append((int(place[edge]), int(parent[edge]), int(edge)))
    primary[inside] = False
    for piece in cycles:
        keys = age_key(piece)
        chosen = choose_within(piece, {v: [p for _, p, _ in sorted(choices.get(v, ()))] for v in piece}, keys)
        for v in piece:
            best = chosen[v]
            up[v] = NONE if best is None else best
            for _, p, at in choices.get(v, ()):
                if p == best:
                    primary[at] = True


def choose_within(
    piece: Iterable[int], parents: Mapping[int, Sequence[int]], keys: Mapping[int, Any]
) -> dict[int, int | None]:
    """Primary parents within one strongly connected piece.

    ``parents`` lists each node's parents, first choice first, those outside the piece included; ``keys`` sort the
    oldest first. The youngest choose first; a parent that descends from the chooser by the choices already made is
    passed over. Returns None for a node that is left without a parent.
    """
    nodes = list(piece)
    top = {v: v for v in nodes}  # disjoint sets: the topmost node above each, by the choices made so far

    def topmost(v: int) -> int:
        path = []
        while top[v] != v:
            path.append(v)
            v = top[v]
        for u in path:
            top[u] = v
        return v

    chosen: dict[int, int | None] = {}
    for v in sorted(nodes, key=lambda node: keys[node], reverse=True):
        chosen[v] = None
        for p in parents.get(v, ()):
            if p not in top:  # outside: it can't descend from v
                chosen[v] = p
                break
            above = topmost(p)
            if above != v:
                chosen[v] = p
                top[v] = above
                break
    return chosen
