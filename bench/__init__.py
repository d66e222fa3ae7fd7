"""The figures: each module measures one thing and prints a table. `make bench` runs all of them.

The form that all share: ``python -m bench.NAME [--size small] [--json]``. The table has one line for each figure with a
bound; the last line of the output is one JSON object, {"bench": NAME, "figures": {FIGURE: {"value", "bound", "reached",
…}}}. The exit status is 0 where all bounds hold. Without ``--size small`` the sizes are those of the README.
"""

from __future__ import annotations

import argparse
import json
import operator
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

_COMPARE: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge, "==": operator.eq}


@dataclass
class Bench:
    """Collects the figures of one module."""

    name: str
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    small: bool = False
    only_json: bool = False
    began: float = field(default_factory=time.monotonic)

    def parser(self, about: str) -> argparse.ArgumentParser:
        """The options that all benches take; add your own to it."""
        parser = argparse.ArgumentParser(prog=f"python -m bench.{self.name}", description=about)
        parser.add_argument("--size", choices=["full", "small"], default="full", help="small: about a minute")
        parser.add_argument("--json", action="store_true", help="print nothing but the last line")
        return parser

    def begin(self, arguments: argparse.Namespace) -> None:
        """Take the common options."""
        self.small = arguments.size == "small"
        self.only_json = arguments.json

    def say(self, text: str) -> None:
        """A line for whoever waits."""
        if not self.only_json:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def figure(self, name: str, value: float, bound: str, note: str = "", **more: Any) -> bool:
        """One figure and its bound ("<= 1.5", ">= 3", "== 0"); whether it is reached. ``more`` is kept beside it."""
        sign, limit = bound.split()
        reached = bool(_COMPARE[sign](value, float(limit)))
        self.figures[name] = {"value": round(value, 4), "bound": bound, "reached": reached, **more}
        self.say(f"  {'ok  ' if reached else 'MISS'} {name:28} {value:10.3f}  {bound:8} {note}")
        return reached

    def close(self) -> int:
        """Print the last line; the exit status."""
        if not self.figures:
            raise RuntimeError(f"bench.{self.name} measured nothing.")
        self.say(f"  {time.monotonic() - self.began:.0f} s in all")
        sys.stdout.write(json.dumps({"bench": self.name, "figures": self.figures}) + "\n")
        sys.stdout.flush()
        return 0 if all(figure["reached"] for figure in self.figures.values()) else 1


def median(values: Sequence[float]) -> float:
    """The middle one: what a figure is made of where it was measured several times."""
    return float(statistics.median(values))
