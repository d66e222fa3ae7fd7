"""A bounded piece of the DAG in networkx: cycles, ancestors, paths, common ancestors, arborescences.

At most ``MAX_NODES`` nodes: networkx needs about 400 bytes for each node and edge, so it never gets a whole Hub. Nodes
are any hashable things, edges run from parent to child. The short walks that pages need are done in SQL
(``hubapp/lineage/walks.py``); a test holds these to those.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import networkx as nx

from workers.errors import TooLarge

MAX_NODES = 20_000


def build(edges: Iterable[tuple[Any, ...]]) -> nx.DiGraph:
    """A graph from (parent, child) or (parent, child, place) edges. Raises TooLarge over ``MAX_NODES`` nodes.

    ``place`` is the parent's place among the child's parents, 0 the first choice; without it all are equal.
    """
    graph: nx.DiGraph = nx.DiGraph()
    for parent, child, *place in edges:
        graph.add_edge(parent, child, place=place[0] if place else 0)
        if len(graph) > MAX_NODES:
            raise TooLarge(f"A neighbourhood of more than {MAX_NODES:,} models is not taken into memory.")
    return graph


def is_dag(graph: nx.DiGraph) -> bool:
    """Whether nobody is their own ancestor."""
    return bool(nx.is_directed_acyclic_graph(graph))


def strong_pieces(graph: nx.DiGraph) -> tuple[tuple[Any, ...], ...]:
    """The strongly connected pieces of more than one node, each sorted, in order of their first node: the cycles."""
    return tuple(sorted(tuple(sorted(p)) for p in nx.strongly_connected_components(graph) if len(p) > 1))


def ancestors(graph: nx.DiGraph, node: Hashable) -> dict[Any, int]:
    """``node`` and all that it descends from, with the least number of edges between."""
    return _distances(graph.reverse(copy=False), node)


def descendants(graph: nx.DiGraph, node: Hashable) -> dict[Any, int]:
    """``node`` and all that descends from it, with the least number of edges between."""
    return _distances(graph, node)


def _distances(graph: nx.DiGraph, node: Hashable) -> dict[Any, int]:
    return dict(nx.single_source_shortest_path_length(graph, node)) if node in graph else {node: 0}


def nearest_common_ancestors(graph: nx.DiGraph, a: Hashable, b: Hashable) -> dict[Any, tuple[int, int]]:
    """The common ancestors with the least total distance, and the distance of each from ``a`` and ``b``.

    A node is its own ancestor at distance 0. Empty where there is none.
    """
    up_a, up_b = ancestors(graph, a), ancestors(graph, b)
    both = up_a.keys() & up_b.keys()
    least = min((up_a[v] + up_b[v] for v in both), default=0)
    return {v: (up_a[v], up_b[v]) for v in both if up_a[v] + up_b[v] == least}


def path(graph: nx.DiGraph, ancestor: Hashable, node: Hashable) -> list[Any]:
    """A shortest way from an ancestor down to a node, both included; [] where there is none."""
    try:
        return list(nx.shortest_path(graph, ancestor, node))
    except (nx.NetworkXNoPath, nx.NodeNotFound):
        return []


def arborescence(graph: nx.DiGraph, keys: Mapping[Any, Any] | None = None) -> nx.DiGraph:
    """One parent for each node: the forest of first choices, and within cycles the one with the fewest steps away
    from first choices (Edmonds 1967), which every forest of primary parents can be compared with.

    A node without a parent in the result is a root; as few as possible are. ``keys`` order the nodes where several
    forests are equally good, the first in order becoming a root.
    """
    order = {node: at for at, node in enumerate(sorted(graph, key=lambda v: keys[v] if keys else v))}
    size = len(graph) + 1
    weighted: nx.DiGraph = nx.DiGraph()
    weighted.add_nodes_from(graph)
    most = max((data["place"] for _, _, data in graph.edges(data=True)), default=0)
    top = object()
    for parent, child, data in graph.edges(data=True):
        weighted.add_edge(parent, child, weight=data["place"] * size)
    for node in graph:  # a root of all roots, dearer than all choices together
        weighted.add_edge(top, node, weight=(most + 1) * size * size + order[node])
    tree = nx.minimum_spanning_arborescence(weighted, attr="weight")
    forest: nx.DiGraph = nx.DiGraph()
    forest.add_nodes_from(graph)
    forest.add_edges_from((u, v) for u, v in tree.edges if u is not top)
    return forest
