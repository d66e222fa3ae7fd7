"""What the bytes of a tensor mean, by numpy alone: every dtype of safetensors to float32.

The small floats follow "FP8 formats for deep learning" (Micikevicius et al., 2022; E4M3 has no infinity, 0x7f is NaN),
and the OCP "Microscaling formats" specification 1.0 (E8M0, E2M1, E2M3, E3M2).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.errors import BadWeights

Floats = NDArray[np.float32]

BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "U16": 16,
    "I16": 16,
    "F16": 16,
    "BF16": 16,
    "U32": 32,
    "I32": 32,
    "F32": 32,
    "U64": 64,
    "I64": 64,
    "F64": 64,
    "C64": 64,
}
"""Bits of one number, for every dtype of safetensors 0.8."""

FLOATS = frozenset(name for name in BITS if name.startswith(("F", "BF")))

_PLAIN: dict[str, Any] = {
    "BOOL": np.uint8, "U8": np.uint8, "I8": np.int8, "U16": "<u2", "I16": "<i2", "F16": "<f2", "U32": "<u4",
    "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8",
}  # fmt: skip
_TABLED = {
    # exponent bits, mantissa bits, bias, and which codes are not numbers
    "F8_E4M3": (4, 3, 7, "one nan"),
    "F8_E4M3FNUZ": (4, 3, 8, "negative zero"),
    "F8_E5M2FNUZ": (5, 2, 16, "negative zero"),
    "F6_E2M3": (2, 3, 1, "none"),
    "F6_E3M2": (3, 2, 3, "none"),
    "F4": (2, 1, 1, "none"),
}


def nbytes(dtype: str, count: int) -> int:
    """How many bytes ``count`` numbers take. Raises BadWeights where they end within a byte, or for unknown dtypes."""
    bits = BITS.get(dtype)
    if bits is None:
        raise BadWeights(f"There is no dtype {dtype[:20]!r}; known: {', '.join(BITS)}.")
    if count * bits % 8:
        raise BadWeights(f"{count:,} numbers of {dtype} end within a byte.")
    return count * bits // 8


@lru_cache(maxsize=8)
def _table(dtype: str) -> Floats:
    """The value of every code."""
    exponent, mantissa, bias, odd = _TABLED[dtype]
    codes = np.arange(2 ** (1 + exponent + mantissa), dtype=np.int64)
    sign = np.where(codes >> (exponent + mantissa), -1.0, 1.0)
    power = (codes >> mantissa) & (2**exponent - 1)
    part = (codes & (2**mantissa - 1)) / 2**mantissa
    values = sign * np.where(power == 0, part * 2.0 ** (1 - bias), (1 + part) * 2.0 ** (power - bias))
    if odd == "one nan":
        values[[0x7F, 0xFF]] = np.nan
    elif odd == "negative zero":
        values[0x80] = np.nan
    return values.astype(np.float32)


def as_float32(dtype: str, data: bytes | memoryview) -> Floats:
    """The numbers of one tensor (or a part of it) as a flat float32 array. float64 and integers lose digits.

    Raises BadWeights for complex numbers and unknown dtypes.
    """
    if dtype in _PLAIN:
        return np.frombuffer(data, dtype=_PLAIN[dtype]).astype(np.float32)
    if dtype == "BF16":
        return (np.frombuffer(data, dtype="<u2").astype(np.uint32) << 16).view(np.float32)
    codes = np.frombuffer(data, dtype=np.uint8)
    if dtype == "F8_E5M2":  # a float16 without its last byte
        return (codes.astype(np.uint16) << 8).view(np.float16).astype(np.float32)
    if dtype == "F8_E8M0":
        return np.where(codes == 0xFF, np.nan, np.exp2(codes.astype(np.float64) - 127)).astype(np.float32)
    if dtype == "F4":
        codes = np.stack([codes & 0xF, codes >> 4], axis=1).reshape(-1)
    elif dtype in ("F6_E2M3", "F6_E3M2"):
        three = codes.reshape(-1, 3).astype(np.uint32)
        whole = three[:, 0] | (three[:, 1] << 8) | (three[:, 2] << 16)
        codes = np.stack([(whole >> shift) & 0x3F for shift in (0, 6, 12, 18)], axis=1).reshape(-1).astype(np.uint8)
    if dtype not in _TABLED:
        raise BadWeights(f"Numbers of dtype {dtype[:20]!r} can't be read as float32.")
    return _table(dtype)[codes]
