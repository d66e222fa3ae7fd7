"""Pieces of the DAG around one or two repos: ancestors, descendants, paths, common ancestors. Level by level, bounded.

The same walks on a graph in memory are in ``workers/lineage/neighbourhoods.py``; a test holds the one to the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from hubapp.catalog import bulk
from hubapp.catalog.models import Repo
from hubapp.lineage.briefs import LINK, briefs, key_of, link, stubs_among
from hubapp.lineage.shapes import MAX_NODES, Brief, Common, Graph, Link, Path


def ancestors(repo: Repo | int, *, max_nodes: int = 2_000) -> Graph:
    """``repo`` and all that it descends from, by all edges, the nearest first."""
    climb = _climb(key_of(repo), max_nodes)
    return _graph(climb.distances, truncated=climb.truncated)


def descendants(repo: Repo | int, *, depth: int = 2, max_nodes: int = 2_000) -> Graph:
    """``repo`` and what descends from it to ``depth`` generations, by all edges: the nearest first, of one generation
    the most popular.
    """
    start = key_of(repo)
    max_nodes = min(max_nodes, MAX_NODES)
    distances = {start: 0}
    ask = [start]
    truncated = False
    for distance in range(1, depth + 1):
        where, param = bulk.among("parent_id", ask)
        room = max_nodes - len(distances)
        rows = bulk.fetch(
            f"SELECT child_id, min(rank) FROM lineage_edge WHERE {where} GROUP BY child_id ORDER BY 2 LIMIT %s",
            [param, room + len(distances) + 1],
        )
        fresh = [row[0] for row in rows if row[0] not in distances]
        truncated = len(fresh) > room
        ask = fresh[:room]
        distances.update(dict.fromkeys(ask, distance))
        if truncated or not ask:
            break
    return _graph(distances, truncated=truncated)


def around(repo: Repo | int, *, up: bool = True, depth: int = 2, max_nodes: int = 2_000) -> Graph:
    """Ancestors (where ``up``) and descendants to ``depth`` generations in one piece; distances up are negative."""
    start = key_of(repo)
    above = _climb(start, max_nodes) if up else _Climb({start: 0})
    room = max(1, max_nodes - len(above.distances) + 1)
    below = descendants(start, depth=depth, max_nodes=room)
    distances = {key: -distance for key, distance in above.distances.items()}
    for key, distance in below.distances.items():
        distances.setdefault(key, distance)
    return _graph(distances, truncated=above.truncated or below.truncated)


def common_ancestor(a: Repo | int, b: Repo | int, *, max_nodes: int = MAX_NODES) -> Common | None:
    """The nearest common ancestor over all edges: the least number of steps from both together, then from the farther
    one; then the more popular. A repo is its own ancestor at distance 0. None where there is none.
    """
    up_a, up_b = _climb(key_of(a), max_nodes).distances, _climb(key_of(b), max_nodes).distances
    nearest = _nearest(up_a, up_b)
    if not nearest:
        return None
    known = briefs(nearest)
    order = sorted((known[i] for i in nearest), key=_popularity)
    first = min(order, key=lambda brief: max(up_a[brief.id], up_b[brief.id]))
    return Common(first, up_a[first.id], up_b[first.id], tuple(brief for brief in order if brief.id != first.id))


def path(a: Repo | int, b: Repo | int, *, max_nodes: int = MAX_NODES) -> Path | None:
    """The way from ``a`` up to the nearest common ancestor and down to ``b``; None where there is none."""
    up_a, up_b = _climb(key_of(a), max_nodes), _climb(key_of(b), max_nodes)
    common = common_ancestor(a, b, max_nodes=max_nodes)
    if common is None:
        return None
    rise = _descend(up_a, common.ancestor.id)[::-1]
    fall = _descend(up_b, common.ancestor.id)
    ids = [*rise, *fall[1:]]
    known = briefs(ids)
    if len(known) < len(set(ids)):
        return None  # a repo was deleted in between
    ends = {(each.parent_id, each.child_id): each for each in _links_within(known)}
    links = [ends.get((high, low)) for low, high in pairwise(rise)]
    links += [ends.get((high, low)) for high, low in pairwise(fall)]
    return Path(tuple(known[i] for i in ids), tuple(each for each in links if each), top=len(rise) - 1)


def _popularity(brief: Brief) -> tuple[int, str]:
    return (brief.rank if brief.rank is not None else 2**63, brief.name.lower())


# --- climbing -------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class _Climb:
    """All above one repo: how far, and through which child the nearest way down to it leads."""

    distances: dict[int, int]
    through: dict[int, int] = field(default_factory=dict)
    truncated: bool = False


def _climb(start: int, max_nodes: int) -> _Climb:
    climb = _Climb({start: 0})
    ask: list[int] = [start]
    distance = 0
    while ask and not climb.truncated:
        distance += 1
        where, param = bulk.among("child_id", ask)
        rows = bulk.fetch(
            f"SELECT child_id, parent_id FROM lineage_edge WHERE {where} ORDER BY place, child_id",
            [param],
        )
        ask = []
        for child, parent in rows:
            if parent in climb.distances:
                continue
            if len(climb.distances) >= max_nodes:
                climb.truncated = True
                break
            climb.distances[parent] = distance
            climb.through[parent] = child
            ask.append(parent)
    return climb


def _nearest(a: dict[int, int], b: dict[int, int]) -> list[int]:
    both = a.keys() & b.keys()
    if not both:
        return []
    least = min(a[i] + b[i] for i in both)
    return sorted(i for i in both if a[i] + b[i] == least)


def _descend(climb: _Climb, top: int) -> list[int]:
    """From ``top`` down to where the climb began."""
    way = [top]
    while way[-1] in climb.through:
        way.append(climb.through[way[-1]])
    return way


# --- pieces ---------------------------------------------------------------------------------------------------------
def _graph(distances: dict[int, int], *, truncated: bool) -> Graph:
    known = briefs(distances)
    order = sorted(known.values(), key=lambda brief: (distances[brief.id], *_popularity(brief)))
    return Graph(
        tuple(order),
        tuple(_links_within(known)),
        {brief.id: distances[brief.id] for brief in order},
        truncated,
    )


def _links_within(known: dict[int, Brief]) -> list[Link]:
    """All edges that join two of these repos."""
    return links_among(known, known)


def links_among(known: dict[int, Brief], children: Collection[int] | Iterable[int]) -> list[Link]:
    """The edges from any of ``known`` to any of ``children``, by child and place."""
    where, param = bulk.among("e.child_id", sorted(children))
    rows = bulk.fetch(f"SELECT {LINK} FROM lineage_edge e WHERE {where} ORDER BY e.child_id, e.place", [param])
    stubs = stubs_among(known)
    return [link(row, stubs) for row in rows if row[0] in known]
