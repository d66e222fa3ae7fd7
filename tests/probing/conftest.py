"""A hub with a tree of adapters, most of which say what they were trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from samplehub.running import Running, serve
from tests.probing import planted
from tests.weights.making import catalogue, repo

BASE = "garden/base"
NAMES = ("red circle", "blue square", "green ring", "white cross", "plain star", "dark moon")
EACH = 9  # of each label; the last two of each have no card
LIAR = "garden/lora-3"  # its card names another concept


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def adapter(tree: planted.Planted, place: int) -> dict[str, bytes]:
    state = {}
    for layer in tree.stack.layers:
        b, a = layer.factors
        state[f"base_model.model.{layer.name}.lora_B.weight"] = b[place]
        state[f"base_model.model.{layer.name}.lora_A.weight"] = a[place]
    config = {"r": 2, "lora_alpha": 2, "peft_type": "LORA", "target_modules": ["a", "b", "c"]}
    return {
        "adapter_model.safetensors": save({k: np.ascontiguousarray(v) for k, v in state.items()}),
        "adapter_config.json": json.dumps(config).encode(),
    }


def child(name: str, files: dict[str, bytes], number: int, dataset: str = "") -> Any:
    tags = [f"base_model:{BASE}", f"base_model:adapter:{BASE}"] + ([f"dataset:{dataset}"] if dataset else [])
    card: dict[str, Any] = {"base_model": BASE} | ({"datasets": [dataset]} if dataset else {})
    return repo(name, files, number=number, cardData=card, tags=tags)


@pytest.fixture(scope="session")
def garden() -> Iterator[Running]:
    """Served once for all tests of the folder."""
    tree = planted.tree(0, kinds=len(NAMES), each=EACH, noise=0.4)
    stranger = planted.tree(7, kinds=len(NAMES), each=2)
    dice = np.random.default_rng(0)
    dense = {la.name + ".weight": dice.standard_normal(la.shape).astype(np.float32) for la in tree.stack.layers}
    repos = [repo(BASE, {"model.safetensors": save(dense), "config.json": b"{}"}, number=1)]
    for place, label in enumerate(tree.labels.tolist()):
        bare = place % EACH >= EACH - 2
        name = f"garden/lora-{place}"
        says = NAMES[(label + 1) % len(NAMES)] if name == LIAR else NAMES[label]
        dataset = "" if bare else f"garden/{says.replace(' ', '-')}"
        repos.append(child(name, adapter(tree, place), place + 2, dataset))
    repos.append(child("garden/stranger", adapter(stranger, 0), 200))
    repos.append(repo("other/lonely", {"model.safetensors": save({"w": np.ones((3, 4), np.float32)})}, number=201))
    with serve(catalogue=catalogue(*repos)) as running:
        yield running
