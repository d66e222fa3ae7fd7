"""Which of a repo's files are its weights. Names alone decide; nothing is read but an index of shards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from workers.errors import BadWeights, NoSafeWeights, NoWeights

PICKLES = frozenset((".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".npy", ".npz"))
OTHERS = frozenset((".h5", ".msgpack", ".onnx", ".tflite", ".mlmodel", ".pdparams", ".ot", ".engine", ".nemo"))
SHARDS = 2_000
# Where several stand for the same model: the first that is there.
_STEMS = (
    "adapter_model",
    "model",
    "diffusion_pytorch_model",
    "pytorch_lora_weights",
    "pytorch_model",
    "consolidated",
)
_FOLDERS = ("", "transformer/", "unet/", "0_Transformer/", "weights/")
_SHARD = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<of>\d{5})\.(?P<kind>safetensors|gguf)$")
# The most exact of a repo's GGUF files says most about where the model comes from.
_EXACT = ("F32", "BF16", "F16", "FP16", "Q8_0", "Q8", "Q6", "Q5", "Q4", "IQ4", "Q3", "IQ3", "Q2", "IQ2", "IQ1", "TQ")
_NO_MODEL = re.compile(r"(^|[-_./])(mmproj|imatrix|optimizer|scheduler|training_args|rng_state)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Layout:
    """The files that hold the weights, and the index that says so where there is one."""

    format: str  # "safetensors" or "gguf"
    files: tuple[str, ...]
    index: str = ""
    others: int = 0  # files of further variants that were left aside


def choose(sizes: Mapping[str, int], *, subject: str = "It") -> Layout:
    """The weights among all files (path → bytes).

    Raises NoSafeWeights where there are only pickles, NoWeights where there is nothing that is read, BadWeights where
    shards are missing.
    """
    safe = sorted(name for name in sizes if name.endswith(".safetensors"))
    if safe:
        return _safetensors(safe, sizes)
    ggufs = sorted(name for name in sizes if name.lower().endswith(".gguf") and not _NO_MODEL.search(name))
    if ggufs:
        return _gguf(ggufs)
    suffixes = {PurePosixPath(name).suffix.lower() for name in sizes if not _NO_MODEL.search(name)}
    if pickles := sorted(suffixes & PICKLES):
        raise NoSafeWeights(f"{subject} has its weights in {', '.join(pickles)} alone: such files are never opened.")
    if others := sorted(suffixes & OTHERS):
        raise NoWeights(f"{subject} has no safetensors or GGUF file; {', '.join(others)} is not read.")
    raise NoWeights(f"{subject} has no file of weights.")


def _safetensors(names: list[str], sizes: Mapping[str, int]) -> Layout:
    known = set(names)
    for folder in _FOLDERS:
        for stem in _STEMS:
            index = f"{folder}{stem}.safetensors.index.json"
            whole = f"{folder}{stem}.safetensors"
            if whole in known:
                return Layout("safetensors", (whole,), "", len(names) - 1)
            if index in sizes:
                # The index says which; shards of an earlier upload may lie about.
                shards = tuple(
                    name for name in names if (found := _SHARD.match(name)) and found["stem"] == folder + stem
                )
                return Layout("safetensors", shards, index, len(names) - len(shards))
            if shards := _shards(names, f"{folder}{stem}"):
                return Layout("safetensors", shards, "", len(names) - len(shards))
    # No usual name: the largest file nearest to the root, with its fellow shards.
    depth = min(name.count("/") for name in names)
    largest = max((name for name in names if name.count("/") == depth), key=lambda name: (sizes[name], name))
    shard = _SHARD.match(largest)
    files = _shards(names, shard["stem"]) if shard else (largest,)
    return Layout("safetensors", files or (largest,), "", len(names) - len(files))


def _shards(names: Iterable[str], stem: str, kind: str = "safetensors") -> tuple[str, ...]:
    """All shards of ``stem``, in order; () where there are none. Raises BadWeights where one is missing."""
    found: dict[int, dict[int, str]] = {}
    for name in names:
        shard = _SHARD.match(name)
        if shard is not None and shard["stem"] == stem and shard["kind"] == kind:
            found.setdefault(int(shard["of"]), {})[int(shard["number"])] = name
    if not found:
        return ()
    count, parts = max(found.items())
    if count > SHARDS:
        raise BadWeights(f"{stem} is said to have {count:,} shards; at most {SHARDS:,} are read.")
    first = 0 if 0 in parts else 1
    missing = [number for number in range(first, first + count) if number not in parts]
    if missing:
        raise BadWeights(f"{stem} has {len(parts)} of {count} shards: number {missing[0]} is missing.")
    return tuple(parts[number] for number in range(first, first + count))


def _gguf(names: list[str]) -> Layout:
    def exactness(name: str) -> tuple[int, int, str]:
        stem = PurePosixPath(name).stem.upper().replace("-", "_").replace(".", "_")
        for rank, mark in enumerate(_EXACT):
            if re.search(rf"(^|_){mark}(_|$)", stem):
                return rank, name.count("/"), name
        return len(_EXACT), name.count("/"), name

    best = min(names, key=exactness)
    shard = _SHARD.match(best)
    files = _shards(names, shard["stem"], "gguf") if shard else (best,)
    return Layout("gguf", files, "", len(names) - len(files))
