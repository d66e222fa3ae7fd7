"""Which numbers of a model are read to compare it with others, and the models as what is read from them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from workers.merging.tensors import BUFFERS, LORA
from workers.weights.adapters import LowRank
from workers.weights.dtypes import FLOATS, Floats
from workers.weights.opening import Weights

SAMPLE_BYTES = 4 * 1024 * 1024  # of each model, as they are stored
MATRICES = 256  # that a sample looks at: of a deeper model every so many layers
SMALL = 64 * 1024  # numbers up to which a tensor of one side is read whole

Shape = tuple[int, ...]
_LAYER = re.compile(r"(?:^|\.)(\d+)\.")


@dataclass(frozen=True, slots=True)
class Run:
    """Rows ``start`` to ``stop`` of a tensor; a tensor without sides is one row."""

    name: str
    shape: Shape
    start: int
    stop: int

    @property
    def count(self) -> int:
        return (self.stop - self.start) * prod(self.shape[1:])

    @property
    def matrix(self) -> bool:
        return len(self.shape) > 1


@dataclass
class Voice:
    """One model as what its tensors are: those of a whole model, or of its base with an adapter's updates added.

    Without a base an adapter gives its updates alone.
    """

    name: str
    weights: Weights
    base: Voice | None = None
    updates: dict[str, LowRank] | None = None  # of an adapter

    @classmethod
    def of(cls, name: str, weights: Weights, *, adapter: bool) -> Voice:
        """A voice; of an adapter its factors are read at once."""
        return cls(name, weights, updates=weights.updates() if adapter else None)

    @property
    def shapes(self) -> dict[str, Shape]:
        """The learned tensors of floating-point numbers, by name."""
        if self.updates is not None and self.base is not None:
            return self.base.shapes
        if self.updates is not None:
            return {
                f"{layer}.weight": (u.a.shape[1], u.b.shape[0]) if u.transposed else (u.b.shape[0], u.a.shape[1])
                for layer, u in self.updates.items()
            }
        return {
            t.name: t.shape
            for t in self.weights.schema.tensors
            if t.dtype in FLOATS and not BUFFERS.search(t.name) and not LORA.search(t.name)
        }

    def read(self, runs: Sequence[Run], below: Sequence[Floats] | None = None) -> list[Floats]:
        """The numbers of some runs; ``below`` are the base's, where they were read already."""
        if self.updates is None:
            return self.weights.many([(run.name, range(run.start, run.stop) if run.shape else None) for run in runs])
        if below is None and self.base is not None:
            below = self.base.read(runs)
        found = []
        for i, run in enumerate(runs):
            update = self.updates.get(run.name.removesuffix(".weight"))
            width = prod(run.shape[1:])
            base = below[i] if below is not None else np.zeros((run.stop - run.start, width), np.float32)
            if update is not None:
                base = base + _rows(update, run)
            found.append(base)
        return found


def _rows(update: LowRank, run: Run) -> Floats:
    """The rows of an update that belong to a run: [rows, width]."""
    left, right = (update.a.T, update.b.T) if update.transposed else (update.b, update.a)
    rows = left[run.start : run.stop] @ right
    return np.asarray(update.scale * rows, np.float32).reshape(run.stop - run.start, -1)


# --- what is read ---------------------------------------------------------------------------------------------------
def sample(shapes: Mapping[str, Shape], *, width: int = 2, budget: int = SAMPLE_BYTES) -> list[Run]:
    """The runs of a sample, by names and shapes alone: the same in every model. ``width`` is bytes a number."""
    matrices = {name: shape for name, shape in shapes.items() if len(shape) > 1 and all(shape)}
    chosen = _thinned(matrices)
    quota = budget // max(1, len(chosen)) // width
    runs = []
    for name, shape in shapes.items():
        if name in matrices and name in chosen:
            row = prod(shape[1:])
            rows = min(shape[0], max(1, quota // row))
            start = zlib.crc32(name.encode()) % (shape[0] - rows + 1)
            runs.append(Run(name, shape, start, start + rows))
        elif name not in matrices and prod(shape) <= SMALL and (len(matrices) <= MATRICES or _kept(name, chosen)):
            runs.append(Run(name, shape, 0, shape[0] if shape else 1))
    return runs


def _thinned(matrices: Mapping[str, Shape]) -> set[str]:
    """All matrices, or those of every so many layers where there are too many."""
    if len(matrices) <= MATRICES:
        return set(matrices)
    layers = sorted({layer for name in matrices if (layer := layer_of(name)[0]) >= 0})
    every = -(-len(matrices) // MATRICES)
    kept = set(layers[::every]) | set(layers[-1:])
    return {name for name in matrices if (layer := layer_of(name)[0]) < 0 or layer in kept}


def _kept(name: str, chosen: set[str]) -> bool:
    layers = {layer_of(each)[0] for each in chosen}
    return layer_of(name)[0] in layers


def everything(shapes: Mapping[str, Shape], *, room: int) -> Iterator[Run]:
    """All rows of all tensors, in runs of at most ``room`` numbers (one row at least)."""
    for name, shape in shapes.items():
        rows = shape[0] if shape else 1
        step = max(1, room // max(1, prod(shape[1:])))
        for start in range(0, rows, step):
            yield Run(name, shape, start, min(rows, start + step))


def layer_of(name: str) -> tuple[int, str]:
    """(layer, module) of a tensor: (3, "self_attn.q_proj"); layer -1 outside the layers."""
    found = _LAYER.search(name)
    if found is None:
        return -1, name.removesuffix(".weight").rpartition(".")[2]
    rest = name[found.end() :].removesuffix(".weight")
    return int(found[1]), rest or name[: found.start()].rpartition(".")[2]
