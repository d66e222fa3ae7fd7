"""Small drawings of real families: a phylogeny from left to right, drawn on the server as geometry for a template.

Pure functions of what lineage's queries answer with. Positions are in the units of the drawing's view box.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from hubapp.lineage.shapes import Brief, Link
from workers.lineage.records import Relation

STEP = 16.0  # least distance between a parent and its child: an edge must be seen
MARGIN = 8.0
DRAWN = 90  # nodes in one picture: more become a smear


@dataclass(frozen=True, slots=True)
class Limb:
    """One edge: the path of a curve, and the class of its relation."""

    relation: str
    path: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One repo: the middle of its shape, the shape's name and size."""

    relation: str
    x: float
    y: float
    size: float
    hollow: bool = False

    @property
    def left(self) -> float:
        return round(self.x - self.size / 2, 1)

    @property
    def top(self) -> float:
        return round(self.y - self.size / 2, 1)


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing of ``width`` by ``height``: limbs grouped by relation, marks on top, and the years it spans."""

    width: int
    height: int
    limbs: tuple[Limb, ...]
    marks: tuple[Mark, ...]
    first: datetime | None
    last: datetime | None


def phylogeny(
    root_id: int, nodes: Sequence[Brief], links: Sequence[Link], *, width: int = 360, height: int = 200
) -> Picture:
    """Draw the family of ``root_id`` along primary parents: time runs to the right, siblings keep together by relation.

    At most ``DRAWN`` nodes are drawn, those with most descendants first, so that every drawn node hangs on the root.
    """
    relation_of = {link.child_id: link.relation for link in links if link.primary}
    chosen = _chosen(root_id, nodes)
    children: dict[int, list[Brief]] = defaultdict(list)
    for node in chosen.values():
        if node.id != root_id and node.parent_id in chosen:
            children[node.parent_id].append(node)
    for group in children.values():
        group.sort(key=lambda node: (relation_of.get(node.id, Relation.UNKNOWN), node.created_at or _EPOCH, node.id))
    order = _walk(root_id, children)
    y = _heights(order, children, height)
    x, first, last = _times(order, chosen, width)
    limbs: dict[str, list[str]] = defaultdict(list)
    known_root = root_id in chosen and chosen[root_id].known
    marks = [Mark("root", x[root_id], y[root_id], 11, hollow=not known_root)] if root_id in y else []
    for node_id in order[1:]:
        node = chosen[node_id]
        above = node.parent_id or root_id
        name = relation_of.get(node_id, Relation.UNKNOWN).name.lower()
        limbs[name].append(_curve(x[above], y[above], x[node_id], y[node_id]))
        inner = bool(children.get(node_id))
        marks.append(Mark(name, x[node_id], y[node_id], 7 if inner else 5, hollow=not node.known))
    return Picture(
        width=width,
        height=height,
        limbs=tuple(Limb(name, "".join(paths)) for name, paths in limbs.items()),
        marks=tuple(marks),
        first=first,
        last=last,
    )


_EPOCH = datetime.min.replace(tzinfo=UTC)


def _chosen(root_id: int, nodes: Sequence[Brief]) -> dict[int, Brief]:
    """The nodes to draw. A parent has more descendants than its child, so taking the largest first leaves no gap."""
    ranked = sorted(
        nodes, key=lambda node: (node.id != root_id, -node.descendants, node.rank is None, node.rank or 0, node.id)
    )
    return {node.id: node for node in ranked[:DRAWN]}


def _walk(root_id: int, children: dict[int, list[Brief]]) -> list[int]:
    """Ids in drawing order, parents before children; each once, whatever the data says."""
    order, stack, seen = [], [root_id], set()
    while stack:
        node_id = stack.pop()
        if node_id in seen:
            continue
        seen.add(node_id)
        order.append(node_id)
        stack.extend(child.id for child in reversed(children.get(node_id, ())))
    return order


def _heights(order: list[int], children: dict[int, list[Brief]], height: int) -> dict[int, float]:
    """Leaves share the height evenly; a parent stands in the middle of its children."""
    leaves = [node_id for node_id in order if not children.get(node_id)]
    room = height - 2 * MARGIN
    step = room / max(1, len(leaves) - 1)
    y = {node_id: (MARGIN + i * step if len(leaves) > 1 else height / 2) for i, node_id in enumerate(leaves)}
    for node_id in reversed(order):
        if node_id not in y:
            own = [y[child.id] for child in children[node_id] if child.id in y]
            y[node_id] = (min(own) + max(own)) / 2
    return y


def _times(
    order: list[int], chosen: dict[int, Brief], width: int
) -> tuple[dict[int, float], datetime | None, datetime | None]:
    """The x of each node: its time, but at least a step right of its parent; then all is fitted into the width."""
    dates = [moment for node_id in order if (moment := chosen[node_id].created_at) is not None]
    first, last = (min(dates), max(dates)) if dates else (None, None)
    span = (last - first).total_seconds() if first and last else 0.0
    room = width - 2 * MARGIN
    x: dict[int, float] = {}
    for node_id in order:
        node = chosen[node_id]
        above = None if node.parent_id is None else x.get(node.parent_id)
        least = 0.0 if above is None else above + STEP
        moment = node.created_at
        timed = room * (moment - first).total_seconds() / span if moment and first and span else least
        x[node_id] = max(least, timed)
    start = x[order[0]] if order else 0.0
    reach = max(x.values(), default=0.0) - start
    scale = room / reach if reach > 0 else 0.0
    return {node_id: MARGIN + (value - start) * scale for node_id, value in x.items()}, first, last


def _curve(x0: float, y0: float, x1: float, y1: float) -> str:
    middle = x0 + (x1 - x0) * 0.55
    return f"M{x0:.1f} {y0:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
