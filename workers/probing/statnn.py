"""Statistics of the weights."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from workers.probing.prober import Beat, Labels, device, packed, quiet, unpacked
from workers.probing.single import NetworkProber
from workers.probing.stacks import Floats, Stack

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


class StatNN(NetworkProber):
    """Mean, variance and quantiles of every layer's entries, through a small network."""

    method = "statnn"
    reference = "Unterthiner et al., Predicting Neural Network Accuracy from Weights, 2020"

    layers: tuple[str, ...] = ()

    def __init__(
        self,
        *,
        hidden: int = 256,
        dim: int = 128,
        epochs: int = 100,
        lr: float = 1e-3,
        weight_decay: float = 1e-5,
        batch: int = 128,
        seed: int = 0,
        loss: str = "text",
    ) -> None:
        self.hidden = hidden
        self.dim = dim
        self.epochs = epochs
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch = batch
        self.seed = seed
        self.loss = loss

    @property
    def layers_(self) -> tuple[str, ...]:
        """All that it was fitted to."""
        return self.layers

    def fit(
        self,
        stack: Stack,
        labels: Labels,
        *,
        texts: Floats | None = None,
        validation: tuple[Stack, Labels] | None = None,
        beat: Beat = quiet,
    ) -> Self:
        """See ``Prober.fit``; there is nothing to choose on ``validation``."""
        labels = self._take_labels(stack, labels, texts)
        self.layers = stack.names
        found = statistics(stack)
        self.mean_ = found.mean(0)
        self.spread_ = np.maximum(found.std(0), 1e-12)
        self._fit_members(stack, labels, self.epochs, beat)
        return self

    def _inputs(self, stack: Stack) -> tuple[Any, ...]:
        import torch

        found = (statistics(stack.only(self.layers)) - self.mean_) / self.spread_
        return (torch.as_tensor(found, dtype=torch.float32, device=device())[None],)

    def _body(self, generator: Any) -> Any:
        import torch

        def normal(rows: int, columns: int) -> Any:
            return torch.nn.Parameter(torch.randn(rows, columns, generator=generator) * rows**-0.5)

        size, hidden = len(self.mean_), self.hidden

        class Body(torch.nn.Module):
            def __init__(self, dim: int) -> None:
                super().__init__()
                self.first, self.second = normal(size, hidden), normal(hidden, dim)

            def forward(self, found: Any) -> Any:
                return torch.relu(found @ self.first) @ self.second

        return Body(self.dim)

    def state(self) -> dict[str, NDArray[Any]]:
        """See ``Prober.state``."""
        names = packed(self.layers)
        return super().state() | {"mean": self.mean_, "spread": self.spread_, "layers": names}

    def restore(self, state: dict[str, NDArray[Any]]) -> Self:
        """See ``Prober.restore``."""
        self.mean_, self.spread_ = state["mean"], state["spread"]
        self.layers = unpacked(state["layers"])
        return super().restore(state)


def statistics(stack: Stack) -> Floats:
    """``[n, 7·layers]``: mean, variance and five quantiles of each layer's entries."""
    parts = []
    for layer in stack.layers:
        for start in range(0, len(layer), 64):
            flat = layer.take(slice(start, start + 64)).dense().reshape(-1, layer.shape[0] * layer.shape[1])
            moments = np.stack([flat.mean(1), flat.var(1)], 1)
            parts.append((layer.name, np.concatenate([moments, np.quantile(flat, QUANTILES, axis=1).T], 1)))
    rows = {name: np.concatenate([part for own, part in parts if own == name]) for name in stack.names}
    return np.asarray(np.concatenate(list(rows.values()), 1), np.float32)
