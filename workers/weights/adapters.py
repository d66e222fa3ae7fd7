"""Low-rank adapters: which layers they change, and by what.

LoRA (Hu et al., 2021): W + s·B·A with s = alpha/r; rank-stabilised LoRA (Kalajdzievski, 2023): s = alpha/√r. DoRA
(Liu et al., 2024) rescales the columns besides: its B·A is given, its magnitudes are only recognised.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from workers.errors import BadWeights
from workers.weights.dtypes import Floats
from workers.weights.records import AdapterFacts, Schema, Tensor, factor_of

CONFIG_BYTES = 1024 * 1024
TARGETS = 1_000
PATTERN = 2_000  # characters of one pattern in rank_pattern or alpha_pattern


class LowRank(NamedTuple):
    """What an adapter adds to one layer: ``scale * b @ a``.

    ``b`` is float32 [out, r], ``a`` float32 [r, in] (of a convolution [r, in · height · width]). ``transposed`` says
    that the base stores this layer as [in, out] (PEFT's fan_in_fan_out), so that the update is to be transposed too.
    """

    b: Floats
    a: Floats
    scale: float
    transposed: bool = False

    def dense(self) -> Floats:
        """The update as a matrix [out, in]."""
        return (self.scale * (self.b @ self.a)).astype(self.b.dtype)


class Pair(NamedTuple):
    """The tensors of one layer's factors; ``embedding`` ones are kept the other way round."""

    layer: str
    a: Tensor
    b: Tensor
    embedding: bool
    rank: int
    alpha: Tensor | None  # kohya keeps it as a tensor


def facts_of(config: Mapping[str, Any]) -> AdapterFacts:
    """An adapter_config.json. What is not as it should be counts as not said; see PEFT's LoraConfig."""

    def text(key: str) -> str:
        value = config.get(key)
        return value[:500] if isinstance(value, str) else ""

    targets = config.get("target_modules")
    saved = config.get("modules_to_save")
    return AdapterFacts(
        kind=(text("peft_type") or "lora").lower()[:40],
        rank=_whole(config.get("r")),
        alpha=_number(config.get("lora_alpha")),
        targets=_names(targets if isinstance(targets, list) else [targets]),
        base=text("base_model_name_or_path"),
        base_revision=text("revision"),
        dora=config.get("use_dora") is True,
        rslora=config.get("use_rslora") is True,
        fan_in_fan_out=config.get("fan_in_fan_out") is True,
        modules_to_save=_names(saved if isinstance(saved, list) else []),
        rank_pattern={k: _whole(v) for k, v in _pattern(config.get("rank_pattern"))},
        alpha_pattern={k: _number(v) for k, v in _pattern(config.get("alpha_pattern"))},
        task=text("task_type"),
    )


def facts_from(schema: Schema) -> AdapterFacts:
    """What the tensors alone tell of an adapter that came without a configuration (alpha stays unknown: 0)."""
    found = pairs(schema)
    ranks = [pair.rank for pair in found.values()]
    told = schema.metadata
    return AdapterFacts(
        rank=max(ranks, default=0),
        alpha=_number(_parsed(told.get("ss_network_alpha"))),
        targets=_names(sorted({layer.rpartition(".")[2] for layer in found})[:TARGETS]),
        base=told.get("ss_base_model_version", "")[:500],
        dora=any((factor_of(t.name) or ("", ""))[1] == "m" for t in schema.tensors),
        declared=False,
    )


def pairs(schema: Schema) -> dict[str, Pair]:
    """The layers whose both factors are there. Raises BadWeights where a layer's factors don't fit together."""
    halves: dict[str, dict[str, Tensor]] = {}
    for tensor in schema.tensors:
        factor = factor_of(tensor.name)
        if factor is not None:
            halves.setdefault(factor[0], {})[factor[1]] = tensor
    found: dict[str, Pair] = {}
    for layer, parts in sorted(halves.items()):
        for down, up in (("a", "b"), ("ea", "eb")):
            a, b = parts.get(down), parts.get(up)
            if a is None or b is None:
                continue
            if len(a.shape) < 2 or len(b.shape) < 2 or a.shape[0] != b.shape[1] or math.prod(b.shape[2:]) != 1:
                raise BadWeights(f"The factors of {layer} don't fit together: {list(a.shape)} and {list(b.shape)}.")
            alpha = schema.by_name.get(f"{layer}.alpha")
            found[layer] = Pair(layer, a, b, down == "ea", a.shape[0], alpha)
    return found


def scale_of(layer: str, rank: int, facts: AdapterFacts, alpha: float | None = None) -> float:
    """What B·A is multiplied with. ``alpha`` of the layer itself, where its file gives one, comes first.

    As PEFT does it: patterns name layers by the end of their name; without any alpha the factor is 1.
    """
    if alpha is None:
        alpha = _matched(layer, facts.alpha_pattern)
    if alpha is None:
        alpha = facts.alpha
        if not facts.declared and alpha == 0:
            alpha = float(rank)
    rank = int(_matched(layer, facts.rank_pattern) or facts.rank or rank)
    return alpha / math.sqrt(rank) if facts.rslora else alpha / rank


def _matched(layer: str, patterns: Mapping[str, float]) -> float | None:
    """The value of the first pattern that the layer's name, or its end after a point, is. Patterns come from
    strangers, and a regular expression of a stranger's may never end: they are taken as plain names here, in which
    "." stands for any character and a leading "^" for the beginning.
    """
    for pattern, value in patterns.items():
        plain = pattern.removeprefix("^").removesuffix("$").replace("\\.", ".")
        if layer == plain or (not pattern.startswith("^") and layer.endswith(f".{plain}")):
            return value
    return None


def _pattern(value: object) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        return []
    return [(key, entry) for key, entry in list(value.items())[:TARGETS] if isinstance(key, str) and len(key) < PATTERN]


def _names(values: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value[:200] for value in values[:TARGETS] if isinstance(value, str)))


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else 0


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e9 < value < 1e9:
        return 0.0
    return float(value)


def _parsed(text: str | None) -> object:
    """The number that a piece of metadata holds."""
    if text is None or not re.fullmatch(r"-?\d{1,9}(\.\d{1,9})?", text):
        return None
    return json.loads(text)
