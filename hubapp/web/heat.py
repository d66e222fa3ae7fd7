"""Heat maps as geometry: where the changes of models conflict, and how alike the models are. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workers.merging.records import Cell, Sampling

SIDE = 18
LABEL = 9 * 14  # room for the names of modules
TOP = 20
STEPS = 10  # shades
LAYERS = 96  # columns; of a deeper model every so many layers
HALF = 0.5  # the share of opposite signs that chance gives


@dataclass(frozen=True, slots=True)
class Square:
    """One cell: where it is, its shade from 0 to 9, and what a pointer shows."""

    x: int
    y: int
    shade: int
    title: str


@dataclass(frozen=True, slots=True)
class Line:
    """A row: the module, its place, and its words for the table: (layer, conflict, cosine, change)."""

    module: str
    y: int
    squares: tuple[Square, ...]
    table: tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Map:
    """A heat map of ``width`` by ``height``. ``what`` says what is shown: "conflict", or "apart" without a base."""

    width: int
    height: int
    lines: tuple[Line, ...]
    columns: tuple[tuple[int, str], ...]
    what: str
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """A field of the matrix: its figures and shade; "" for a model with itself."""

    weights: str = ""
    tasks: str = ""
    conflict: str = ""
    shade: int = 0


def conflict_map(sampling: Sampling) -> Map | None:
    """By layer and module: how many of the largest changes oppose each other; without a base, how far models are."""
    cells = [cell for cell in sampling.cells if cell.layer >= 0] or list(sampling.cells)
    if not cells:
        return None
    what = "conflict" if any(cell.conflict is not None for cell in cells) else "apart"
    layers = sorted({cell.layer for cell in cells})
    every = -(-len(layers) // LAYERS)
    shown = layers[::every]
    modules = list(dict.fromkeys(cell.module for cell in sorted(cells, key=_order)))
    by_place = {(cell.layer, cell.module): cell for cell in cells}
    most = max((cell.change for cell in cells), default=0.0) or 1.0
    lines = []
    for row, module in enumerate(modules):
        y = TOP + row * SIDE
        squares, table = [], []
        for column, layer in enumerate(shown):
            cell = by_place.get((layer, module))
            if cell is None:
                continue
            value = _value(cell, what, most)
            name = f"layer {layer}" if layer >= 0 else "outside the layers"
            told = _told(cell)
            shade = min(STEPS - 1, int(value * STEPS))
            squares.append(Square(LABEL + column * SIDE, y, shade, f"{module}, {name}: {told}"))
            table.append((str(layer) if layer >= 0 else "-", *_figures(cell)))
        lines.append(Line(module, y + SIDE - 5, tuple(squares), tuple(table)))
    ticks = max(1, -(-len(shown) // 12))
    columns = tuple((LABEL + i * SIDE + SIDE // 2, str(layer)) for i, layer in enumerate(shown) if i % ticks == 0)
    return Map(
        LABEL + len(shown) * SIDE + 4,
        TOP + len(modules) * SIDE + 4,
        tuple(lines),
        columns if shown[0] >= 0 else (),
        what,
        len(layers) - len(shown),
    )


def matrix(sampling: Sampling) -> list[tuple[str, list[Entry]]]:
    """Each model against each: (name, its entries in the order of the models)."""
    rows = []
    for a in sampling.models:
        entries = []
        for b in sampling.models:
            pair = sampling.pair(a, b) if a != b else None
            if pair is None:
                entries.append(Entry())
                continue
            value = pair.tasks if pair.tasks is not None else pair.weights or 0.0
            entries.append(
                Entry(
                    f"{pair.weights:.3f}" if pair.weights is not None else "-",
                    f"{pair.tasks:.3f}" if pair.tasks is not None else "-",
                    f"{pair.conflict:.0%}" if pair.conflict is not None else "-",
                    min(STEPS - 1, max(0, int(abs(value) * STEPS))),
                )
            )
        rows.append((a, entries))
    return rows


def _order(cell: Cell) -> tuple[int, str]:
    """Attention before feed-forward before the rest, as signals pass through them."""
    name = cell.module
    places: Sequence[tuple[str, int]] = (("q_", 0), ("k_", 1), ("v_", 2), ("attn", 3), ("attention", 3), ("mlp", 5))
    return next((rank for word, rank in places if word in name), 6), name


def _value(cell: Cell, what: str, most: float) -> float:
    """From 0 to 1: of opposite signs, chance is the upper end."""
    return (cell.conflict or 0.0) / (HALF * 1.2) if what == "conflict" else cell.change / most * 0.99


def _figures(cell: Cell) -> tuple[str, str, str]:
    return (
        f"{cell.conflict:.0%}" if cell.conflict is not None else "-",
        f"{cell.cosine:.2f}" if cell.cosine is not None else "-",
        f"{cell.change:.3f}",
    )


def _told(cell: Cell) -> str:
    conflict, cosine, change = _figures(cell)
    parts = [f"{conflict} opposite"] if cell.conflict is not None else []
    parts += [f"cosine {cosine}"] if cell.cosine is not None else []
    return ", ".join([*parts, f"changed by {change}"])
