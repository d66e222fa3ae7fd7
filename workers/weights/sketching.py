"""Draws a model's sketch: the same rows of the same tensors in every model of an architecture.

Which rows depends on the end of a tensor's name, its shape and nothing else, so a child's sketch meets its parent's
without either being read again. One run of rows a tensor: a run is one range of bytes. A budget of values bounds what
is read, whatever the model's size: about 2.5 MB in two-byte floats, 5 MB in four.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workers.weights.adapters import pairs
from workers.weights.naming import Place, Role, place, spelt
from workers.weights.records import Schema, Tensor, factor_of
from workers.weights.sketches import Floats, Piece, Sketch, measured

VALUES = 1_000_000  # of matrices
VECTOR_VALUES = 150_000
MOST_MATRICES = 112  # each is a request
MOST_VECTORS = 32
LAYERS = 12  # of each stack, evenly spaced, first and last among them
MOST_ROWS = 512
LEAST_COLUMNS = 8
VOCABULARY = 4_096  # rows from which on a table of tokens is read from row 1,024: its first rows are rarely trained
FIRST_TOKEN = 1_024

FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
SCALED = frozenset({"I8", "F8_E4M3", "F8_E5M2"})  # quantized in place, with scales beside them
DIRECTIONS = 4  # leading singular directions kept of each module of an adapter
ADAPTER_BYTES = 5_000_000
ADAPTER_VALUES = 400_000  # kept
MOST_MODULES = 64
LEAST_MODULES = 4

SCALES = ("_scale", "_scale_inv")
BLOCKED = frozenset({"I64", "I32", "I16", "U64", "U32", "U16", "U8", "BOOL"})


class Readable(Protocol):
    """What ``workers.weights.opening.Weights`` offers, and ``Arrays`` for models in memory."""

    @property
    def schema(self) -> Schema: ...

    def many(self, wanted: Sequence[tuple[str, Sequence[int] | None]]) -> list[Any]: ...


class Arrays:
    """A model in memory: arrays by tensor name, taken for ``dtypes`` (F32 where not said; BF16 arrays are float32)."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]], dtypes: Mapping[str, str] | str = "F32") -> None:
        self.arrays = arrays
        kinds = dict.fromkeys(arrays, dtypes) if isinstance(dtypes, str) else dtypes
        self.schema = Schema(
            "safetensors",
            tuple(Tensor(name, kinds.get(name, "F32"), tuple(a.shape), "", 0, 0) for name, a in arrays.items()),
        )

    def many(self, wanted: Sequence[tuple[str, Sequence[int] | None]]) -> list[NDArray[np.float32]]:
        """As ``Weights.many``."""
        found = []
        for name, rows in wanted:
            whole = np.asarray(self.arrays[name])
            whole = whole.reshape(len(whole), -1) if whole.ndim else whole.reshape(1, 1)
            found.append(np.asarray(whole if rows is None else whole[rows.start : rows.stop], np.float32))  # type: ignore[attr-defined]
        return found


@dataclass(frozen=True, slots=True)
class Take:
    """One tensor to read: rows ``start`` to ``start + rows``; ``rows`` 0 means all of it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    start: int = 0
    rows: int = 0


def plan(tensors: Sequence[Tensor], *, values: int = VALUES) -> list[Take]:
    """What to read of a model with these tensors."""
    known = [(t, place(t.name, tuple(t.shape))) for t in tensors if t.dtype not in BLOCKED and t.shape and min(t.shape)]
    matrices = [
        (t, p)
        for t, p in known
        if p.role in (Role.MATRIX, Role.EMBEDDING, Role.HEAD) and _columns(t.shape) >= LEAST_COLUMNS
    ]
    matrices = _thinned(matrices, MOST_MATRICES)
    layers = {(p.stack, p.layer) for _, p in matrices}
    share = max(256, values // max(1, len(matrices)))
    takes = [_run(t.name, tuple(t.shape), t.dtype, p, share) for t, p in matrices]
    vectors = [
        (t, p)
        for t, p in known
        if p.role is Role.VECTOR and ((p.stack, p.layer) in layers or p.layer < 0) and prod(t.shape) <= 16_384
    ]
    left = VECTOR_VALUES
    for t, _ in _thinned(sorted(vectors, key=lambda v: "norm" not in v[0].name.lower()), MOST_VECTORS):
        if (size := prod(t.shape)) > left or size < LEAST_COLUMNS:
            continue
        takes.append(Take(t.name, tuple(t.shape), t.dtype))
        left -= size
    return takes


def _columns(shape: tuple[int, ...]) -> int:
    return prod(shape[1:])


def _thinned(found: list[tuple[Any, Place]], most: int) -> list[tuple[Any, Place]]:
    """At most so many: of each stack some layers, evenly spaced; of like tensors in a layer (experts) the first."""
    if len(found) <= most:
        return found
    stacks: dict[str, set[int]] = {}
    for _, p in found:
        stacks.setdefault(p.stack, set()).add(p.layer)
    chosen = {stack: evenly(sorted(layers), LAYERS) for stack, layers in stacks.items()}
    kept: dict[tuple[str, int, str], tuple[Any, Place]] = {}
    for t, p in found:
        if p.layer in chosen[p.stack]:
            kept.setdefault((p.stack, p.layer, p.pattern), (t, p))
    rest = list(kept.values())
    return rest if len(rest) <= most else [rest[i] for i in sorted(evenly(list(range(len(rest))), most))]


def evenly(items: list[int], most: int) -> set[int]:
    """At most so many of the items, evenly spaced, the first and the last among them."""
    if len(items) <= most:
        return set(items)
    return {items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)}


def _run(name: str, shape: tuple[int, ...], dtype: str, where: Place, share: int) -> Take:
    rows, columns = shape[0], _columns(shape)
    k = max(1, min(rows, MOST_ROWS, share // columns))
    if k >= rows:
        return Take(name, shape, dtype, 0, rows)
    if where.role in (Role.EMBEDDING, Role.HEAD) and rows >= VOCABULARY:
        return Take(name, shape, dtype, FIRST_TOKEN, min(k, rows - FIRST_TOKEN))
    key = hashlib.blake2b(f"{where.pattern.rsplit('.', 2)[-2:]}{rows}".encode(), digest_size=4).digest()
    # The first row must not depend on how many follow: sketches of other budgets then still overlap.
    return Take(name, shape, dtype, int.from_bytes(key, "little") % (rows // 2 + 1), max(1, min(k, rows // 2)))


# --- reading --------------------------------------------------------------------------------------------------------
def sketch(weights: Readable, *, values: int = VALUES) -> Sketch:
    """Read what the plan asks for, in one go. ``bytes_read`` of the result is of the sampled ranges."""
    schema = weights.schema
    if schema.is_adapter:
        return _adapter(weights, values=values)
    own = {spelt(t.name): t.name for t in schema.tensors} if schema.format == "gguf" else {}
    tensors = [t._replace(name=name) for t in schema.tensors if (name := spelt(t.name))] if own else schema.tensors
    takes = plan(tensors, values=values)
    scales = {
        take.name: scale for take in takes if take.dtype in SCALED and (scale := _scale_of(take.name, schema.by_name))
    }
    wanted = [(own.get(name, name), rows) for name, rows in map(_wanted, takes)]
    read = weights.many([*wanted, *((name, None) for name in scales.values())])
    scaling = dict(zip(scales, read[len(takes) :], strict=True))
    pieces = [
        _piece(take, found, scaling.get(take.name), by_row_maximum=scales.get(take.name, "").endswith("SCB"))
        for take, found in zip(takes, read[: len(takes)], strict=True)
    ]
    cost = sum(int(piece.values.size * _width(piece.dtype)) for piece in pieces)
    return Sketch("model", schema.format, tuple(pieces), {t.name: tuple(t.shape) for t in tensors}, cost)


def _wanted(take: Take) -> tuple[str, range | None]:
    whole = not take.rows or take.rows >= take.shape[0]
    return take.name, None if whole else range(take.start, take.start + take.rows)


def _scale_of(name: str, names: Mapping[str, Tensor]) -> str:
    """The scales of a quantized tensor: ``weight_scale`` (llm-compressor, fp8), ``SCB`` (bitsandbytes int8)."""
    for guess in (*(name + end for end in SCALES), name.removesuffix("weight") + "SCB"):
        if guess in names:
            return guess
    return ""


def _piece(take: Take, values: NDArray[Any], scale: NDArray[Any] | None, *, by_row_maximum: bool = False) -> Piece:
    block: Floats = np.asarray(values, np.float32)
    block = block.reshape(1, -1) if place(take.name, take.shape).role is Role.VECTOR else block.reshape(len(block), -1)
    if scale is not None:
        flat = np.asarray(scale, np.float32).reshape(-1) / np.float32(127 if by_row_maximum else 1)
        if flat.size == 1:
            block = block * flat[0]
        elif flat.size == take.shape[0]:
            block = block * flat[take.start : take.start + len(block), None]
    return measured(Piece(take.name, take.shape, take.dtype, take.start, block))


def _width(dtype: str) -> int:
    """Bytes of a number of this dtype; of one that is packed about one."""
    return {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}.get(dtype, 1)


# --- adapters -------------------------------------------------------------------------------------------------------
def _adapter(weights: Readable, *, values: int) -> Sketch:
    """Of evenly chosen modules the leading singular directions of B·A, and what was saved whole beside them."""
    schema = weights.schema
    factors = {layer: (pair.a, pair.b) for layer, pair in pairs(schema).items() if not pair.embedding}
    chosen = _chosen({k: v for k, v in factors.items() if all(t.dtype in FLOATS and t.numel for t in v)})
    rest = [t for t in schema.tensors if factor_of(t.name) is None]
    takes = plan(rest, values=values // 4)
    wanted: list[tuple[str, range | None]] = [(t.name, None) for layer in chosen for t in factors[layer]]
    read = weights.many([*wanted, *map(_wanted, takes)])
    pieces: list[Piece] = []
    cost = 0
    for i, layer in enumerate(chosen):
        down, up = (np.asarray(read[2 * i + j], np.float64) for j in (0, 1))
        cost += sum(int(t.numel * _width(t.dtype)) for t in factors[layer])
        left, right = directions(down, up)
        for side, found in (("left", left), ("right", right)):
            pieces.append(Piece(layer, (found.shape[1], len(found)), factors[layer][0].dtype, 0, found, side=side))
    for take, found in zip(takes, read[len(wanted) :], strict=True):
        piece = _piece(take, found, None)
        cost += int(piece.values.size * _width(piece.dtype))
        pieces.append(_unwrapped(piece))
    return Sketch("adapter", schema.format, tuple(pieces), {t.name: tuple(t.shape) for t in schema.tensors}, cost)


def _chosen(factors: Mapping[str, tuple[Tensor, Tensor]]) -> list[str]:
    """Modules within the budget: first some far apart, then those between."""
    order = list(factors)
    kept: set[str] = set()
    cost = values = 0
    for index in _spread(len(order)):
        down, up = factors[order[index]]
        more = int(sum(t.numel * _width(t.dtype) for t in (down, up)))
        size = DIRECTIONS * (down.numel // down.shape[0] + up.shape[0])
        if len(kept) < LEAST_MODULES or (
            len(kept) < MOST_MODULES and cost + more <= ADAPTER_BYTES and values + size <= ADAPTER_VALUES
        ):
            kept.add(order[index])
            cost, values = cost + more, values + size
    return [layer for layer in order if layer in kept]


def directions(a: NDArray[np.float64], b: NDArray[np.float64], most: int = DIRECTIONS) -> tuple[Floats, Floats]:
    """Leading singular directions of B·A, left [m, out] and right [m, in], each scaled by its singular value."""
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return np.zeros((1, len(b)), np.float32), np.zeros((1, a.shape[1]), np.float32)
    qb, rb = np.linalg.qr(b)
    qa, ra = np.linalg.qr(a.T)
    u, s, vt = np.linalg.svd(rb @ ra.T)
    k = min(most, len(s))
    return ((qb @ u[:, :k]) * s[:k]).T.astype(np.float32), ((qa @ vt[:k].T) * s[:k]).T.astype(np.float32)


def _spread(n: int) -> list[int]:
    """0 … n - 1 from coarse to fine: the ends, the middle, the quarters, …"""
    seen: dict[int, None] = {}
    parts = 1
    while len(seen) < n:
        for i in range(parts + 1):
            seen.setdefault(round(i * (n - 1) / parts))
        parts *= 2
    return list(seen)


def _unwrapped(piece: Piece) -> Piece:
    """A module that PEFT saved whole, by the name that it has in the base."""
    name = piece.name.removeprefix("base_model.model.").replace(".modules_to_save.default.", ".")
    return replace(piece, name=name.replace(".modules_to_save.", ".").replace(".base_layer.", "."))
