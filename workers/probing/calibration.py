"""Probabilities that hold what they promise: temperature scaling (Guo et al., "On Calibration of Modern Neural
Networks", ICML 2017) on models that the expert was not fitted to, and how far off they are.

numpy and scipy alone; importing scipy.optimize is left to the first fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.errors import BadInput

Doubles = NDArray[np.float64]
BINS = 15
LOG_LIMITS = (-4.0, 4.0)  # of the temperature's natural logarithm: .018 to 55


def softmax(logits: NDArray[np.floating]) -> Doubles:
    """Along the last axis."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    powers = np.exp(shifted)
    return np.asarray(powers / powers.sum(-1, keepdims=True))


def sigmoid(logits: NDArray[np.floating]) -> Doubles:
    """1 / (1 + exp(-x)), without overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64))))


@dataclass
class Temperature:
    """One temperature for the logits of models with one label each, or a temperature and a shift where each model has
    several (Platt's scaling, shared by all labels).

    ``fit(logits [n, classes], labels)``: labels are class indices ``[n]`` or 0/1 ``[n, classes]``. Learned:
    ``temperature_``, ``shift_``.
    """

    temperature_: float = 1.0
    shift_: float = 0.0

    def fit(self, logits: NDArray[np.floating], labels: NDArray[np.generic]) -> Temperature:
        """Least negative log-likelihood. Raises BadInput where there is nothing to fit to."""
        from scipy.optimize import minimize, minimize_scalar

        if not len(logits):
            raise BadInput("Calibration needs at least one model that was held out.")
        logits = logits.astype(np.float64)
        if labels.ndim == 2:
            truth = labels.astype(np.float64)

            def binary(x: Doubles) -> float:
                z = logits * np.exp(-x[0]) + x[1]
                return float(np.mean(np.logaddexp(0.0, z) - truth * z))

            found = minimize(binary, np.zeros(2), method="Nelder-Mead", bounds=[LOG_LIMITS, (-20.0, 20.0)])
            self.temperature_, self.shift_ = float(np.exp(found.x[0])), float(found.x[1])
            return self
        rows = np.arange(len(logits))

        def single(log_t: float) -> float:
            z = logits * np.exp(-log_t)
            peak = z.max(-1)
            return float(np.mean(peak + np.log(np.exp(z - peak[:, None]).sum(-1)) - z[rows, labels.astype(np.intp)]))

        self.temperature_ = float(np.exp(minimize_scalar(single, bounds=LOG_LIMITS, method="bounded").x))
        return self

    def apply(self, logits: NDArray[np.floating], *, several: bool) -> Doubles:
        """Probabilities ``[n, classes]``: of exactly one label each, or of each label by itself (``several``)."""
        if several:
            return sigmoid(logits.astype(np.float64) / self.temperature_ + self.shift_)
        return softmax(logits.astype(np.float64) / self.temperature_)


def calibration_error(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = BINS) -> float:
    """Expected calibration error over bins of equal mass: the mean, by share, of |accuracy - confidence| in each.

    ``confidence [n]`` of the first guess, ``right [n]`` whether it was the truth. Bins of equal width would leave most
    of them nearly empty. Raises BadInput for none.
    """
    if not len(confidence):
        raise BadInput("No answers to judge the calibration of.")
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    gaps = [len(p) * abs(float(np.mean(right[p])) - float(np.mean(confidence[p]))) for p in parts]
    return float(sum(gaps) / len(order))
