"""Models of the whole Hub's shape, any number of them, from a seed: who descends from whom, when, and how.

All of it is drawn at once as numpy arrays, some 70 bytes a model; ``rows.py`` makes rows from them. Shares are
those of the real Hub in 2025: 28 % of the models have a parent, of these 43 % are adapters, 36 % fine-tunes, 19 %
quantized, 2 % merges; parents follow a power law, and one has a twentieth of all models as its children.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from samplehub.generator import names
from samplehub.shape import CREATED_FLOOR_S, RELATIONS

Ints = npt.NDArray[Any]

VERSION = 3  # raised when the same seed gives other rows than before
SPAN_S = 141_000_000  # 2022-03-02 to 2026-08: what the listing's creation dates cover
FLOOR_SHARE = 0.013  # models that are older than creation dates
PARENT_SHARE = 0.292  # drawn; the oldest and most of the popular have none, which leaves 0.283
RELATION_SHARES = {"adapter": 0.4255, "finetune": 0.3592, "merge": 0.0226, "quantized": 0.1927}
ADAPTER, FINETUNE, MERGE, QUANTIZED = (RELATIONS.index(name) for name in ("adapter", "finetune", "merge", "quantized"))
GIANT_SHARE = 0.053  # drawn, of all models: a little over 100,000 children at 2,000,000
POPULAR_SHARE = 0.02  # models that most others choose their parent from
OLDER_SHARE = 0.006  # children older than their parent: 24 of 3,745 real edges
MAX_MERGED = 65
CHAIN_SHARE = 0.0005  # models that begin a chain of fine-tunes of fine-tunes; the longest real path has 16
CHAIN_LENGTHS = (4, 16)
DIRTY_SHARE = 0.04  # of the models with a parent
FORGOTTEN_SHARE = 0.15  # of the merges: the Hub drops 376 entries of 1,116 real ones

#: What is wrong with a dirty card, with its weight among the dirty ones.
DIRT = {
    "wrong_case": 16, "missing_parent": 16, "no_namespace": 8, "self_reference": 5, "duplicate_entry": 12,
    "local_path": 12, "trailing_slash": 4, "blob_url": 4, "html": 3, "dataset_path": 3, "key_case": 8,
    "merge_as_finetune": 12, "dropped_entry": 10,
}  # fmt: skip
DIRT_NAMES = tuple(DIRT)
#: Dirt after which the Hub resolves no parent, as with the real rows.
UNRESOLVED = frozenset((
    "wrong_case", "missing_parent", "no_namespace", "self_reference", "local_path", "trailing_slash", "blob_url",
    "html", "dataset_path", "key_case",
))  # fmt: skip


class Forest:
    """The structure of ``n`` models from ``seed``. Index 0 is the oldest.

    Arrays of length n: ``created`` and ``modified`` (seconds), ``parent`` (the first parent's index, -1 without),
    ``relation`` (index into RELATIONS, -1 without), ``root`` (the end of the line of first parents), and the traits
    that rows are made from. ``merges`` are the indices of merges; the further parents of the k-th are
    ``merge_more[merge_start[k]:merge_start[k + 1]]``.
    """

    def __init__(self, n: int, seed: int = 0) -> None:
        if n < 1:
            raise ValueError("at least one model")
        self.n, self.seed = n, seed
        dice = np.random.default_rng([seed, n, VERSION])
        self._dates(dice)
        self._structure(dice)
        self._traits(dice)
        self._name_parts(dice)

    # Structure -------------------------------------------------------------------------------

    def _dates(self, dice: np.random.Generator) -> None:
        self.floor = max(1, int(self.n * FLOOR_SHARE))
        share = np.linspace(0.0, 1.0, self.n - self.floor, endpoint=False)
        growth = np.expm1(3.0)  # the Hub grows by about e³ over these years
        after = CREATED_FLOOR_S + 60 + (np.log1p(share * growth) / 3.0 * SPAN_S).astype(np.int64)
        self.created: Ints = np.concatenate([np.full(self.floor, CREATED_FLOOR_S, np.int64), after])
        lag = (dice.exponential(14 * 86400, self.n) * (dice.random(self.n) < 0.7)).astype(np.int64)
        self.modified: Ints = np.minimum(self.created + lag + 30, CREATED_FLOOR_S + SPAN_S + 86400)

    def _structure(self, dice: np.random.Generator) -> None:
        n, index = self.n, np.arange(self.n, dtype=np.int32)
        self.giant = min(self.floor, n - 1)  # the first model after the floor: nearly all others are younger
        has = (dice.random(n) < PARENT_SHARE) & (index > self.giant)
        popular = np.unique((dice.random(max(2, int(n * POPULAR_SHARE))) ** 1.5 * n).astype(np.int32))
        popular = dice.permutation(popular)
        has[popular[dice.random(len(popular)) < 0.7]] = False  # most of the popular ones are roots
        has[self.giant] = False
        parent = self._choose(dice, index, popular)
        parent[dice.random(n) < GIANT_SHARE / PARENT_SHARE] = self.giant
        self._chain(dice, has, parent)
        # Where a child is older than its parent that parent is a root, so that no cycle comes of it.
        older = np.flatnonzero((dice.random(n) < OLDER_SHARE) & has)
        later = np.minimum(older + 1 + (dice.random(len(older)) * 50).astype(np.int32), n - 1)
        fits = ~has[later] & (later != older)
        parent[older[fits]] = later[fits]
        self.parent: Ints = np.where(has, parent, -1).astype(np.int32)
        shares = np.cumsum([RELATION_SHARES[name] for name in RELATIONS])
        drawn = np.searchsorted(shares / shares[-1], dice.random(n), side="right")
        self.relation: Ints = np.where(has, drawn, -1).astype(np.int8)
        self._merged(dice, popular)
        root = np.where(has, self.parent, index)
        while not np.array_equal(up := root[root], root):
            root = up
        self.root: Ints = root

    def _chain(self, dice: np.random.Generator, has: Ints, parent: Ints) -> None:
        """Makes some models the parent of a later one, that of a still later one, and so on."""
        for start in dice.integers(0, self.n, int(self.n * CHAIN_SHARE)).tolist():
            length, step = dice.integers(*CHAIN_LENGTHS, endpoint=True), dice.integers(1, 40)
            chain = np.arange(max(start, self.giant + 1), self.n, step)[:length]
            has[chain[1:]] = True
            parent[chain[1:]] = chain[:-1]

    @staticmethod
    def _choose(dice: np.random.Generator, index: Ints, popular: Ints) -> Ints:
        """A parent older than each model: three in four from the popular by a power law, else any, mostly recent."""
        recent = (index * (1 - dice.random(len(index)) ** 3 * 0.98)).astype(np.int32) - 1
        chosen = popular[(len(popular) * dice.random(len(index)) ** 4).astype(np.int32)]
        fits = (dice.random(len(index)) < 0.75) & (chosen < index)
        return np.maximum(np.where(fits, chosen, recent), 0).astype(np.int32)

    def _merged(self, dice: np.random.Generator, popular: Ints) -> None:
        """The further parents of merges, as slices of one array: one for most, up to 64."""
        self.merges: Ints = np.flatnonzero(self.relation == MERGE).astype(np.int32)
        more = np.minimum(1 + (dice.pareto(1.6, len(self.merges)) * 1.2).astype(np.int32), MAX_MERGED - 1)
        if len(more):
            more[len(more) // 2] = MAX_MERGED - 1
        self.merge_start: Ints = np.concatenate([[0], np.cumsum(more)]).astype(np.int32)
        self.merge_more: Ints = self._choose(dice, np.repeat(self.merges, more), popular)

    def parents(self, i: int) -> list[int]:
        """All true parents of a model, the first one first, each once."""
        first = int(self.parent[i])
        if first < 0:
            return []
        if self.relation[i] != MERGE:
            return [first]
        at = int(np.searchsorted(self.merges, i))
        more = self.merge_more[self.merge_start[at] : self.merge_start[at + 1]].tolist()
        return [p for p in dict.fromkeys([first, *more]) if p != i]

    def edges(self) -> tuple[Ints, Ints, Ints]:
        """All true edges: parent, child, relation (index into RELATIONS), sorted by child; each once."""
        child = np.flatnonzero(self.parent >= 0)
        further = np.repeat(self.merges, np.diff(self.merge_start))
        parents = np.concatenate([self.parent[child], self.merge_more]).astype(np.int64)
        children = np.concatenate([child, further]).astype(np.int64)
        keep = parents != children
        pairs = np.unique(children[keep] * self.n + parents[keep])
        children, parents = pairs // self.n, pairs % self.n
        return parents, children, self.relation[children]

    # Traits ----------------------------------------------------------------------------------

    def _traits(self, dice: np.random.Generator) -> None:
        n, has = self.n, self.parent >= 0
        weights = np.array([a.weight for a in names.ARCHITECTURES])
        own = np.searchsorted(np.cumsum(weights) / weights.sum(), dice.random(n), side="right").astype(np.int8)
        own[self.giant] = 3  # a language model, as the most used parents are
        self.architecture: Ints = own[self.root]
        count = np.array([len(a.sizes) for a in names.ARCHITECTURES])
        self.size: Ints = (dice.random(n)[self.root] * count[self.architecture]).astype(np.int8)
        # Every declared descent needs a card; some adapters come without one.
        self.card: Ints = has & ~((self.relation == ADAPTER) & (dice.random(n) < 0.02)) | (dice.random(n) < 0.17)
        self.licence: Ints = self._inherited(dice, names.LICENCES, 0.15)
        self.language: Ints = self._inherited(dice, names.LANGUAGES, 0.128)
        trained = (dice.random(n) ** 2 * len(names.DATASETS)).astype(np.int8)
        self.dataset: Ints = np.where(dice.random(n) < 0.3, trained, -1).astype(np.int8)
        self.variation: Ints = dice.integers(0, 1 << 31, n, dtype=np.int32)
        self._spoil(dice, has)
        fame = np.bincount(self.parent[has], minlength=n)
        self.downloads: Ints = (dice.pareto(0.7, n) * 8 + fame * 400).clip(0, 4e8).astype(np.int32)
        self.likes: Ints = (dice.pareto(1.0, n) * 0.3 + fame * 0.8).clip(0, 2e4).astype(np.int32)
        age = (self.created[-1] - self.created) / SPAN_S
        self.trending: Ints = (self.likes * np.exp(-age * 40) * 0.2).astype(np.int32)
        self.gated: Ints = (dice.random(n) < 0.01).astype(np.int8) * (1 + (dice.random(n) < 0.4).astype(np.int8))

    def _spoil(self, dice: np.random.Generator, has: Ints) -> None:
        weights = np.cumsum(list(DIRT.values())) / sum(DIRT.values())
        drawn = np.searchsorted(weights, dice.random(self.n), side="right")
        dirt = np.where(self.card & has & (dice.random(self.n) < DIRTY_SHARE), drawn, -1).astype(np.int8)
        merge = self.relation == MERGE
        dirt[(dirt == DIRT_NAMES.index("dropped_entry")) & ~merge] = DIRT_NAMES.index("duplicate_entry")
        forgotten = merge & self.card & (dirt < 0) & (dice.random(self.n) < FORGOTTEN_SHARE)
        dirt[forgotten] = DIRT_NAMES.index("dropped_entry")
        tagged = DIRT_NAMES.index("merge_as_finetune")
        dirt[(dirt == tagged) & (self.relation != FINETUNE)] = DIRT_NAMES.index("wrong_case")
        self.dirt: Ints = dirt

    def _inherited(self, dice: np.random.Generator, weighted: tuple[tuple[str, float], ...], mutation: float) -> Ints:
        """A trait that a child has from its root unless it changes; at the root it is drawn by weight."""
        weights = np.array([weight for _, weight in weighted])
        own = np.searchsorted(np.cumsum(weights) / weights.sum(), dice.random(self.n), side="right").astype(np.int8)
        return np.where(dice.random(self.n) < mutation, own, own[self.root])

    # Names -----------------------------------------------------------------------------------

    def _name_parts(self, dice: np.random.Generator) -> None:
        """Namespace and name of each model as small numbers; ``copy`` counts models that would be named alike."""
        n = self.n
        self.author: Ints = (max(8, n // 8) * dice.random(n) ** 2.2).astype(np.int32)
        self.bare = min(40, max(1, self.floor // 10))  # the oldest have no namespace
        suffixes = np.array([len(names.SUFFIXES[name]) for name in RELATIONS])
        kind = np.where(self.relation >= 0, suffixes[self.relation], len(names.ROOT_SUFFIXES))
        self.suffix: Ints = (dice.random(n) * kind).astype(np.int8)
        # Quantized copies carry the name of what they copy: names are told apart level by level.
        quantized, level = self.relation == QUANTIZED, np.zeros(n, np.int16)
        while not np.array_equal(deeper := np.where(quantized, level[self.parent] + 1, 0), level):
            level = deeper.astype(np.int16)
        plain = (self.architecture.astype(np.int64) * 16 + self.size) * 8 + (self.relation.astype(np.int64) + 1)
        self.copy: Ints = np.zeros(n, np.int32)
        short = np.zeros(n, np.int64)  # equal for equal names, namespaces aside
        used = 0
        for depth in range(int(level.max()) + 1):
            at = np.flatnonzero(level == depth)
            stem = (plain[at] if depth == 0 else short[self.parent[at]]) * 64 + self.suffix[at]
            _, stem = np.unique(stem, return_inverse=True)
            space = np.where(at < self.bare, 0, self.author[at].astype(np.int64) + 1)
            self.copy[at] = _occurrence(stem * (n + 1) + space)
            _, own = np.unique(stem * (n + 1) + self.copy[at], return_inverse=True)
            short[at] = used + own
            used = int(short[at].max()) + 1


def edges(n: int, seed: int = 0) -> tuple[Ints, Ints, Ints]:
    """The edges of ``n`` generated models: parent, child, relation (see Forest.edges)."""
    return Forest(n, seed).edges()


def _occurrence(keys: Ints) -> Ints:
    """For each element, how many equal ones stand before it."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.arange(len(keys)) - np.repeat(starts, np.diff(np.append(starts, len(keys))))
    result = np.empty(len(keys), np.int32)
    result[order] = counts
    return result
