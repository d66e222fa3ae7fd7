"""What is odd about how many models hang together, read at once: for pictures of dozens or hundreds of models.

``queries.parents`` tells all of it, in words, for one model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hubapp.catalog import bulk
from workers.lineage.records import Code, Relation, Source

MOST = 5_000
"""No answer holds more statements or doubts."""

DOUBTS = (Code.PARENT_YOUNGER, Code.RELATION_DISAGREES, Code.WEIGHTS_CONTRADICT)
"""Findings that speak against an edge as it was declared: their subject is the parent's name. (An edge that closes a
cycle says so itself.)
"""


@dataclass(frozen=True, slots=True)
class Loose:
    """A parent that was named but leads to no repo: a local path, an address elsewhere. One for each text.

    ``sources`` are those that name it, the most trusted first.
    """

    child_id: int
    text: str
    relation: Relation | None
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Oddities:
    """``doubts`` holds codes of findings that speak against an edge, by (child's id, folded name of the parent);
    ``selves`` are models which name themselves as their parent.
    """

    doubts: Mapping[tuple[int, str], tuple[str, ...]]
    selves: frozenset[int]


def oddities(child_ids: Collection[int]) -> Oddities:
    """What the findings of these models say against edges to them."""
    where, param = bulk.among("repo_id", child_ids)
    codes = ", ".join(f"'{code}'" for code in (*DOUBTS, Code.SELF_REFERENCE))
    rows = bulk.fetch(
        f"SELECT repo_id, subject, code FROM lineage_finding WHERE {where} AND code IN ({codes}) "
        "ORDER BY repo_id, code LIMIT %s",
        [param, MOST],
    )
    doubts: dict[tuple[int, str], tuple[str, ...]] = defaultdict(tuple)
    for repo, subject, code in rows:
        if code != Code.SELF_REFERENCE:
            doubts[repo, subject.lower()] += (code,)
    return Oddities(dict(doubts), frozenset(repo for repo, _, code in rows if code == Code.SELF_REFERENCE))


def loose(child_ids: Collection[int]) -> list[Loose]:
    """What the standing evidence of these children names in vain, in order of the texts."""
    where, param = bulk.among("child_id", child_ids)
    rows = bulk.fetch(
        f"SELECT child_id, text, relation, source FROM lineage_evidence WHERE {where} "
        "AND target = '' AND withdrawn_at IS NULL ORDER BY source LIMIT %s",
        [param, MOST],
    )
    found: dict[tuple[int, str], tuple[tuple[Source, ...], int]] = {}
    for child, text, relation, source in rows:
        sources, known = found.get((child, text), ((), 0))
        found[child, text] = ((*sources, Source(source)), known or relation)
    return [
        Loose(child, text, Relation(relation) if relation else None, sources)
        for (child, text), (sources, relation) in sorted(found.items())
    ]
