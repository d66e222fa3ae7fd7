"""What both wings call the same in probing. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class ReadingState(StrEnum):
    """What came of asking an expert about a model."""

    ANSWERED = "answered"
    ABSTAINED = "abstained"


class Abstention(StrEnum):
    """Why an expert gives no answer."""

    OTHER_LAYERS = "other_layers"  # the model lacks the layers that the expert reads, or has them in other shapes
    FOREIGN = "foreign"  # same shapes, but its weights lie far from all that the tree has
    UNSURE = "unsure"  # no label is likely enough
    UNREADABLE = "unreadable"  # no weights that can be read safely


@dataclass(frozen=True, slots=True)
class Card:
    """What is stored of a card: its first prose, tags, datasets, and the prompt where its head names one."""

    text: str = ""
    tags: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Guess:
    """A label and its calibrated probability."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What an expert says of one model. ``distance`` is the router's: 1.0 is as far as the farthest it answers."""

    state: ReadingState
    guesses: tuple[Guess, ...] = ()
    reason: Abstention | None = None
    distance: float | None = None
    embedding: bytes = b""  # float16, little-endian; b"" where the layers could not be read


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a method was on models that it was not trained on. ``zero_shot`` is None without held-out labels."""

    method: str
    layers: tuple[str, ...]
    models: int
    top1: float
    top5: float
    zero_shot: float | None = None
    calibration_error: float | None = None
    auc: float | None = None  # macro, for models with several labels
    answered: float | None = None  # share of own-tree models that get an answer
    seconds: float = 0.0
    per_label: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {name: getattr(self, name) for name in self.__slots__} | {"layers": list(self.layers)}


TOP = 5
"""Labels that a reading keeps."""
