"""Settings that tell a model how to compute: the base's win, whatever the others were trained with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workers.merging.facts import GELUS, Facts
from workers.merging.records import Candidate, Fault, Level
from workers.merging.wording import differ, odd_ones, pairs, shown, versus

# Keys of a configuration that change nothing in what a model computes: of training, of storing, of generating.
HARMLESS = frozenset(
    {
        "_name_or_path", "name_or_path", "transformers_version", "use_cache", "initializer_range",
        "initializer_factor", "attention_dropout", "hidden_dropout", "hidden_dropout_prob",
        "attention_probs_dropout_prob", "resid_pdrop", "resid_dropout", "embd_pdrop", "embed_dropout",
        "embedding_dropout", "attn_pdrop", "classifier_dropout", "dropout", "dropout_rate", "seq_classif_dropout",
        "qa_dropout", "summary_first_dropout", "lora_dropout", "_attn_implementation", "_attn_implementation_autoset",
        "attn_implementation", "use_flash_attn", "use_flash_attention", "use_flash_attention_2", "flash_attn",
        "torchscript", "output_attentions", "output_hidden_states", "return_dict", "return_dict_in_generate",
        "gradient_checkpointing", "pretraining_tp", "unsloth_version", "unsloth_fixed", "max_window_layers",
        "problem_type", "finetuning_task", "tokenizer_class", "prefix", "task_specific_params", "summary_type",
        "summary_activation", "summary_use_proj", "summary_proj_to_labels", "summary_activate",
        "cache_implementation", "chunk_size_feed_forward", "output_scores", "min_length", "max_length", "do_sample",
        "temperature", "top_p", "top_k", "num_beams", "repetition_penalty", "no_repeat_ngram_size", "sep_token_id",
        "decoder_start_token_id", "_diffusers_version", "_commit_hash", "architecture", "is_composition",
        "keys_to_ignore_at_inference", "router_aux_loss_coef", "output_router_logits", "router_jitter_noise",
        "vocab_size_per_layer_input", "training", "ignore_index", "typical_p", "bad_words_ids",
        "begin_suppress_tokens", "suppress_tokens", "forced_bos_token_id", "forced_eos_token_id", "diversity_penalty",
        "length_penalty", "early_stopping", "num_return_sequences", "num_beam_groups", "remove_invalid_values",
        "exponential_decay_length_penalty", "encoder_no_repeat_ngram_size", "tf_legacy_loss", "use_bfloat16",
        "pruned_heads", "license", "base_model", "mergekit",
    }
)  # fmt: skip

# Keys that do change it, and what they are called.
WEIGHTY = {
    "attention_bias": "biases of attention",
    "mlp_bias": "biases of the feed-forward layers",
    "qkv_bias": "biases of attention",
    "bias": "biases",
    "partial_rotary_factor": "share of each head that is rotated",
    "rotary_pct": "share of each head that is rotated",
    "rotary_dim": "share of each head that is rotated",
    "final_logit_softcapping": "cap of the logits",
    "attn_logit_softcapping": "cap of the attention's logits",
    "query_pre_attn_scalar": "scale of attention",
    "attention_multiplier": "scale of attention",
    "embedding_multiplier": "scale of the embedding",
    "residual_multiplier": "scale of the residual stream",
    "logits_scaling": "scale of the logits",
    "logit_scale": "scale of the logits",
    "scale_attn_weights": "scale of attention",
    "scale_attn_by_inverse_layer_idx": "scale of attention by layer",
    "reorder_and_upcast_attn": "precision of attention",
    "layer_types": "kinds of the layers",
    "sliding_window_pattern": "pattern of windows",
    "attention_types": "kinds of attention",
    "position_embedding_type": "kind of positions",
    "alibi": "kind of positions",
    "use_alibi": "kind of positions",
    "is_decoder": "masking of attention",
    "add_cross_attention": "attention to an encoder",
    "parallel_attn": "order of the blocks",
    "use_parallel_residual": "order of the blocks",
    "qk_layernorm": "norms of queries and keys",
    "use_qk_norm": "norms of queries and keys",
    "clip_qkv": "bounds of queries and keys",
    "norm_topk_prob": "weights of experts",
    "decoder_sparse_step": "which layers have experts",
    "moe_intermediate_size": "width of the experts",
    "shared_expert_intermediate_size": "width of the shared expert",
    "hidden_act_param": "activation",
    "rope_local_base_freq": "RoPE base of local layers",
    "no_rope_layers": "layers without positions",
    "attn_temperature_tuning": "scale of attention by length",
}

# What a configuration that is silent about them means.
SILENT: dict[str, Any] = {
    "attention_bias": False,
    "mlp_bias": False,
    "partial_rotary_factor": 1.0,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
    "position_embedding_type": "absolute",
    "alibi": False,
    "use_alibi": False,
    "is_decoder": False,
    "add_cross_attention": False,
    "qkv_bias": True,
    "use_parallel_residual": True,
    "qk_layernorm": False,
    "clip_qkv": None,
}

_BASE_WINS = "mergekit writes the base's value without a word"


def judge(candidates: Sequence[Candidate], facts: Mapping[str, Facts]) -> list[Fault]:
    """All faults of settings among models whose configuration is known."""
    given = {c.name: facts[c.name] for c in candidates if facts[c.name].given and not c.is_adapter}
    if len(given) < 2:
        return []
    faults: list[Fault] = []

    def tell(
        code: str, words: str, of: Callable[[Facts], Any], mend: str, *, level: Level = Level.MEND, skip: bool = True
    ) -> None:
        values = {name: value for name, each in given.items() if (value := of(each)) is not None or not skip}
        if differ(values):
            faults.append(_fault(code, words, values, mend, level))

    tell(
        "rope.theta",
        "RoPE base",
        lambda f: f.rope_theta,
        "Merge models of one RoPE base. Where one was made for longer texts, take it as base so that its value holds, "
        "and test long inputs: the others' attention was never trained with it.",
    )
    tell(
        "rope.scaling",
        "scaling of RoPE",
        lambda f: f.rope_scaling if f.rope_theta is not None else None,
        "Take the model whose scaling is to hold as base, and test inputs beyond the shorter context.",
    )
    tell(
        "positions.max",
        "number of positions",
        lambda f: f.positions,
        "Take the model whose length is to hold as base (configuration and all): beyond the shorter context the others "
        "were never trained.",
    )
    tell(
        "settings.sliding_window",
        "sliding window",
        lambda f: f.sliding,
        "Take the model whose window is to hold as base, or set it in the result's config.json.",
        skip=False,
    )
    tell(
        "settings.norm_eps",
        "epsilon of the norms",
        lambda f: f.eps,
        "Take the model whose value is to hold as base; look whether one of the configurations is wrong.",
    )
    tell(
        "experts.used",
        "number of experts that a token is sent to",
        lambda f: f.sizes.get("experts_used"),
        "Take the model whose value is to hold as base.",
    )
    faults += _activations(given)
    faults += _labels(given)
    faults += _others(given)
    return faults


def _fault(code: str, words: str, values: Mapping[str, Any], mend: str, level: Level = Level.MEND) -> Fault:
    return Fault(
        code,
        level,
        f"The {words} differs: {versus(values)}. {_BASE_WINS.capitalize()}.",
        mend,
        compared=pairs(values),
        models=odd_ones(values),
        mergekit="silent",
    )


def _activations(given: Mapping[str, Facts]) -> list[Fault]:
    values = {name: each.activation for name, each in given.items() if each.activation}
    if not differ(values):
        return []
    near = set(values.values()) <= GELUS or {v.replace("swish", "silu") for v in values.values()} == {"silu"}
    if near:
        mend = "These compute nearly the same; the base's will be used."
    else:
        mend = "Weights that were trained under one activation mean nothing under another: take models that share it."
    level = Level.NOTE if near else Level.STOP
    return [_fault("settings.activation", "activation", values, mend, level)]


def _labels(given: Mapping[str, Facts]) -> list[Fault]:
    values = {name: each.labels for name, each in given.items() if each.labels}
    if not differ(values):
        return []
    counts = {name: len(each) for name, each in values.items()}
    told = {name: f"{len(each)}: {', '.join(each[:3])}{'…' if len(each) > 3 else ''}" for name, each in values.items()}
    if not differ(counts) and len({tuple(sorted(each)) for each in values.values()}) == 1:
        cause = "The classes are the same in another order"
    else:
        cause = "The classes differ"
    return [
        Fault(
            "labels.differ",
            Level.MEND,
            f"{cause}: {versus(told)}. The heads would be averaged class by class.",
            "Bring the heads into one order first, or merge the bodies and keep the head of one model.",
            compared=tuple(told.items()),
            models=odd_ones(values),
            mergekit="silent",
        )
    ]


def _others(given: Mapping[str, Facts]) -> list[Fault]:
    """Keys that no other rule looks at: those known to matter, and the rest as a note."""
    faults = []
    unknown: list[str] = []
    for key in sorted({key for each in given.values() for key in each.other} - HARMLESS):
        values = {name: _frozen(each.other[key]) for name, each in given.items() if key in each.other}
        if not differ(values) and len(values) == len(given):
            continue
        if len(values) < len(given):
            if key not in SILENT:
                continue  # one wrote a default that the other left out, for all we know
            values = {name: values.get(name, SILENT[key]) for name in given}
            if not differ(values):
                continue
        if key in WEIGHTY:
            faults.append(
                _fault(
                    "settings.other",
                    f"setting {key} ({WEIGHTY[key]})",
                    values,
                    "Take the model whose value is to hold as base, or merge models that share it.",
                )
            )
        elif differ(values):
            unknown.append(f"{key} ({versus({n: shown(v) for n, v in values.items()})})")
    if unknown:
        faults.append(
            Fault(
                "settings.unknown",
                Level.NOTE,
                f"Other settings differ, whose meaning isn't known here: {'; '.join(unknown[:6])}.",
                "Look whether they change what the model computes; the base's values will be written.",
                compared=tuple((key.partition(" ")[0], key.partition(" ")[2]) for key in unknown[:12]),
                models=tuple(given),
                mergekit="silent",
            )
        )
    return faults


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(each) for each in value)
    if isinstance(value, Mapping):
        return tuple((str(key), _frozen(each)) for key, each in sorted(value.items(), key=lambda item: str(item[0])))
    return value
