"""Adapters with a planted structure: two attributes make a concept, an update carries its concept's directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workers.probing.stacks import Floats, Layer, Stack

SHAPES = {"a": (24, 16), "b": (24, 16), "c": (12, 20)}


@dataclass(frozen=True)
class Planted:
    stack: Stack
    labels: np.ndarray
    texts: Floats  # of each label
    train: np.ndarray
    test: np.ndarray


def tree(seed: int, *, kinds: int = 6, each: int = 10, full: bool = False, noise: float = 0.6) -> Planted:
    """Models of one tree; trees of other seeds have other directions in the same shapes."""
    dice = np.random.default_rng(seed)
    labels = np.repeat(np.arange(kinds), each)
    texts = np.random.default_rng(99).standard_normal((kinds, 20)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    layers = []
    for name, (out, inner) in SHAPES.items():
        b = dice.standard_normal((kinds, out, 2))[labels] + noise * dice.standard_normal((len(labels), out, 2))
        a = dice.standard_normal((kinds, 2, inner))[labels] + noise * dice.standard_normal((len(labels), 2, inner))
        size = np.exp(dice.normal(0, 0.5, (len(labels), 1, 1)))
        b, a = (b * size).astype(np.float32), a.astype(np.float32)
        base = 30 * dice.standard_normal((out, inner)).astype(np.float32)
        layers.append(Layer(name, full=base + b @ a) if full else Layer(name, b=b, a=a))
    order = dice.permutation(len(labels))
    cut = len(labels) * 2 // 3
    return Planted(Stack(tuple(layers)), labels, texts, order[:cut], order[cut:])


def rebased(stack: Stack, seed: int) -> Stack:
    """The same updates by other factors: B·R and R⁻¹·A."""
    dice = np.random.default_rng(seed)
    layers = []
    for layer in stack.layers:
        b, a = layer.factors
        turn = np.eye(b.shape[2]) + 0.4 * dice.standard_normal((len(b), b.shape[2], b.shape[2]))
        layers.append(
            Layer(layer.name, b=(b @ turn).astype(np.float32), a=(np.linalg.inv(turn) @ a).astype(np.float32))
        )
    return Stack(tuple(layers))
