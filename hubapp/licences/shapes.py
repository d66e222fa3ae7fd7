"""What the queries of licences answer with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from hubapp.lineage.shapes import Brief
from workers.licences.rules import DISCLAIMER


@dataclass(frozen=True, slots=True)
class Declared:
    """A licence as a model declares it. ``id`` is that under which it is judged ("" for none declared), ``label`` how
    its card calls it; ``known`` whether the table has it. ``source`` and ``reviewed`` are the table's.
    """

    id: str
    label: str
    known: bool = False
    name: str = ""
    kind: str = ""
    source: str = ""
    reviewed: date | None = None


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One ancestor with its licence and the verdict: "fine", "conflict" or "not judged".

    ``chain`` leads from it down to the model, both included, by the shortest way. ``sentence`` says it in words.
    """

    repo: Brief
    licence: Declared
    distance: int
    verdict: str
    sentence: str
    chain: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Duty:
    """What has to be done, and the models that ask for it (names, the nearest first)."""

    code: str
    text: str
    because: tuple[str, ...]
    licences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that can be checked, or has to be looked at: ``met`` is None where the stored facts don't tell."""

    text: str
    met: bool | None
    ancestor: str
    licence: str
    chain: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """A licence upstream that the declared one does not honour. ``ancestor`` is where it comes from: the farthest model
    of that licence; ``chain`` leads from there to the model; ``others`` are further ancestors under it.
    """

    ancestor: Brief
    licence: Declared
    declared: Declared
    sentence: str
    chain: tuple[str, ...]
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Obligations:
    """The licences along a model's descent, over all its ancestors.

    ``line`` are the ancestors, the nearest first; ``unjudged`` those of which the table can't tell. ``limits`` and
    ``duties`` hold for the model by its own licence and its ancestors'. ``truncated``: there are more ancestors.
    """

    declared: Declared
    line: tuple[Ancestor, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    conditions: tuple[Condition, ...] = ()
    duties: tuple[Duty, ...] = ()
    limits: tuple[Duty, ...] = ()
    unjudged: tuple[Ancestor, ...] = ()
    truncated: bool = False
    disclaimer: str = DISCLAIMER

    @property
    def missing(self) -> bool:
        """Whether the model declares no licence."""
        return not self.declared.id
