"""Charts as geometry: what a template needs to draw bars and a growth curve in SVG. Pure functions.

A chart stretches to its column while its words keep their size, so shapes are given in a box of 100 by 100 that is
stretched, and words in per cent of the outer frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hubapp.web import wording


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a bar chart: what it is, how many, its length and its share in per cent."""

    label: str
    value: int
    length: float
    share: str
    key: str = ""


def bars(rows: Iterable[tuple[str, int]], *, whole: int | None = None) -> tuple[Bar, ...]:
    """Bars as long as their share of the longest; the share is of ``whole`` (default: the sum)."""
    listed = list(rows)
    longest = max((value for _, value in listed), default=0)
    total = whole if whole is not None else sum(value for _, value in listed)
    return tuple(
        Bar(label, value, round(100 * value / longest, 2) if longest else 0.0, wording.share(value, total), key=label)
        for label, value in listed
    )


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid with its word, at ``at`` per cent."""

    at: float
    word: str


@dataclass(frozen=True, slots=True)
class Growth:
    """A family's size over time: paths in a box of 100 by 100, ticks in per cent, and the rows behind them.

    ``rows`` are (month, new in that month, all by its end).
    """

    line: str
    area: str
    months: tuple[Tick, ...]
    sizes: tuple[Tick, ...]
    rows: tuple[tuple[str, int, int], ...]


def growth(new_by_month: Sequence[tuple[str, int]], *, before: int = 0) -> Growth | None:
    """The running total of (month "YYYY-MM", number) pairs in order, months without any included.

    ``before`` counts those without a date. None where there are fewer than two months: a curve would say nothing.
    """
    if len(new_by_month) < 2:
        return None
    first, last = _month(new_by_month[0][0]), _month(new_by_month[-1][0])
    new = {_month(month): number for month, number in new_by_month}
    rows, total = [], before
    for month in range(first, last + 1):
        total += new.get(month, 0)
        rows.append((_name(month), new.get(month, 0), total))
    top = _nice(total)
    steps = last - first
    points = [(100 * i / steps, 100 - 100 * row[2] / top) for i, row in enumerate(rows)]
    line = "M" + "L".join(f"{x:.2f} {y:.2f}" for x, y in points)
    return Growth(
        line=line,
        area=f"{line}L100 100L0 100Z",
        months=_month_ticks(first, last),
        sizes=tuple(Tick(100 - 100 * part / 4, wording.number(round(top * part / 4))) for part in (4, 2, 0)),
        rows=tuple(rows),
    )


def _month(text: str) -> int:
    year, month = text.split("-")
    return int(year) * 12 + int(month) - 1


def _name(month: int) -> str:
    return f"{month // 12}-{month % 12 + 1:02d}"


def _nice(value: int) -> int:
    """The next of 10, 12, 16, 20, 24, 30, 40, 50, 60, 80 times a power of ten: its half reads as well as it does."""
    if value <= 4:
        return 4
    power = 1
    while power * 80 < value:
        power *= 10
    return next(head * power for head in (6, 8, 10, 12, 16, 20, 24, 30, 40, 50, 60, 80) if head * power >= value)


def _month_ticks(first: int, last: int) -> tuple[Tick, ...]:
    """A word for each year's January, thinned to about eight; months where there are few."""
    span = last - first
    if span <= 18:
        every = max(1, span // 5)
        months = range(first, last + 1, every)
        return tuple(
            Tick(100 * (month - first) / span, _name(month))
            for month in months
            if last - month >= every or month == last
        )
    years = [month for month in range(first, last + 1) if month % 12 == 0]
    every = max(1, -(-len(years) // 8))
    return tuple(Tick(100 * (month - first) / span, str(month // 12)) for month in years[::every])
