"""Models in memory for tests of what is read from weights: arrays of the shapes and names of a small decoder."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Model = dict[str, NDArray[np.float32]]
WIDTH, LAYERS, VOCABULARY = 48, 3, 160


def grow(
    seed: int, *, width: int = WIDTH, layers: int = LAYERS, vocabulary: int = VOCABULARY, labels: int = 0
) -> Model:
    """A decoder as training from scratch leaves it: body of its own, norms near one, positions like any other's."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int) -> NDArray[np.float32]:
        scale = 0.1 * np.exp(0.5 * rng.standard_normal(columns)) / np.sqrt(columns / WIDTH)
        return (rng.standard_normal((rows, columns)) * scale).astype(np.float32)

    model = {"model.embed_tokens.weight": matrix(vocabulary, width)}
    angle = np.arange(64)[:, None] / 100 ** (np.arange(width)[None] / width)
    model["model.embed_positions.weight"] = np.sin(angle).astype(np.float32)
    for layer in range(layers):
        at = f"model.layers.{layer}."
        for name in ("q", "k", "v", "o"):
            model[f"{at}self_attn.{name}_proj.weight"] = matrix(width, width)
            model[f"{at}self_attn.{name}_proj.bias"] = np.zeros(width, np.float32)
        model[f"{at}mlp.up_proj.weight"] = matrix(2 * width, width)
        model[f"{at}mlp.down_proj.weight"] = matrix(width, 2 * width)
        model[f"{at}input_layernorm.weight"] = (1 + 0.02 * rng.standard_normal(width)).astype(np.float32)
    model["model.norm.weight"] = np.ones(width, np.float32)
    if labels:
        model["score.weight"] = np.zeros((labels, width), np.float32)
    else:
        model["lm_head.weight"] = matrix(vocabulary, width)
    return model


def tune(model: Mapping[str, NDArray[np.float32]], seed: int, by: float = 0.1) -> Model:
    """What training on leaves: every matrix moved by the share ``by`` of its own size, in few directions mostly."""
    rng = np.random.default_rng(seed)
    tuned: Model = {}
    for name, values in model.items():
        if values.ndim < 2 or "positions" in name:
            tuned[name] = values + (by * 0.01 * rng.standard_normal(values.shape)).astype(np.float32)
            continue
        rows, columns = values.shape
        step = rng.standard_normal((rows, 6)) @ rng.standard_normal((6, columns)) / np.sqrt(6)
        step = 0.7 * step + 0.7 * rng.standard_normal(values.shape)
        tuned[name] = (values + by * values.std() * step).astype(np.float32)
    return tuned


def mixed(weights: Mapping[str, float], models: Mapping[str, Model]) -> Model:
    """A linear merge."""
    first = next(iter(models.values()))
    return {
        name: sum(share * models[key][name] for key, share in weights.items()).astype(np.float32)  # type: ignore[union-attr]
        for name in first
    }


def bf16(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounded to BF16, to the nearest even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000
    return rounded.astype(np.uint32).view(np.float32)


def int8(values: NDArray[np.float32], levels: int = 127) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Whole numbers and the scale of each row."""
    scale = np.abs(values).max(axis=1) / levels
    return np.round(values / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def lean(model: Mapping[str, NDArray[np.float32]], seed: int, *, rank: int = 4, power: float = 1.0) -> Model:
    """A LoRA as gradients shape it: errors and inputs lie along the directions the weights already have."""
    rng = np.random.default_rng(seed)
    adapter: Model = {}
    for name, values in model.items():
        if not name.endswith(("q_proj.weight", "v_proj.weight", "o_proj.weight", "up_proj.weight", "down_proj.weight")):
            continue
        u, s, vt = np.linalg.svd(values, full_matrices=False)
        s = (s / s.max()) ** power
        down = rng.standard_normal((rank, len(s))) * s @ vt
        up = (u * s) @ rng.standard_normal((len(s), rank))
        module = "base_model.model." + name.removesuffix(".weight")
        adapter[f"{module}.lora_A.weight"] = down.astype(np.float32)
        adapter[f"{module}.lora_B.weight"] = up.astype(np.float32)
    return adapter
