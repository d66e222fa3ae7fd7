"""A dense linear map of one layer."""

from __future__ import annotations

from typing import Any

from workers.probing.single import LayerProber


class Dense(LayerProber):
    """All entries of one layer's weights, flattened, through one linear map: the baseline that ProbeX is held to."""

    method = "dense"
    reference = "Kahana et al., Learning on Model Weights using Tree Experts, CVPR 2025 (baseline)"

    def __init__(
        self,
        *,
        layer: str | None = None,
        dim: int = 128,
        epochs: int = 60,
        search_epochs: int = 15,
        lr: float = 1e-3,
        weight_decay: float = 1e-5,
        batch: int = 128,
        seed: int = 0,
        loss: str = "text",
    ) -> None:
        self.layer = layer
        self.dim = dim
        self.epochs = epochs
        self.search_epochs = search_epochs
        self.lr = lr
        self.weight_decay = weight_decay
        self.batch = batch
        self.seed = seed
        self.loss = loss

    def _body(self, generator: Any) -> Any:
        import torch

        entries = self.shape_[0] * self.shape_[1]
        members = self.members_

        class Body(torch.nn.Module):
            def __init__(self, dim: int) -> None:
                super().__init__()
                self.m = torch.nn.Parameter(torch.randn(members, entries, dim, generator=generator) * entries**-0.5)

            def forward(self, *parts: Any) -> Any:
                full = parts[0] @ parts[1] if len(parts) == 2 else parts[0]
                return full.flatten(2) @ self.m

        return Body(self.dim)
