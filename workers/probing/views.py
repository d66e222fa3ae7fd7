"""Four views of every layer through learned probes, as a network.

X·U, Xᵀ·V, X·Xᵀ·W and Xᵀ·X·Z (MVProbe, ICML 2026), each projected, standardised within each model, rectified, and all
views of all layers summed into one embedding. X comes as factors, X = B·A, so a view is never formed: PᵀX·U is
(PᵀB)·(A·U), PᵀX·Xᵀ·W is (PᵀB)·(A·Aᵀ)·(BᵀW): some forty times fewer multiplications at rank 4.
"""

from __future__ import annotations

from typing import Any

VIEWS = 4


def views(shapes: list[tuple[int, int, int]], members: int, probes: int, dim: int, generator: Any) -> Any:
    """A module from ``b₀, a₀, b₁, a₁, …`` to ``[members, n, dim]``.

    ``shapes``: for each group of layers of one shape (layers, out, in); the group's inputs are ``[n, layers, out, r]``
    and ``[n, layers, r, in]``. ``members`` networks, independent of each other, are fitted side by side.
    """
    import torch

    functional = torch.nn.functional
    entries = probes * probes

    def normal(*shape: int, fan: int) -> Any:
        return torch.nn.Parameter(torch.randn(*shape, generator=generator) * fan**-0.5)

    class Views(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            count = sum(layers for layers, _, _ in shapes)
            # for each side of a layer: two projections and two sets of probes, for each member
            self.right = torch.nn.ParameterList(
                [normal(layers, inner, VIEWS * members * probes, fan=inner) for layers, _, inner in shapes]
            )
            self.left = torch.nn.ParameterList(
                [normal(layers, out, VIEWS * members * probes, fan=out) for layers, out, _ in shapes]
            )
            self.bias = torch.nn.Parameter(torch.zeros(members, 1, count * VIEWS, entries))
            self.gain = torch.nn.Parameter(torch.ones(members, 1, count * VIEWS, entries))
            self.out = normal(members, count * VIEWS * entries, dim, fan=count * VIEWS * entries)

        def forward(self, *parts: Any) -> Any:
            found = [self._group(k, parts[2 * k], parts[2 * k + 1]) for k in range(len(shapes))]
            z = torch.cat(found, 2)  # [members, n, layers·views, entries]
            z = functional.layer_norm(z, (entries,))
            return torch.relu(z * self.gain + self.bias).flatten(2) @ self.out

        def _group(self, k: int, b: Any, a: Any) -> Any:
            count, layers, rank, _ = a.shape

            def split(product: Any) -> Any:  # [n, layers, r, views·members·probes] -> [views, n, layers, members, r, p]
                return product.view(count, layers, rank, VIEWS, members, probes).permute(3, 0, 1, 4, 2, 5)

            bt = b.transpose(2, 3)
            right = split(a @ self.right[k])
            left = split(bt @ self.left[k])
            rows, columns = (a @ a.transpose(2, 3))[:, :, None], (bt @ b)[:, :, None]
            pairs = torch.stack([left[0], right[1], left[2], right[2]])
            probed = torch.stack([right[0], left[1], rows @ left[3], columns @ right[3]])
            z = pairs.transpose(4, 5) @ probed  # [views, n, layers, members, p, p]
            return z.permute(3, 1, 2, 0, 4, 5).reshape(members, count, layers * VIEWS, entries)

    return Views()
