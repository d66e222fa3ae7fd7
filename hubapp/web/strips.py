"""Lines of descent as stops in a row, for pages to draw: pure functions of what lineage's queries answer with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hubapp.lineage.shapes import Brief, Line, Link
from hubapp.web.templatetags.marks import relation_name

STOPS = 6  # of a line before its middle is folded: more don't fit beside each other on a laptop


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of a line. ``relation`` is how it descends from the stop before ("root" at the root), ``onward`` how
    much is known of the edge to the next ("" at the end). ``folded`` stops stand for so many that are left out.
    """

    repo: Brief | None
    relation: str
    standing: str = ""
    depth: int = 0
    folded: int = 0
    onward: str = ""
    last: bool = False


def strip(line: Line, *, whole: bool = False) -> tuple[Stop, ...]:
    """The line from the root to a repo, root first; the middle of a long line is folded into one stop."""
    missing = line.members[-1].depth - (len(line.members) - 1) if line.truncated else 0
    stops = run(line.members, line.links)
    stops = [stops[0], *(replace(stop, depth=stop.depth + missing) for stop in stops[1:])]
    left_out = missing
    if not whole and len(stops) > STOPS:
        left_out += len(stops) - STOPS + 1
        stops = [stops[0], *stops[len(stops) - STOPS + 2 :]]
    if left_out:
        stops.insert(1, Stop(repo=None, relation="", folded=left_out, onward="declared"))
    return tuple(stops)


def run(members: Sequence[Brief], links: Sequence[Link], *, first_depth: int = 0) -> list[Stop]:
    """Stops for members that descend one from the other; ``links[i]`` joins ``members[i]`` and ``members[i + 1]``."""
    return [
        Stop(
            repo=member,
            relation=relation_name(links[i - 1].relation) if i else "root",
            standing=links[i - 1].standing if i else "",
            depth=first_depth + i,
            onward=links[i].standing if i < len(links) else "",
            last=i == len(members) - 1,
        )
        for i, member in enumerate(members)
    ]
