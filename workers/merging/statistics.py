"""What the weights themselves say: kinship, how far each model went from its base, where changes oppose each other.

A sample takes one run of rows from each matrix, the same in every model, and the small tensors whole; ``full`` takes
everything, piece by piece, in constant memory. Task vectors are τ = θ - θ₀ (Ilharco et al. 2023); signs conflict where
two models both keep an entry among their largest 20% of |τ| and change it in opposite directions (TIES, Yadav et al.
2023). All of it describes; none of it is a score.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import prod
from typing import Any

import numpy as np

from workers.merging.records import Cell, Odd, Pair, Sampling, Stray
from workers.merging.samples import SAMPLE_BYTES, Run, Voice, everything, layer_of, sample
from workers.merging.tensors import EMBEDDING, HEAD, POSITIONS, TASK_HEAD
from workers.weights.opening import Weights

PIECE = 24 * 1024 * 1024  # numbers in memory at once, over all models
TOP = 0.2  # share of the largest changes that TIES keeps
KIN = 0.5  # median cosine of two models whose matrices are looked through one by one
STRANGE = 0.1  # cosine of a matrix that has nothing in common with its counterpart
SCALED = 2.0  # ratio of norms from which on a matrix was scaled
STRAYS = 32
ROWS = 8  # of a matrix that have to be read before it is judged alone
PROBE = 65_536  # numbers from which the bound of the largest changes is estimated

Numbers = np.ndarray[Any, Any]


# --- sums -----------------------------------------------------------------------------------------------------------
@dataclass
class Sums:
    """Sums over one tensor for n models: Gram matrices of the weights and of the differences to the reference."""

    weights: Numbers
    changes: Numbers
    reference: float = 0.0  # squared norm of the reference
    rows: int = 0  # that were read
    kept: Numbers = field(default_factory=lambda: np.zeros(0))  # entries that both keep, of each pair
    opposed: Numbers = field(default_factory=lambda: np.zeros(0))
    bases: Numbers = field(default_factory=lambda: np.zeros(0))  # [candidates, models]: squared distances
    base_dots: Numbers = field(default_factory=lambda: np.zeros(0))  # [candidates, models]
    base_norms: Numbers = field(default_factory=lambda: np.zeros(0))
    stretched: bool = False
    same: Numbers = field(default_factory=lambda: np.zeros(0, bool))

    def stretch(self, factor: float) -> None:
        """Let sums over a part stand for the whole: else small tensors, which are read whole, count too much."""
        if self.stretched or factor == 1.0:
            return
        self.stretched = True
        self.reference *= factor
        for sums in (self.weights, self.changes, self.kept, self.opposed, self.bases, self.base_dots, self.base_norms):
            np.multiply(sums, factor, out=sums)


def compare(
    models: Mapping[str, Weights],
    *,
    adapters: Collection[str] = (),
    base: str = "",
    below: Mapping[str, Weights] | None = None,
    full: bool = False,
    budget: int = SAMPLE_BYTES,
    heartbeat: Callable[[float], None] = lambda share: None,
) -> Sampling:
    """Compare models by their weights.

    ``models`` are those to be merged, ``adapters`` those that are adapters; ``below`` holds their base and other
    candidates for it by name. ``heartbeat`` is called between reads with the share that is done. Raises what reading
    raises.
    """
    others = {name: Voice(name, weights) for name, weights in (below or {}).items() if name not in models}
    voices = [Voice.of(name, weights, adapter=name in adapters) for name, weights in models.items()]
    own = {voice.name: voice for voice in voices if voice.updates is None}
    ground = others.get(base) or own.get(base)
    for voice in voices:
        if voice.updates is not None:
            voice.base = ground
    table = _Table(voices, ground, [voice for name, voice in others.items() if name != base])
    batches = list(table.batches(full=full, budget=budget))
    for i, runs in enumerate(batches):
        table.take(runs)
        heartbeat((i + 1) / len(batches))
    return table.told(full=full)


class _Table:
    """The sums of a comparison while it is read."""

    def __init__(self, voices: Sequence[Voice], ground: Voice | None, bases: Sequence[Voice]) -> None:
        self.voices = list(voices)
        self.ground = ground
        self.bases = list(bases)
        self.only_updates = all(voice.updates is not None and voice.base is None for voice in voices)
        self.pairs = list(combinations(range(len(voices)), 2))
        self.sums: dict[str, Sums] = {}
        self.odd: dict[tuple[str, str], list[int]] = {}  # (model, tensor) → nan, inf, read, zeros
        self.read = dict.fromkeys((voice.name for voice in self.everyone), 0)
        shapes = [voice.shapes for voice in self.voices]
        if self.only_updates:  # what an adapter leaves alone is a change of nothing
            union = {name: shape for each in shapes for name, shape in each.items()}
            clash = {name for each in shapes for name, shape in each.items() if union[name] != shape}
            self.common = {name: shape for name, shape in union.items() if name not in clash}
        else:
            self.common = {n: s for n, s in shapes[0].items() if all(other.get(n) == s for other in shapes[1:])}
        self.shapes = {voice.name: voice.shapes for voice in self.everyone}

    @property
    def everyone(self) -> list[Voice]:
        """All that are read: the models, their base, other candidates."""
        ground = [self.ground] if self.ground and self.ground not in self.voices else []
        return [*self.voices, *ground, *self.bases]

    def batches(self, *, full: bool, budget: int) -> Iterator[list[Run]]:
        """What is read at a time: the common tensors, then those that only some have (for broken numbers)."""
        # One name may stand for tensors of several shapes: each is looked at in those that have it.
        loose = {(n, s): None for each in self.shapes.values() for n, s in each.items() if self.common.get(n) != s}
        if not full:
            runs = sample(self.common, budget=budget)
            if loose:
                part = budget // (len(self.common) + len(loose))
                runs += [run for name, shape in loose for run in sample({name: shape}, budget=part)]
            total = sum(run.count for run in runs)
            room = max(1, PIECE // max(1, len(self.everyone)))
            yield from _batched(runs, room if total > room else total)
            return
        room = max(4096, PIECE // (4 * max(1, len(self.everyone))))
        yield from _batched(everything(self.common, room=room), room)
        for name, shape in loose:
            yield from _batched(everything({name: shape}, room=room), room)

    def take(self, runs: Sequence[Run]) -> None:
        """Read some runs in everyone and add them up."""
        found: dict[str, dict[str, Numbers]] = {}
        below: dict[str, Numbers] = {}
        order = sorted(self.everyone, key=lambda voice: voice is not self.ground)
        for voice in order:
            shapes = self.shapes[voice.name]
            mine = [run for run in runs if shapes.get(run.name) == run.shape or self._silent(voice, run)]
            ready = [below[run.name] for run in mine] if voice.base is self.ground and below else None
            values = voice.read(mine, ready) if voice.updates is not None else voice.read(mine)
            found[voice.name] = {}
            for run, value in zip(mine, values, strict=True):
                found[voice.name][run.name] = self._checked(voice, run, np.ascontiguousarray(value).reshape(-1))
                if voice is self.ground:
                    below[run.name] = value
        for run in runs:
            if self.common.get(run.name) == run.shape:
                self._add(run, found)

    def _silent(self, voice: Voice, run: Run) -> bool:
        return self.only_updates and voice.updates is not None and run.name in self.common

    def _checked(self, voice: Voice, run: Run, values: Numbers) -> Numbers:
        """Note numbers that are none, and go on with zeros in their place."""
        self.read[voice.name] += values.size
        finite = np.isfinite(values)
        nan = inf = 0
        if not finite.all():
            nan = int(np.isnan(values).sum())
            inf = int(values.size - finite.sum()) - nan
            values = np.where(finite, values, 0.0).astype(np.float32)
        zero = run.matrix and voice.updates is None and not values.any()
        if nan or inf or zero:
            row = self.odd.setdefault((voice.name, run.name), [0, 0, 0, 0])
            for i, count in enumerate((nan, inf, values.size, values.size if zero and not nan and not inf else 0)):
                row[i] += count
        return values

    def _add(self, run: Run, found: Mapping[str, Mapping[str, Numbers]]) -> None:
        stack = np.stack([found[voice.name][run.name] for voice in self.voices])
        ground = found[self.ground.name].get(run.name) if self.ground else None
        n, k = len(self.voices), len(self.bases)
        sums = self.sums.get(run.name)
        if sums is None:
            sums = self.sums[run.name] = Sums(
                np.zeros((n, n)),
                np.zeros((n, n)),
                kept=np.zeros(len(self.pairs)),
                opposed=np.zeros(len(self.pairs)),
                bases=np.zeros((k, n)),
                base_dots=np.zeros((k + 1, n)),
                base_norms=np.zeros(k + 1),
                same=np.ones((n, n), bool),
            )
        sums.rows += run.stop - run.start
        sums.weights += stack @ stack.T
        if self.only_updates:
            changes = stack
        else:
            reference = ground if ground is not None else stack[0]
            changes = stack - reference
            sums.reference += float(reference @ reference)
        sums.changes += changes @ changes.T
        for i, j in self.pairs:
            if sums.same[i, j]:
                sums.same[i, j] = bool(np.array_equal(stack[i], stack[j]))
        if ground is not None:
            sums.base_dots[k] += stack @ ground
            sums.base_norms[k] += float(ground @ ground)
        for at, voice in enumerate(self.bases):
            other = found[voice.name].get(run.name)
            if other is not None:
                sums.base_dots[at] += stack @ other
                sums.base_norms[at] += float(other @ other)
                sums.bases[at] += ((stack - other) ** 2).sum(axis=1)
        if run.matrix and (ground is not None or self.only_updates):
            kept, opposed = conflicts(changes, self.pairs)
            sums.kept += kept
            sums.opposed += opposed

    # --- the answer ---
    def told(self, *, full: bool) -> Sampling:
        """Everything that was found."""
        for name, sums in self.sums.items():
            sums.stretch(self.common[name][0] / sums.rows if self.common[name] and sums.rows else 1.0)
        names = tuple(voice.name for voice in self.voices)
        matrices = {name: sums for name, sums in self.sums.items() if len(self.common[name]) > 1}
        with_tasks = self.ground is not None or self.only_updates
        plain = {
            n: s for n, s in matrices.items() if not (EMBEDDING.search(n) or HEAD.search(n) or POSITIONS.search(n))
        }
        deciding = plain if len(plain) >= 4 else matrices
        pairs = tuple(self._pair(at, matrices, deciding, with_tasks) for at in range(len(self.pairs)))
        totals = {voice.name: sum(prod(s) for s in self.shapes[voice.name].values()) for voice in self.everyone}
        shares = [self.read[voice.name] / totals[voice.name] for voice in self.voices if totals[voice.name]]
        k = len(self.bases)
        return Sampling(
            models=names,
            base=self.ground.name if self.ground else "",
            pairs=pairs,
            cells=tuple(self._cells(matrices, with_tasks)),
            changes=self._changes() if with_tasks else {},
            base_cosines=self._base_cosines(k, deciding) if self.ground else {},
            bases={
                voice.name: {
                    name: (cosine, self._distance(at, i))
                    for i, (name, cosine) in enumerate(self._base_cosines(at, deciding).items())
                }
                for at, voice in enumerate(self.bases)
                if self._seen(at)
            },
            odd=self._oddities(),
            strays=tuple(self._strays(plain, pairs)) if not self.only_updates else (),
            share=min([1.0, *shares]),
            numbers=sum(self.read.values()),
            bytes_read=sum(voice.weights.bytes_read for voice in self.everyone),
            full=full,
        )

    def _seen(self, at: int) -> bool:
        """Whether a candidate for the base has the tensors that decide."""
        return sum(bool(sums.base_norms[at]) for sums in self.sums.values()) >= 0.9 * len(self.sums) > 0

    def _pair(self, at: int, matrices: Mapping[str, Sums], deciding: Mapping[str, Sums], with_tasks: bool) -> Pair:
        i, j = self.pairs[at]
        cosines = [_cosine(s.weights, i, j) for s in deciding.values()]
        known = [value for value in cosines if value is not None]
        changes = sum((s.changes for s in self.sums.values()), np.zeros((len(self.voices),) * 2))
        norms = sum((s.weights for s in self.sums.values()), np.zeros((len(self.voices),) * 2))
        apart = max(0.0, float(changes[i, i] + changes[j, j] - 2 * changes[i, j]))
        scale = float(np.sqrt(norms[i, i] * norms[j, j]))
        if all(s.same[i, j] for s in self.sums.values()):
            apart = 0.0
        kept = sum(s.kept[at] for s in matrices.values())
        return Pair(
            self.voices[i].name,
            self.voices[j].name,
            None if self.only_updates else float(np.median(known)) if known else None,
            float(np.sqrt(apart / scale)) if scale else 0.0,
            _cosine(changes, i, j) if with_tasks else None,
            float(sum(s.opposed[at] for s in matrices.values()) / kept) if with_tasks and kept else None,
        )

    def _cells(self, matrices: Mapping[str, Sums], with_tasks: bool) -> Iterator[Cell]:
        grouped: dict[tuple[int, str], list[Sums]] = {}
        for name, sums in matrices.items():
            grouped.setdefault(layer_of(name), []).append(sums)
        for (layer, module), many in sorted(grouped.items()):
            changes = sum((s.changes for s in many), np.zeros((len(self.voices),) * 2))
            weights = sum((s.weights for s in many), np.zeros((len(self.voices),) * 2))
            gram = changes if with_tasks else weights
            cosines = [value for i, j in self.pairs if (value := _cosine(gram, i, j)) is not None]
            kept, opposed = sum(s.kept.sum() for s in many), sum(s.opposed.sum() for s in many)
            scale = sum(s.reference for s in many)
            spread = np.diag(changes) if with_tasks else np.diag(changes)[1:]
            yield Cell(
                layer,
                module,
                round(float(np.mean(cosines)), 4) if cosines else None,
                round(float(opposed / kept), 4) if kept else None,
                round(float(np.sqrt(spread / scale).mean()), 5) if scale and spread.size else 0.0,
            )

    def _changes(self) -> dict[str, float]:
        total = sum((np.diag(s.changes) for s in self.sums.values()), np.zeros(len(self.voices)))
        scale = sum(s.reference for s in self.sums.values()) or 1.0
        return {voice.name: float(np.sqrt(total[i] / scale)) for i, voice in enumerate(self.voices)}

    def _base_cosines(self, at: int, deciding: Mapping[str, Sums]) -> dict[str, float]:
        found = {}
        for i, voice in enumerate(self.voices):
            values = []
            for sums in deciding.values():
                scale = float(np.sqrt(sums.base_norms[at] * sums.weights[i, i]))
                if scale:
                    values.append(float(sums.base_dots[at, i]) / scale)
            if values:
                found[voice.name] = float(np.median(values))
        return found

    def _distance(self, at: int, i: int) -> float:
        scale = sum(float(s.base_norms[at]) for s in self.sums.values())
        return float(np.sqrt(sum(float(s.bases[at, i]) for s in self.sums.values()) / scale)) if scale else 0.0

    def _oddities(self) -> tuple[Odd, ...]:
        """Broken numbers; zeros only where they can't be meant: a matrix that holds something in another model."""
        found = []
        for (model, tensor), (nan, inf, read, zeros) in sorted(self.odd.items()):
            zero = bool(zeros) and self._lost(model, tensor, zeros)
            if nan or inf or zero:
                found.append(Odd(model, tensor, nan, inf, zero, read))
        return tuple(found)

    def _strays(self, plain: Mapping[str, Sums], pairs: Sequence[Pair]) -> Iterator[Stray]:
        """Matrices that two related models don't share: learned anew, exchanged, or of another size.

        Heads for tasks are learned anew by each model, and are left out.
        """
        for at, (i, j) in enumerate(self.pairs):
            usual = pairs[at].weights
            if usual is None or usual < KIN:
                continue
            found = []
            for name, sums in plain.items():
                cosine = _cosine(sums.weights, i, j)
                few = sums.rows < min(ROWS, self.common[name][0])  # some rows of some matrices are as good as dead
                if cosine is None or few or TASK_HEAD.search(name):
                    continue
                ratio = float(np.sqrt(sums.weights[j, j] / sums.weights[i, i]))
                if cosine < STRANGE or not 1 / SCALED < ratio < SCALED:
                    found.append(
                        Stray(self.voices[i].name, self.voices[j].name, name, round(cosine, 4), round(ratio, 4))
                    )
            yield from found[:STRAYS]

    def _lost(self, model: str, tensor: str, zeros: int) -> bool:
        sums = self.sums.get(tensor)
        if sums is None or EMBEDDING.search(tensor) or HEAD.search(tensor) or POSITIONS.search(tensor):
            return False
        index = next((i for i, voice in enumerate(self.voices) if voice.name == model), None)
        norms = np.diag(sums.weights)
        others = [norms[i] for i in range(len(self.voices)) if i != index]
        return index is not None and norms[index] == 0 and zeros > 1 and bool(max(others, default=0) > 0)


def _batched(runs: Iterator[Run] | Sequence[Run], room: int) -> Iterator[list[Run]]:
    batch: list[Run] = []
    size = 0
    for run in runs:
        if batch and size + run.count > room:
            yield batch
            batch, size = [], 0
        batch.append(run)
        size += run.count
    if batch:
        yield batch


def conflicts(changes: Numbers, pairs: Sequence[tuple[int, int]]) -> tuple[Numbers, Numbers]:
    """(entries that both keep, those of them with opposite signs) of each pair, for task vectors [models, numbers].

    Each keeps its largest 20% by size; the bound is estimated from 65,536 entries where there are more.
    """
    size = changes.shape[1]
    step = max(1, size // PROBE)
    keep = np.abs(changes)
    at = keep[:, ::step]
    bounds = np.quantile(at, 1 - TOP, axis=1, keepdims=True) if size else np.zeros((len(changes), 1))
    mask = (keep >= bounds) & (keep > 0)
    signs = changes > 0
    kept, opposed = np.zeros(len(pairs)), np.zeros(len(pairs))
    for k, (i, j) in enumerate(pairs):
        both = mask[i] & mask[j]
        kept[k] = np.count_nonzero(both)
        opposed[k] = np.count_nonzero(both & (signs[i] != signs[j]))
    return kept, opposed


def _cosine(gram: Numbers, i: int, j: int) -> float | None:
    scale = float(np.sqrt(gram[i, i] * gram[j, j]))
    return max(-1.0, min(1.0, float(gram[i, j]) / scale)) if scale > 0 else None
