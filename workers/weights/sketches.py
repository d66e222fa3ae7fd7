"""A sketch: sampled rows of a model, small enough to keep, enough to compare it with any other and read neither again.

The stored form: magic, version, a JSON header (deflated), then the values of all pieces one after the other. Values of
two-byte floats are kept as they are; those of wider ones as they are in small models, else as float16 scaled to the
largest of their piece (relative error below 2^-11).
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.errors import BadInput
from workers.weights.naming import Place, Role, place

VERSION = 2
MAGIC = b"RSKT"
EXACT_BELOW = 150_000  # values: of so few, float32 is kept as it is
MOST_HEADER = 4_000_000
MOST_VALUES = 4_000_000
BUCKETS = 256  # of the fingerprint

Floats = NDArray[np.float32]


class SketchGarbled(BadInput):
    """A stored sketch can't be read: it is cut short, of another version, or no sketch at all. It is drawn anew."""

    code = "input.sketch"


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows ``start`` to ``start + k`` of one tensor. ``values`` is float32 [k, columns]: axes after the first are
    flattened; a vector is one row. ``shape`` and ``dtype`` are the tensor's own; ``digest`` is of the values as read
    (a copy in a wider dtype has the same). ``distinct`` is the mean number of different values in a row; ``kurtosis``
    is Pearson's (3 for a normal distribution). ``side`` is "" but in adapters: there "left" and "right" hold the
    leading singular directions of the update, scaled, and ``start`` is 0.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    start: int
    values: Floats
    digest: str = ""
    std: float = 0.0
    kurtosis: float = 0.0
    distinct: float = 0.0
    side: str = ""

    @property
    def place(self) -> Place:
        return place(self.name, self.shape)

    @property
    def is_whole(self) -> bool:
        return not self.shape or self.values.size == int(np.prod(self.shape))


def measured(piece: Piece) -> Piece:
    """The piece with the statistics of its values."""
    values = piece.values
    digest = hashlib.blake2b(np.ascontiguousarray(values, np.float32).tobytes(), digest_size=8).hexdigest()
    if not values.size:
        return replace(piece, digest=digest)
    wide = values.astype(np.float64)
    wide = wide[np.isfinite(wide)]
    if not wide.size:
        return replace(piece, digest=digest, std=float("nan"))
    std = float(wide.std())
    fourth = float(((wide - wide.mean()) ** 4).mean()) / std**4 if std > 1e-12 else 0.0
    rows = values[:: max(1, len(values) // 8)][:8]
    distinct = float(np.mean([len(np.unique(row)) for row in rows]))
    return replace(piece, digest=digest, std=std, kurtosis=fourth, distinct=distinct)


@dataclass(frozen=True)
class Sketch:
    """What was sampled of a model. ``kind`` is "model" or "adapter"; ``format`` the files' ("safetensors", "gguf");
    ``tensors`` maps every tensor's name to its shape, read or not; ``bytes_read`` is what it cost.
    """

    kind: str
    format: str
    pieces: tuple[Piece, ...]
    tensors: dict[str, tuple[int, ...]] = field(default_factory=dict)
    bytes_read: int = 0
    version: int = VERSION

    @cached_property
    def by_name(self) -> dict[str, Piece]:
        return {piece.name: piece for piece in self.pieces if not piece.side}

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the pieces that were read."""
        return {name: piece.shape for name, piece in self.by_name.items()}

    @property
    def body(self) -> str:
        """A digest of the body's shapes by layer: alike for models of one architecture, whatever their dtype, head,
        vocabulary or wrappers.
        """
        return body_of(self.tensors)

    def fingerprint(self) -> Floats:
        """Unit vector [256]: a count sketch of the body (Charikar et al. 2002), so that the inner product of two is
        about their cosine, within 0.06. Of one architecture alone are they comparable.
        """
        buckets = np.zeros(BUCKETS)
        for piece in self.pieces:
            where = piece.place
            if where.role is not Role.MATRIX or piece.side or not piece.values.size:
                continue
            flat = np.nan_to_num(piece.values.ravel().astype(np.float64))
            flat = flat / (np.sqrt(np.mean((flat - flat.mean()) ** 2)) or 1.0)
            seed = int.from_bytes(
                hashlib.blake2b(f"{where.layer}.{where.pattern}".encode(), digest_size=8).digest(), "little"
            )
            at = _mixed(np.arange(flat.size, dtype=np.uint64) + np.uint64(piece.start * piece.values.shape[-1]), seed)
            sign = np.where(at >> np.uint64(63), 1.0, -1.0)
            buckets += np.bincount((at & np.uint64(BUCKETS - 1)).astype(np.int64), flat * sign, BUCKETS)
        norm = float(np.linalg.norm(buckets))
        return (buckets / norm if norm else buckets).astype(np.float32)

    def dumps(self) -> bytes:
        """The stored form."""
        exact = sum(piece.values.size for piece in self.pieces) <= EXACT_BELOW
        heads: list[dict[str, Any]] = []
        blobs: list[bytes] = []
        for piece in self.pieces:
            how, scale, blob = _packed(piece, exact)
            blobs.append(blob)
            head = {
                "n": piece.name, "s": list(piece.shape), "d": piece.dtype, "a": piece.start,
                "v": list(piece.values.shape), "h": how, "x": scale, "g": piece.digest,
                "t": [_plain(piece.std), _plain(piece.kurtosis), _plain(piece.distinct)],
            }  # fmt: skip
            if piece.side:
                head["l"] = piece.side
            heads.append(head)
        about = {
            "kind": self.kind,
            "format": self.format,
            "bytes": self.bytes_read,
            "pieces": heads,
            "tensors": [[name, list(shape)] for name, shape in self.tensors.items()],
        }
        header = zlib.compress(json.dumps(about, separators=(",", ":")).encode(), 6)
        return MAGIC + struct.pack("<HI", self.version, len(header)) + header + b"".join(blobs)


def loads(data: bytes | memoryview) -> Sketch:
    """A sketch from its stored form. Raises SketchGarbled."""
    data = bytes(data)
    try:
        version, length = struct.unpack_from("<HI", data, 4)
        if data[:4] != MAGIC or version != VERSION:
            raise SketchGarbled(f"This sketch is of version {version}, not {VERSION}: it has to be drawn anew.")
        unpack = zlib.decompressobj()
        about = json.loads(unpack.decompress(data[10 : 10 + length], MOST_HEADER))
        at = 10 + length
        pieces = []
        for head in about["pieces"]:
            values, at = _unpacked(data, at, head)
            std, kurtosis, distinct = (float("nan") if x is None else float(x) for x in head["t"])
            side = head.get("l", "")
            shape, start = tuple(head["s"]), head["a"]
            pieces.append(Piece(head["n"], shape, head["d"], start, values, head["g"], std, kurtosis, distinct, side))
        tensors = {name: tuple(shape) for name, shape in about["tensors"]}
        return Sketch(about["kind"], about["format"], tuple(pieces), tensors, about["bytes"], version)
    except SketchGarbled:
        raise
    except (struct.error, zlib.error, ValueError, KeyError, TypeError) as error:
        raise SketchGarbled(f"A stored sketch can't be read ({error}): it has to be drawn anew.") from error


def body_of(tensors: dict[str, tuple[int, ...]]) -> str:
    """The digest behind ``Sketch.body``, over (layer, rest of the name, shape) of numbered layers' matrices."""
    return hashlib.blake2b(repr(sorted(_body(tensors))).encode(), digest_size=16).hexdigest()


def _body(tensors: dict[str, tuple[int, ...]]) -> Iterable[tuple[Any, ...]]:
    for name, shape in tensors.items():
        where = place(name, shape)
        if where.role is Role.MATRIX:
            yield where.layer, where.pattern, tuple(shape)


# --- values ---------------------------------------------------------------------------------------------------------
def _packed(piece: Piece, exact: bool) -> tuple[str, float, bytes]:
    values = np.ascontiguousarray(piece.values, np.float32)
    if piece.dtype == "BF16" and not piece.side:
        return "b", 1.0, (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    if exact:
        return "f", 1.0, values.astype("<f4").tobytes()
    if piece.dtype == "F16" and not piece.side:
        return "h", 1.0, values.astype("<f2").tobytes()
    top = float(np.max(np.abs(np.nan_to_num(values, posinf=0, neginf=0)), initial=0.0))
    scale = 2.0 ** np.ceil(np.log2(top)) if top > 0 else 1.0
    with np.errstate(over="ignore"):
        return "h", float(scale), (values / np.float32(scale)).astype("<f2").tobytes()


def _unpacked(data: bytes, at: int, head: dict[str, Any]) -> tuple[Floats, int]:
    shape = tuple(int(n) for n in head["v"])
    count = int(np.prod(shape, dtype=np.int64))
    if min(shape, default=0) < 0 or count > MOST_VALUES:
        raise SketchGarbled("A stored sketch claims more values than a sketch may hold: it has to be drawn anew.")
    kind = {"b": "<u2", "f": "<f4", "h": "<f2"}[head["h"]]
    raw = np.frombuffer(data, kind, count, at)
    if head["h"] == "b":
        values = (raw.astype(np.uint32) << 16).view(np.float32)
    else:
        values = raw.astype(np.float32) * np.float32(head["x"])
    return values.reshape(shape), at + raw.nbytes


def _plain(value: float) -> float | None:
    return round(float(value), 9) if np.isfinite(value) else None


def _mixed(keys: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """SplitMix64's finaliser: a good hash of consecutive numbers."""
    with np.errstate(over="ignore"):
        x = keys + np.uint64(seed)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))
