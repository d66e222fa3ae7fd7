"""How weights were made smaller than 16 bits, from what config.json says or, failing that, from the tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from workers.weights import gguf
from workers.weights.records import Quantization, Schema

SMALL = {"I8": 8.0, "U8": 8.0, "F8_E4M3": 8.0, "F8_E5M2": 8.0, "F8_E4M3FNUZ": 8.0, "F8_E5M2FNUZ": 8.0, "F4": 4.0}
MARKS = (
    # ends of tensor names that only one method writes
    (".quant_state.bitsandbytes__nf4", "bitsandbytes", 4.0, "nf4"),
    (".quant_state.bitsandbytes__fp4", "bitsandbytes", 4.0, "fp4"),
    (".SCB", "bitsandbytes", 8.0, "int8"),
    (".weight_scale_inv", "fp8", 8.0, "block scales"),
    (".qweight_scales", "eetq", 8.0, ""),
    ("_blocks", "mxfp4", 4.25, ""),
    (".codebooks", "aqlm", 0.0, ""),
)
_GGUF_MARK = re.compile(r"(?:^|[-_.])((?:I?Q\d|TQ\d|MXFP4)[A-Z0-9_]*)(?:$|[-_.])", re.IGNORECASE)


def told_by(config: Mapping[str, Any]) -> Quantization | None:
    """From config.json's quantization_config; None where it says nothing."""
    told = config.get("quantization_config")
    if not isinstance(told, dict):
        return None
    method = str(told.get("quant_method") or told.get("quantization_method") or "").lower()[:40]
    bits = told.get("bits", told.get("w_bit"))
    detail = ""
    if told.get("load_in_4bit") is True or told.get("_load_in_4bit") is True:
        method, bits, detail = method or "bitsandbytes", 4, str(told.get("bnb_4bit_quant_type") or "")
    elif told.get("load_in_8bit") is True or told.get("_load_in_8bit") is True:
        method, bits, detail = method or "bitsandbytes", 8, "int8"
    elif isinstance(told.get("group_size"), int):
        detail = f"group size {told['group_size']}"
    elif isinstance(told.get("fmt"), str):
        detail = told["fmt"]
    if method == "fp8" and bits is None:
        bits = 8
    number = float(bits) if isinstance(bits, (int, float)) and 0 < bits <= 16 else 0.0
    return Quantization(method or "unknown", number, detail[:100], "config")


def seen_in(schema: Schema) -> Quantization | None:
    """From the tensors' names and dtypes; None for weights of 16 bits and more."""
    if schema.format == "gguf":
        return _of_gguf(schema)
    names = schema.by_name
    if any(name.endswith(".qweight") for name in names):
        return _packed(schema)
    for end, method, bits, detail in MARKS:
        if any(name.endswith(end) for name in names):
            return Quantization(method, bits, detail, "tensors")
    dtype, count = next(iter(schema.dtypes.items()), ("", 0))
    if dtype in SMALL and 2 * count > schema.parameters:
        return Quantization("fp8" if dtype.startswith("F8") else "int8", SMALL[dtype], dtype, "tensors")
    return None


def _packed(schema: Schema) -> Quantization:
    """GPTQ packs along the inputs, AWQ along the outputs (and never has g_idx); both into 32-bit words."""
    names = schema.by_name
    for name, tensor in names.items():
        scales = names.get(f"{name.removesuffix('.qweight')}.scales")
        if name.endswith(".qweight") and scales is not None and len(tensor.shape) == len(scales.shape) == 2:
            if f"{name.removesuffix('.qweight')}.g_idx" in names or tensor.shape[1] == scales.shape[1]:
                return Quantization("gptq", 0.0, "", "tensors")
            words = 32 * tensor.shape[1] / scales.shape[1] if scales.shape[1] else 0.0
            return Quantization("awq", words if words in (2.0, 4.0, 8.0) else 0.0, "", "tensors")
    return Quantization("gptq", 0.0, "", "tensors")


def _of_gguf(schema: Schema) -> Quantization | None:
    kind = next((dtype for dtype in schema.dtypes if gguf.is_kind(dtype)), None)
    if kind is None:
        return None
    held = sum(count for dtype, count in schema.dtypes.items() if gguf.is_kind(dtype))
    bits = sum(count * gguf.bits_of(dtype) for dtype, count in schema.dtypes.items() if gguf.is_kind(dtype)) / held
    found = _GGUF_MARK.search(PurePosixPath(schema.files[0].name).stem) if schema.files else None
    named = found[1].upper() if found else ""
    return Quantization("gguf", round(bits, 2), named or kind, "file name" if named else "tensors")
