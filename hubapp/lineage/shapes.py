"""What the queries of lineage answer with: frozen, complete, without a database behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from workers.lineage.records import Relation, Source

MAX_NODES = 20_000
"""No answer holds more nodes: what is larger comes truncated, and says so."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Direct children by relation, all edges (not only primary ones)."""

    finetunes: int = 0
    adapters: int = 0
    quantized: int = 0
    merges: int = 0
    unknown: int = 0

    @property
    def total(self) -> int:
        return self.finetunes + self.adapters + self.quantized + self.merges + self.unknown

    def by_relation(self) -> dict[Relation, int]:
        """The counts in the order of ``Relation``, zeros included."""
        return {
            Relation.FINETUNE: self.finetunes,
            Relation.ADAPTER: self.adapters,
            Relation.QUANTIZED: self.quantized,
            Relation.MERGE: self.merges,
            Relation.UNKNOWN: self.unknown,
        }


@dataclass(frozen=True, slots=True)
class Brief:
    """A repo as trees and lists show it, with its place in its family.

    ``root_id`` is its own id and ``depth`` 0 where it has no family; ``parent_id`` is the primary parent;
    ``descendants`` follow primary parents; ``findings`` is a number; ``state`` one of ``RepoState``.
    """

    id: int
    name: str
    state: str
    author: str = ""
    created_at: datetime | None = None
    downloads: int = 0
    likes: int = 0
    task: str = ""
    library: str = ""
    licence: str = ""
    licence_name: str = ""
    parameters: int | None = None
    rank: int | None = None
    root_id: int = 0
    parent_id: int | None = None
    depth: int = 0
    descendants: int = 0
    children: Counts = Counts()
    findings: int = 0

    @property
    def known(self) -> bool:
        """Whether the repo itself was ever read (a stub is only a name)."""
        return self.state not in ("stub", "renamed")


@dataclass(frozen=True, slots=True)
class Link:
    """An edge. ``repaired`` says why the parent or relation differs from what was declared: "", "case", "text",
    "renamed" or "relation". ``standing`` is how much is known: "declared", or "unresolved" where the parent is only
    a name, "confirmed" or "contradicted" by the weights (a cycle contradicts too). ``verdict`` is what the weights say:
    "confirmed", "contradicted", "cannot_tell", or "" where they were not compared.
    """

    parent_id: int
    child_id: int
    relation: Relation
    sources: tuple[Source, ...] = ()
    repaired: str = ""
    primary: bool = False
    standing: str = "declared"
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """One piece of evidence, verbatim. It stands while ``withdrawn_at`` is None."""

    id: int
    source: Source
    text: str
    target: str
    relation: Relation | None
    times: int
    first_seen: datetime
    last_seen: datetime
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A model that a finding points to; ``id`` is None where it isn't stored."""

    name: str
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """A finding with its words. ``severity`` is "error", "warning" or "info"; ``sentence`` is plain text."""

    code: str
    severity: str
    title: str
    sentence: str
    subject: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    suggestions: tuple[Suggestion, ...] = ()


@dataclass(frozen=True, slots=True)
class Weighed:
    """What the weights say of an edge. ``verdict`` and ``kinship`` are values of ``workers.lineage.records``;
    ``sentence`` says why in plain words, ``figure`` is the one figure that tells most ("0.997"); ``layers`` are
    (label, similarity to the parent, relative change). ``likelier`` is a model that stands nearer to the child, ""
    where none is known. ``bytes_read`` is what the child's sample cost, ``parent_bytes`` the parent's.
    """

    parent_id: int
    child_id: int
    verdict: str
    kinship: str
    reason: str
    sentence: str
    figure: str
    figures: Mapping[str, float]
    layers: tuple[tuple[str, float, float], ...]
    likelier: str
    bytes_read: int
    parent_bytes: int
    version: int
    judged_at: datetime
    fresh: bool = True


@dataclass(frozen=True, slots=True)
class Parent:
    """A parent of a repo: who it is, the edge, the statements behind it, what is odd about them, and what the weights
    say (None: they were not compared).
    """

    repo: Brief
    link: Link
    statements: tuple[Statement, ...] = ()
    remarks: tuple[Remark, ...] = ()
    weighed: Weighed | None = None


@dataclass(frozen=True, slots=True)
class Parents:
    """All parents, the primary one first; ``loose`` are standing statements that lead to no parent (a local path, a
    dataset, the model itself); ``remarks`` are findings that concern no single parent; ``withdrawn`` are statements
    that no longer stand.
    """

    items: tuple[Parent, ...] = ()
    loose: tuple[Statement, ...] = ()
    remarks: tuple[Remark, ...] = ()
    withdrawn: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True)
class Child:
    repo: Brief
    link: Link


@dataclass(frozen=True, slots=True)
class Filters:
    """What children must be like. Empty fields ask for nothing; times are aware UTC.

    ``text`` is a piece of the name, in any case. Parameters are bounded by ``min_parameters`` ≤ n <
    ``below_parameters``; ``parameters_known`` False asks for models whose number is not known.
    """

    relations: frozenset[Relation] = frozenset()
    task: str = ""
    library: str = ""
    licence: str = ""
    author: str = ""
    text: str = ""
    created_from: datetime | None = None
    created_to: datetime | None = None
    min_downloads: int = 0
    min_parameters: int | None = None
    below_parameters: int | None = None
    parameters_known: bool | None = None
    with_findings: bool = False

    def __bool__(self) -> bool:
        return self != Filters()


@dataclass(frozen=True, slots=True)
class ChildPage:
    """Children, most popular first. ``after`` asks for the next page, None at the end; ``total`` is the number of
    children under the relation asked for, None where other filters make it unknown.
    """

    items: tuple[Child, ...]
    after: str | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """From the root to a repo along primary parents. ``links[i]`` joins ``members[i]`` to ``members[i + 1]``.

    ``truncated``: the line is longer than was asked for; its upper part, below the root, is left out.
    """

    members: tuple[Brief, ...]
    links: tuple[Link, ...]
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Graph:
    """A piece of the DAG. ``distances`` maps a repo's id to its least number of edges from the repo asked for.

    ``truncated``: there is more than was asked for; the nearest are here.
    """

    nodes: tuple[Brief, ...]
    links: tuple[Link, ...]
    distances: Mapping[int, int] = field(default_factory=dict)
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Path:
    """The way from one repo to another: up to their nearest common ancestor and down again.

    ``members`` run from the first repo to the second; ``links[i]`` joins ``members[i]`` and ``members[i + 1]``,
    whichever of the two is the parent. ``top`` is the index of the common ancestor.
    """

    members: tuple[Brief, ...]
    links: tuple[Link, ...]
    top: int


@dataclass(frozen=True, slots=True)
class Common:
    """The nearest common ancestor of two repos, over all edges, and how far each is from it.

    ``others`` are common ancestors at the same total distance.
    """

    ancestor: Brief
    distance_a: int
    distance_b: int
    others: tuple[Brief, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Children of one parent by one relation: ``shown`` of ``total`` are among the nodes.

    ``authors`` are the most frequent of the most popular thousand, with their counts; ``after`` is the cursor with
    which ``children`` goes on.
    """

    parent_id: int
    relation: Relation
    total: int
    shown: int
    authors: tuple[tuple[str, int], ...] = ()
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """What the tree view draws: a focus, its ancestors to ``up`` and its descendants to ``down`` generations, at most
    so many of each group, and of each group how many there are. ``root`` is the family's root, in ``nodes`` or not.
    """

    focus_id: int
    root: Brief
    nodes: tuple[Brief, ...]
    links: tuple[Link, ...]
    groups: tuple[Group, ...]
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """A root and all that follow it along primary parents.

    ``size`` counts the root too. ``growth`` holds (month "YYYY-MM", members created in it), in order; ``undated`` is
    the number without a date. ``by_depth[d]`` is the number of members at depth d. ``relations`` counts members by the
    relation to their primary parent. ``authors`` and ``licences`` are the most frequent with their counts ("" stands
    for none given). ``unresolved`` counts members that are only names; ``guests`` are merges of another family which
    have a parent in this one. ``counted_at`` is when the figures were counted.
    """

    root: Brief
    size: int
    depth: int
    growth: tuple[tuple[str, int], ...] = ()
    undated: int = 0
    by_depth: tuple[int, ...] = ()
    relations: Mapping[Relation, int] = field(default_factory=dict)
    authors: tuple[tuple[str, int], ...] = ()
    licences: tuple[tuple[str, int], ...] = ()
    unresolved: int = 0
    findings: int = 0
    guests: int = 0
    counted_at: datetime | None = None
