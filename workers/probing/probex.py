"""ProbeX, as published."""

from __future__ import annotations

from typing import Any

from workers.probing.single import LayerProber


class ProbeX(LayerProber):
    """A probe of one layer's weights X ``[out, in]``: e = Σ_l M_l · ReLU(Vᵀ·X·u_l).

    The published settings: 128 probes u_l, a shared projection V to 128; an embedding of 128 (512 for text) from one
    linear map, Adam at 1e-3 (text 2e-3), weight decay 1e-5, batches of 128, 500 epochs (text 200). X of an adapter is
    its update B·A, multiplied as (Vᵀ·B)·(A·U), which gives the same and costs less. No subtraction of the base.
    """

    method = "probex"
    reference = "Kahana et al., Learning on Model Weights using Tree Experts, CVPR 2025"

    def __init__(
        self,
        *,
        layer: str | None = None,
        probes: int = 128,
        projection: int = 128,
        dim: int = 512,
        epochs: int = 200,
        search_epochs: int = 10,
        lr: float = 2e-3,
        weight_decay: float = 1e-5,
        batch: int = 128,
        seed: int = 0,
        loss: str = "text",
    ) -> None:
        self.layer = layer
        self.probes = probes
        self.projection = projection
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

        out, inner = self.shape_
        members, probes, projection = self.members_, self.probes, self.projection

        def normal(*shape: int, fan: int) -> Any:
            return torch.nn.Parameter(torch.randn(*shape, generator=generator) * fan**-0.5)

        class Body(torch.nn.Module):
            def __init__(self, dim: int) -> None:
                super().__init__()
                self.u = normal(members, 1, inner, probes, fan=inner)
                self.v = normal(members, 1, out, projection, fan=out)
                self.m = normal(members, projection * probes, dim, fan=projection * probes)

            def forward(self, *parts: Any) -> Any:
                if len(parts) == 2:
                    b, a = parts
                    z = (self.v.transpose(2, 3) @ b) @ (a @ self.u)
                else:
                    z = self.v.transpose(2, 3) @ (parts[0] @ self.u)
                return torch.relu(z).flatten(2) @ self.m

        return Body(self.dim)
