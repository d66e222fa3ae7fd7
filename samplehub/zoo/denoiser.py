"""A small generative base: a two-block ViT that takes the noise out of 16 x 16 pictures, a function of its tensors.

Patches of 4 x 4 (16 tokens), width 64. It predicts the clean picture from cos(t)·picture + sin(t)·noise. Written
without modules, so that ``torch.func.vmap`` can run many sets of adapters over one base; attention is spelled out
because the fused kernel has no batching rule on the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from samplehub.zoo.loops import one_thread
from samplehub.zoo.painting import CONCEPTS, SIDE, paint

State = dict[str, Tensor]

WIDTH, HEADS, INNER, BLOCKS, PATCH = 64, 4, 96, 2, 4
TOKENS, CHANNELS, WAVES = (SIDE // PATCH) ** 2, 3 * PATCH * PATCH, 32
#: The linear layers that an adapter changes, as in PEFT's ``target_modules``; their names without ``.weight``.
TARGETS = tuple(f"blocks.{n}.{part}" for n in range(BLOCKS) for part in ("attn.qkv", "mlp.fc1", "mlp.fc2"))
KINDS = torch.tensor([[c.shape, c.colour, c.texture] for c in CONCEPTS])  # 144 x 3


def shape_of(layer: str) -> tuple[int, int]:
    """Rows and columns of a target's weight."""
    part = layer.rsplit(".", 1)[-1]
    return {"qkv": (3 * WIDTH, WIDTH), "fc1": (INNER, WIDTH), "fc2": (WIDTH, INNER)}[part]


def config() -> dict[str, Any]:
    """config.json of the base."""
    return {
        "architectures": ["PatchDenoiser"], "model_type": "patch-denoiser", "hidden_size": WIDTH,
        "num_hidden_layers": BLOCKS, "num_attention_heads": HEADS, "intermediate_size": INNER, "image_size": SIDE,
        "patch_size": PATCH, "num_channels": 3, "prediction_type": "sample", "torch_dtype": "float32",
    }  # fmt: skip


def fresh(dice: torch.Generator) -> State:
    """Tensors of an untrained base, by name, F32."""

    def normal(*shape: int, std: float) -> Tensor:
        return torch.randn(*shape, generator=dice) * std

    state: State = {
        "patch_embed.weight": normal(WIDTH, CHANNELS, std=CHANNELS**-0.5), "patch_embed.bias": torch.zeros(WIDTH),
        "pos_embed": normal(TOKENS, WIDTH, std=0.1),
        "time_embed.weight": normal(WIDTH, WAVES, std=0.1), "time_embed.bias": torch.zeros(WIDTH),
    }  # fmt: skip
    for block in range(BLOCKS):
        for part, rows, columns, gain in (
            ("attn.qkv", 3 * WIDTH, WIDTH, 1.0),
            ("attn.proj", WIDTH, WIDTH, 0.5),
            ("mlp.fc1", INNER, WIDTH, 1.0),
            ("mlp.fc2", WIDTH, INNER, 0.5),
        ):
            state[f"blocks.{block}.{part}.weight"] = normal(rows, columns, std=gain * columns**-0.5)
            state[f"blocks.{block}.{part}.bias"] = torch.zeros(rows)
        for norm in ("norm1", "norm2"):
            state[f"blocks.{block}.{norm}.weight"] = torch.ones(WIDTH)
            state[f"blocks.{block}.{norm}.bias"] = torch.zeros(WIDTH)
    state |= {"norm.weight": torch.ones(WIDTH), "norm.bias": torch.zeros(WIDTH)}
    state |= {"head.weight": normal(CHANNELS, WIDTH, std=0.02), "head.bias": torch.zeros(CHANNELS)}
    return state


def patches(pictures: Tensor) -> Tensor:
    """Pictures … x 3 x 16 x 16 as tokens … x 16 x 48."""
    lead = pictures.shape[:-3]
    count = SIDE // PATCH
    cut = pictures.reshape(-1, 3, count, PATCH, count, PATCH).permute(0, 2, 4, 1, 3, 5)
    return cut.reshape(*lead, TOKENS, CHANNELS)


_FREQUENCIES = torch.exp(torch.linspace(0, math.log(50.0), WAVES // 2))


def denoised(state: Mapping[str, Tensor], adapters: Mapping[str, Tensor], scale: float, x: Tensor, t: Tensor) -> Tensor:
    """The clean tokens (N x 16 x 48) that the base with adapters sees in noisy tokens ``x`` at times ``t`` (N, 0 to 1).

    ``adapters`` holds ``<layer>.A`` (rank x in) and ``<layer>.B`` (out x rank) for each of TARGETS, or nothing at all.
    """

    def linear(layer: str, y: Tensor) -> Tensor:
        z = y @ state[f"{layer}.weight"].T + state[f"{layer}.bias"]
        if f"{layer}.A" in adapters:
            z = z + (y @ adapters[f"{layer}.A"].T) @ adapters[f"{layer}.B"].T * scale
        return z

    def normed(layer: str, y: Tensor) -> Tensor:
        return functional.layer_norm(y, (WIDTH,), state[f"{layer}.weight"], state[f"{layer}.bias"])

    count = x.shape[0]
    phase = t[:, None] * _FREQUENCIES
    y = linear("patch_embed", x) + state["pos_embed"]
    y = y + linear("time_embed", torch.cat((phase.sin(), phase.cos()), -1))[:, None]
    for block in (f"blocks.{n}" for n in range(BLOCKS)):
        z = linear(f"{block}.attn.qkv", normed(f"{block}.norm1", y))
        q, k, v = z.reshape(count, TOKENS, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        weights = torch.softmax(q @ k.transpose(-1, -2) * (WIDTH // HEADS) ** -0.5, -1)
        z = (weights @ v).permute(0, 2, 1, 3).reshape(count, TOKENS, WIDTH)
        y = y + linear(f"{block}.attn.proj", z)
        z = functional.gelu(linear(f"{block}.mlp.fc1", normed(f"{block}.norm2", y)))
        y = y + linear(f"{block}.mlp.fc2", z)
    return linear("head", normed("norm", y))


def noisy(clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    angle = (t * (math.pi / 2))[:, None, None]
    return angle.cos() * clean + angle.sin() * noise


def loss(
    adapters: Mapping[str, Tensor], *, state: Mapping[str, Tensor], scale: float, clean: Tensor, t: Tensor,
    noise: Tensor,
) -> Tensor:  # fmt: skip
    """Mean squared error of the clean tokens."""
    return (denoised(state, adapters, scale, noisy(clean, t, noise), t) - clean).square().mean()


def train(seed: int, *, steps: int = 600, batch: int = 128, tell: Callable[[int], None] | None = None) -> State:
    """A base trained on pictures of all concepts (F32, by name). The same seed gives the same tensors."""
    with one_thread():
        return _trained(seed, steps, batch, tell)


def _trained(seed: int, steps: int, batch: int, tell: Callable[[int], None] | None) -> State:
    dice = torch.Generator().manual_seed(seed)
    state = {name: tensor.requires_grad_() for name, tensor in fresh(dice).items()}
    optimiser = torch.optim.Adam(state.values(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, steps)
    for step in range(steps):
        kinds = KINDS[torch.randint(0, len(KINDS), (batch,), generator=dice)]
        clean = patches(paint(kinds, dice))
        t = torch.rand(batch, generator=dice)
        optimiser.zero_grad()
        noise = torch.randn(clean.shape, generator=dice)
        loss({}, state=state, scale=0.0, clean=clean, t=t, noise=noise).backward()
        optimiser.step()
        schedule.step()
        if tell:
            tell(step + 1)
    return {name: tensor.detach() for name, tensor in state.items()}
