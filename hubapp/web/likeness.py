"""The small picture of a verdict: how alike each layer is to the parent's, and how much it was changed.

Pure geometry for a template; positions are in units of the drawing's view box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hubapp.lineage.shapes import Weighed
from hubapp.lineage.weighed import spelt

WIDTH = 320.0
TALL = 40.0  # of a row of bars
GAP = 1.0
LOWEST = 1.5  # of a bar: nothing must still be seen
STRANGERS = 0.1  # similarity up to which layers are no nearer than strangers'
FIT = 3.0  # standard deviations up to which an adapter's layer leans by chance


@dataclass(frozen=True, slots=True)
class Bar:
    """One layer: a rectangle, whether it is as low as a stranger's, and what a pointer shows."""

    x: float
    y: float
    width: float
    height: float
    low: bool
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of bars with its words; ``level`` is the height of the strangers' line, None without one."""

    word: str
    bars: tuple[Bar, ...]
    top: str
    level: float | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """The rows, the first and the last label beneath them, and the same as a table: (label, alike, changed)."""

    rows: tuple[Row, ...]
    first: str
    last: str
    table: tuple[tuple[str, str, str], ...]
    width: float = WIDTH
    height: float = TALL


def likeness(weighed: Weighed) -> Drawing | None:
    """The picture of a verdict; None where no layer was compared."""
    layers = weighed.layers
    if not layers:
        return None
    labels = [label for label, _, _ in layers]
    adapter = "fit" in weighed.figures
    values = [similarity for _, similarity, _ in layers]
    changes = [change for _, _, change in layers]
    if adapter:
        most = max(2 * FIT, *values)
        rows = [_row("How far each layer leans towards the parent's", labels, values, most, level=FIT, unit=" sd")]
    else:
        rows = [_row("How alike each layer is to the parent's", labels, values, 1.0, level=STRANGERS)]
        if weighed.verdict != "contradicted" and max(changes) > 0:
            shares = [100 * change for change in changes]
            rows.append(_row("How much each was changed", labels, shares, max(shares), unit="%"))
    table = tuple((label, spelt(s), "" if adapter else percent(c)) for label, s, c in layers)
    return Drawing(tuple(rows), _named(labels[0]), _named(labels[-1]) if len(labels) > 1 else "", table)


def percent(share: float) -> str:
    """``0.0312`` → ``3.1%``."""
    value = 100 * share
    return f"{value:.0f}%" if value >= 9.95 else f"{value:.1f}%" if value >= 0.05 or not value else "<0.1%"


def _row(
    word: str,
    labels: Sequence[str],
    values: Sequence[float],
    most: float,
    *,
    level: float | None = None,
    unit: str = "",
) -> Row:
    step = WIDTH / len(values)
    bars = []
    for at, (label, value) in enumerate(zip(labels, values, strict=True)):
        height = max(LOWEST, TALL * min(1.0, max(0.0, value / most)))
        bars.append(
            Bar(
                x=round(at * step, 2),
                y=round(TALL - height, 2),
                width=round(max(0.5, step - (GAP if step > 3 else 0)), 2),
                height=round(height, 2),
                low=level is not None and value <= level,
                title=f"{_named(label)}: {percent(value / 100) if unit == '%' else spelt(value) + unit}",
            )
        )
    top = "1" if not unit else percent(most / 100) if unit == "%" else f"{most:.0f}{unit}"
    return Row(word, tuple(bars), top, None if level is None else round(TALL * (1 - level / most), 2))


def _named(label: str) -> str:
    return f"layer {label}" if label.isdigit() else label
