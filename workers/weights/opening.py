"""Weights that are open for reading: tensors, rows of tensors and an adapter's updates, as float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from workers.errors import BadRequest, BadWeights, TooLarge
from workers.weights import adapters, gguf, headers
from workers.weights.adapters import LowRank
from workers.weights.dtypes import Floats, as_float32, nbytes
from workers.weights.layout import Layout, choose
from workers.weights.reading import SPECULATIVE, HubSource, Source, Span
from workers.weights.records import AdapterFacts, FileInfo, Schema, Tensor
from workers.weights.tokenizers import json_object

INDEX_BYTES = 32 * 1024 * 1024  # of an index of shards: some 100 bytes a tensor
ROWS_BYTES = 2 * 1024 * 1024 * 1024  # of float32 in one answer

Wanted = tuple[str, Sequence[int] | None]


def open_weights(source: Source, *, schema: Schema | None = None, adapter: AdapterFacts | None = None) -> Weights:
    """The weights of a model. With a stored ``schema`` (and an adapter's facts) not one header is read again.

    Raises NoSafeWeights, NoWeights, BadWeights (with file and reason), and what the source raises.
    """
    if schema is None:
        schema = read_schema(source)
    return Weights(source, schema, adapter)


def read_schema(source: Source) -> Schema:
    """Read the headers. Raises as ``open_weights``."""
    sizes = source.files()
    layout = choose(sizes, subject=str(getattr(source, "repo", "") or "The model"))
    return read_layout(source, layout)


def read_layout(source: Source, layout: Layout, *, on_gguf: Callable[[gguf.Header], None] | None = None) -> Schema:
    """Read the headers of the files that were chosen. ``on_gguf`` is given each GGUF header with its tokenizer's lists.

    Raises BadWeights, and what the source raises.
    """
    sizes = source.files()
    files = layout.files
    if layout.index:
        files = _indexed(source, layout)
    heads = source.read_many([Span(file, 0, _first(sizes[file])) for file in files])
    if layout.format == "gguf":
        return _gguf_schema(source, files, heads, on_gguf)
    lengths = [
        headers.header_length(head, file=file, size=sizes[file]) for file, head in zip(files, heads, strict=True)
    ]
    if sum(lengths) > 4 * headers.HEADER_BYTES:
        raise BadWeights(f"The headers of {len(files)} files have {sum(lengths):,} bytes in all: more than is read.")
    rest = source.read_many(
        [
            Span(file, len(head), max(len(head), headers.PREFIX + length))
            for file, head, length in zip(files, heads, lengths, strict=True)
        ]
    )
    tensors: list[Tensor] = []
    metadata: dict[str, str] = {}
    for file, head, more, length in zip(files, heads, rest, lengths, strict=True):
        whole = (head + more)[headers.PREFIX : headers.PREFIX + length]
        found, told = headers.parse(whole, file=file, size=sizes[file])
        tensors += found
        metadata = {**told, **metadata}
        if len(tensors) > headers.MODEL_TENSORS:
            raise BadWeights(f"The model has over {headers.MODEL_TENSORS:,} tensors: more than are taken.")
    _once(tensors)
    infos = tuple(FileInfo(file, sizes[file], _sha256(source, file)) for file in files)
    return Schema("safetensors", tuple(tensors), metadata, infos)


def _first(size: int) -> int:
    """How much of a file of ``size`` bytes to read in the hope that its header is in there."""
    return min(size, SPECULATIVE, max(SPECULATIVE // 8, size // 16))


def _indexed(source: Source, layout: Layout) -> tuple[str, ...]:
    """The shards that the index names (it lies beside them). Raises BadWeights."""
    shards = json_object(source.small(layout.index, INDEX_BYTES), layout.index).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise BadWeights(f"{layout.index} is no index of shards.")
    named = sorted(set(shards.values()))
    folder = layout.index[: layout.index.rfind("/") + 1]
    files = tuple(f"{folder}{name}" for name in named)
    missing = [file for file in files if file not in source.files() or not file.endswith(".safetensors")]
    if missing or not files:
        raise BadWeights(f"{layout.index} names the shard {(missing or [''])[0][:100]!a}, which is not there.")
    return files


def _once(tensors: Sequence[Tensor]) -> None:
    seen: set[str] = set()
    for tensor in tensors:
        if tensor.name in seen:
            raise BadWeights(f"The tensor {tensor.name[:80]!a} is in two files ({tensor.file} is one).")
        seen.add(tensor.name)


def _sha256(source: Source, file: str) -> str:
    digest = source.digest(file)
    return digest.removeprefix("sha256:") if digest.startswith("sha256:") else ""


def _gguf_schema(
    source: Source, files: Sequence[str], heads: Sequence[bytes], told: Callable[[gguf.Header], None] | None
) -> Schema:
    sizes = source.files()
    tensors: list[Tensor] = []
    metadata: dict[str, str] = {}
    for file, head in zip(files, heads, strict=True):
        found = gguf.read_header(file, sizes[file], head, _more(source, file), arrays=told is not None)
        if told is not None:
            told(found)
        tensors += found.tensors
        metadata = {**found.metadata, **metadata}
    _once(tensors)
    infos = tuple(FileInfo(file, sizes[file], _sha256(source, file)) for file in files)
    return Schema("gguf", tuple(tensors), metadata, infos)


def _more(source: Source, file: str) -> gguf.More:
    return lambda start, end: source.read(file, start, end)


class Weights:
    """A model's weights. Nothing is read before it is asked for; what one call asks for is fetched together."""

    def __init__(self, source: Source, schema: Schema, adapter: AdapterFacts | None = None) -> None:
        self.source = source
        self.schema = schema
        self._adapter = adapter

    @property
    def bytes_read(self) -> int:
        """All that the source has read so far, headers and lists included."""
        return self.source.bytes_read

    @property
    def adapter(self) -> AdapterFacts | None:
        """An adapter's facts, from its configuration where it has one; None for a whole model."""
        if self._adapter is None and self.schema.is_adapter:
            self._adapter = _adapter_facts(self.source, self.schema)
        return self._adapter

    def tensor(self, name: str) -> Floats:
        """The whole tensor in its shape. Raises BadRequest for a name that is not there."""
        return self.many([(name, None)])[0].reshape(self._named(name).shape)

    def rows(self, name: str, indices: Sequence[int]) -> Floats:
        """Rows of the first axis: [len(indices), the other sides multiplied]. Raises BadRequest."""
        return self.many([(name, indices)])[0]

    def raw(self, name: str) -> tuple[bytes, str]:
        """(the tensor's bytes as they are stored, its dtype)."""
        tensor = self._named(name)
        return self.source.read(tensor.file, tensor.start, tensor.end), tensor.dtype

    def many(self, wanted: Sequence[Wanted]) -> list[Floats]:
        """Several tensors, or rows of them, in one go: near ranges together, several requests under way.

        ``wanted`` holds (name, row indices or None for all). Each answer is float32 [rows, prod(shape[1:])]; of a
        whole tensor it has shape[0] rows (a scalar: [1, 1]). Raises BadRequest, BadWeights, TooLarge.
        """
        plans = [_plan(self._named(name), indices) for name, indices in wanted]
        floats = sum(4 * plan.width * (last - first) for plan in plans for first, last in plan.runs)
        if floats > ROWS_BYTES:
            raise TooLarge(f"{floats:,} bytes of numbers were asked for at once; at most {ROWS_BYTES:,} are given.")
        bodies = iter(self.source.read_many([span for plan in plans for span in plan.spans]))
        return [_numbers(plan, [next(bodies) for _ in plan.spans]) for plan in plans]

    def updates(self, layers: Sequence[str] | None = None) -> dict[str, LowRank]:
        """What an adapter adds to each layer (or to those that are named). {} for a whole model."""
        facts = self.adapter
        if facts is None:
            return {}
        found = adapters.pairs(self.schema)
        if layers is not None:
            found = {layer: found[layer] for layer in layers if layer in found}
        wanted: list[Wanted] = []
        for pair in found.values():
            wanted += [(pair.a.name, None), (pair.b.name, None)]
            if pair.alpha is not None:
                wanted.append((pair.alpha.name, None))
        answers = iter(self.many(wanted))
        updates: dict[str, LowRank] = {}
        for layer, pair in found.items():
            a, b = next(answers).reshape(pair.rank, -1), next(answers)
            b = b.reshape(-1, pair.rank)
            alpha = float(next(answers).reshape(-1)[0]) if pair.alpha is not None else None
            scale = adapters.scale_of(layer, pair.rank, facts, alpha)
            if pair.embedding:  # kept as for a layer that looks up columns
                a, b = np.ascontiguousarray(b.T), np.ascontiguousarray(a.T)
            updates[layer] = LowRank(b, a, scale, facts.fan_in_fan_out and not pair.embedding)
        return updates

    def _named(self, name: str) -> Tensor:
        try:
            return self.schema.by_name[name]
        except KeyError:
            raise BadRequest(f"The model has no tensor {name[:100]!a}.") from None


class _Plan(NamedTuple):
    """How rows of one tensor are had: as runs of neighbouring rows, each one range, then put in the order asked for."""

    tensor: Tensor
    width: int
    runs: list[tuple[int, int]]
    spans: list[Span]
    order: list[int] | None  # places among the rows of all runs; None: as they come


def _plan(tensor: Tensor, indices: Sequence[int] | None) -> _Plan:
    height, width = (tensor.shape[0], prod(tensor.shape[1:])) if tensor.shape else (1, 1)
    runs = [(0, height)] if indices is None else _runs(indices, height, tensor.name)
    rows = [row for first, last in runs for row in range(first, last)] if indices is not None else []
    place = {row: i for i, row in enumerate(rows)}
    order = None if indices is None or list(indices) == rows else [place[int(row)] for row in indices]
    stride = _row_bytes(tensor, height, width)
    if stride is None:  # rows don't begin at whole bytes: the whole tensor is read
        order = order if indices is None else [int(row) for row in indices]
        return _Plan(tensor, width, [(0, height)], [Span(tensor.file, tensor.start, tensor.end)], order)
    start = tensor.start
    spans = [Span(tensor.file, start + first * stride, start + last * stride) for first, last in runs]
    return _Plan(tensor, width, runs, spans, order)


def _numbers(plan: _Plan, bodies: Sequence[bytes]) -> Floats:
    pieces = [
        _decoded(plan.tensor, body).reshape(last - first, plan.width)
        for (first, last), body in zip(plan.runs, bodies, strict=True)
    ]
    if not pieces:
        return np.zeros((0, plan.width), dtype=np.float32)
    whole = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
    return whole if plan.order is None else whole[plan.order]


def _row_bytes(tensor: Tensor, height: int, width: int) -> int | None:
    """Bytes of one row; None where rows don't begin at whole bytes."""
    if gguf.is_kind(tensor.dtype):
        return gguf.row_bytes(tensor.dtype, width) if len(tensor.shape) > 1 else None
    if height and tensor.size % height:
        return None
    try:
        return nbytes(tensor.dtype, width)
    except BadWeights:
        return None


def _decoded(tensor: Tensor, body: bytes) -> Floats:
    if gguf.is_kind(tensor.dtype):
        return gguf.dequantized(tensor.dtype, body)
    return as_float32(tensor.dtype, body)


def _runs(indices: Sequence[int], height: int, name: str) -> list[tuple[int, int]]:
    """Neighbouring rows as (first, last + 1), sorted."""
    runs: list[tuple[int, int]] = []
    for row in sorted({int(index) for index in indices}):
        if not 0 <= row < height:
            raise BadRequest(f"{name[:100]!a} has {height:,} rows; there is no row {row}.")
        if runs and runs[-1][1] == row:
            runs[-1] = (runs[-1][0], row + 1)
        else:
            runs.append((row, row + 1))
    return runs


def _adapter_facts(source: Source, schema: Schema) -> AdapterFacts:
    """From adapter_config.json beside the weights; from the tensors where there is none."""
    if isinstance(source, HubSource):
        source.list_all()
    folder = schema.files[0].name.rpartition("/")[0] if schema.files else ""
    config = f"{folder}/adapter_config.json" if folder else "adapter_config.json"
    if config not in source.files():
        return adapters.facts_from(schema)
    return adapters.facts_of(json_object(source.small(config, adapters.CONFIG_BYTES), config))


__all__ = ["LowRank", "Weights", "open_weights", "read_layout", "read_schema"]
