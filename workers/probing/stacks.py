"""The weights of many models, layer by layer: what experts are fitted to.

A layer of n models is either full, ``[n, out, in]``, or the low-rank update of adapters, X = B·A with B ``[n, out, r]``
and A ``[n, r, in]``; nothing here depends on which of the many (B, A) with the same product is given. All float32.
Convolutions ``[out, in, h, w]`` are read as ``[out, in·h·w]``: the axis of outputs stays an axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.errors import BadInput

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Update:
    """The update of one adapter to one layer: ``b @ a``, b ``[out, r]`` and a ``[r, in]``, its scale folded in."""

    b: Floats
    a: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in) of the product."""
        return self.b.shape[0], self.a.shape[1]


Weights = Mapping[str, "Floats | Update"]
"""One model: its matrices by the layers' names."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of n models: ``full``, or ``b`` and ``a``."""

    name: str
    full: Floats | None = None
    b: Floats | None = None
    a: Floats | None = None

    @property
    def low_rank(self) -> bool:
        """Whether it is given by factors."""
        return self.full is None

    @property
    def shape(self) -> tuple[int, int]:
        """(out, in)."""
        if self.full is not None:
            return self.full.shape[1], self.full.shape[2]
        return self.factors[0].shape[1], self.factors[1].shape[2]

    @property
    def factors(self) -> tuple[Floats, Floats]:
        """B ``[n, out, r]`` and A ``[n, r, in]``."""
        if self.b is None or self.a is None:
            raise BadInput(f"Layer {self.name} is given in full, not by factors.")
        return self.b, self.a

    def __len__(self) -> int:
        return len(self.full) if self.full is not None else len(self.factors[0])

    def dense(self) -> Floats:
        """``[n, out, in]``, multiplied out."""
        if self.full is not None:
            return self.full
        b, a = self.factors
        return b @ a

    def take(self, ids: Any) -> Layer:
        """The models at these places."""
        if self.full is not None:
            return Layer(self.name, full=self.full[ids])
        b, a = self.factors
        return Layer(self.name, b=b[ids], a=a[ids])

    def norms(self) -> Floats:
        """Frobenius norms ``[n]``; of factors without multiplying them out."""
        if self.full is not None:
            return np.sqrt(np.square(self.full.astype(np.float64)).sum((1, 2))).astype(np.float32)
        b, a = (each.astype(np.float64) for each in self.factors)
        squares = np.einsum("nij,nji->n", b.transpose(0, 2, 1) @ b, a @ a.transpose(0, 2, 1))
        return np.sqrt(np.maximum(squares, 0.0)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Stack:
    """The same layers of n models, in one order."""

    layers: tuple[Layer, ...]

    def __len__(self) -> int:
        return len(self.layers[0]) if self.layers else 0

    @property
    def names(self) -> tuple[str, ...]:
        """Of the layers."""
        return tuple(layer.name for layer in self.layers)

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """(out, in) of each layer."""
        return {layer.name: layer.shape for layer in self.layers}

    def take(self, ids: Any) -> Stack:
        """The models at these places (integers or booleans)."""
        return Stack(tuple(layer.take(ids) for layer in self.layers))

    def only(self, names: Iterable[str]) -> Stack:
        """These layers, in this order. Raises BadInput where one is missing."""
        known = {layer.name: layer for layer in self.layers}
        wanted = list(names)
        missing = [name for name in wanted if name not in known]
        if missing:
            raise BadInput(f"The models lack the layers {', '.join(missing[:5])}: this expert can't read them.")
        return Stack(tuple(known[name] for name in wanted))

    @staticmethod
    def join(stacks: Sequence[Stack]) -> Stack:
        """The models of all, in order; their layers must be the same."""
        first = stacks[0]
        rows = [[stack.only(first.names).layers[k] for stack in stacks] for k in range(len(first.layers))]
        return Stack(tuple(_joined(layers) for layers in rows))


def _joined(layers: Sequence[Layer]) -> Layer:
    name = layers[0].name
    if not any(layer.low_rank for layer in layers):
        return Layer(name, full=np.concatenate([layer.dense() for layer in layers]))
    factors = [layer.factors for layer in layers]
    rank = max(a.shape[1] for _, a in factors)
    b = np.concatenate([padded(b, 2, rank) for b, _ in factors])
    return Layer(name, b=b, a=np.concatenate([padded(a, 1, rank) for _, a in factors]))


def padded(array: Floats, axis: int, size: int) -> Floats:
    """With zeros up to ``size``: factors of a smaller rank, their product unchanged."""
    if array.shape[axis] == size:
        return array
    pads = [(0, 0)] * array.ndim
    pads[axis] = (0, size - array.shape[axis])
    return np.pad(array, pads)


def matrix(array: Any) -> Floats:
    """A tensor as [out, rest], float32. Raises BadInput for fewer than two axes."""
    array = np.asarray(array, np.float32)
    if array.ndim < 2:
        raise BadInput(f"A layer of shape {array.shape} is no matrix.")
    return np.ascontiguousarray(array.reshape(array.shape[0], -1))


def stack(models: Sequence[Weights], names: Sequence[str] | None = None) -> Stack:
    """One stack of many models.

    ``names``: the layers to take, by default all that every model has in one shape (sorted). A model that lacks a
    named low-rank layer (an adapter that leaves it alone) has the zero update there. Raises BadInput for no model, for
    no common layer, for shapes that differ, and for values that are not finite.
    """
    if not models:
        raise BadInput("No models to stack.")
    wanted = list(names) if names is not None else common_layers(models)
    if not wanted:
        raise BadInput("These models have no layer of one name and shape in common.")
    return Stack(tuple(_layer(name, models) for name in wanted))


def common_layers(models: Sequence[Weights]) -> list[str]:
    """Names of the layers that all models have, in one shape."""
    names = set(models[0])
    for model in models[1:]:
        names &= set(model)
    return sorted(name for name in names if len({_shape(model[name]) for model in models}) == 1)


def _shape(value: Floats | Update) -> tuple[int, ...]:
    return value.shape if isinstance(value, Update) else matrix(value).shape


def _layer(name: str, models: Sequence[Weights]) -> Layer:
    given = [model.get(name) for model in models]
    shapes = {_shape(value) for value in given if value is not None}
    if len(shapes) != 1:
        raise BadInput(f"Layer {name}: no model has it." if not shapes else f"Layer {name} has shapes {shapes}.")
    ((out, inner),) = shapes
    if any(isinstance(value, Update) for value in given):
        updates = [value if value is not None else _zero(out, inner) for value in given]
        if not all(isinstance(value, Update) for value in updates):
            raise BadInput(f"Layer {name}: adapters and full weights can't be stacked together.")
        return _checked(_joined([Layer(name, b=_one(u.b), a=_one(u.a)) for u in updates if isinstance(u, Update)]))
    if any(value is None for value in given):
        raise BadInput(f"Layer {name}: {sum(value is None for value in given)} of {len(models)} models lack it.")
    return _checked(Layer(name, full=np.stack([matrix(value) for value in given])))


def _zero(out: int, inner: int) -> Update:
    return Update(np.zeros((out, 1), np.float32), np.zeros((1, inner), np.float32))


def _one(array: Floats) -> Floats:
    return np.ascontiguousarray(np.asarray(array, np.float32))[None]


def _checked(layer: Layer) -> Layer:
    parts = [layer.full] if layer.full is not None else list(layer.factors)
    for part in parts:
        finite = np.isfinite(part).all(axis=(1, 2))
        if not finite.all():
            bad = int(np.flatnonzero(~finite)[0])
            raise BadInput(f"Layer {layer.name} of model {bad} holds NaN or Inf: leave that model out.")
    return layer
