"""Kinship of two models, by the rows that both sketches have.

Strangers of one shape lie near nought in the similarity of centred rows (0.04 to 0.17 raw, less when centred),
relatives above 0.27 even after long training. That shows a common origin, not who came first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workers.lineage.comparing import COUNTED, Pair, layers, pairs, shuffled
from workers.lineage.records import Kinship, LayerLikeness, Relation, Standing, Verdict
from workers.weights.naming import Role, matched
from workers.weights.sketches import Piece, Sketch

VERSION = 2
"""Of the method, sketches aside: verdicts of another version are judged anew."""

RELATED = 0.20  # mean similarity from which on two are relatives
UNRELATED = 0.08  # below which they are strangers
PART = 0.5  # share of tensors that have to be alike
LEAST_VALUES = 1_500  # common values below which nothing is said
ALIKE = 0.10  # of one tensor
PERMUTED = 0.2


def kinship_of(child: Sketch, parent: Sketch, relation: Relation, *, quantized: bool = False) -> Verdict:
    """What the weights of the two alone say: confirmed where they are relatives, whoever the parent is."""
    found = pairs(child, parent)
    counted = [p for p in found if p.role in COUNTED]
    values = sum(p.a.size for p in counted)
    figures: dict[str, float] = {"tensors": len(counted), "values": values}
    picture = _picture(found)

    def say(verdict: Standing, kinship: Kinship | None, reason: str, **more: float) -> Verdict:
        rounded = {k: round(float(v), 5) for k, v in (figures | more).items() if np.isfinite(v)}
        return Verdict(verdict, kinship, reason, rounded, picture, version=VERSION)

    if values < LEAST_VALUES:
        return say(Standing.CANNOT_TELL, None, "too_little" if counted else "nothing_in_common")
    mean, share, stacks = likeness(counted)
    figures |= {
        "similarity": mean,
        "alike": share,
        "change": float(np.median([p.change for p in counted])),
        "same": float(np.mean([p.same for p in counted])),
    }
    if mean >= RELATED and share >= PART and min(stacks) >= RELATED / 2:
        kinship = _kinship(child, parent, counted, relation, quantized=quantized)
        return say(Standing.CONFIRMED, kinship, "related")
    moved = _other_layers(child, parent)
    if moved >= RELATED:
        return say(Standing.CONFIRMED, Kinship.FINETUNE, "other_layers", other_layers=moved)
    if mean > UNRELATED or share > PART / 2 or max(stacks) >= RELATED:
        return say(Standing.CANNOT_TELL, None, "part_related" if max(stacks) >= RELATED else "between")
    return _unlike(child, parent, say)


def _unlike(child: Sketch, parent: Sketch, say: Callable[..., Verdict]) -> Verdict:
    """Before two are called strangers: is one the other with its channels permuted?"""
    renamed = _rearranged(child, parent)
    if renamed >= PERMUTED:
        return say(Standing.CANNOT_TELL, None, "rearranged", rearranged=renamed)
    return say(Standing.CONTRADICTED, Kinship.UNRELATED, "unrelated", rearranged=renamed)


def likeness(counted: Sequence[Pair]) -> tuple[float, float, list[float]]:
    """Mean similarity, the share of tensors alike, and the mean of each large stack (a quarter of the tensors)."""
    each = np.array([p.similarity for p in counted])
    alike = np.array([p.similarity > max(ALIKE, 5 * p.noise) for p in counted])
    by_stack: dict[str, list[float]] = {}
    for p in counted:
        by_stack.setdefault(p.ours.place.stack, []).append(p.similarity)
    large = [float(np.mean(some)) for some in by_stack.values() if len(some) >= max(4, len(counted) / 4)]
    return float(each.mean()), float(alike.mean()), large or [float(each.mean())]


def _kinship(child: Sketch, parent: Sketch, counted: Sequence[Pair], relation: Relation, *, quantized: bool) -> Kinship:
    body = [p for p in counted if p.role is Role.MATRIX] or list(counted)
    if all(p.same for p in counted):
        return Kinship.SAME_WEIGHTS
    if np.mean([_rounded_only(p) for p in counted]) >= 0.95:
        return Kinship.SAME_WEIGHTS
    in_steps = float(np.mean([is_in_steps(p.ours) and not is_in_steps(p.theirs) for p in body]))
    known = quantized or child.format == "gguf" != parent.format or any(_packed(p) for p in body)
    closest = float(np.median([p.similarity for p in body]))
    if closest >= 0.8 and (in_steps >= 0.5 or (known and in_steps > 0) or (known and closest >= 0.9)):
        return Kinship.QUANTIZED
    return Kinship.MERGE if relation is Relation.MERGE else Kinship.FINETUNE


def _packed(pair: Pair) -> bool:
    narrow = {"I8", "U8", "F8_E4M3", "F8_E5M2"}
    mine, other = pair.ours.dtype, pair.theirs.dtype
    quant = mine in narrow or mine.startswith(("Q", "IQ"))
    return quant and other not in narrow and not other.startswith(("Q", "IQ"))


_STEP = {"BF16": 2.0**-7, "F16": 2.0**-10}  # of the significand


def _rounded_only(pair: Pair) -> bool:
    """Whether the difference is no more than writing the same numbers in fewer bits makes."""
    if pair.same:
        return True
    steps = [_STEP[p.dtype] for p in (pair.ours, pair.theirs) if p.dtype in _STEP]
    if not steps or pair.ours.dtype == pair.theirs.dtype:
        return False
    least = 2.0**-24  # float16's smallest step
    slack = np.abs(pair.b) * (max(steps) * 0.52 + 2.0**-12) + least + float(np.abs(pair.b).max(initial=0)) * 2.0**-24
    return bool((np.abs(pair.a - pair.b) <= slack).mean() >= 0.999)


def is_in_steps(piece: Piece, most: int = 320) -> bool:
    """Whether the values of a row are whole multiples of one step, of few: numbers that were quantized once."""
    values = piece.values.astype(np.float64)
    if values.ndim != 2 or values.shape[1] < 24:
        return False
    told = []
    for row in values[:: max(1, len(values) // 8)][:8]:
        levels = np.unique(row[np.isfinite(row)])
        if len(levels) < 3:
            continue
        if len(levels) > most:
            told.append(False)
            continue
        top = float(np.abs(levels).max())
        gaps = np.diff(levels)
        gaps = gaps[gaps > top * 1e-3 / 2]
        if not gaps.size:
            told.append(False)
            continue
        step = float(gaps.min())
        for _ in range(3):  # refine the step over ever larger multiples
            whole = np.maximum(1, np.round(gaps / step))
            step = float((gaps * whole).sum() / (whole * whole).sum())
        off = np.abs(gaps / step - np.round(gaps / step))
        told.append((levels[-1] - levels[0]) / step <= most and float(off.mean()) < 0.06)
    return bool(told) and float(np.mean(told)) >= 0.75


def _rearranged(child: Sketch, parent: Sketch) -> float:
    """Signs of a permuted copy: columns that match another's, or vectors that hold the same numbers in other places."""
    names = matched(child.shapes, parent.shapes)
    signs = [shuffled(child, parent, names)]
    equal, total = 0, 0
    for a, b in names.items():
        mine, other = child.by_name[a], parent.by_name[b]
        if mine.place.role is not Role.VECTOR or mine.values.size != other.values.size:
            continue
        x, y = np.sort(mine.values.ravel()), np.sort(other.values.ravel())
        if len(np.unique(x)) < 16 or np.array_equal(mine.values, other.values):
            continue
        total += x.size
        equal += int((np.abs(x - y) <= 2e-3 * np.abs(y)).sum()) if np.ptp(y) > 0.2 * np.abs(y).mean() else 0
    if total >= 256:
        exact = equal / total
        signs.append(exact if exact > 0.9 else 0.0)
    real = [s for s in signs if np.isfinite(s)]
    return max(real) if real else float("nan")


def _other_layers(child: Sketch, parent: Sketch) -> float:
    """The mean likeness of each layer to the best other layer of the parent: of a child with layers taken out."""
    mine, other = _by_layer(child), _by_layer(parent)
    if len(mine) < 2 or len(other) < 2 or len(mine) == len(other):
        return 0.0
    best = []
    for pieces in mine.values():
        scores = []
        for theirs in other.values():
            common = [
                pairs(Sketch("model", "", (pieces[n],)), Sketch("model", "", (_renamed(theirs[n], pieces[n].name),)))
                for n in pieces
                if n in theirs and theirs[n].shape == pieces[n].shape
            ]
            scores.append(float(np.mean([p.similarity for each in common for p in each] or [0.0])))
        best.append(max(scores))
    return float(np.mean(best))


def _by_layer(sketch: Sketch) -> dict[int, dict[str, Piece]]:
    found: dict[int, dict[str, Piece]] = {}
    for piece in sketch.pieces:
        where = piece.place
        if where.role is Role.MATRIX and where.layer >= 0 and not piece.side:
            found.setdefault(where.layer, {})[where.pattern] = piece
    return found


def _renamed(piece: Piece, name: str) -> Piece:
    return Piece(name, piece.shape, piece.dtype, piece.start, piece.values, piece.digest)


def _picture(found: Sequence[Pair]) -> tuple[LayerLikeness, ...]:
    return tuple(LayerLikeness(x.label, round(x.similarity, 4), round(x.change, 5)) for x in layers(found))
