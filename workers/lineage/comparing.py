"""Two sketches side by side: which rows both have, and how alike they are.

Raw cosines lie: norms near one, biases near nought, tables of positions and filters with a common mean make strangers
look alike. So only matrices count, each row about its own mean and to its own length (which also makes scales of
quantized rows irrelevant), each column about the mean of the sampled rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.weights.naming import Role, matched, place
from workers.weights.sketches import Floats, Piece, Sketch

LEAST_VALUES = 64  # of a tensor, to be counted
FLAT_BELOW = 24  # columns: narrower matrices (filters of one channel) are compared as one vector
COUNTED = (Role.MATRIX, Role.EMBEDDING)

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pair:
    """One tensor in both: ``a`` and ``b`` are the rows both sketches have, float32 [k, columns].

    ``similarity`` is the mean cosine of centred rows (-1 to 1); ``change`` is ‖a - b‖ / ‖b‖; ``same``: bit by bit.
    """

    ours: Piece
    theirs: Piece
    a: Floats
    b: Floats
    similarity: float
    change: float
    same: bool

    @property
    def role(self) -> Role:
        return place(self.ours.name, self.ours.shape).role

    @property
    def noise(self) -> float:
        """The standard deviation of the similarity between strangers."""
        return float(1 / np.sqrt(self.a.size))


def pairs(ours: Sketch, theirs: Sketch) -> list[Pair]:
    """All tensors that both sketches have rows of, in our order."""
    names = matched(ours.shapes, theirs.shapes)
    found = [(ours.by_name[a], theirs.by_name[b]) for a, b in names.items()]
    turned = any(_turned(a.shape, b.shape) for a, b in found)
    return [pair for a, b in found if (pair := _pair(a, b, turned=turned)) is not None]


def _turned(a: Sequence[int], b: Sequence[int]) -> bool:
    return len(a) == 2 == len(b) and a[0] != a[1] and tuple(a) == tuple(b)[::-1]


def _pair(ours: Piece, theirs: Piece, *, turned: bool) -> Pair | None:
    both = _turned_rows(ours, theirs) if _turned(ours.shape, theirs.shape) else _common_rows(ours, theirs)
    if both is None or (both[0].size < LEAST_VALUES and ours.place.role is not Role.VECTOR):
        return None
    a, b = both
    square = len(ours.shape) == 2 and ours.shape[0] == ours.shape[1]
    likeness = similarity(a, b)
    # A transposed layout (Conv1D against Linear) does not show in a square matrix's shape.
    other = _turned_rows(ours, theirs) if turned and square and likeness < 0.1 else None
    if other is not None and (better := similarity(*other)) > likeness + 0.1:
        (a, b), likeness = other, better
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    gap, size = _length(a.astype(np.float64) - b), _length(b.astype(np.float64))
    same = ours.digest == theirs.digest if a.size == ours.values.size == theirs.values.size else not gap
    return Pair(ours, theirs, a, b, likeness, gap / size if size else float(gap > 0), same)


def _length(values: Matrix) -> float:
    """Euclidean. Without BLAS, whose threads cost ten times the sum itself where other processes are at work."""
    return float(np.sqrt(np.square(values).sum()))


def _common_rows(ours: Piece, theirs: Piece) -> tuple[Floats, Floats] | None:
    if ours.values.ndim != 2 or ours.values.shape[1:] != theirs.values.shape[1:]:
        return None
    first = max(ours.start, theirs.start)
    last = min(ours.start + len(ours.values), theirs.start + len(theirs.values))
    if last <= first:
        return None
    return ours.values[first - ours.start : last - ours.start], theirs.values[
        first - theirs.start : last - theirs.start
    ]


def _turned_rows(ours: Piece, theirs: Piece) -> tuple[Floats, Floats] | None:
    """Where one is the other's transpose: the entries that lie in the sampled rows of both."""
    a = ours.values[:, theirs.start : theirs.start + len(theirs.values)]
    b = theirs.values[:, ours.start : ours.start + len(ours.values)].T
    return (a, b) if a.shape == b.shape and a.size else None


def centred(values: Floats) -> Matrix:
    """Rows about their means and of unit length, after the columns' means; a narrow matrix is one row."""
    x = values.astype(np.float64)
    if x.shape[1] < FLAT_BELOW:
        if len(x) >= 8:
            x = x - x.mean(axis=0)
        x = x.reshape(1, -1)
    elif len(x) >= 16:
        x = x - x.mean(axis=0)
    x = x - x.mean(axis=1, keepdims=True)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, length, out=np.zeros_like(x), where=length > 1e-12)


def similarity(a: Floats, b: Floats) -> float:
    """The mean cosine of centred rows; rows without content count as nought unless both are without."""
    x, y = centred(np.nan_to_num(a)), centred(np.nan_to_num(b))
    dots = (x * y).sum(axis=1)
    empty = ~(x.any(axis=1) | y.any(axis=1))
    return float(dots[~empty].mean()) if (~empty).any() else 0.0


# --- layers ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Layer:
    """One bar of the small picture: ``label`` ("embeddings", "0", "1", … "head"), mean similarity, mean change."""

    label: str
    similarity: float
    change: float
    values: int


def layers(found: Sequence[Pair]) -> tuple[Layer, ...]:
    """The pairs by layer, in the order of a forward pass; norms and tables left out."""
    groups: dict[tuple[int, str, int], list[Pair]] = {}
    stacks = {p.ours.place.stack for p in found if p.role is Role.MATRIX and p.ours.place.layer >= 0}
    for pair in found:
        where = pair.ours.place
        if where.role is Role.EMBEDDING:
            key = (0, "embeddings", 0)
        elif where.role is Role.HEAD:
            key = (2, "head", 0)
        elif where.role is Role.MATRIX:
            stack = where.stack.rpartition(".")[2] if len(stacks) > 1 else ""
            key = (1, where.stack if len(stacks) > 1 else stack, where.layer)
        else:
            continue
        groups.setdefault(key, []).append(pair)
    made = []
    for (order, stack, layer), members in sorted(groups.items()):
        label = stack if order != 1 else f"{_short(stack)} {layer}".strip() if layer >= 0 else _short(stack) or "other"
        weights = np.array([pair.a.size for pair in members], float)
        made.append(
            Layer(
                label,
                float(np.average([pair.similarity for pair in members], weights=weights)),
                float(np.average([pair.change for pair in members], weights=weights)),
                int(weights.sum()),
            )
        )
    return tuple(made)


def _short(stack: str) -> str:
    """The telling part of a stack's name: "encoder", "decoder", "vision_model", "layer1"."""
    words = [
        w for w in stack.split(".") if w not in ("model", "layers", "layer", "blocks", "block", "h", "transformer")
    ]
    return words[-1] if words else ""


# --- strangers that only look so ------------------------------------------------------------------------------------
def shuffled(ours: Sketch, theirs: Sketch, names: Mapping[str, str], *, sample: int = 192, seed: int = 7) -> float:
    """How well the columns of the embedding (else of the widest matrix) match once they may be permuted: over sampled
    columns, by how much the best correlation stands above the second best. Strangers' columns may all be alike (rare
    tokens, frequent ones), but none fits one far better than the rest: below 0.1 there, 0.3 and more for a permuted
    copy. NaN where too few rows were sampled to tell.
    """
    best: tuple[int, Floats, Floats] | None = None
    for a, b in names.items():
        mine, other = ours.by_name[a], theirs.by_name[b]
        if mine.place.role not in COUNTED or (both := _common_rows(mine, other)) is None:
            continue
        rank = (both[0].shape[0] if both[0].shape[1] >= 16 else 0) + (
            10_000 if mine.place.role is Role.EMBEDDING else 0
        )
        if both[0].shape[0] >= 24 and both[0].shape[1] >= 16 and (best is None or rank > best[0]):
            best = (rank, *both)
    if best is None:
        return float("nan")
    x, y = _columns(best[1]), _columns(best[2])
    at = np.random.default_rng(seed).permutation(x.shape[1])[:sample]
    ranked = np.sort(np.einsum("ki,kj->ij", x[:, at], y), axis=1)
    return float((ranked[:, -1] - ranked[:, -2]).mean())


def _columns(values: Floats) -> Matrix:
    x = values.astype(np.float64)
    x = x - x.mean(axis=0)
    length = np.linalg.norm(x, axis=0)
    return np.divide(x, length, out=np.zeros_like(x), where=length > 1e-12)
