"""A model's configuration in one set of words: each architecture has its own for width, depth, heads and positions.

What a configuration leaves out is what transformers would take for it; where that is not known, None: nothing is
compared with a value that nobody gave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from workers.merging.records import Candidate

# Our word → the words of configurations, the most common first.
WORDS: dict[str, tuple[str, ...]] = {
    "hidden": ("hidden_size", "n_embd", "d_model", "dim", "model_dim"),
    "layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "encoder_layers"),
    "heads": ("num_attention_heads", "n_head", "num_heads", "n_heads", "encoder_attention_heads"),
    "kv_heads": ("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num"),
    "head_dim": ("head_dim", "d_kv", "attention_head_dim"),
    "intermediate": ("intermediate_size", "n_inner", "d_ff", "ffn_dim", "hidden_dim", "ffn_hidden_size", "mlp_dim"),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts"),
    "experts_used": ("num_experts_per_tok", "moe_top_k"),
    "vocabulary": ("vocab_size", "padded_vocab_size"),
    "positions": (
        "max_position_embeddings",
        "n_positions",
        "max_seq_len",
        "seq_length",
        "n_ctx",
        "max_sequence_length",
    ),
    "eps": ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon", "layernorm_epsilon"),
    "activation": ("hidden_act", "activation_function", "hidden_activation", "activation", "feed_forward_proj"),
    "types": ("type_vocab_size",),
    "image": ("image_size",),
    "patch": ("patch_size",),
    "channels": ("num_channels",),
}
_KNOWN = {word: ours for ours, words in WORDS.items() for word in words}

# What transformers takes where a configuration is silent, by model_type. "" holds for all that are not named.
DEFAULTS: dict[str, dict[str, Any]] = {
    "": {"tied": True},
    "llama": {"rope_theta": 10_000.0, "eps": 1e-6, "activation": "silu", "tied": False, "positions": 2048},
    "mistral": {"rope_theta": 10_000.0, "eps": 1e-6, "activation": "silu", "tied": False, "sliding": 4096},
    "mixtral": {"rope_theta": 1e6, "eps": 1e-5, "activation": "silu", "tied": False, "sliding": None},
    "qwen2": {"rope_theta": 10_000.0, "eps": 1e-6, "activation": "silu", "tied": False, "positions": 32_768},
    "qwen3": {"rope_theta": 10_000.0, "eps": 1e-6, "activation": "silu", "tied": False, "positions": 32_768},
    "qwen2_moe": {"rope_theta": 10_000.0, "eps": 1e-6, "activation": "silu", "tied": False},
    "qwen3_moe": {"rope_theta": 10_000.0, "eps": 1e-6, "activation": "silu", "tied": False},
    "gemma": {"rope_theta": 10_000.0, "eps": 1e-6, "tied": True, "positions": 8192},
    "gemma2": {"rope_theta": 10_000.0, "eps": 1e-6, "tied": True, "positions": 8192, "sliding": 4096},
    "phi": {"rope_theta": 10_000.0, "eps": 1e-5, "activation": "gelu_new", "tied": False, "positions": 2048},
    "phi3": {"rope_theta": 10_000.0, "eps": 1e-5, "activation": "silu", "tied": False, "positions": 4096},
    "gpt_neox": {"rope_theta": 10_000.0, "eps": 1e-5, "activation": "gelu", "tied": False, "positions": 2048},
    "falcon": {"rope_theta": 10_000.0, "eps": 1e-5, "tied": True},
    "stablelm": {"rope_theta": 10_000.0, "eps": 1e-5, "activation": "silu", "tied": False},
    "starcoder2": {"rope_theta": 10_000.0, "eps": 1e-5, "tied": True},
    "gpt2": {"eps": 1e-5, "activation": "gelu_new", "tied": True, "positions": 1024},
    "bert": {"eps": 1e-12, "activation": "gelu", "tied": True, "positions": 512, "types": 2},
    "roberta": {"eps": 1e-12, "activation": "gelu", "tied": True, "positions": 512, "types": 2},
    "distilbert": {"eps": 1e-12, "activation": "gelu", "tied": True, "positions": 512},
    "vit": {"eps": 1e-12, "activation": "gelu", "tied": True},
    "opt": {"eps": 1e-5, "activation": "relu", "tied": True, "positions": 2048},
    "t5": {"eps": 1e-6, "activation": "relu", "tied": True},
}
ROPE_FREE = frozenset({"gpt2", "bert", "roberta", "distilbert", "vit", "opt", "t5", "mamba"})

GELUS = frozenset({"gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python", "gelu_accurate", "quick_gelu"})


@dataclass(frozen=True)
class Facts:
    """One configuration. ``sizes`` and ``settings`` hold what is known; ``other`` the keys that have no word here."""

    architectures: tuple[str, ...] = ()
    model_type: str = ""
    sizes: Mapping[str, int] = field(default_factory=dict)
    eps: float | None = None
    activation: str = ""
    rope_theta: float | None = None
    rope_scaling: str = ""  # canonical JSON-like text, "" for none
    positions: int | None = None
    sliding: int | None = None
    tied: bool | None = None
    dtype: str = ""
    ids: Mapping[str, tuple[int, ...]] = field(default_factory=dict)  # "bos", "eos", "pad" → ids
    labels: tuple[str, ...] = ()
    vision: bool = False
    remote_code: bool = False
    other: Mapping[str, Any] = field(default_factory=dict)
    given: bool = False  # whether there is a configuration at all


def facts_of(candidate: Candidate) -> Facts:
    """The facts of a model's configuration. Never raises: a value of a wrong type is as good as none."""
    return read(candidate.inspection.config)


def read(config: Mapping[str, Any]) -> Facts:
    """Facts from a ``config.json``."""
    inner = _language_part(config)
    model_type = _text(inner.get("model_type")) or _text(config.get("model_type"))
    taken = {**DEFAULTS[""], **DEFAULTS.get(model_type, {})} if model_type in DEFAULTS else DEFAULTS[""]
    sizes = {ours: value for ours in WORDS if (value := _size(inner, ours)) is not None and ours not in _SETTINGS}
    if "kv_heads" not in sizes and "heads" in sizes:
        sizes["kv_heads"] = sizes["heads"]
    if "head_dim" not in sizes and sizes.get("heads") and "hidden" in sizes:
        sizes["head_dim"] = sizes["hidden"] // sizes["heads"]
    theta, scaling = _rope(inner, model_type)
    tied = config.get("tie_word_embeddings", inner.get("tie_word_embeddings", taken.get("tied")))
    positions = _number(_first(inner, "positions"))
    return Facts(
        architectures=tuple(_text(each) for each in _list(config.get("architectures"))),
        model_type=_text(config.get("model_type")),
        sizes=sizes,
        eps=_float(_first(inner, "eps"), taken.get("eps")),
        activation=_text(_first(inner, "activation")) or _text(taken.get("activation")),
        rope_theta=theta,
        rope_scaling=scaling,
        positions=positions if positions is not None else taken.get("positions"),
        sliding=_sliding(inner, taken.get("sliding")),
        tied=tied if isinstance(tied, bool) else None,
        dtype=(_text(config.get("torch_dtype")) or _text(config.get("dtype"))).removeprefix("torch."),
        ids={
            role: ids
            for role in ("bos", "eos", "pad")
            if (ids := _ids(inner.get(f"{role}_token_id", config.get(f"{role}_token_id"))))
        },
        labels=_labels(config),
        vision="vision_config" in config,
        remote_code="auto_map" in config,
        other={key: value for key, value in inner.items() if key not in _KNOWN and key not in _TAKEN},
        given=bool(config),
    )


_SETTINGS = frozenset({"positions", "eps", "activation"})
_TAKEN = frozenset(
    {
        "architectures", "model_type", "rope_theta", "rope_scaling", "rope_parameters", "rotary_emb_base",
        "sliding_window", "use_sliding_window", "tie_word_embeddings", "torch_dtype", "dtype", "id2label", "label2id",
        "num_labels", "bos_token_id", "eos_token_id", "pad_token_id", "auto_map", "text_config", "vision_config",
        "quantization_config",
    }
)  # fmt: skip


def _language_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part that describes the language model: of a model that also sees, its own."""
    inner = config.get("text_config") or config.get("llm_config")
    if isinstance(inner, Mapping) and _first(config, "hidden") is None:
        return {**{key: value for key, value in config.items() if key not in ("text_config", "llm_config")}, **inner}
    return config


def _first(config: Mapping[str, Any], ours: str) -> Any:
    return next((config[word] for word in WORDS[ours] if config.get(word) is not None), None)


def _size(config: Mapping[str, Any], ours: str) -> int | None:
    value = _first(config, ours)
    if isinstance(value, list) and value and all(isinstance(each, int) for each in value):
        return value[0] if len(set(value)) == 1 else sum(value)
    return _number(value)


def _rope(config: Mapping[str, Any], model_type: str) -> tuple[float | None, str]:
    """(base frequency, scaling as text): of old configurations and of new ones, which hold both in one object."""
    theta = config.get("rope_theta", config.get("rotary_emb_base"))
    scaling = config.get("rope_scaling")
    both = config.get("rope_parameters")
    if isinstance(both, Mapping):
        theta = both.get("rope_theta", theta)
        scaling = {key: value for key, value in both.items() if key != "rope_theta"}
    if theta is None and model_type not in ROPE_FREE:
        theta = DEFAULTS.get(model_type, {}).get("rope_theta")
    return _float(theta, None), _scaling(scaling)


def _scaling(scaling: Any) -> str:
    if not isinstance(scaling, Mapping):
        return ""
    told = {("rope_type" if key == "type" else key): value for key, value in scaling.items() if value is not None}
    told.pop("rope_theta", None)
    if told.get("rope_type", "default") == "default" and set(told) <= {"rope_type", "factor"}:
        return "" if told.get("factor", 1.0) in (1, 1.0) else f"factor {told['factor']}"
    return ", ".join(f"{key.replace('_', ' ')} {_plain(value)}" for key, value in sorted(told.items()))


def _sliding(config: Mapping[str, Any], default: int | None) -> int | None:
    # Qwen keeps a window in its configuration that it uses only where that is said.
    if config.get("use_sliding_window", not str(config.get("model_type", "")).startswith("qwen")) is False:
        return None
    if "sliding_window" in config:
        return _number(config["sliding_window"])
    return default


def _labels(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of classes in the order of their numbers; those that transformers makes up for two of them are none."""
    found = config.get("id2label")
    if not isinstance(found, Mapping):
        return ()
    ordered = sorted(found.items(), key=lambda item: (len(str(item[0])), str(item[0])))
    return tuple(str(name)[:100] for _, name in ordered[:2000])


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return f"[{len(value)} values: {', '.join(map(str, value[:3]))}{'…' if len(value) > 3 else ''}]"
    return str(value)[:60]


def _ids(value: Any) -> tuple[int, ...]:
    found = value if isinstance(value, list) else [value]
    return tuple(sorted(each for each in found if isinstance(each, int) and not isinstance(each, bool)))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _float(value: Any, default: float | None) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return default
