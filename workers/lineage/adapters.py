"""Does an adapter fit a base? A LoRA holds none of its base's weights, yet it was pulled into shape by them.

The gradient of a weight W is a sum of (error times input): inputs and errors lie along the directions that training had
already written into W. So the leading singular directions of an adapter's update lean towards W's own; towards the
weights of another base of the same shape they do not. The lean is ‖W v‖² for right directions and ‖Wᵀ u‖² for left
ones, against the same with the coordinates of v (u) shuffled. They are shuffled among near neighbours of equal parity
alone: what any two models of an architecture have in common along the coordinates (sinusoidal positions, rotary
frequencies, heads) is smooth and stays, so it speaks for neither. ``fit`` adds up all modules in standard deviations:
about N(0, 1) for a stranger.

It tells families apart, not a base from its own fine-tunes, whose weights lean alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.lineage.comparing import COUNTED, pairs
from workers.lineage.kinship import RELATED, VERSION
from workers.lineage.records import Kinship, LayerLikeness, Standing, Verdict
from workers.weights.naming import Role, endings, place
from workers.weights.sketches import Floats, Piece, Sketch

FITS = 3.0  # standard deviations from which on an adapter is its base's
STRANGE = 2.0
SAVED = 0.5  # likeness of modules that were saved whole
MARGIN = 3.0  # by which another base must fit better to be named
SHUFFLES = 96
WINDOW = 8  # coordinates of one parity among which is shuffled
MOST_COLUMNS = 16_384
LEAST_COLUMNS = 16
LEAST_ROWS = 32
SEED = 20_260_801

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Module:
    """One target of an adapter beside the base's tensor: ``weight`` is float32 [k, in], rows ``start`` on of [out, in];
    None where the base has no such tensor, or of another shape (``fits`` False).
    """

    name: str
    target: str
    left: Floats
    right: Floats
    weight: Floats | None
    start: int = 0
    fits: bool = True


def modules(adapter: Sketch, base: Sketch) -> list[Module]:
    """The adapter's targets beside the base's tensors."""
    sides: dict[str, dict[str, Piece]] = {}
    for piece in adapter.pieces:
        if piece.side:
            sides.setdefault(piece.name, {})[piece.side] = piece
    where = {ending: name for name in base.tensors for ending in reversed(endings(name))}
    found = []
    turned = _turned(sides, base, where)
    for name, both in sides.items():
        if len(both) != 2:
            continue
        left, right = both["left"].values, both["right"].values
        target = _target(name, where)
        if target is None:
            continue
        shape = base.tensors[target]
        flat = (shape[0], int(np.prod(shape[1:])))
        wanted = (left.shape[1], right.shape[1])
        piece_ = base.by_name.get(target)
        if flat == wanted and not (turned and flat[0] == flat[1]):
            found.append(
                Module(name, target, left, right, piece_.values if piece_ else None, piece_.start if piece_ else 0)
            )
        elif flat == wanted[::-1]:
            # Conv1D keeps [in, out]: its rows are the columns of what the adapter adds to.
            found.append(
                Module(name, target, right, left, piece_.values if piece_ else None, piece_.start if piece_ else 0)
            )
        else:
            found.append(Module(name, target, left, right, None, fits=False))
    return found


def _turned(sides: Mapping[str, Mapping[str, Piece]], base: Sketch, where: Mapping[str, str]) -> bool:
    for name, both in sides.items():
        target = _target(name, where)
        if target is None or len(both) != 2:
            continue
        wanted = (both["left"].values.shape[1], both["right"].values.shape[1])
        if wanted[0] != wanted[1]:
            return base.tensors[target] == wanted[::-1]
    return False


def _target(name: str, where: Mapping[str, str]) -> str | None:
    for ending in endings(name):
        for tail in (".weight", ""):
            if (found := where.get(ending + tail)) is not None:
                return found
    return None


@dataclass(frozen=True, slots=True)
class _Probe:
    """Directions of a module [m, columns] beside base rows [k, columns] of the same space."""

    module: str
    directions: Floats
    rows: Matrix


def _probes(found: Sequence[Module], base: Sketch) -> list[_Probe]:
    """Right directions beside what reads and what writes the same space, left ones beside the module's own columns."""
    layers: dict[tuple[str, int], list[Matrix]] = {}
    writers: dict[int, list[Matrix]] = {}
    for piece in base.pieces:
        where = piece.place
        if piece.side or piece.values.shape[1] < LEAST_COLUMNS or not np.isfinite(piece.values).all():
            continue
        if where.role is Role.MATRIX:
            layers.setdefault((where.stack, where.layer), []).append(_levelled(piece.values))
            if len(piece.values) == piece.shape[0] >= LEAST_COLUMNS:
                writers.setdefault(piece.shape[0], []).append(_levelled(piece.values.T))
        elif where.role is Role.EMBEDDING:
            writers.setdefault(piece.values.shape[1], []).append(_levelled(piece.values))
    probes = []
    for module in found:
        if module.weight is None:
            continue
        columns = module.right.shape[1]
        own = _levelled(module.weight) if module.weight.shape[1] == columns else None
        key = _layer_of(module.target)
        beside = [m for m in layers.get(key, ()) if m.shape[1] == columns] if key[1] >= 0 else []
        readers = beside or ([own] if own is not None else [])
        if readers and columns <= MOST_COLUMNS:
            probes.append(_Probe(module.name, module.right, _rooted(np.concatenate(readers))))
        wrote = [m for m in writers.get(columns, ()) if m.shape[1] == columns]
        if wrote and key[1] >= 0:
            probes.append(_Probe(module.name, module.right, _rooted(np.concatenate(wrote))))
        rows = module.left[:, module.start : module.start + len(module.weight)]
        if rows.shape[1] >= LEAST_ROWS:
            probes.append(_Probe(module.name, rows, _rooted(_levelled(module.weight.T))))
    return probes


def _layer_of(target: str) -> tuple[str, int]:
    where = place(target, (2, 2))
    return where.stack, where.layer


def _levelled(values: Floats) -> Matrix:
    """About the columns' means (where there are enough rows to know them), and of one size whatever the tensor."""
    x = values.astype(np.float64)
    x = x - x.mean(axis=0) if len(x) >= 16 else x
    size = float(np.sqrt(np.square(x).mean()))
    return x / size if size else x


def _rooted(rows: Matrix) -> Matrix:
    """The same quadratic form by at most as many rows as columns."""
    if len(rows) <= rows.shape[1]:
        return rows
    gram = rows.T @ rows
    values, vectors = np.linalg.eigh(gram)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))).T)


def fit(found: Sequence[Module], base: Sketch, *, shuffles: int = SHUFFLES) -> tuple[float, dict[str, float]]:
    """How well the modules fit, in standard deviations, and each module's own part.

    All directions of one width are shuffled alike, so that what modules have in common does not count twice.
    """
    orders: dict[int, NDArray[np.int64]] = {}
    total, chance = 0.0, np.zeros(shuffles)
    each: dict[str, list[float]] = {}
    for probe in _probes(found, base):
        columns = probe.directions.shape[1]
        if columns not in orders:
            orders[columns] = _neighbours(columns, shuffles, np.random.default_rng([SEED, columns]))
        own, shuffled = _leans(probe, orders[columns])
        spread = float(shuffled.std())
        if not spread > 1e-9 * max(own, 1e-300):
            continue
        score = (own - float(shuffled.mean())) / spread
        each.setdefault(probe.module, []).append(score)
        total += score
        chance += (shuffled - shuffled.mean()) / spread
    if not each:
        return float("nan"), {}
    # At least as wide as if all parts were independent: few shufflings may make it look narrower by chance.
    width = max(float(chance.std()), float(np.sqrt(sum(len(scores) for scores in each.values()))))
    return total / width, {name: float(np.sum(s) / np.sqrt(len(s))) for name, s in each.items()}


def _leans(probe: _Probe, orders: NDArray[np.int64]) -> tuple[float, NDArray[np.float64]]:
    """Σ‖W v‖² over the directions, and the same for each shuffling of their coordinates [shuffles]."""
    v = np.asarray(probe.directions, np.float64)
    size = float(np.linalg.norm(v))
    if not size or not np.isfinite(size):
        return 0.0, np.zeros(len(orders))
    v = v / size
    own = float(np.square(probe.rows @ v.T).sum())
    chance = np.empty(len(orders))
    at_once = max(1, 2_000_000 // (v.size + len(probe.rows) * len(v)))
    for first in range(0, len(orders), at_once):
        some = v[:, orders[first : first + at_once]].transpose(1, 0, 2) @ probe.rows.T
        chance[first : first + at_once] = np.square(some).sum(axis=(1, 2))
    return own, chance


def _neighbours(n: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Permutations [count, n] of 0 … n - 1 that move each only within a window of its own parity."""
    out = np.empty((count, n), np.int64)
    for parity in (0, 1):
        same = np.arange(n)[parity::2]
        shift = rng.integers(0, WINDOW, (count, 1))
        window = (np.arange(len(same))[None] + shift) // WINDOW
        out[:, parity::2] = same[np.argsort(window + rng.random((count, len(same))), axis=1)]
    return out


# --- the verdict ----------------------------------------------------------------------------------------------------
def judge_adapter(
    adapter: Sketch,
    base: Sketch,
    others: Mapping[str, Sketch] | None = None,
    *,
    named: bool = True,
) -> Verdict:
    """The verdict on one adapter and base. ``others`` are other bases that it could be of; ``named``: the adapter
    itself names this base (one that it doesn't name can't be told from its relatives).
    """
    found = modules(adapter, base)
    figures: dict[str, float] = {"modules": len(found)}
    if not found:
        return _say(Standing.CANNOT_TELL, None, "targets_not_found", figures)
    if (misfits := sum(not module.fits for module in found)) > len(found) / 2:
        return _say(Standing.CONTRADICTED, Kinship.UNRELATED, "adapter_shapes", figures | {"misfits": misfits})
    score, each = fit(found, base)
    saved = _saved(adapter, base)
    figures |= {"fit": score, "saved": saved}
    picture = _picture(each)
    best, likelier = _better(adapter, base, score, others or {}) if not score >= FITS else (score, "")
    if likelier:
        strange = best >= FITS and not score >= STRANGE
        verdict, kinship = (Standing.CONTRADICTED, Kinship.UNRELATED) if strange else (Standing.CANNOT_TELL, None)
        figures["fit_of_likelier"] = best
        return _say(verdict, kinship, "other_base_fits", figures, picture=picture, likelier=likelier)
    if not (saved >= SAVED or score >= FITS):
        return _say(Standing.CANNOT_TELL, None, "fit_unclear", figures, picture=picture)
    verdict, reason = (Standing.CONFIRMED, "fits") if named else (Standing.CANNOT_TELL, "fits_unnamed")
    return _say(verdict, Kinship.ADAPTER, reason, figures, picture=picture)


def _better(adapter: Sketch, base: Sketch, score: float, others: Mapping[str, Sketch]) -> tuple[float, str]:
    """The fit and key of another base, no relative of this one, that fits clearly better; (score, "") without one."""
    best, likelier = score if np.isfinite(score) else -9.0, ""
    least = best + MARGIN
    for key, other in others.items():
        if other.kind != "model" or _are_kin(base, other):
            continue
        against = modules(adapter, other)
        if not against or sum(not m.fits for m in against) > len(against) / 2:
            continue
        theirs, _ = fit(against, other)
        if np.isfinite(theirs) and theirs > max(best, least):
            best, likelier = theirs, key
    return best, likelier


def _are_kin(base: Sketch, other: Sketch) -> bool:
    """A base's relatives fit as well as itself, or better: they speak for the family, not against the base."""
    found = [p for p in pairs(other, base) if p.role in COUNTED]
    return bool(found) and float(np.mean([p.similarity for p in found])) >= RELATED


def _saved(adapter: Sketch, base: Sketch) -> float:
    """The likeness of whole modules that were saved beside the adapter (other than heads): NaN where there are none."""
    whole = Sketch("model", "", tuple(p for p in adapter.pieces if not p.side))
    if not any(p.place.role in (Role.EMBEDDING, Role.MATRIX) for p in whole.pieces):
        return float("nan")
    found = [p for p in pairs(whole, base) if p.role in COUNTED]
    return float(np.mean([p.similarity for p in found])) if found else float("nan")


def _picture(each: Mapping[str, float]) -> tuple[LayerLikeness, ...]:
    groups: dict[int, list[float]] = {}
    for name, score in each.items():
        groups.setdefault(place(name + ".weight", (2, 2)).layer, []).append(score)
    return tuple(
        LayerLikeness(str(layer) if layer >= 0 else "other", round(float(np.sum(s) / np.sqrt(len(s))), 3), 0.0)
        for layer, s in sorted(groups.items())
    )


def _say(
    verdict: Standing,
    kinship: Kinship | None,
    reason: str,
    figures: Mapping[str, float],
    *,
    picture: tuple[LayerLikeness, ...] = (),
    likelier: str = "",
) -> Verdict:
    rounded = {k: round(float(v), 4) for k, v in figures.items() if np.isfinite(v)}
    return Verdict(verdict, kinship, reason, rounded, picture, likelier, VERSION)
