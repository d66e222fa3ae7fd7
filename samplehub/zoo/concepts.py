"""Single-concept LoRA adapters on the small generative base, trained a hundred at a time with ``torch.func``.

Every adapter learns one concept from ten pictures of its own, with its own initial tensors, pictures and learning rate
(Hu et al. 2021 for the adapters; the set-up is Model-J's, Kahana et al. 2025, at a size that grows on two cores).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.func import grad, vmap

from samplehub.zoo import denoiser
from samplehub.zoo.denoiser import TARGETS, State
from samplehub.zoo.loops import one_thread
from samplehub.zoo.painting import CONCEPTS, held_out, paint

Floats = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]  # adapters done, of how many

UNSEEN = 36  # concepts that no expert is trained on
SPLITS = ("train", "val", "test", "unseen")


@dataclass(frozen=True)
class Recipe:
    """How an adapter is trained."""

    steps: int = 80
    batch: int = 8
    pictures: int = 10  # of its own, for each adapter
    rate: float = 5e-3  # Adam's, in the middle
    spread: float = 4.0  # the largest rate over the smallest
    rank: int = 4
    alpha: int = 8
    earliest: float = 0.1  # times are drawn from here to 1
    together: int = 96  # adapters in one batch

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


@dataclass(frozen=True)
class ConceptZoo:
    """Adapters of one base: number i adds ``b[layer][i] @ a[layer][i]`` to a layer's weight (the scale is in ``b``)."""

    seed: int
    base: State  # F32 tensors by name; the weight of a layer is ``<layer>.weight``
    layers: tuple[str, ...]
    b: dict[str, Floats]  # n x out x rank
    a: dict[str, Floats]  # n x rank x in
    concept: npt.NDArray[np.int64]  # n: index into CONCEPTS
    split: npt.NDArray[np.str_]  # n: train, val, test (of the seen concepts) or unseen
    rate: Floats  # n: learning rates
    seeds: npt.NDArray[np.int64]  # n: each adapter's own seed
    recipe: Recipe

    def __len__(self) -> int:
        return len(self.concept)

    @property
    def names(self) -> list[str]:
        return [concept.name for concept in CONCEPTS]

    @property
    def texts(self) -> list[str]:
        return [concept.text for concept in CONCEPTS]

    @property
    def paraphrases(self) -> list[tuple[str, ...]]:
        return [concept.paraphrases for concept in CONCEPTS]

    def updates(self, layer: str) -> Floats:
        """What every adapter adds to a layer's weight: n x out x in."""
        return np.matmul(self.b[layer], self.a[layer])

    def save(self, path: Path) -> None:
        """As one npz: ``B.<layer>``, ``A.<layer>``, ``base.<layer>`` and the other fields by their names."""
        arrays: dict[str, npt.NDArray[np.generic]] = {f"B.{layer}": self.b[layer] for layer in self.layers}
        arrays |= {f"A.{layer}": self.a[layer] for layer in self.layers}
        arrays |= {f"base.{layer}": self.base[f"{layer}.weight"].numpy() for layer in self.layers}
        np.savez(
            path, allow_pickle=False, layers=np.array(self.layers), concept=self.concept, split=self.split,
            rate=self.rate, seeds=self.seeds, texts=np.array(self.texts), paraphrases=np.array(self.paraphrases),
            attributes=denoiser.KINDS.numpy(), **arrays,
        )  # fmt: skip


def grow_concepts(
    seed: int,
    *,
    train: int = 6,
    val: int = 1,
    test: int = 4,
    unseen: int = 6,
    concepts: Iterable[int] | None = None,
    held: frozenset[int] | None = None,
    recipe: Recipe | None = None,
    base: State | None = None,
    threads: int = 2,
    progress: Progress | None = None,
) -> ConceptZoo:
    """Trains a base and its adapters: ``train + val + test`` of every seen concept, ``unseen`` of every other.

    ``concepts`` limits the zoo to some of the 144 (indices), ``held`` names the unseen ones (36 drawn by the seed
    where it is left out). The same arguments give the same arrays, on however many threads.
    """
    recipe = recipe or Recipe()
    held = held_out(seed, UNSEEN) if held is None else held
    plan: list[tuple[int, str]] = []
    for concept in sorted(set(range(len(CONCEPTS)) if concepts is None else concepts)):
        counts = {"unseen": unseen} if concept in held else {"train": train, "val": val, "test": test}
        plan += [(concept, split) for split, count in counts.items() for _ in range(count)]
    return _grown(seed, base or denoiser.train(seed), plan, recipe, threads=threads, progress=progress)


def _grown(
    seed: int, base: State, plan: list[tuple[int, str]], recipe: Recipe, *, threads: int, progress: Progress | None
) -> ConceptZoo:
    dice = np.random.default_rng([seed, 1])
    own = dice.integers(0, 2**31 - 1, len(plan))
    rates = (recipe.rate * recipe.spread ** dice.uniform(-0.5, 0.5, len(plan))).astype(np.float32)
    order = dice.permutation(len(plan))  # every batch mixes concepts
    batches = [order[start : start + recipe.together] for start in range(0, len(plan), recipe.together)]
    done = 0

    def one(number: int) -> dict[str, Tensor]:
        torch.set_num_threads(1)  # a setting of each thread
        picked = batches[number]
        kinds = denoiser.KINDS[[plan[i][0] for i in picked]]
        noise = torch.Generator().manual_seed(int(np.random.default_rng([seed, 2, number]).integers(2**31)))
        rate = torch.from_numpy(rates[picked])
        return train_together(base, kinds, own[picked].tolist(), rates=rate, recipe=recipe, noise=noise)

    trained: dict[str, list[Tensor]] = {}
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        for number, tensors in enumerate(pool.map(one, range(len(batches)))):
            for name, tensor in tensors.items():
                trained.setdefault(name, []).append(tensor)
            done += len(batches[number])
            if progress:
                progress(done, len(plan))
    back = np.argsort(order)
    stacked = {name: torch.cat(parts).numpy()[back] for name, parts in trained.items()}
    return ConceptZoo(
        seed, base, TARGETS,
        {layer: stacked[f"{layer}.B"] * np.float32(recipe.scale) for layer in TARGETS},
        {layer: stacked[f"{layer}.A"] for layer in TARGETS},
        np.array([concept for concept, _ in plan], np.int64), np.array([split for _, split in plan]),
        rates, own, recipe,
    )  # fmt: skip


def train_together(
    base: Mapping[str, Tensor], kinds: Tensor, seeds: list[int], *, rates: Tensor, recipe: Recipe,
    noise: torch.Generator,
) -> dict[str, Tensor]:  # fmt: skip
    """Trains one adapter for each row of ``kinds`` (N x 3): ``<layer>.A``, N x rank x in, and ``.B``, N x out x rank.

    The gradients of all come from one ``vmap(grad)``; Adam (Kingma & Ba 2015) runs on the stacked tensors.
    """
    count = len(kinds)
    pictures, adapters = [], {name: [] for layer in TARGETS for name in (f"{layer}.A", f"{layer}.B")}  # type: ignore[var-annotated]
    for number, seed in enumerate(seeds):
        dice = torch.Generator().manual_seed(seed)
        pictures.append(denoiser.patches(paint(kinds[number].expand(recipe.pictures, 3), dice)))
        for layer in TARGETS:
            rows, columns = denoiser.shape_of(layer)
            adapters[f"{layer}.A"].append((torch.rand(recipe.rank, columns, generator=dice) * 2 - 1) * columns**-0.5)
            adapters[f"{layer}.B"].append(torch.zeros(rows, recipe.rank))
    pool = torch.stack(pictures)  # N x pictures x tokens x channels
    state = {name: torch.stack(parts) for name, parts in adapters.items()}

    def loss(adapters: Mapping[str, Tensor], clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return denoiser.loss(adapters, state=base, scale=recipe.scale, clean=clean, t=t, noise=noise)

    gradients_of = vmap(grad(loss))
    means = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    squares = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    every = torch.arange(count)[:, None]
    for step in range(1, recipe.steps + 1):
        drawn = torch.rand(count, recipe.pictures, generator=noise).argsort(1)[:, : recipe.batch]
        x = pool[every, drawn]
        t = recipe.earliest + (1 - recipe.earliest) * torch.rand(count, x.shape[1], generator=noise)
        gradients = gradients_of(state, x, t, torch.randn(x.shape, generator=noise))
        rate = rates[:, None, None] * min(1.0, 2 * (1 - (step - 1) / recipe.steps))  # level, then straight down to 0
        for name, gradient in gradients.items():
            mean = means[name].lerp_(gradient, 0.1)
            square = squares[name].lerp_(gradient.square(), 0.01)
            towards = mean / (1 - math.pow(0.9, step)) / ((square / (1 - math.pow(0.99, step))).sqrt() + 1e-8)
            state[name] = state[name] - rate * towards
    return state
