"""What lineage is told and what it answers. Standard library only: both wings import it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple


class Relation(IntEnum):
    """How a child descends from its parent. The order is that of preference among equals."""

    FINETUNE = 1
    ADAPTER = 2
    QUANTIZED = 3
    MERGE = 4
    UNKNOWN = 5


class Source(IntEnum):
    """Who says so. The order is that of trust: the smaller, the more trusted."""

    WEIGHTS = 1
    HUB = 2  # baseModels, the Hub's own resolution
    ADAPTER_CONFIG = 3  # base_model_name_or_path in adapter_config.json
    MERGEKIT = 4  # a mergekit configuration in the card
    CARD = 5  # base_model in the card's front matter
    TAG = 6  # base_model:… tags


@dataclass(frozen=True, slots=True)
class Declared:
    """One statement of descent, verbatim.

    ``text`` is exactly what the source said; ``relation`` what the source called it, if it did;
    ``hub_id`` the parent's ``_id`` where the Hub itself gave one.
    """

    source: Source
    text: str
    relation: Relation | None = None
    hub_id: str = ""


class TextKind(IntEnum):
    """What a declared text turned out to be."""

    ID = 1  # namespace/name
    BARE = 2  # a name without a namespace: an old id such as gpt2, or a namespace forgotten
    LOCAL = 3  # a path on somebody's disk
    URL = 4  # an address elsewhere
    NOT_MODEL = 5  # a dataset, a space, a paper of the Hub
    PLACEHOLDER = 6  # "None", "[More Information Needed]"
    JUNK = 7  # nothing that can be read


@dataclass(frozen=True, slots=True)
class Reading:
    """A declared text as it was read: ``target`` in its author's case, "" where it names no repo.

    ``cleaned`` says that the text was more than the bare id (a URL, quotes, a revision, …).
    """

    target: str
    kind: TextKind
    cleaned: bool = False


class Code(StrEnum):
    """What can be wrong, or worth knowing, about a model's descent. Stable: the database, the API and exports use it.

    ``hubapp.lineage.remarks`` has the words for each.
    """

    MERGE_TYPED_FINETUNE = "merge_typed_finetune"
    RELATION_DISAGREES = "relation_disagrees"
    WRONG_CASE = "wrong_case"
    SELF_REFERENCE = "self_reference"
    DUPLICATE_ENTRY = "duplicate_entry"
    NO_NAMESPACE = "no_namespace"
    MIRROR = "mirror"
    LOCAL_PATH = "local_path"
    NOT_A_MODEL = "not_a_model"
    PLACEHOLDER = "placeholder"
    UNREADABLE = "unreadable"
    UNCLEAN_TEXT = "unclean_text"
    MISSING_PARENT = "missing_parent"
    PARENT_GONE = "parent_gone"
    PARENT_YOUNGER = "parent_younger"
    PARENT_RENAMED = "parent_renamed"
    DROPPED_BY_HUB = "dropped_by_hub"
    CYCLE = "cycle"
    QUANTIZED_OF_QUANTIZED = "quantized_of_quantized"
    WEIGHTS_CONTRADICT = "weights_contradict"
    TRAINING_DISAGREES = "training_disagrees"


PLACED_CODES = frozenset({Code.CYCLE, Code.QUANTIZED_OF_QUANTIZED})
"""Findings that need the graph: placing writes them."""

WEIGHED_CODES = frozenset({Code.WEIGHTS_CONTRADICT, Code.TRAINING_DISAGREES})
"""Findings that need the weights: verifying and probing write them. All others follow from one model's
evidence: judging does."""


class Said(NamedTuple):
    """One standing statement, as stored: ``target`` is the folded id that ``text`` was read as, or ""."""

    source: int
    text: str
    target: str
    relation: int  # 0: not said
    times: int


class Named(NamedTuple):
    """The repo that a folded name stands for. ``via_alias``: the name is an old one of it."""

    id: int
    name: str
    state: str
    created_at: datetime | None
    via_alias: bool = False

    @property
    def is_stub(self) -> bool:
        return self.state == "stub"


class ChildFacts(NamedTuple):
    """What judging needs of the model whose parents are in question; ``tags`` as JSON text."""

    id: int
    name: str
    created_at: datetime | None
    tags: str = "[]"


class JudgedEdge(NamedTuple):
    """An edge that follows from evidence. ``parent_id`` is None for a parent (``folded``) that is not stored yet."""

    parent_id: int | None
    folded: str
    relation: int
    sources: int  # bit mask, 1 << Source
    repaired: str
    place: int


class JudgedFinding(NamedTuple):
    code: str
    subject: str
    detail: dict[str, Any]


class Judgement(NamedTuple):
    """All that follows from one child's evidence. ``spellings`` maps a folded name to how the child's most trusted
    source writes it, for parents that are only names.
    """

    edges: tuple[JudgedEdge, ...]
    findings: tuple[JudgedFinding, ...]
    spellings: dict[str, str]


class Stand(NamedTuple):
    """Where a repo stands in its family: ``parent`` is its primary parent, None for a root."""

    parent: int | None
    root: int
    depth: int
    descendants: int


# --- what the weights say -------------------------------------------------------------------------------------------
class Standing(StrEnum):
    """What the weights say of a declared edge."""

    CONFIRMED = "confirmed"
    CONTRADICTED = "contradicted"
    CANNOT_TELL = "cannot_tell"


class Kinship(StrEnum):
    """How two models are related, as read from their weights."""

    SAME_WEIGHTS = "same_weights"
    QUANTIZED = "quantized"
    ADAPTER = "adapter"
    FINETUNE = "finetune"
    MERGE = "merge"
    UNRELATED = "unrelated"


@dataclass(frozen=True, slots=True)
class LayerLikeness:
    """One bar of the picture: a layer, its similarity to the parent's (-1 to 1), and its relative change."""

    label: str
    similarity: float
    change: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the weights say of one edge: ``reason`` is a stable code (``hubapp.lineage.weighed`` has the words),
    ``figures`` what was measured, ``likelier`` the key of a model that is nearer to the child than the parent, ""
    where there is none; ``kinship`` is None where none could be read.
    """

    verdict: Standing
    kinship: Kinship | None
    reason: str
    figures: Mapping[str, float] = field(default_factory=dict)
    layers: tuple[LayerLikeness, ...] = ()
    likelier: str = ""
    version: int = 0

    def but(
        self,
        verdict: Standing,
        reason: str,
        figures: Mapping[str, float],
        likelier: str = "",
        kinship: Kinship | None = None,
    ) -> Verdict:
        """The same comparison, judged otherwise."""
        return replace(
            self,
            verdict=verdict,
            reason=reason,
            figures=dict(figures),
            likelier=likelier or self.likelier,
            kinship=kinship or self.kinship,
        )
