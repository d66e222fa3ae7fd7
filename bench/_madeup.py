"""A hub with models of 1.1 billion parameters whose bytes are made when they are asked for, in a process of its own.

Base and child have the shape of a Llama of 1.1 B in bfloat16, 2.2 GB. A number is a function of its place: each tensor
is a run of a pool of 8 million normal numbers that begins at a place of its own; the child's pool is the base's with
noise of a known size added, rounded to bfloat16 again. So any range costs no more than copying it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import signal
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from samplehub.catalogue import Catalogue, Repo
from samplehub.files import Blob, Commit, Snapshots, Tree
from samplehub.http11 import Line
from samplehub.hub import Hub
from samplehub.running import Options, run

SIDE, MIDDLE, KEYS, WORDS = 2_048, 5_632, 256, 32_000
POOL = 8_388_593  # numbers; a prime, so that like tensors do not fall on like places
WEIGHT = 0.02  # standard deviation of the base's numbers
NOISE = 0.002  # … and of what fine-tuning added: a tenth
MOMENT = "2024-05-01T00:00:00.000Z"


def shapes(layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a Llama's tensors."""
    yield "model.embed_tokens.weight", (WORDS, SIDE)
    for i in range(layers):
        at = f"model.layers.{i}"
        yield f"{at}.input_layernorm.weight", (SIDE,)
        yield f"{at}.self_attn.q_proj.weight", (SIDE, SIDE)
        yield f"{at}.self_attn.k_proj.weight", (KEYS, SIDE)
        yield f"{at}.self_attn.v_proj.weight", (KEYS, SIDE)
        yield f"{at}.self_attn.o_proj.weight", (SIDE, SIDE)
        yield f"{at}.mlp.gate_proj.weight", (MIDDLE, SIDE)
        yield f"{at}.mlp.up_proj.weight", (MIDDLE, SIDE)
        yield f"{at}.mlp.down_proj.weight", (SIDE, MIDDLE)
        yield f"{at}.post_attention_layernorm.weight", (SIDE,)
    yield "model.norm.weight", (SIDE,)
    yield "lm_head.weight", (WORDS, SIDE)


def bfloat16(values: np.ndarray) -> np.ndarray:
    """Rounded to the nearest, as uint16."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


@lru_cache(maxsize=4)
def pool(seed: int, tuned: int) -> bytes:
    """The numbers of one model: those of the base of ``seed``, with the noise of ``tuned`` added (0: none)."""
    base = np.random.default_rng(seed).normal(scale=WEIGHT, size=POOL).astype(np.float32)
    if tuned:
        base += np.random.default_rng(tuned).normal(scale=NOISE, size=POOL).astype(np.float32)
    return bfloat16(base).tobytes()


class Model:
    """One model's file: its header, then its tensors, each a run of the pool."""

    def __init__(self, seed: int, tuned: int, layers: int) -> None:
        self.seed, self.tuned = seed, tuned
        entries, at = {}, 0
        self.runs: list[tuple[int, int, int]] = []  # (first byte, size, place in the pool)
        for name, shape in shapes(layers):
            size = 2 * int(np.prod(shape))
            entries[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + size]}
            place = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little") % POOL
            self.runs.append((at, size, 2 * place))
            at += size
        text = json.dumps(entries, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self.header = len(text).to_bytes(8, "little") + text
        self.size = len(self.header) + at

    def make(self, start: int, stop: int) -> bytes:
        """Any bytes of the file."""
        numbers = pool(self.seed, self.tuned)
        parts = [self.header[start:stop]]
        head = len(self.header)
        for at, size, place in self.runs:
            first, last = max(start - head, at), min(stop - head, at + size)
            while first < last:
                where = (place + first - at) % len(numbers)
                piece = numbers[where : where + last - first]
                parts.append(piece)
                first += len(piece)
        return b"".join(parts)

    def repo(self, name: str, number: int) -> Repo:
        """The model as a repo: a configuration beside one file of weights."""
        digest = hashlib.sha256(f"{self.seed} {self.tuned} {self.size}".encode()).hexdigest()
        config = json.dumps({"architectures": ["LlamaForCausalLM"], "hidden_size": SIDE, "vocab_size": WORDS}).encode()
        tree = Tree(
            {
                "config.json": Blob.of_bytes(config),
                "model.safetensors": Blob.made(self.make, self.size, digest),
            }
        )
        row = {
            "_id": f"{number:024x}", "id": name, "modelId": name, "createdAt": MOMENT, "lastModified": MOMENT,
            "private": False, "gated": False, "disabled": False, "sha": digest[:40], "tags": [], "downloads": number,
        }  # fmt: skip
        return Repo(row, Snapshots([Commit(digest[:40], "first", MOMENT)], [tree]))


def catalogue(seed: int, layers: int) -> Catalogue:
    """The base, a fine-tune of it, and a base of the same shape that grew from other numbers."""
    models = {"org/base": (seed, 0), "org/child": (seed, seed + 1), "org/stranger": (seed + 2, 0)}
    for wanted in models.values():
        pool(*wanted)
    repos = [Model(*what, layers).repo(name, i) for i, (name, what) in enumerate(models.items(), 1)]
    return Catalogue(repos={repo.id: repo for repo in repos})


def serve() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench._madeup")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--layers", type=int, default=22)
    parser.add_argument("--latency-ms", type=float, default=30.0)
    parser.add_argument("--line", type=float, default=100e6)
    parser.add_argument("--port-file", required=True)
    told = parser.parse_args()
    hub = Hub(catalogue(told.seed, told.layers), latency=told.latency_ms / 1_000, line=Line(told.line))

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await run(hub, Options(port_file=told.port_file), lambda _: None, stop)

    asyncio.run(main())


if __name__ == "__main__":
    serve()
