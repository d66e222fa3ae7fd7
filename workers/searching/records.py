"""What the web asks the ``search`` process, and what it answers. Standard library only: both wings import it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

RESULTS_MAX = 200  # of one search by meaning: what comes after is not like the question any more
TEXT_MAX = 400  # characters of a question
NAMED_MAX = 200  # matches by name that are handed over


class Why(StrEnum):
    """Where a result's likeness was read. The order is that in which reasons are shown."""

    WEIGHTS = "weights"  # the model's weights, by the expert of its tree
    CARD = "card"  # what its card says
    NAME = "name"  # what it is called
    SIBLINGS = "siblings"  # models of its tree whose weights are like its own, and what their cards say


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a result: ``share`` is how sure it is by itself, 0 to 1; ``words`` what it rests on."""

    why: Why
    share: float
    words: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """A result: how sure all its reasons make it together, 0 to 1, and these, the strongest first."""

    repo_id: int
    score: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """``text`` in people's own words; ``filters`` as a search page's parameters; ``named``: repos whose name matches.

    ``named`` maps a repo's id to how well its name fits, 0 to 1.
    """

    text: str
    filters: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[int, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"text": self.text, "filters": dict(self.filters), "named": list(self.named.items())}

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Raises ValueError for what is no question."""
        try:
            text, filters = value["text"], value.get("filters", {})
            named = {int(repo_id): min(1.0, max(0.0, float(fit))) for repo_id, fit in value.get("named", [])}
            if not isinstance(text, str) or len(text) > TEXT_MAX or len(named) > NAMED_MAX or len(filters) > 40:
                raise ValueError("a question's text, filters or names are too long")
            return cls(text=text, filters={str(key): str(word) for key, word in filters.items()}, named=named)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no question: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Results, best first. ``encoder`` names what read the words; ``weights`` and ``cards`` how many were compared."""

    found: tuple[Found, ...]
    encoder: str = ""
    weights: int = 0
    cards: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "found": [
                [f.repo_id, round(f.score, 4), [[r.why.value, round(r.share, 4), r.words] for r in f.reasons]]
                for f in self.found
            ],
            "encoder": self.encoder,
            "weights": self.weights,
            "cards": self.cards,
        }

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Raises ValueError for what is no answer."""
        try:
            found = tuple(
                Found(
                    int(repo_id),
                    float(score),
                    tuple(Reason(Why(why), float(share), str(words)[:200]) for why, share, words in reasons),
                )
                for repo_id, score, reasons in value["found"][:RESULTS_MAX]
            )
            return cls(
                found=found,
                encoder=str(value.get("encoder", ""))[:200],
                weights=int(value.get("weights", 0)),
                cards=int(value.get("cards", 0)),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no answer: {error}") from error
