"""Files of weights made by the libraries that everybody makes them with, and hubs that serve them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
from safetensors.numpy import save

from samplehub.catalogue import Catalogue, Repo
from samplehub.files import Blob, Commit, Snapshots, Tree, is_large

MOMENT = "2024-05-01T00:00:00.000Z"


def header(told: Any, *, body: int = 0, pad: bytes = b"") -> bytes:
    """A safetensors file with this header (JSON, or bytes as they are) and ``body`` bytes of tensors."""
    text = told if isinstance(told, bytes) else json.dumps(told, separators=(",", ":")).encode()
    text += pad
    return len(text).to_bytes(8, "little") + text + bytes(body)


def tensors(seed: int = 0, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Random float32 tensors of these shapes."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def model(seed: int = 0, layers: int = 2, side: int = 16, dtype: Any = np.float32) -> bytes:
    """A small model as safetensors."""
    shapes = {"embed.weight": (32, side)}
    shapes |= {f"layers.{i}.proj.weight": (side, side) for i in range(layers)}
    shapes |= {f"layers.{i}.norm.weight": (side,) for i in range(layers)}
    return save({name: each.astype(dtype) for name, each in tensors(seed, **shapes).items()})


def lora(seed: int = 0, rank: int = 4, side: int = 16, layers: int = 2) -> bytes:
    """A LoRA adapter as PEFT writes it."""
    shapes = {}
    for i in range(layers):
        shapes[f"base_model.model.layers.{i}.proj.lora_A.weight"] = (rank, side)
        shapes[f"base_model.model.layers.{i}.proj.lora_B.weight"] = (side, rank)
    return save(tensors(seed, **shapes))


def repo(name: str, files: dict[str, bytes], *, number: int = 1, **fields: Any) -> Repo:
    """A repo of the sample hub with these files in one commit."""
    tree = Tree({path: Blob.of_bytes(data, large=is_large(path)) for path, data in files.items()})
    sha = hashlib.sha1(repr(sorted((p, b.oid) for p, b in tree.items())).encode(), usedforsecurity=False).hexdigest()
    row = {
        "_id": f"{number:024x}",
        "id": name,
        "modelId": name,
        "author": name.partition("/")[0],
        "createdAt": MOMENT,
        "lastModified": MOMENT,
        "downloads": 1_000 - number,
        "likes": 1,
        "private": False,
        "gated": False,
        "disabled": False,
        "sha": sha,
        "tags": ["region:us"],
        **fields,
    }
    return Repo(row, Snapshots([Commit(sha, "first", MOMENT)], [tree]))


def catalogue(*repos: Repo) -> Catalogue:
    return Catalogue(repos={each.id: each for each in repos})
