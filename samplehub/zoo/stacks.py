"""Many models of one architecture trained at once: their tensors stacked, one ``vmap(grad)`` for all (torch.func).

Full fine-tunes move every tensor; adapters (Hu et al. 2021) only ``<layer>.A`` and ``<layer>.B``, which change the
weight of a linear layer that stays as it is. Adam (Kingma & Ba 2015) runs on the stacked tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from samplehub.zoo.loops import one_thread

State = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]  # what the net gives, what it should: a scalar
Draw = Callable[[int], tuple[Tensor, Tensor]]  # step → inputs and targets, each with a row for each model


def stacked(states: list[State]) -> State:
    return {name: torch.stack([state[name] for state in states]) for name in states[0]}


def unstacked(states: Mapping[str, Tensor], count: int) -> list[State]:
    return [{name: tensor[number].clone() for name, tensor in states.items()} for number in range(count)]


def effective(moving: Mapping[str, Tensor], still: Mapping[str, Tensor], scale: float) -> State:
    """A model's tensors: the still ones, the moving ones in their place, and adapters added to their layers."""
    state = dict(still)
    for name, tensor in moving.items():
        if name.endswith(".A"):
            weight = f"{name[:-2]}.weight"
            state[weight] = state[weight] + scale * (moving[f"{name[:-2]}.B"] @ tensor)
        elif not name.endswith(".B"):
            state[name] = tensor
    return state


def train(
    net: nn.Module, moving: State, still: State, draw: Draw, loss: Loss, *, steps: int, rates: Tensor,
    scale: float = 1.0,
) -> State:  # fmt: skip
    """The moving tensors (each with a row for each model) after ``steps`` steps of Adam at each model's own rate."""

    def loss_of(own: State, rest: State, inputs: Tensor, targets: Tensor) -> Tensor:
        return loss(functional_call(net, effective(own, rest, scale), (inputs,)), targets)

    gradients_of = vmap(grad(loss_of))
    means = {name: torch.zeros_like(tensor) for name, tensor in moving.items()}
    squares = {name: torch.zeros_like(tensor) for name, tensor in moving.items()}
    moving = dict(moving)
    # The fused attention kernels have no batching rule on the CPU; the plain one is made of operations that have.
    with one_thread(), sdpa_kernel(SDPBackend.MATH):
        for step in range(1, steps + 1):
            gradients = gradients_of(moving, still, *draw(step))
            for name, gradient in gradients.items():
                mean, square = means[name].lerp_(gradient, 0.1), squares[name].lerp_(gradient.square(), 0.01)
                towards = mean / (1 - 0.9**step) / ((square / (1 - 0.99**step)).sqrt() + 1e-8)
                rate = rates * min(1.0, 2 * (1 - (step - 1) / steps))  # level, then straight down
                moving[name] = moving[name] - rate.view(-1, *[1] * (towards.dim() - 1)) * towards
    return moving
