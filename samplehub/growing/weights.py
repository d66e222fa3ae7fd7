"""Weights made from weights: casts, int8 and GGUF copies, merges, shards; and the files that hold them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from samplehub.growing.nets import State

DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def cast(state: State, dtype: str) -> State:
    return {name: tensor.to(DTYPES[dtype]).contiguous() for name, tensor in state.items()}


def to_bytes(state: State) -> bytes:
    """A safetensors file, with the metadata that the common libraries write."""
    return save({name: tensor.contiguous() for name, tensor in sorted(state.items())}, {"format": "pt"})


def merged(states: list[State], weights: tuple[float, ...], base: State | None) -> State:
    """Linear: Σ w·θ / Σ w. With a base, task arithmetic (Ilharco et al. 2023): θ₀ + Σ w·(θ - θ₀).

    Tensors that differ in shape (heads of other classes) are taken from the first model.
    """
    result: State = {}
    for name, first in states[0].items():
        parts = [state[name].float() for state in states if name in state and state[name].shape == first.shape]
        if len(parts) < len(states):
            result[name] = first.float()
        elif base is None:
            result[name] = sum(w * part for w, part in zip(weights, parts, strict=True)) / sum(weights)  # type: ignore[assignment]
        else:
            origin = base[name].float()
            result[name] = origin + sum(w * (part - origin) for w, part in zip(weights, parts, strict=True))
    return result


def is_projection(name: str) -> bool:
    """Whether a decoder's tensor is one of its linear layers."""
    return name.endswith("_proj.weight")


def int8(state: State, linear: Callable[[str], bool] = is_projection) -> State:
    """The layout of bitsandbytes' LLM.int8() (Dettmers et al. 2022): rows scaled by their largest absolute value.

    Linear weights become I8 with ``SCB`` (the row maxima, F32) and ``weight_format``; embeddings and norms stay F16.
    """
    result: State = {}
    for name, tensor in state.items():
        if not linear(name):
            result[name] = tensor.half()
            continue
        largest = tensor.float().abs().amax(1)
        result[name] = (tensor.float() * (127.0 / largest)[:, None]).round().to(torch.int8)
        result[name.replace(".weight", ".SCB")] = largest
        result[name.replace(".weight", ".weight_format")] = torch.tensor(0, dtype=torch.uint8)
    return result


INT8_CONFIG = {
    "quant_method": "bitsandbytes", "load_in_8bit": True, "load_in_4bit": False, "llm_int8_threshold": 6.0,
    "llm_int8_has_fp16_weight": False, "llm_int8_skip_modules": None,
}  # fmt: skip


def from_int8(state: State) -> State:
    """The weights that an int8 copy stands for."""
    result: State = {}
    for name, tensor in state.items():
        if tensor.dtype == torch.int8:
            result[name] = tensor.float() * (state[name.replace(".weight", ".SCB")] / 127.0)[:, None]
        elif not name.endswith((".SCB", ".weight_format")):
            result[name] = tensor.float()
    return result


def shards(state: State) -> dict[str, bytes]:
    """Two shards and their index, as large models are published."""
    names = sorted(state)
    half = len(names) // 2
    files: dict[str, bytes] = {}
    weight_map: dict[str, str] = {}
    for number, part in enumerate((names[:half], names[half:]), 1):
        file = f"model-{number:05d}-of-00002.safetensors"
        files[file] = to_bytes({name: state[name] for name in part})
        weight_map |= dict.fromkeys(part, file)
    total = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    files["model.safetensors.index.json"] = (json.dumps(index, indent=2) + "\n").encode()
    return files


# GGUF -------------------------------------------------------------------------------------------

_GGUF_NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def gguf_name(name: str) -> str:
    if name == "model.embed_tokens.weight":
        return "token_embd.weight"
    if name == "model.norm.weight":
        return "output_norm.weight"
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{_GGUF_NAMES[rest.removesuffix('.weight')]}.weight"


def _interleaved(tensor: Tensor, heads: int) -> Tensor:
    """Rows of q and k in the order that llama.cpp's rotary embedding wants them."""
    rows, columns = tensor.shape
    return tensor.view(heads, 2, rows // heads // 2, columns).transpose(1, 2).reshape(rows, columns)


def write_gguf(path: Path, state: State, config: dict[str, Any], tokenizer: dict[str, Any], name: str) -> None:
    """A llama GGUF: matrices as Q8_0, norms as F32, with the byte-level tokenizer."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["head_dim"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    vocabulary = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
    special = {token["content"] for token in tokenizer["added_tokens"]}
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types(
        [gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token, _ in vocabulary]
    )
    writer.add_token_merges(
        [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    )
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    for key in sorted(state):
        tensor = state[key].float()
        if key.endswith("q_proj.weight"):
            tensor = _interleaved(tensor, config["num_attention_heads"])
        elif key.endswith("k_proj.weight"):
            tensor = _interleaved(tensor, config["num_key_value_heads"])
        array = np.ascontiguousarray(tensor.numpy())
        if array.ndim == 1:
            writer.add_tensor(gguf_name(key), array)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(gguf_name(key), gguf.quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
