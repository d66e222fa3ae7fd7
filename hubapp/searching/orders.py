"""The orders of a result, each in stretches, and the mark from which a page goes on.

An order by likes, say, is two stretches: the models that anybody likes, along an index of them, then all others by
popularity. So no order needs an index on what most models lack, and none leaves a model out. Where models stand in
orders other than popularity is brought up to date by the ``search`` job: what is new since comes among the others.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from math import isfinite
from typing import Any

from hubapp.searching.query import Sort
from workers.errors import BadRequest


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of an order.

    ``table``: the alias whose index gives the order: ``e`` (entries), ``s`` (standings) or ``r`` (repos, by name).
    ``value``: its column, "" where popularity alone orders; ``condition``: what belongs to the stretch, on that table.
    """

    table: str
    value: str = ""
    condition: str = "TRUE"

    @property
    def key(self) -> str:
        """The column of popularity in the table."""
        return "rank" if self.table == "r" else "key"

    @property
    def is_up(self) -> bool:
        """Whether the smallest value comes first: names do, figures don't."""
        return self.table == "r"

    @property
    def is_popularity(self) -> bool:
        """Whether this is all models by popularity."""
        return not self.value and self.condition == "TRUE"

    def columns(self, *, sort: bool = False) -> str:
        """ORDER BY of the stretch. ``sort``: so written that the planner sorts and does not walk along an index."""
        if not self.value:
            return f"{self.table}.{self.key}{' + 0' if sort else ''}"
        value = f"{self.table}.{self.value}"
        if sort:
            value += " || ''" if self.is_up else " + 0"
        return f"{value}{'' if self.is_up else ' DESC'}, {self.table}.{self.key}"


def _of_standing(value: str) -> tuple[Stretch, ...]:
    here = f"SELECT 1 FROM searching_standing p WHERE p.repo_id = e.repo_id AND p.{value} > 0"  # noqa: S608
    return Stretch("s", value, f"s.{value} > 0"), Stretch("e", condition=f"({here} LIMIT 1) IS NULL")


_ORDERS: dict[Sort, tuple[Stretch, ...]] = {
    Sort.POPULARITY: (Stretch("e"),),
    Sort.NAME: (Stretch("r", "folded"),),
    Sort.DOWNLOADS: _of_standing("downloads"),
    Sort.LIKES: _of_standing("likes"),
    Sort.TRENDING: _of_standing("trending"),
    Sort.CREATED: _of_standing("created"),
    Sort.MODIFIED: _of_standing("modified"),
    Sort.SIZE: _of_standing("parameters"),
}


def stretches(sort: Sort) -> tuple[Stretch, ...]:
    """The stretches of an order, first to last."""
    return _ORDERS[sort]


@dataclass(frozen=True, slots=True)
class Mark:
    """The last row of a page: its stretch's number, its value there (None in an order by popularity) and its key."""

    stretch: int
    value: Any
    key: int

    def write(self, sort: Sort) -> str:
        """As a URL carries it."""
        text = json.dumps([sort.value, self.stretch, self.value, self.key], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_mark(text: str, sort: Sort) -> Mark | None:
    """The inverse. Raises BadRequest for what is none of ours, or of another order."""
    if not text:
        return None
    try:
        of, stretch, value, key = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        valid = of == sort.value and isinstance(stretch, int) and 0 <= stretch < len(_ORDERS[sort])
        valid = valid and _is_number(key) and _fits(_ORDERS[sort][stretch], value)
    except (ValueError, TypeError, RecursionError):  # base64, UTF-8 and JSON raise kinds of ValueError
        valid = False
    if not valid:
        raise BadRequest("These results can't be gone on from here: the mark is of another search. Start at page one.")
    return Mark(stretch, value, key)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and abs(value) < 2**63


def _fits(stretch: Stretch, value: Any) -> bool:
    """Whether the stretch's column can be compared with what came in a URL."""
    if not stretch.value:
        return value is None
    if stretch.value == "folded":
        return isinstance(value, str) and "\0" not in value and len(value) <= 200
    return _is_number(value) or (isinstance(value, float) and isfinite(value))


def after(stretch: Stretch, mark: Mark | None) -> tuple[str, tuple[Any, ...]]:
    """The condition (SQL, parameters) of coming after ``mark``; "TRUE" without one."""
    if mark is None:
        return "TRUE", ()
    key = f"{stretch.table}.{stretch.key}"
    if not stretch.value:
        return f"{key} > %s", (mark.key,)
    value, more, or_same = f"{stretch.table}.{stretch.value}", *((">", ">=") if stretch.is_up else ("<", "<="))
    # Said twice so that the first half bounds the walk along the index.
    sql = f"{value} {or_same} %s AND ({value} {more} %s OR {key} > %s)"
    return sql, (mark.value, mark.value, mark.key)
