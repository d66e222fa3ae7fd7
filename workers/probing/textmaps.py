"""From a text encoder's space into an expert's: a few linear maps side by side. numpy and safetensors alone, so that
the search process loads one without the code that trained it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.errors import BadInput
from workers.probing.stacks import Floats


@dataclass(frozen=True)
class TextMap:
    """Text t goes to the unit vectors of (t - centre) @ block, one for each block, put side by side by ``weights``.

    The expert's own embeddings are put together alike, so that the dot product of both is a mean of cosines.
    ``centre [d]``; ``blocks`` of ``[d, k]``; ``weights`` sum to one.
    """

    centre: Floats
    blocks: tuple[Floats, ...]
    weights: tuple[float, ...]

    def __call__(self, texts: Floats) -> Floats:
        """``[m, d]`` to ``[m, Σk]``, unit rows."""
        if texts.ndim != 2 or texts.shape[1] != len(self.centre):
            raise BadInput(f"Texts of shape {texts.shape}; this map takes [m, {len(self.centre)}].")
        return side_by_side([np.asarray((texts - self.centre) @ block) for block in self.blocks], self.weights)

    def state(self) -> dict[str, NDArray[Any]]:
        """As arrays by name."""
        found: dict[str, NDArray[Any]] = {"text.centre": self.centre}
        found["text.weights"] = np.asarray(self.weights, np.float32)
        return found | {f"text.{k}": block for k, block in enumerate(self.blocks)}

    @classmethod
    def restored(cls, state: dict[str, NDArray[Any]]) -> TextMap | None:
        """What ``state`` gave; None where there is none."""
        if "text.centre" not in state:
            return None
        weights = tuple(float(each) for each in state["text.weights"])
        return cls(state["text.centre"], tuple(state[f"text.{k}"] for k in range(len(weights))), weights)


def unit(rows: NDArray[Any]) -> Floats:
    """Rows of length one; zero stays zero."""
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, 1e-12), np.float32)


def side_by_side(parts: Sequence[NDArray[Any]], weights: tuple[float, ...]) -> Floats:
    """Unit rows of each part, scaled so that a dot product is the weighted mean of the parts' cosines."""
    return unit(np.concatenate([unit(part) * w**0.5 for part, w in zip(parts, weights, strict=True)], 1))
