"""Models made comparable: each layer's weights of length one, less what all have in common, small enough to compare.

- Of full weights the mean over the training models is taken away: what is left is how a model differs from its tree,
  whether weights or differences to the base are given. An adapter's update is such a difference already.
- A side longer than ``SIDE`` goes through a random orthonormal projection (fixed by the layer's name): inner products
  of updates are kept to within a few percent, memory and time no longer grow with the model.
- Divided by its Frobenius norm a layer no longer tells the learning rate, only the direction that was learned.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.probing.stacks import Floats, Layer, Stack

SIDE = 256
FACTORS = 16  # of full weights, in their low-rank form


@dataclass
class Reduction:
    """``fit`` learns the means; ``apply`` gives the reduced stack (``sketched`` and ``low_rank`` forms)."""

    means_: dict[str, Floats] = field(default_factory=dict)
    names_: tuple[str, ...] = ()

    def fit(self, stack: Stack) -> Reduction:
        """Learn what these models have in common."""
        self.names_ = stack.names
        self.means_ = {
            layer.name: np.asarray(_projected(layer).dense().mean(0), np.float32)
            for layer in stack.layers
            if not layer.low_rank
        }
        return self

    def apply(self, stack: Stack) -> Stack:
        """The same models, reduced: every layer of Frobenius norm one (zero stays zero)."""
        return Stack(tuple(self._reduced(layer) for layer in stack.only(self.names_).layers))

    def distances(self, stack: Stack) -> dict[str, Floats]:
        """For each full layer ``[n]``: how far the models lie from the mean."""
        found = {}
        for layer in stack.only(self.names_).layers:
            if layer.name in self.means_:
                away = Layer(layer.name, full=_projected(layer).dense() - self.means_[layer.name])
                found[layer.name] = away.norms()
        return found

    def _reduced(self, layer: Layer) -> Layer:
        layer = _projected(layer)
        if not layer.low_rank:
            layer = Layer(layer.name, full=layer.dense() - self.means_[layer.name])
        norms = np.maximum(layer.norms(), 1e-20)[:, None, None]
        if not layer.low_rank:
            return Layer(layer.name, full=np.asarray(layer.dense() / norms, np.float32))
        b, a = layer.factors
        # both factors get their share, or one of them could be too small or large for its dtype
        sizes = np.maximum(np.sqrt(np.square(b).sum((1, 2), keepdims=True)), 1e-20)
        return Layer(layer.name, b=b / sizes, a=a * (sizes / norms))


def low_rank(stack: Stack, rank: int = FACTORS) -> Stack:
    """Every layer by factors: full ones by their largest singular directions (a randomised range with one power step;
    Halko, Martinsson and Tropp, 2011). Deterministic.
    """
    return Stack(tuple(layer if layer.low_rank else _factored(layer, rank) for layer in stack.layers))


def _factored(layer: Layer, rank: int) -> Layer:
    import torch

    full = torch.as_tensor(layer.dense())
    rank = min(rank, *layer.shape)
    start = torch.as_tensor(_random(layer.name + " range", layer.shape[1], rank))
    span, _ = torch.linalg.qr(full @ start)
    span, _ = torch.linalg.qr(full @ (full.transpose(1, 2) @ span))
    return Layer(layer.name, b=span.numpy(), a=(span.transpose(1, 2) @ full).numpy())


def _projected(layer: Layer) -> Layer:
    out, inner = layer.shape
    if max(out, inner) <= SIDE:
        return layer
    left = _orthonormal(layer.name + " out", out) if out > SIDE else None
    right = _orthonormal(layer.name + " in", inner) if inner > SIDE else None
    if layer.low_rank:
        b, a = layer.factors
        b = b if left is None else np.einsum("os,nor->nsr", left, b, optimize=True)
        return Layer(layer.name, b=b, a=a if right is None else a @ right)
    full = layer.dense()
    full = full if left is None else np.stack([left.T @ each for each in full])
    return Layer(layer.name, full=full if right is None else full @ right)


def _random(name: str, rows: int, columns: int) -> Floats:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def _orthonormal(name: str, size: int) -> Floats:
    basis, _ = np.linalg.qr(_random(name, size, SIDE))
    return np.asarray(basis * np.sqrt(size / SIDE), np.float32)


def inner_products(one: Stack, other: Stack) -> list[Floats]:
    """For each layer ``[n, m]``: the inner products ⟨X, Y⟩ of its matrices. Of factors without multiplying them out:
    ⟨B·A, D·C⟩ = Σ (Bᵀ·D) ∘ (A·Cᵀ).
    """
    found = []
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        if mine.low_rank:
            (b, a), (d, c) = mine.factors, theirs.factors
            rank, rank_other = a.shape[1], c.shape[1]
            bd = _rows(b.transpose(0, 2, 1)) @ _rows(d.transpose(0, 2, 1)).T
            bd *= _rows(a) @ _rows(c).T
            found.append(bd.reshape(len(a), rank, len(c), rank_other).sum((1, 3)))
        else:
            found.append(_rows(mine.dense()[:, None]) @ _rows(theirs.dense()[:, None]).T)
    return found


def _rows(array: NDArray[Any]) -> Floats:
    """``[n, k, …]`` as ``[n·k, rest]``."""
    return np.ascontiguousarray(array.reshape(array.shape[0] * array.shape[1], -1))


def rounded(stack: Stack) -> Stack:
    """As it comes back from being kept in half precision."""

    def half(array: Floats) -> Floats:
        return array.astype(np.float16).astype(np.float32)

    return Stack(
        tuple(
            Layer(layer.name, b=half(layer.factors[0]), a=half(layer.factors[1]))
            if layer.low_rank
            else Layer(layer.name, full=half(layer.dense()))
            for layer in stack.layers
        )
    )
