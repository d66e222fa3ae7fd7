"""Kernel ridge regression on inner products of weights, over all layers at once.

With each layer of length one, ⟨X, Y⟩ of two models' layers is the cosine of what they learned; the mean over the layers
is a kernel. Ridge regression on it has a closed form (seconds for a thousand models), and so have its leave-one-out
answers, on which the penalty is chosen (Rifkin and Lippert, Notes on Regularized Least Squares, 2007).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from workers.probing.reducing import inner_products, rounded
from workers.probing.stacks import Floats, Stack

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # over the kernel's mean diagonal


@dataclass
class KernelRidge:
    """``fit(stack, targets [n, k])`` on reduced models; ``predict(stack) -> [m, k]``.

    Learned: ``models_`` (the training models, kept in half precision), ``dual_ [n, k]``, ``offset_ [k]``,
    ``penalty_``, and ``left_out_ [n, k]``: for each training model the answer of a fit without it.
    """

    penalties: tuple[float, ...] = PENALTIES
    models_: Stack = field(default_factory=lambda: Stack(()))
    dual_: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    offset_: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    left_out_: Floats = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    penalty_: float = 0.0

    def fit(self, stack: Stack, targets: Floats) -> KernelRidge:
        """Choose the penalty by the squared error of the leave-one-out answers, in units of each target's variance."""
        self.models_ = rounded(stack)
        kernel = self._kernel(self.models_).astype(np.float64)
        self.offset_ = targets.mean(0)
        wanted = (targets - self.offset_).astype(np.float64)
        values, vectors = np.linalg.eigh(kernel)
        turned = vectors.T @ wanted
        size = max(float(kernel.diagonal().mean()), 1e-12)
        best = np.inf
        for penalty in self.penalties:
            shrunk = 1.0 / (np.maximum(values, 0.0) + penalty * size)
            dual = vectors @ (shrunk[:, None] * turned)
            left_out = wanted - dual / (np.square(vectors) @ shrunk)[:, None]
            error = float(np.square(left_out - wanted).mean())
            if error < best:
                best, self.penalty_ = error, penalty
                self.dual_ = dual.astype(np.float32)
                self.left_out_ = (left_out + self.offset_).astype(np.float32)
        return self

    def predict(self, stack: Stack) -> Floats:
        """Of reduced models."""
        return self._kernel(stack) @ self.dual_ + self.offset_

    def likeness(self, stack: Stack) -> Floats:
        """``[m, n]``: the kernel with the training models, a mean of cosines."""
        return self._kernel(stack)

    def _kernel(self, stack: Stack) -> Floats:
        parts = inner_products(stack, self.models_)
        return np.asarray(sum(parts) / len(parts), np.float32)
