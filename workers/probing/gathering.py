"""Models' weights for the experts: which layers to read, reading them, and keeping what was read while a job lasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from workers.errors import BadInput, BadWeights
from workers.probing.stacks import Update, Weights, matrix
from workers.weights.opening import Weights as Opened
from workers.weights.records import Schema

FLOATS = 4_000_000  # numbers of one model that are read at most
TREE_FLOATS = 400_000_000  # of all models of a tree that an expert is fitted to
LARGEST = 2_000_000  # of one tensor: embeddings and heads over large vocabularies say little and weigh much
SHARED = 0.9  # of the models that must have a layer
_FLOATS = frozenset({"F64", "F32", "F16", "BF16"})

Layers = dict[str, tuple[int, int]]
"""Names of layers with (out, in)."""


def full_layers(schemas: Sequence[Schema]) -> Layers:
    """The matrices of full models that an expert reads: those that nearly all have in one shape, spread evenly over the
    model where they are too many.
    """
    counts: Counter[tuple[str, tuple[int, int]]] = Counter()
    for schema in schemas:
        for tensor in schema.tensors:
            if len(tensor.shape) >= 2 and tensor.dtype in _FLOATS and 4 <= tensor.numel <= LARGEST:
                counts[tensor.name, (tensor.shape[0], tensor.numel // max(1, tensor.shape[0]))] += 1
    shared = [key for key, count in counts.items() if count >= SHARED * len(schemas) and min(key[1]) > 1]
    names = sorted(dict(shared))
    allowed = min(FLOATS, TREE_FLOATS // max(1, len(schemas)))
    sizes = {name: shape[0] * shape[1] for name, shape in shared}
    step = 1
    while sum(sizes[name] for name in names[::step]) > allowed and step < len(names):
        step += 1
    return {name: dict(shared)[name] for name in names[::step] if sizes[name] <= allowed}


def read_full(opened: Opened, layers: Layers) -> Weights:
    """These layers of a full model; those that it lacks, or has in another shape, are left out."""
    there = {tensor.name: tensor for tensor in opened.schema.tensors}
    names = [
        name
        for name, shape in layers.items()
        if name in there and there[name].shape[:1] == shape[:1] and there[name].numel == shape[0] * shape[1]
    ]
    return {name: matrix(rows) for name, rows in zip(names, opened.many([(n, None) for n in names]), strict=True)}


def read_adapter(opened: Opened) -> Weights:
    """All updates of an adapter, their scale folded in."""
    found: dict[str, Update] = {}
    for name, low in opened.updates().items():
        b, a = low.b * np.float32(low.scale), low.a
        found[name] = Update(a.T.copy(), b.T.copy()) if low.transposed else Update(b, a)
    return found


def finite(weights: Weights) -> bool:
    """Whether all numbers are."""
    parts = [part for v in weights.values() for part in ((v.b, v.a) if isinstance(v, Update) else (v,))]
    return bool(parts) and all(bool(np.isfinite(part).all()) for part in parts)


# --- keeping --------------------------------------------------------------------------------------------------------
def keep(path: Path, models: dict[int, Weights]) -> None:
    """Some models, by key, in one safetensors file."""
    from safetensors.numpy import save_file

    arrays: dict[str, np.ndarray] = {}
    for key, weights in models.items():
        for name, value in weights.items():
            parts = {"b": value.b, "a": value.a} if isinstance(value, Update) else {"full": value}
            arrays |= {f"{key}|{side}|{name}": np.ascontiguousarray(array) for side, array in parts.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def kept(paths: Iterable[Path]) -> dict[int, Weights]:
    """The models of these files. Raises BadInput where one can't be read."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    found: dict[int, dict[str, np.ndarray | Update]] = {}
    for path in paths:
        try:
            arrays = load_file(path)
        except (OSError, SafetensorError) as error:
            raise BadInput(f"{path} can't be read ({error}): start the job anew.") from error
        for label, array in arrays.items():
            key, side, name = label.split("|", 2)
            own = found.setdefault(int(key), {})
            if side == "full":
                own[name] = array
            elif side == "b":
                own[name] = Update(array, arrays[f"{key}|a|{name}"])
    return dict(found)


def adapter_layers(models: Iterable[Weights]) -> Layers:
    """The layers that adapters of one tree change, in the shapes that most have. Raises BadWeights for none."""
    counts: Counter[tuple[str, tuple[int, int]]] = Counter()
    total = 0
    for model in models:
        total += 1
        counts.update((name, v.shape) for name, v in model.items() if isinstance(v, Update))
    layers = {name: shape for (name, shape), count in counts.items() if count >= 0.5 * total}
    if not layers:
        raise BadWeights("The adapters of this tree change no layer in common.")
    return dict(sorted(layers.items()))
