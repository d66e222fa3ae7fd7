"""What a mergekit configuration becomes when it is looked through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.merging.records import Fault, Level


@dataclass(frozen=True, slots=True)
class Reference:
    """A model as a configuration names it: "model@revision+adapter@revision"."""

    text: str
    model: str
    revision: str = ""
    adapter: str = ""
    adapter_revision: str = ""

    @property
    def name(self) -> str:
        """What is to be looked at: the adapter where there is one, else the model."""
        return self.adapter or self.model


@dataclass(frozen=True, slots=True)
class Source:
    """One input of a merge: its model, its parameters, and of a slice its layers."""

    model: Reference
    parameters: Mapping[str, Any]
    layers: tuple[int, int] | None = None
    place: str = ""


@dataclass
class Checked:
    """A configuration that was looked through.

    ``groups`` are the sets of inputs that are merged with each other: one for `models`, one for each slice. ``faults``
    hold what can be told from the configuration alone.
    """

    method: str = ""
    base: Reference | None = None
    groups: list[list[Source]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    tokenizer: str = ""  # "", "union", "base", or a model
    pads: bool = False
    chat_template: str = ""
    dtype: str = ""
    out_dtype: str = ""
    filters: list[str] = field(default_factory=list)  # of parameters: parts of tensors' names
    slices: bool = False

    @property
    def inputs(self) -> list[Reference]:
        """The models that are merged, each once, in order; the base only where it is among them."""
        found = {source.model.text: source.model for group in self.groups for source in group}
        return list(found.values())


def fault(
    code: str,
    cause: str,
    mend: str,
    compared: tuple[tuple[str, str], ...] = (),
    *,
    level: Level = Level.MEND,
    mergekit: str = "error",
) -> Fault:
    """A fault of a configuration; most of them mergekit itself refuses."""
    return Fault(code, level, cause, mend, compared, mergekit=mergekit)
