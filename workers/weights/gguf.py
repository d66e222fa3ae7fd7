"""GGUF by range: the header through a parser that trusts nothing, rows through the ``gguf`` package's arithmetic.

The package's own reader wants the whole file on disk. Layout (version 2 and 3, little-endian): magic, version, number
of tensors, number of key-value pairs; the pairs; name, sides, kind and offset of each tensor; padding; the tensors.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from workers.errors import BadWeights
from workers.weights.dtypes import Floats
from workers.weights.headers import METADATA_KEPT, METADATA_KEYS, NAME, TENSORS, check_name, check_shape
from workers.weights.records import Tensor

MAGIC = b"GGUF"
VERSIONS = (2, 3)
HEADER_BYTES = 32 * 1024 * 1024  # 262,000 tokens with their merges take some 10 MB
PAIRS = 4_096
STRINGS = 2_000_000  # in all arrays together
FIRST = 512 * 1024  # bytes that are asked for next when a header goes on; then as many as there are already

KINDS: dict[int, tuple[str, int, int]] = {
    # number: (name, numbers in a block, bytes of a block); as ggml.h and the gguf package have them
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
    40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
_BLOCKS = {name: (count, size) for name, count, size in KINDS.values() if count > 1}
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_KEPT_ARRAYS = ("tokenizer.ggml.tokens", "tokenizer.ggml.merges")

More = Callable[[int, int], bytes]


@dataclass
class Header:
    """A GGUF file's header. ``arrays`` holds the tokenizer's lists where they were asked for."""

    tensors: list[Tensor] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)
    arrays: dict[str, list[str]] = field(default_factory=dict)
    chat_template: str = ""


def is_kind(dtype: str) -> bool:
    """Whether it is one of GGUF's packed kinds (its plain ones are read as those of safetensors)."""
    return dtype in _BLOCKS


def row_bytes(dtype: str, width: int) -> int | None:
    """Bytes of a row of ``width`` numbers; None where rows don't begin with a block."""
    count, size = _BLOCKS[dtype]
    return None if width % count else width // count * size


def bits_of(dtype: str) -> float:
    """Bits a number takes on average, its block's scales included."""
    count, size = _BLOCKS[dtype]
    return 8 * size / count


def dequantized(dtype: str, data: bytes) -> Floats:
    """The numbers of whole blocks, flat. Raises BadWeights for kinds that the gguf package can't turn into numbers."""
    quants, kinds = _package()
    size = _BLOCKS[dtype][1]
    blocks = np.frombuffer(data, dtype=np.uint8).reshape(-1, size)
    if not len(blocks):
        return np.zeros(0, dtype=np.float32)
    try:
        return np.asarray(quants.dequantize(blocks, kinds[dtype]), dtype=np.float32).reshape(-1)
    except (NotImplementedError, KeyError):
        raise BadWeights(f"Numbers of the GGUF kind {dtype} can't be read.") from None


@lru_cache(maxsize=1)
def _package() -> tuple[Any, Any]:
    from gguf import GGMLQuantizationType, quants

    return quants, GGMLQuantizationType


def read_header(file: str, size: int, head: bytes, more: More, *, arrays: bool = False) -> Header:
    """The header of a GGUF file of ``size`` bytes, whose first ones are ``head``; ``more(start, end)`` brings others.

    ``arrays``: keep the tokenizer's lists. Raises BadWeights naming file and reason.
    """
    return _Reader(file, size, head, more, arrays).run()


class _Reader:
    """One pass over a header; asks for more bytes as it goes on."""

    def __init__(self, file: str, size: int, head: bytes, more: More, arrays: bool) -> None:
        self.file, self.size, self.more, self.arrays = file, size, more, arrays
        self.data = bytearray(head)
        self.at = 0
        self.strings = 0
        self.alignment = 32
        self.header = Header()

    def run(self) -> Header:
        if bytes(self._bytes(4)) != MAGIC:
            raise self._wrong("does not begin as GGUF does")
        version = self._unpack("I")
        if version not in VERSIONS:
            swapped = int.from_bytes(version.to_bytes(4, "big"), "little") in VERSIONS
            raise self._wrong(
                "is big-endian, which is not read" if swapped else f"is of version {version}; 2 and 3 are read"
            )
        tensors, pairs = self._unpack("Q"), self._unpack("Q")
        if tensors > TENSORS or pairs > PAIRS:
            raise self._wrong(
                f"announces {tensors:,} tensors and {pairs:,} entries; {TENSORS:,} and {PAIRS:,} are read"
            )
        seen: set[str] = set()
        for _ in range(pairs):
            key = self._string()
            if key in seen:
                raise self._wrong(f"has the key {key[:80]!a} twice")
            seen.add(key)
            self._pair(key)
        infos = self._infos(tensors)
        self._place(infos)
        return self.header

    # --- key-value pairs --------------------------------------------------------------------------------------------
    def _pair(self, key: str) -> None:
        kind = self._unpack("I")
        if kind == _ARRAY:
            told = self._array(key)
        elif kind == _STRING:
            text = self._string()
            if key == "tokenizer.chat_template":
                self.header.chat_template = text
            told = text[:METADATA_KEPT]
        elif kind in _SCALARS:
            told = str(self._unpack(_SCALARS[kind]))
            if key == "general.alignment":
                self.alignment = int(told) if told.isdecimal() else 0
                if self.alignment not in (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536):
                    raise self._wrong(f"asks for an alignment of {told[:20]}")
        else:
            raise self._wrong(f"has a value of the unknown kind {kind} at {key[:80]!a}")
        if len(self.header.metadata) < METADATA_KEYS:
            self.header.metadata[_clean(key[:NAME])] = _clean(told)

    def _array(self, key: str) -> str:
        kind, count = self._unpack("I"), self._unpack("Q")
        if kind in _SCALARS:
            self._skip(count * struct.calcsize("<" + _SCALARS[kind]))
        elif kind == _STRING:
            self.strings += count
            if self.strings > STRINGS:
                raise self._wrong(f"holds over {STRINGS:,} texts")
            keep = self.arrays and key in _KEPT_ARRAYS
            kept = [self._string() for _ in range(count)] if keep else self._skip_strings(count)
            if keep:
                self.header.arrays[key] = kept
        else:
            raise self._wrong(f"has an array of kind {kind} at {key[:80]!a}, which is not read")
        return f"{count} values"

    def _skip_strings(self, count: int) -> list[str]:
        for _ in range(count):
            self._skip(self._unpack("Q"))
        return []

    # --- tensors ----------------------------------------------------------------------------------------------------
    def _infos(self, count: int) -> list[tuple[str, str, tuple[int, ...], int, int]]:
        """(name, kind, shape, offset, bytes) of each tensor."""
        infos = []
        names: set[str] = set()
        for _ in range(count):
            name = self._string()
            check_name(name, self.file)
            if name in names:
                raise self._wrong(f"names the tensor {name[:80]!a} twice")
            names.add(name)
            rank = self._unpack("I")
            if rank > 8:
                raise self._wrong(f"gives {name[:80]!a} the rank {rank:,}")
            shape = tuple(self._unpack("Q") for _ in range(rank))[::-1]
            check_shape(name, shape, self.file)
            number, offset = self._unpack("I"), self._unpack("Q")
            if number not in KINDS:
                raise self._wrong(f"gives {name[:80]!a} the unknown kind {number}")
            kind, block, size = KINDS[number]
            if prod(shape) % block or (shape and shape[-1] % block):
                raise self._wrong(f"gives {name[:80]!a} rows of {shape[-1:]} numbers, which {kind} can't hold")
            infos.append((name, kind, shape, offset, prod(shape) // block * size))
        return infos

    def _place(self, infos: list[tuple[str, str, tuple[int, ...], int, int]]) -> None:
        begin = self._aligned(self.at) if infos else self.at
        at = 0
        for name, kind, shape, offset, size in sorted(infos, key=lambda info: (info[3], info[4])):
            if offset % self.alignment or not at <= offset <= self._aligned(at):
                what = "overlaps the one before it" if offset < at else "does not lie where the one before it ends"
                raise self._wrong(f"says that the tensor {name[:80]!a} {what}")
            at = offset + size
            if begin + at > self.size:
                raise self._wrong(f"has the tensor {name[:80]!a} end at byte {begin + at:,} of {self.size:,}")
            self.header.tensors.append(Tensor(name, kind, shape, self.file, begin + offset, begin + at))

    def _aligned(self, at: int) -> int:
        return -(-at // self.alignment) * self.alignment

    # --- bytes ------------------------------------------------------------------------------------------------------
    def _need(self, count: int) -> None:
        """Have ``count`` more bytes at hand."""
        end = self.at + count
        if end <= len(self.data):
            return
        if end > min(self.size, HEADER_BYTES):
            raise self._wrong("goes on beyond the file's end" if end > self.size else f"is over {HEADER_BYTES:,} bytes")
        start = len(self.data)
        stop = min(max(end, start + max(FIRST, start)), self.size, HEADER_BYTES)
        self.data += self.more(start, stop)
        if len(self.data) < end:
            raise self._wrong("breaks off")

    def _skip(self, count: int) -> None:
        self._need(count)
        self.at += count

    def _bytes(self, count: int) -> memoryview | bytes:
        self._need(count)
        self.at += count
        return bytes(self.data[self.at - count : self.at])

    def _unpack(self, form: str) -> Any:
        size = struct.calcsize("<" + form)
        self._need(size)
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += size
        return value

    def _string(self) -> str:
        raw = self._bytes(self._unpack("Q"))
        return bytes(raw).decode("utf-8", "surrogateescape")

    def _wrong(self, what: str) -> BadWeights:
        return BadWeights(f"The header of {self.file} {what} (byte {self.at:,}).")


def _clean(text: str) -> str:
    """Without what no database takes."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
