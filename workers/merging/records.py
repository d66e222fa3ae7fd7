"""What a merge is judged from, and what the judgement says. Standard library only: both wings import it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from workers.weights.records import Inspection, State, factor_of

FEWEST, MOST = 2, 8  # models in one merge

REPORT_VERSION = 1
SAMPLING_VERSION = 1


class Level(StrEnum):
    """How much a fault weighs."""

    STOP = "stop"  # no configuration makes this a merge by weights
    MEND = "mend"  # would fail, or harm in silence, unless mended; the recipe may do it
    UNKNOWN = "unknown"  # what it would take to judge isn't stored
    NOTE = "note"  # worth knowing; nothing has to be done


class Verdict(StrEnum):
    """What is said of the whole."""

    MERGEABLE = "mergeable"
    AFTER = "mergeable after"
    NOT = "not mergeable by weights"
    UNKNOWN = "cannot tell yet"


@dataclass(frozen=True, slots=True)
class Forebear:
    """An ancestor as the lineage declares it. ``relation`` is that of the edge which leads down from it on the shortest
    way; ``standing`` what the weights say of that edge ("declared", "confirmed", "contradicted", …).
    """

    name: str
    distance: int
    relation: str = "unknown"
    standing: str = "declared"


@dataclass(frozen=True)
class Candidate:
    """One model of a merge: what was read of it, and what it descends from, the nearest first."""

    name: str
    inspection: Inspection
    forebears: tuple[Forebear, ...] = ()

    @property
    def read(self) -> bool:
        """Whether its tensors are known."""
        return self.inspection.state == State.READ and self.inspection.schema is not None

    @property
    def is_adapter(self) -> bool:
        """Whether it is an adapter, and no whole model in which factors of one were left lying."""
        adapter, schema = self.inspection.adapter, self.inspection.schema
        if adapter is None or adapter.declared or schema is None:
            return adapter is not None
        loose = sum(factor_of(tensor.name) is None for tensor in schema.tensors)
        return loose <= len(schema.tensors) / 2

    @property
    def is_quantized(self) -> bool:
        schema = self.inspection.schema
        return self.inspection.quantization is not None or (schema is not None and schema.format == "gguf")

    @property
    def comparable(self) -> bool:
        """Whether its tensors can be laid beside those of another full-precision model."""
        return self.read and not self.is_adapter and not self.is_quantized


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that stands in the way of a merge, or is worth knowing.

    ``cause`` says what is wrong in one sentence, ``compared`` whose value is what, ``mend`` how to put it right.
    ``by_recipe``: the recipe of the report does it already. ``mergekit`` is what mergekit 0.1.5 does with it: "error",
    "silent", or "" where it was not tried.
    """

    code: str
    level: Level
    cause: str
    mend: str = ""
    compared: tuple[tuple[str, str], ...] = ()
    models: tuple[str, ...] = ()
    by_recipe: bool = False
    mergekit: str = ""


# --- what the weights say -------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Odd:
    """Numbers of one tensor that no merge survives; ``read`` is how many numbers of it were looked at."""

    model: str
    tensor: str
    nan: int = 0
    inf: int = 0
    zero: bool = False  # all that was read is zero
    read: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
    """Two models by their weights.

    ``weights`` is the median cosine of their matrices (None where only updates of adapters could be read), ``distance``
    their relative L2 distance. ``tasks`` is the cosine of what they changed in the base (None without one) and
    ``conflict`` the share of opposite signs among entries that both keep of their largest 20% (TIES, Yadav et al.,
    2023).
    """

    a: str
    b: str
    weights: float | None
    distance: float
    tasks: float | None = None
    conflict: float | None = None


@dataclass(frozen=True, slots=True)
class Stray:
    """One matrix of two related models that is unlike all others: its cosine, and ``ratio``, b's norm over a's."""

    a: str
    b: str
    tensor: str
    cosine: float
    ratio: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of the picture: a layer's module, over all pairs of models. ``layer`` is -1 outside the layers."""

    layer: int
    module: str
    cosine: float | None
    conflict: float | None
    change: float  # mean relative norm of the task vectors; the relative distance where there is no base


@dataclass(frozen=True)
class Sampling:
    """What reading the weights told. ``models`` are in the order of all lists; ``base`` is "" where none was read.

    ``changes`` is each model's relative distance from the base. ``bases`` are other models that were tried as a base:
    name → model → (median cosine of matrices, relative distance). ``share`` is the share of all numbers that was read,
    the least over the models; ``bytes_read`` counts all of them together.
    """

    models: tuple[str, ...]
    base: str = ""
    pairs: tuple[Pair, ...] = ()
    cells: tuple[Cell, ...] = ()
    changes: Mapping[str, float] = field(default_factory=dict)
    base_cosines: Mapping[str, float] = field(default_factory=dict)
    bases: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)
    odd: tuple[Odd, ...] = ()
    strays: tuple[Stray, ...] = ()
    share: float = 0.0
    numbers: int = 0
    bytes_read: int = 0
    full: bool = False
    version: int = SAMPLING_VERSION

    def pair(self, a: str, b: str) -> Pair | None:
        """The pair of these two, in either order."""
        return next((pair for pair in self.pairs if {pair.a, pair.b} == {a, b}), None)

    def as_json(self) -> dict[str, Any]:
        """For the database and the API."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Sampling:
        """What ``as_json`` gave, perhaps by way of JSON."""
        known = {key: value for key, value in stored.items() if key in cls.__dataclass_fields__}
        return cls(
            **{
                **known,
                "models": tuple(stored["models"]),
                "pairs": tuple(Pair(**pair) for pair in stored.get("pairs", ())),
                "cells": tuple(Cell(**cell) for cell in stored.get("cells", ())),
                "odd": tuple(Odd(**odd) for odd in stored.get("odd", ())),
                "strays": tuple(Stray(**stray) for stray in stored.get("strays", ())),
                "bases": {
                    name: {model: (values[0], values[1]) for model, values in row.items()}
                    for name, row in stored.get("bases", {}).items()
                },
            }
        )


# --- the answer -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Ancestor:
    """What the models have in common. ``how`` is "lineage", "weights", "both" or "" (nothing is known)."""

    name: str = ""
    how: str = ""
    sentence: str = ""
    distances: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Method:
    """One way to merge these models: whether its conditions hold, and why or why not."""

    name: str
    fits: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A configuration for mergekit 0.1.5, with the reasons for its method and its parameters."""

    method: str
    yaml: str
    reasons: tuple[str, ...] = ()
    methods: tuple[Method, ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything that is said of a merge. ``config`` is True where a configuration of the user's was judged."""

    models: tuple[str, ...]
    base: str
    verdict: Verdict
    headline: str
    faults: tuple[Fault, ...] = ()
    ancestor: Ancestor = Ancestor()
    sampling: Sampling | None = None
    recipe: Recipe | None = None
    instead: tuple[str, ...] = ()  # what else can be done where weights can't be merged
    config: bool = False
    version: int = REPORT_VERSION

    def of_level(self, *levels: Level) -> tuple[Fault, ...]:
        """The faults of these levels, in order."""
        return tuple(fault for fault in self.faults if fault.level in levels)

    def has(self, code: str) -> bool:
        """Whether a fault of this code was found."""
        return any(fault.code == code for fault in self.faults)

    def as_json(self) -> dict[str, Any]:
        """For the command and the API; pairs become lists."""
        return asdict(self)


def worst(faults: Iterable[Fault]) -> Verdict:
    """The verdict that faults lead to."""
    levels = {fault.level for fault in faults}
    if Level.STOP in levels:
        return Verdict.NOT
    if Level.UNKNOWN in levels:
        return Verdict.UNKNOWN
    return Verdict.AFTER if Level.MEND in levels else Verdict.MERGEABLE
