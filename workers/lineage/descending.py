"""Whose child among relatives: what distances to other known models say of a declared parent.

If the child was trained on from P, it holds the whole of what sets P apart from any earlier relative G. ``hold`` is
that share: the coefficient of P - G in C - G. It is 1 where P is the parent, 0 where C branched off at G, 1/2 just
where both are equally near. Merges are found as points of the affine hull of their parents (and of their common base).
Which of two relatives came first is never read from weights: dates and declared descent say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.lineage.comparing import COUNTED, pairs
from workers.lineage.kinship import LEAST_VALUES, PART, RELATED, likeness
from workers.lineage.records import Kinship, Relation, Standing, Verdict
from workers.weights.naming import Role
from workers.weights.sketches import Sketch

BRANCHED = 0.2  # hold below which the child branched off before the parent
BESIDE = 0.38  # hold against one beside the parent's line below which the parent is doubted
BOTH = 1.12  # the same together with the least hold against the parent's ancestors
TELLING = 6  # tensors from which on one beside the line counts
BY_WAY = 0.15  # hold below which a younger relative may lie between
FAR = 2.5  # a child farther from its parent than so many times what sets the parent apart: that is not made out
MOST_ERROR = 0.12  # of hold
KEPT = 0.5  # similarity of a head that was not begun anew
MERGED = 0.06  # least weight of a parent in a merge

Gram = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Known:
    """Another model of the same architecture whose sketch is stored. ``older``: it is surely older than the child and
    no descendant of it. ``before``: keys of the parents that are declared to descend from it. ``beside``: keys of those
    with which it is on no one line: it is older than them, or declared to descend from elsewhere.
    """

    key: str
    sketch: Sketch
    older: bool = True
    before: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Case:
    """All that is known of one child and its parents: each with its sketch and the declared relation."""

    child: Sketch
    parents: Mapping[str, tuple[Sketch, Relation]]
    others: Sequence[Known]
    bases: frozenset[str] = frozenset()  # parents that others of the parents are declared to descend from


def grams(child: Sketch, points: Sequence[Sketch]) -> Gram:
    """Inner products of (point - child), tensor by tensor, in units of the child's own size: [tensors, points, points].

    Only tensors that all have (heads that were not begun anew among them), and only rows that all have.
    """
    joined = [
        {
            p.ours.name: p
            for p in pairs(child, point)
            if p.role in COUNTED or (p.role is Role.HEAD and p.similarity > KEPT)
        }
        for point in points
    ]
    names = [n for n in joined[0] if all(n in each for each in joined)] if joined else []
    made = []
    for name in names:
        some = [each[name] for each in joined]
        if any(p.a.shape != some[0].a.shape or not np.array_equal(p.a[:1, :4], some[0].a[:1, :4]) for p in some):
            continue
        size = float(np.square(some[0].a.astype(np.float64)).sum())
        if not size:
            continue
        gaps = np.stack([(p.b.astype(np.float64) - p.a).ravel() for p in some])
        made.append(gaps @ gaps.T / size)
    return np.array(made) if made else np.zeros((0, len(points), len(points)))


def hold(gram: Gram) -> tuple[float, float]:
    """How much of P - G the child holds (points in the order P, G) and its standard error over tensors."""

    def of(g: Gram) -> float:
        apart = g[0, 0] + g[1, 1] - 2 * g[0, 1]
        return float((g[1, 1] - g[0, 1]) / apart) if apart > 0 else float("nan")

    total = gram.sum(axis=0)
    n = len(gram)
    if n < 2:
        return of(total), float("inf")
    left = np.array([of(total - each) for each in gram])
    return of(total), float(np.sqrt((n - 1) / n * np.nansum((left - np.nanmean(left)) ** 2)))


@dataclass(slots=True)
class _Seen:
    """What the others say: the nearest of them; the least hold against an ancestor of the parent, with whether the two
    are far enough apart to tell; the least against one beside the parent's line, and against one that may have come
    after the parent.
    """

    nearest: tuple[float, str] | None = None
    branched: tuple[float, bool] = (1.0, False)
    held: float = 0.0  # the most hold against an ancestor of the parent: to contradict, all have to agree
    beside: float = 1.0
    between: float = 1.0


def nearest_of(case: Case, key: str, verdict: Verdict) -> Verdict:
    """Hold a parent that is kin against every other relative that is older than the child."""
    seen = _Seen()
    for other in case.others:
        if other.key != key and other.older and other.key not in case.parents:
            _look(case, key, other, seen)
    if seen.nearest is None:
        return verdict
    distance, likelier = seen.nearest
    figures = dict(verdict.figures) | {"nearer": round(distance, 5)}
    share, clear = seen.branched
    if share < 0.5:
        figures["hold"] = round(share, 4)
        agreed = clear and share <= BRANCHED and seen.held < 0.5
        says = Standing.CONTRADICTED if agreed else Standing.CANNOT_TELL
        return verdict.but(says, "branched_before", figures, likelier)
    if seen.beside < BESIDE or seen.beside + min(share, 1.0) < BOTH:
        figures["hold"] = round(seen.beside, 4)
        return verdict.but(Standing.CANNOT_TELL, "other_nearer", figures, likelier)
    if seen.between <= BY_WAY:
        # A sibling that learnt the same first looks like this too: it is no reason to doubt the parent.
        figures["hold"] = round(seen.between, 4)
        return verdict.but(Standing.CONFIRMED, "by_way_of", figures, likelier)
    return verdict.but(verdict.verdict, verdict.reason, figures, likelier)


def _look(case: Case, key: str, other: Known, seen: _Seen) -> None:
    gram = grams(case.child, [case.parents[key][0], other.sketch])
    if not len(gram):
        return
    total = gram.sum(axis=0)
    apart = total[0, 0] + total[1, 1] - 2 * total[0, 1]
    if total[1, 1] >= len(gram) or apart <= max(1e-7 * len(gram), 1e-3 * total[0, 0]):
        return  # a stranger, or the same weights as the parent's, or too near them to be told apart
    share, error = hold(gram)
    if key in other.before and error <= 2 * MOST_ERROR:
        seen.held = max(seen.held, share)
    if key in other.before and (share < 0.5 - error or share >= 0.5):
        clear = error <= MOST_ERROR and total[0, 0] <= FAR**2 * apart
        seen.branched = min(seen.branched, (share, clear))
    if total[1, 1] >= total[0, 0]:
        return
    distance = float(np.sqrt(total[1, 1] / len(gram)))
    if seen.nearest is None or distance < seen.nearest[0]:
        seen.nearest = (distance, other.key)
    if key in other.beside:
        seen.beside = min(seen.beside, share if len(gram) >= TELLING else 1.0)
    elif key not in other.before and error <= MOST_ERROR:
        seen.between = min(seen.between, share)


def with_likelier(case: Case, verdict: Verdict, exclude: str) -> Verdict:
    """Name the nearest older relative of a child whose declared parent is a stranger."""
    best: tuple[float, str] | None = None
    for other in case.others:
        if other.key == exclude or not other.older or other.key in case.parents:
            continue
        found = [p for p in pairs(case.child, other.sketch) if p.role in COUNTED]
        if not found or sum(p.a.size for p in found) < LEAST_VALUES:
            continue
        mean, share, _ = likeness(found)
        change = float(np.mean([min(p.change, 2.0) for p in found]))
        if mean >= RELATED and share >= PART and (best is None or change < best[0]):
            best = (change, other.key)
    if best is None:
        return verdict
    return verdict.but(verdict.verdict, verdict.reason, dict(verdict.figures) | {"nearer": round(best[0], 5)}, best[1])


# --- merges ---------------------------------------------------------------------------------------------------------
def merged(case: Case, verdicts: Mapping[str, Verdict], kin: Sequence[str]) -> dict[str, Verdict]:
    """Weights of a child in the affine hull of its parents (and of the likeliest common base, where one is stored)."""
    if all(verdicts[key].kinship is Kinship.SAME_WEIGHTS for key in kin) and len(kin) == 1:
        return {}
    bases = [o for o in case.others if o.key not in case.parents and o.older and all(k in o.before for k in kin)]
    points = [case.parents[key][0] for key in kin]
    base = _base(case, points, bases)
    if len(kin) + (base is not None) < 2:
        return {kin[0]: verdicts[kin[0]].but(Standing.CANNOT_TELL, "one_parent_of_many", verdicts[kin[0]].figures)}
    gram = grams(case.child, [*points, *([base.sketch] if base else [])])
    if not len(gram):
        return {}
    weights, residual = hull(gram.sum(axis=0))
    errors = _jackknife(gram)
    closest = float(np.sqrt(max(np.diag(gram.sum(axis=0))[: len(kin)].min(), 1e-30)))
    out = {}
    for at, key in enumerate(kin):
        weight, error = float(weights[at]), float(errors[at])
        figures = dict(verdicts[key].figures) | {
            "weight": round(weight, 4),
            "weight_error": round(error, 4),
            "left_over": round(residual / closest, 4),
        }
        if weight >= MERGED and weight > 4 * error:
            out[key] = verdicts[key].but(Standing.CONFIRMED, "in_hull", figures, kinship=Kinship.MERGE)
        elif key in case.bases:
            # What task vectors are added to: its own weight is one less the sum of theirs, and may be anything.
            out[key] = verdicts[key].but(Standing.CONFIRMED, "base_of_mix", figures, kinship=Kinship.MERGE)
        elif weight + 3 * error < MERGED and residual < 0.75 * closest:
            out[key] = verdicts[key].but(Standing.CONTRADICTED, "not_in_hull", figures)
        else:
            out[key] = verdicts[key].but(Standing.CANNOT_TELL, "weight_unclear", figures)
    return out


def _base(case: Case, points: Sequence[Sketch], bases: Sequence[Known]) -> Known | None:
    """Of the possible common bases the one that leaves least over."""
    best: tuple[float, Known] | None = None
    for base in bases:
        gram = grams(case.child, [*points, base.sketch])
        if len(gram) and gram[:, -1, -1].mean() < 1.0:
            _, residual = hull(gram.sum(axis=0))
            if best is None or residual < best[0]:
                best = (residual, base)
    return best[1] if best else None


def hull(gram: Gram) -> tuple[NDArray[np.float64], float]:
    """Weights (sum 1) of the points whose mix is nearest to the child, and the distance left: min |Σ w (P - C)|."""
    n = len(gram)
    ridge = gram + np.eye(n) * (1e-9 * float(np.trace(gram)) / n + 1e-30)
    solved = np.linalg.solve(ridge, np.ones(n))
    weights = solved / solved.sum()
    return weights, float(np.sqrt(max(0.0, weights @ gram @ weights)))


def _jackknife(gram: Gram) -> NDArray[np.float64]:
    total, n = gram.sum(axis=0), len(gram)
    if n < 2:
        return np.full(gram.shape[1], np.inf)
    left = np.array([hull(total - each)[0] for each in gram])
    return np.sqrt((n - 1) / n * np.square(left - left.mean(axis=0)).sum(axis=0))
