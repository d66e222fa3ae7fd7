"""Is a model of this tree at all? By its distance to models that are.

Full weights of one tree lie close to their mean; those of another tree, equal in shape, lie about as far from it as the
mean is long. Adapters carry no base, but what they learn is written in the base's directions: by the cosines of its
layers an adapter is like a few others of its tree, and like none of another. How like is measured on models of the tree
with each left out; how unlike, on the same models with every layer turned by random rotations, which keep all of a
model but the coordinates of its base.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.probing.prober import packed, unpacked
from workers.probing.reducing import Reduction, inner_products, rounded
from workers.probing.stacks import Floats, Layer, Stack

NEIGHBOURS = 5
MODELS = 512  # of the tree that are kept to compare with
FARTHEST = 0.01  # of the tree's own models may lie beyond the limit, where nothing better separates
FAR = 0.7  # relative distance of full weights that is never one tree's: independent ones have about 1.4


@dataclass
class Router:
    """``fit`` on a tree's models; ``distance [n]``: above 1 a model is none of this tree's."""

    reduction_: Reduction = field(default_factory=Reduction)
    models_: Stack = field(default_factory=lambda: Stack(()))
    sizes_: dict[str, float] = field(default_factory=dict)  # norms of the means of full layers
    limit_: float = 0.0
    full_: bool = False

    def fit(self, stack: Stack, seed: int = 0) -> Router:
        """Learn the limit."""
        dice = np.random.default_rng(seed)
        self.full_ = not any(layer.low_rank for layer in stack.layers)
        self.reduction_ = Reduction().fit(stack)
        if self.full_:
            self.sizes_ = {name: float(np.linalg.norm(mean)) for name, mean in self.reduction_.means_.items()}
            own = self._far(stack)
            self.limit_ = float(max(min(4.0 * np.quantile(own, 1 - FARTHEST), FAR), 1.2 * own.max()))
            return self
        chosen = np.sort(dice.permutation(len(stack))[:MODELS])
        self.models_ = rounded(self.reduction_.apply(stack.take(chosen)))
        likeness = self._likeness(self.models_)
        np.fill_diagonal(likeness, -np.inf)
        own = _nearest(likeness)
        strange = _nearest(self._likeness(_turned(self.models_, dice)))
        low, high = float(np.quantile(own, FARTHEST)), float(strange.max())
        self.limit_ = 0.5 * (low + high) if low > high else high
        return self

    def distance(self, stack: Stack) -> Floats:
        """``[n]``: 0 as near as can be, 1 at the limit."""
        if self.full_:
            return np.asarray(self._far(stack) / max(self.limit_, 1e-12), np.float32)
        likeness = _nearest(self._likeness(self.reduction_.apply(stack)))
        return np.asarray((1.0 - likeness) / max(1.0 - self.limit_, 1e-12), np.float32)

    def _likeness(self, reduced: Stack) -> Floats:
        parts = inner_products(reduced, self.models_)
        return np.asarray(sum(parts) / len(parts), np.float32)

    def _far(self, stack: Stack) -> Floats:
        """The median, over the layers, of the distance to the mean in units of the mean's length."""
        parts = self.reduction_.distances(stack)
        return np.asarray(
            np.median([d / max(self.sizes_[name], 1e-12) for name, d in parts.items()], axis=0), np.float32
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """All that was learned, as arrays by name."""
        found: dict[str, NDArray[Any]] = {
            "limit": np.array([self.limit_, float(self.full_)]),
            "layers": packed(self.reduction_.names_),
        }
        for k, name in enumerate(self.reduction_.names_):
            if self.full_:
                found[f"mean.{k}"] = self.reduction_.means_[name]
            else:
                b, a = self.models_.layers[k].factors
                found |= {f"b.{k}": b.astype(np.float16), f"a.{k}": a.astype(np.float16)}
        return found

    @classmethod
    def restored(cls, state: dict[str, NDArray[Any]]) -> Router:
        """What ``state`` gave."""
        names = unpacked(state["layers"])
        limit, full = float(state["limit"][0]), bool(state["limit"][1])
        means = {name: state[f"mean.{k}"] for k, name in enumerate(names)} if full else {}
        layers = (
            ()
            if full
            else tuple(
                Layer(name, b=state[f"b.{k}"].astype(np.float32), a=state[f"a.{k}"].astype(np.float32))
                for k, name in enumerate(names)
            )
        )
        sizes = {name: float(np.linalg.norm(mean)) for name, mean in means.items()}
        return cls(Reduction(means, names), Stack(layers), sizes, limit, full)


def _nearest(likeness: Floats) -> Floats:
    """The mean of each row's largest few."""
    count = min(NEIGHBOURS, max(1, likeness.shape[1] - 1))
    return np.asarray(np.sort(likeness, axis=1)[:, -count:].mean(1), np.float32)


def _turned(stack: Stack, dice: np.random.Generator) -> Stack:
    """The same updates in other coordinates: rotated on both sides, each layer by its own two rotations."""
    layers = []
    for layer in stack.layers:
        b, a = layer.factors
        left, _ = np.linalg.qr(dice.standard_normal((b.shape[1], b.shape[1])))
        right, _ = np.linalg.qr(dice.standard_normal((a.shape[2], a.shape[2])))
        turned = np.einsum("po,nor->npr", left.astype(np.float32), b, optimize=True)
        layers.append(Layer(layer.name, b=turned, a=a @ right.astype(np.float32)))
    return Stack(tuple(layers))
