"""Tiny models for merging, with true architectures, tokenizers and descent: written as folders that transformers loads.

A base is drawn from a seed; a fine-tune is its base with a change of a known size in every tensor.
"""

from __future__ import annotations

import copy
import json
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
HIDDEN, LAYERS, HEADS, KV, MIDDLE, TOKENS, POSITIONS = 32, 2, 4, 2, 64, 200, 128
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass
class Tokens:
    """A byte-pair tokenizer without merges: its tokens in the order of their ids, some added, roles, a template."""

    vocabulary: list[str]
    added: list[str] = field(default_factory=list)
    special: dict[str, str] = field(default_factory=dict)
    template: str = ""

    def write(self, folder: Path) -> None:
        ids = {token: i for i, token in enumerate(self.vocabulary)}
        roles = {token for token in self.special.values() if token in ids}
        added = [
            {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True}
            for token, i in [*((t, ids[t]) for t in sorted(roles, key=ids.__getitem__)),
                             *((t, len(ids) + k) for k, t in enumerate(self.added))]
        ]  # fmt: skip
        model = {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                 "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                 "vocab": ids, "merges": []}  # fmt: skip
        told = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
                "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": model}  # fmt: skip
        _json(folder / "tokenizer.json", told)
        config = {"tokenizer_class": "PreTrainedTokenizerFast", **self.special, "model_max_length": POSITIONS}
        if self.template:
            config["chat_template"] = self.template
        _json(folder / "tokenizer_config.json", config)


@dataclass
class Model:
    """A model in memory: what its folder will hold."""

    kind: str
    config: dict[str, Any]
    tensors: dict[str, Array]
    tokens: Tokens | None
    dtype: str = "F32"

    def copy(self) -> Model:
        """A deep copy, to plant something in."""
        return copy.deepcopy(self)

    def tuned(self, seed: int, size: float = 0.05) -> Model:
        """A fine-tune: every tensor changed by ``size`` of its own spread."""
        other = self.copy()
        rng = np.random.default_rng(seed)
        for name, tensor in other.tensors.items():
            spread = float(np.std(tensor)) or 0.02
            other.tensors[name] = (tensor + size * spread * rng.standard_normal(tensor.shape)).astype(np.float32)
        return other

    def write(self, folder: Path) -> Path:
        """Its folder, complete."""
        folder.mkdir(parents=True, exist_ok=True)
        _json(folder / "config.json", {**self.config, "torch_dtype": DTYPES.get(self.dtype, "float32")})
        save(folder / "model.safetensors", self.tensors, self.dtype)
        if self.tokens is not None:
            self.tokens.write(folder)
        return folder


def save(path: Path, tensors: dict[str, Array], dtype: str = "F32") -> None:
    """A safetensors file. Integers keep their own type."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    bodies = []
    at = 0
    for name, tensor in tensors.items():
        kind, body = _encoded(tensor, dtype)
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [at, at + len(body)]}
        at += len(body)
        bodies.append(body)
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path.write_bytes(struct.pack("<Q", len(head)) + head + b"".join(bodies))


def _encoded(tensor: Array, dtype: str) -> tuple[str, bytes]:
    if tensor.dtype.kind in "iu":
        return {"int8": "I8", "uint8": "U8", "int32": "I32", "int64": "I64"}[tensor.dtype.name], tensor.tobytes()
    if dtype == "BF16":
        bits = np.ascontiguousarray(tensor, np.float32).view(np.uint32)
        rounded = np.where(np.isfinite(tensor), (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16, bits >> 16)
        return "BF16", rounded.astype("<u2").tobytes()
    return dtype, np.ascontiguousarray(tensor, {"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()


def _json(path: Path, told: Any) -> None:
    path.write_text(json.dumps(told, indent=1, ensure_ascii=False), encoding="utf-8")


# --- architectures --------------------------------------------------------------------------------------------------
def tokens(size: int = TOKENS) -> Tokens:
    """A vocabulary of single characters and words."""
    words = ["<s>", "</s>", "<pad>", *(chr(c) for c in range(33, 127)), *(f"w{i}" for i in range(size))]
    return Tokens(
        words[:size], special={"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}, template=TEMPLATE
    )


class Maker:
    """Draws tensors from one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.made: dict[str, Array] = {}

    def matrix(self, name: str, *shape: int) -> None:
        self.made[name] = (self.rng.standard_normal(shape) * 0.05).astype(np.float32)

    def norm(self, name: str, width: int = HIDDEN) -> None:
        self.made[name] = (1 + 0.05 * self.rng.standard_normal(width)).astype(np.float32)

    def bias(self, name: str, width: int) -> None:
        self.made[name] = (0.02 * self.rng.standard_normal(width)).astype(np.float32)


def llama(seed: int, *, vocabulary: int = TOKENS, hidden: int = HIDDEN, layers: int = LAYERS, kv: int = KV,
          middle: int = MIDDLE, tied: bool = False, model_type: str = "llama") -> Model:  # fmt: skip
    """A decoder as Llama and Mistral are built; Qwen2 has biases on queries, keys and values besides."""
    make = Maker(seed)
    width = hidden // HEADS
    make.matrix("model.embed_tokens.weight", vocabulary, hidden)
    for i in range(layers):
        layer = f"model.layers.{i}"
        for name, out in (("q_proj", hidden), ("k_proj", kv * width), ("v_proj", kv * width)):
            make.matrix(f"{layer}.self_attn.{name}.weight", out, hidden)
            if model_type == "qwen2":
                make.bias(f"{layer}.self_attn.{name}.bias", out)
        make.matrix(f"{layer}.self_attn.o_proj.weight", hidden, hidden)
        make.matrix(f"{layer}.mlp.gate_proj.weight", middle, hidden)
        make.matrix(f"{layer}.mlp.up_proj.weight", middle, hidden)
        make.matrix(f"{layer}.mlp.down_proj.weight", hidden, middle)
        make.norm(f"{layer}.input_layernorm.weight", hidden)
        make.norm(f"{layer}.post_attention_layernorm.weight", hidden)
    make.norm("model.norm.weight", hidden)
    if not tied:
        make.matrix("lm_head.weight", vocabulary, hidden)
    names = {"llama": "LlamaForCausalLM", "mistral": "MistralForCausalLM", "qwen2": "Qwen2ForCausalLM"}
    config = {
        "architectures": [names[model_type]], "model_type": model_type, "vocab_size": vocabulary, "hidden_size": hidden,
        "intermediate_size": middle, "num_hidden_layers": layers, "num_attention_heads": HEADS,
        "num_key_value_heads": kv, "hidden_act": "silu", "max_position_embeddings": POSITIONS, "rms_norm_eps": 1e-6,
        "rope_theta": 10_000.0, "tie_word_embeddings": tied, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
    }  # fmt: skip
    if model_type == "mistral":
        config["sliding_window"] = 64
    return Model(model_type, config, make.made, tokens(vocabulary))


def gpt2(seed: int, *, vocabulary: int = TOKENS, hidden: int = HIDDEN, layers: int = LAYERS) -> Model:
    """A decoder as GPT-2 is built: learned positions, biases everywhere, tied embeddings, matrices stored [in, out]."""
    make = Maker(seed)
    make.matrix("transformer.wte.weight", vocabulary, hidden)
    make.matrix("transformer.wpe.weight", POSITIONS, hidden)
    for i in range(layers):
        layer = f"transformer.h.{i}"
        for name, into, out in (("attn.c_attn", hidden, 3 * hidden), ("attn.c_proj", hidden, hidden),
                                ("mlp.c_fc", hidden, 4 * hidden), ("mlp.c_proj", 4 * hidden, hidden)):  # fmt: skip
            make.matrix(f"{layer}.{name}.weight", into, out)
            make.bias(f"{layer}.{name}.bias", out)
        for name in ("ln_1", "ln_2"):
            make.norm(f"{layer}.{name}.weight", hidden)
            make.bias(f"{layer}.{name}.bias", hidden)
    make.norm("transformer.ln_f.weight", hidden)
    make.bias("transformer.ln_f.bias", hidden)
    config = {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": vocabulary, "n_embd": hidden,
        "n_layer": layers, "n_head": HEADS, "n_positions": POSITIONS, "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True, "bos_token_id": 0, "eos_token_id": 1,
    }  # fmt: skip
    return Model("gpt2", config, make.made, tokens(vocabulary))


def bert(seed: int, *, vocabulary: int = TOKENS, hidden: int = HIDDEN, layers: int = LAYERS, labels: int = 3) -> Model:
    """An encoder as BERT is built, with a head for classes."""
    make = Maker(seed)
    make.matrix("bert.embeddings.word_embeddings.weight", vocabulary, hidden)
    make.matrix("bert.embeddings.position_embeddings.weight", POSITIONS, hidden)
    make.matrix("bert.embeddings.token_type_embeddings.weight", 2, hidden)
    make.norm("bert.embeddings.LayerNorm.weight", hidden)
    make.bias("bert.embeddings.LayerNorm.bias", hidden)
    for i in range(layers):
        layer = f"bert.encoder.layer.{i}"
        for name, out, into in (("attention.self.query", hidden, hidden), ("attention.self.key", hidden, hidden),
                                ("attention.self.value", hidden, hidden), ("attention.output.dense", hidden, hidden),
                                ("intermediate.dense", MIDDLE, hidden), ("output.dense", hidden, MIDDLE)):  # fmt: skip
            make.matrix(f"{layer}.{name}.weight", out, into)
            make.bias(f"{layer}.{name}.bias", out)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            make.norm(f"{layer}.{name}.weight", hidden)
            make.bias(f"{layer}.{name}.bias", hidden)
    make.matrix("bert.pooler.dense.weight", hidden, hidden)
    make.bias("bert.pooler.dense.bias", hidden)
    make.matrix("classifier.weight", labels, hidden)
    make.bias("classifier.bias", labels)
    config = {
        "architectures": ["BertForSequenceClassification"], "model_type": "bert", "vocab_size": vocabulary,
        "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": HEADS, "intermediate_size": MIDDLE,
        "hidden_act": "gelu", "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
        "id2label": {str(i): f"class {i}" for i in range(labels)}, "label2id": {f"class {i}": i for i in range(labels)},
        "pad_token_id": 2,
    }  # fmt: skip
    found = tokens(vocabulary)
    found.template = ""
    return Model("bert", config, make.made, found)


KINDS = {
    "llama": llama,
    "mistral": lambda seed: llama(seed, model_type="mistral"),
    "qwen2": lambda seed: llama(seed, model_type="qwen2", tied=True),
    "gpt2": gpt2,
    "bert": bert,
}


# --- adapters -------------------------------------------------------------------------------------------------------
def lora(base: Model, folder: Path, *, seed: int, named: str, rank: int = 4, alpha: float = 8.0,
         targets: tuple[str, ...] = (), more: dict[str, Any] | None = None) -> Path:  # fmt: skip
    """A LoRA adapter of ``base``, in PEFT's form."""
    targets = targets or (
        ("c_attn",) if base.kind == "gpt2" else ("query", "value") if base.kind == "bert" else ("q_proj", "v_proj")
    )
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for name, tensor in base.tensors.items():
        layer = name.removesuffix(".weight")
        if tensor.ndim == 2 and layer.rpartition(".")[2] in targets:
            out, into = tensor.shape[::-1] if base.kind == "gpt2" else tensor.shape
            found[f"base_model.model.{layer}.lora_A.weight"] = (rng.standard_normal((rank, into)) * 0.05).astype(
                np.float32
            )
            found[f"base_model.model.{layer}.lora_B.weight"] = (rng.standard_normal((out, rank)) * 0.05).astype(
                np.float32
            )
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / "adapter_model.safetensors", found)
    config = {
        "peft_type": "LORA", "base_model_name_or_path": named, "r": rank, "lora_alpha": alpha,
        "target_modules": list(targets), "task_type": "SEQ_CLS" if base.kind == "bert" else "CAUSAL_LM", "bias": "none",
        "fan_in_fan_out": base.kind == "gpt2", "inference_mode": True, "lora_dropout": 0.0, **(more or {}),
    }  # fmt: skip
    _json(folder / "adapter_config.json", config)
    return folder
