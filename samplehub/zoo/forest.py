"""Forests in memory: trees of small models with known descent, grown from a seed in seconds.

Several roots of one shape, trained independently; full fine-tunes of them and of one another, generation by
generation; adapters; 16-bit and int8 copies, merges and re-uploads. For benches and tests of what tells true descent
from false.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from samplehub.growing import nets, weights
from samplehub.growing.nets import State
from samplehub.zoo import ground, stacks
from samplehub.zoo.loops import one_thread

Kind = Literal["decoder", "vit", "conv"]
Arrays = dict[str, npt.NDArray[np.generic]]

CHARACTERS, LENGTH, CLASSES = 128, 32, 6
RANK, ALPHA = 4, 8
ADAPTED = {"decoder": ("q_proj", "v_proj"), "vit": ("query", "value"), "conv": ("head",)}
SCENES = ("striped/shape", "dotted/shape", "checkered/shape", "red/shape", "blue/shape", "ring/colour", "cross/colour",
          "plain-yellow/shape", "square/colour", "green/shape")  # fmt: skip
RATES = {"decoder": 2e-3, "vit": 2e-3, "conv": 2e-3}


@dataclass(frozen=True)
class Edge:
    parent: str
    child: str
    relation: str  # finetune, adapter, quantized, merge or copy


@dataclass
class Member:
    """A model: its tensors as a file would hold them, and where it comes from."""

    name: str
    tensors: State
    root: str  # the root of its tree
    generation: int
    relation: str  # root, finetune, adapter, quantized, merge or copy
    parents: tuple[str, ...] = ()
    trained_on: str | None = None
    adapter: dict[str, object] | None = None  # adapter_config.json, of an adapter

    def arrays(self) -> Arrays:
        """The tensors as numpy has them; BF16 as the F32 that it stands for."""
        return {n: (t.float() if t.dtype == torch.bfloat16 else t).numpy() for n, t in self.tensors.items()}


@dataclass
class Forest:
    kind: Kind
    members: dict[str, Member] = field(default_factory=dict)  # parents before children

    @property
    def edges(self) -> list[Edge]:
        return [Edge(parent, m.name, m.relation) for m in self.members.values() for parent in m.parents]

    def false_edges(self, seed: int, count: int) -> list[tuple[str, str]]:
        """Pairs (claimed parent, child) of two trees: what a card would claim wrongly."""
        dice = random.Random(seed)
        whole = [m for m in self.members.values() if m.relation != "adapter"]
        children = [m for m in self.members.values() if m.parents]
        pairs: set[tuple[str, str]] = set()
        possible = sum(p.root != c.root for p in whole for c in children)
        while len(pairs) < min(count, possible):
            parent, child = dice.choice(whole), dice.choice(children)
            if parent.root != child.root:
                pairs.add((parent.name, child.name))
        return sorted(pairs)


def grow_forest(
    seed: int, kind: Kind = "vit", *, roots: int = 2, generations: tuple[int, ...] = (8, 6, 4, 2), adapters: int = 6,
    casts: int = 3, int8: int = 2, merges: int = 2, copies: int = 1, steps: int = 60, root_steps: int = 300,
) -> Forest:  # fmt: skip
    """A forest of one architecture. All counts but ``roots`` are for each tree; the same arguments, the same tensors.

    ``generations[g]`` full fine-tunes have a parent in generation g (0 is the root). With the defaults 70 models, 72
    edges.
    """
    grower = _Grower(seed, kind)
    names = grower.plant(roots, root_steps)
    for depth, count in enumerate(generations):
        grower.tune([grower.pick(root, depth) for root in names for _ in range(count)], steps)
    whole = [[m.name for m in grower.forest.members.values() if m.root == root] for root in names]
    grower.adapt([grower.dice.choice(tree) for tree in whole for _ in range(adapters)], steps)
    for tree in whole:
        for number in range(casts):
            grower.derive(grower.dice.choice(tree), "F16" if number % 2 else "BF16")
        for _ in range(int8):
            grower.derive(grower.dice.choice(tree), "int8")
        for _ in range(copies):
            grower.derive(grower.dice.choice(tree), "copy")
        for _ in range(merges if len(tree) > 2 else 0):
            grower.merge(grower.dice.sample(tree[1:], 2))
    return grower.forest


class _Grower:
    def __init__(self, seed: int, kind: Kind) -> None:
        self.forest, self.kind, self.seed = Forest(kind), kind, seed
        self.dice = random.Random(f"forest-{kind}-{seed}")
        self.noise = torch.Generator().manual_seed(self.dice.randrange(2**31))
        self.pools: dict[str, tuple[Tensor, Tensor]] = {}
        self.net = self._fresh()
        self.shape = {name: tensor.shape for name, tensor in self.net.state_dict().items()}

    def _fresh(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.dice.randrange(2**31))
            if self.kind == "decoder":
                return nets.Decoder(nets.DecoderShape(vocab=CHARACTERS))
            return nets.PatchNet(CLASSES) if self.kind == "vit" else nets.ConvNet(CLASSES)

    # Data --------------------------------------------------------------------------------------

    def domain(self) -> str:
        return self.dice.choice(list(ground.GRAMMARS) if self.kind == "decoder" else SCENES)

    def _pool(self, domain: str) -> tuple[Tensor, Tensor]:
        """All inputs and targets of a domain: characters and the next ones, or pictures and classes."""
        if domain not in self.pools:
            if self.kind == "decoder":
                text = "\n".join(ground.sentences(domain, 300, self.seed)).encode("ascii", "replace")
                count = (len(text) - 1) // LENGTH
                flat = torch.frombuffer(bytearray(text), dtype=torch.uint8).long().clamp(max=CHARACTERS - 1)
                inputs, targets = flat[: count * LENGTH], flat[1 : count * LENGTH + 1]
                self.pools[domain] = inputs.view(count, LENGTH), targets.view(count, LENGTH)
            else:
                images, labels = ground.pictures(domain, 256, self.seed)
                self.pools[domain] = torch.from_numpy(images), torch.from_numpy(labels)
        return self.pools[domain]

    def _draw(self, domains: list[str], batch: int) -> stacks.Draw:
        pools = [self._pool(domain) for domain in domains]

        def draw(step: int) -> tuple[Tensor, Tensor]:
            picks = [torch.randint(len(pool[0]), (batch,), generator=self.noise) for pool in pools]
            pairs = list(zip(pools, picks, strict=True))
            return torch.stack([p[0][i] for p, i in pairs]), torch.stack([p[1][i] for p, i in pairs])

        return draw

    def _loss(self, given: Tensor, wanted: Tensor) -> Tensor:
        return functional.cross_entropy(given.reshape(-1, given.shape[-1]), wanted.reshape(-1))

    def _rates(self, count: int, times: float = 1.0) -> Tensor:
        rates = [RATES[self.kind] * times * 4 ** self.dice.uniform(-0.5, 0.5) for _ in range(count)]
        return torch.tensor(rates)

    # Growth ------------------------------------------------------------------------------------

    def pick(self, root: str, generation: int) -> str:
        chosen = [m.name for m in self.forest.members.values() if m.root == root and m.generation == generation]
        return self.dice.choice(chosen)

    def _add(self, member: Member) -> str:
        self.forest.members[member.name] = member
        return member.name

    def _name(self, relation: str) -> str:
        return f"{self.kind}-{len(self.forest.members):03d}-{relation}"

    def plant(self, count: int, steps: int) -> list[str]:
        states = [dict(self._fresh().state_dict()) for _ in range(count)]
        domain = "everything" if self.kind == "decoder" else "shape"
        trained = stacks.train(
            self.net, stacks.stacked(states), {}, self._draw([domain] * count, 16), self._loss, steps=steps,
            rates=torch.full((count,), RATES[self.kind] * 2),
        )  # fmt: skip
        names = []
        for state in stacks.unstacked(trained, count):
            name = self._name("root")
            names.append(self._add(Member(name, state, name, 0, "root", (), domain)))
        return names

    def tune(self, parents: list[str], steps: int) -> None:
        if not parents:
            return
        domains = [self.domain() for _ in parents]
        states = [self.forest.members[name].tensors for name in parents]
        trained = stacks.train(
            self.net, stacks.stacked(states), {}, self._draw(domains, 8), self._loss, steps=steps,
            rates=self._rates(len(parents)),
        )  # fmt: skip
        for parent, domain, state in zip(parents, domains, stacks.unstacked(trained, len(parents)), strict=True):
            above = self.forest.members[parent]
            name = self._name("finetune")
            self._add(Member(name, state, above.root, above.generation + 1, "finetune", (parent,), domain))

    def adapt(self, parents: list[str], steps: int) -> None:
        if not parents:
            return
        layers = [
            name.removesuffix(".weight") for name in self.shape
            if name.endswith(".weight") and name.split(".")[-2] in ADAPTED[self.kind]
        ]  # fmt: skip
        domains = [self.domain() for _ in parents]
        moving: State = {}
        for layer in layers:
            rows, columns = self.shape[f"{layer}.weight"]
            first = torch.rand(len(parents), RANK, columns, generator=self.noise) * 2 - 1
            moving[f"{layer}.A"] = first * columns**-0.5
            moving[f"{layer}.B"] = torch.zeros(len(parents), rows, RANK)
        still = stacks.stacked([self.forest.members[name].tensors for name in parents])
        trained = stacks.train(
            self.net, moving, still, self._draw(domains, 8), self._loss, steps=steps,
            rates=self._rates(len(parents), 4.0), scale=ALPHA / RANK,
        )  # fmt: skip
        for parent, domain, state in zip(parents, domains, stacks.unstacked(trained, len(parents)), strict=True):
            above = self.forest.members[parent]
            tensors = {f"base_model.model.{n[:-2]}.lora_{n[-1]}.weight": tensor for n, tensor in state.items()}
            config: dict[str, object] = {
                "peft_type": "LORA", "base_model_name_or_path": parent, "r": RANK, "lora_alpha": ALPHA,
                "target_modules": list(ADAPTED[self.kind]), "fan_in_fan_out": False, "bias": "none",
            }  # fmt: skip
            name = self._name("adapter")
            self._add(Member(name, tensors, above.root, -1, "adapter", (parent,), domain, config))

    def derive(self, parent: str, how: str) -> None:
        above = self.forest.members[parent]
        if how == "copy":
            tensors = {name: tensor.clone() for name, tensor in above.tensors.items()}
        elif how == "int8":
            tensors = weights.int8(above.tensors, self._is_linear)
        else:
            tensors = weights.cast(above.tensors, how)
        relation = "copy" if how == "copy" else "quantized"
        self._add(Member(self._name(how.lower()), tensors, above.root, -1, relation, (parent,), above.trained_on))

    def _is_linear(self, name: str) -> bool:
        return len(self.shape[name]) == 2 and name.endswith(".weight") and "embed" not in name

    def merge(self, parents: list[str]) -> None:
        share = self.dice.uniform(0.3, 0.7)
        above = [self.forest.members[name] for name in parents]
        with one_thread():
            tensors = weights.merged([m.tensors for m in above], (share, 1 - share), None)
        self._add(Member(self._name("merge"), tensors, above[0].root, -1, "merge", tuple(parents)))
