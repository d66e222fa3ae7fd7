"""Families on arrays and around a few changes, held to their definitions and to networkx."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.lineage import neighbourhoods
from workers.lineage.families import NONE, Edges, choose_within, measure, plant, strong_pieces
from workers.lineage.grafting import choose, graft
from workers.lineage.records import Stand

_edge_lists = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=24, unique=True),
        st.permutations(range(n)),
    )
)


def arrays(n: int, pairs: list[tuple[int, int]]) -> tuple[list[tuple[int, int, int]], Edges]:
    """(parent, child, place) edges without loops, and the same as arrays."""
    places = [0] * n
    edges = []
    for parent, child in pairs:
        if parent != child:
            edges.append((parent, child, places[child]))
            places[child] += 1
    columns = list(zip(*edges, strict=True)) or [(), (), ()]
    parent, child, place = (np.array(column, np.int32) for column in columns)
    return edges, Edges(parent, child, (parent + child) % 5 + 1, place)


@given(_edge_lists)
@settings(deadline=None)
def test_every_node_stands_where_the_definition_says(hub: tuple) -> None:
    n, pairs, ages = hub
    edges, columns = arrays(n, pairs)
    forest = plant(n, columns, lambda piece: {v: ages[v] for v in piece})
    tree = nx.DiGraph()
    tree.add_nodes_from(range(n))
    tree.add_edges_from((int(p), v) for v, p in enumerate(forest.parent) if p != NONE)
    assert nx.is_branching(tree), "one parent each, and no cycle"
    for v in range(n):
        above = nx.ancestors(tree, v)
        assert forest.depth[v] == len(above)
        assert forest.root[v] == next((a for a in above if not tree.in_degree(a)), v)
        assert forest.descendants[v] == len(nx.descendants(tree, v))
        for relation in range(5):
            assert forest.children[v, relation] == sum(1 for p, c, _ in edges if p == v and (p + c) % 5 == relation)
    assert {(p, c) for (p, c, _), primary in zip(edges, forest.primary, strict=True) if primary} == set(tree.edges)
    graph = neighbourhoods.build(edges)
    assert forest.cycles == neighbourhoods.strong_pieces(graph)
    in_cycles = {v for piece in forest.cycles for v in piece}
    for parent, child, place in edges:
        if child not in in_cycles:
            assert (forest.parent[child] == parent) == (place == 0), "without a cycle the first choice holds"


@given(_edge_lists)
@settings(deadline=None)
def test_a_cycles_forest_is_whole(hub: tuple) -> None:
    """No node of a piece stays without a parent that it could have had, and first choices are given up only if they
    close a cycle.
    """
    n, pairs, ages = hub
    edges, columns = arrays(n, pairs)
    forest = plant(n, columns, lambda piece: {v: ages[v] for v in piece})
    tree = nx.DiGraph((int(p), v) for v, p in enumerate(forest.parent) if p != NONE)
    tree.add_nodes_from(range(n))
    best = neighbourhoods.arborescence(neighbourhoods.build(edges)) if edges else tree
    for v in range(n):
        preferred = [p for p, c, place in sorted(edges, key=lambda e: e[2]) if c == v]
        chosen = int(forest.parent[v])
        passed_over = preferred[: preferred.index(chosen)] if chosen != NONE else preferred
        assert all(nx.has_path(tree, v, p) for p in passed_over)
    assert sum(1 for v in tree if not tree.in_degree(v)) >= sum(1 for v in best if not best.in_degree(v)) + (
        n - best.number_of_nodes()
    )


def test_the_oldest_of_a_cycle_becomes_its_root() -> None:
    keys = {0: 2023, 1: 2024, 2: 2025}
    assert choose_within((0, 1, 2), {0: [2], 1: [0], 2: [1]}, keys) == {0: None, 1: 0, 2: 1}
    assert choose_within((0, 1, 2), {0: [2, 9], 1: [0], 2: [1]}, keys) == {0: 9, 1: 0, 2: 1}, "or takes its next choice"


def test_long_chains_and_cycles_of_thousands() -> None:
    n = 60_000
    up = np.arange(-1, n - 1, dtype=np.int32)
    root, depth, below = measure(up)
    assert root.max() == 0
    assert (depth == np.arange(n)).all()
    assert (below == np.arange(n)[::-1]).all()
    ring = np.roll(np.arange(n, dtype=np.int32), 1)
    edges = Edges(ring, np.arange(n, dtype=np.int32), np.ones(n, np.int8), np.zeros(n, np.int16))
    forest = plant(n, edges, lambda piece: {v: v for v in piece})
    assert forest.cycles == (tuple(range(n)),)
    assert forest.parent[0] == NONE
    assert forest.depth[n - 1] == n - 1


def test_what_would_go_on_for_ever_is_refused() -> None:
    with pytest.raises(ValueError, match="cycle"):
        measure(np.array([1, 0], np.int32))
    with pytest.raises(ValueError, match="age_key"):
        plant(2, Edges(*(np.array(x, np.int32) for x in ([1, 0], [0, 1], [1, 1], [0, 0]))))


def test_nothing_at_all() -> None:
    empty = np.empty(0, np.int32)
    forest = plant(0, Edges(empty, empty, empty, empty))
    assert len(forest.parent) == 0
    assert strong_pieces(0, empty, empty) == []


_trees = st.integers(1, 14).flatmap(
    lambda n: st.tuples(
        st.tuples(*(st.integers(-1, i - 1) for i in range(n))), st.tuples(*(st.integers(-1, i - 1) for i in range(n)))
    )
)


@given(_trees, st.sets(st.integers(0, 13)))
@settings(deadline=None)
def test_grafting_equals_planting_anew(trees: tuple, moved: set[int]) -> None:
    """Some nodes get other parents: what is returned turns the old stands into those of the new forest."""
    before, after = trees
    n = len(before)
    target = [after[v] if v in moved else before[v] for v in range(n)]
    old, new = stands(before), stands(target)
    wanted = {v: None if target[v] < 0 else target[v] for v in moved if v < n}
    changed = graft(old, wanted)
    assert old | changed == new
    assert all(old[v] != changed[v] for v in changed)


def stands(up: tuple[int, ...] | list[int]) -> dict[int, Stand]:
    root, depth, below = measure(np.array(up, np.int32))
    return {v: Stand(None if p < 0 else p, int(root[v]), int(depth[v]), int(below[v])) for v, p in enumerate(up)}


def test_grafting_makes_new_nodes() -> None:
    assert graft({}, {1: 2, 3: 1}) == {1: Stand(2, 2, 1, 1), 2: Stand(None, 2, 0, 2), 3: Stand(1, 2, 2, 0)}


def test_choosing_without_cycles_is_the_first_parent() -> None:
    assert choose([1, 2], {1: [5, 6]}) == {1: 5, 2: None}
