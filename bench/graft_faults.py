"""Faults planted in pairs of tiny models and in configurations, each with the causes that name it.

``PLANTED`` holds the faults of models: a function that spoils the second of two fine-tunes (or both, or their base),
and the codes of which one has to be found. ``CONFIGS`` are configurations over two good fine-tunes, base ``x/base``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench import grafts
from bench.grafts import Model
from workers.merging.records import Forebear

BASE = (Forebear("x/base", 1, "finetune"),)


@dataclass
class Scene:
    """Two fine-tunes of one base, as folders, and what is known of their descent."""

    kind: str
    root: Path
    base: Model
    a: Model
    b: Model
    folders: dict[str, Path] = field(default_factory=dict)
    others: dict[str, Path] = field(default_factory=dict)
    forebears: dict[str, tuple[Forebear, ...]] = field(default_factory=dict)
    config: str = ""
    full: bool = False

    def write(self) -> None:
        """The three folders, where a fault has not written its own."""
        for name, model in (("a", self.a), ("b", self.b)):
            if f"x/{name}" not in self.folders:
                self.folders[f"x/{name}"] = model.write(self.root / name)
        if "x/base" not in self.others:
            self.others["x/base"] = self.base.write(self.root / "base")
        for name in self.folders:
            self.forebears.setdefault(name, BASE)


Plant = Callable[[Scene], None]


@dataclass(frozen=True)
class Case:
    """One fault: what it is, how it is planted, which codes name it, in which architectures it exists."""

    name: str
    plant: Plant
    codes: tuple[str, ...]
    kinds: tuple[str, ...] = ("llama", "qwen2", "gpt2", "bert")
    mergekit: str = ""


PLANTED: list[Case] = []
DECODERS = ("llama", "qwen2", "gpt2")
ROTARY = ("llama", "qwen2")


def case(
    name: str, *codes: str, kinds: tuple[str, ...] = ("llama", "qwen2", "gpt2", "bert")
) -> Callable[[Plant], Plant]:
    def keep(plant: Plant) -> Plant:
        PLANTED.append(Case(name, plant, codes, kinds))
        return plant

    return keep


def scene(kind: str, root: Path, seed: int = 0, *, size: float = 0.05) -> Scene:
    """A base and two fine-tunes without a fault."""
    base = grafts.KINDS[kind](100 + seed)
    return Scene(kind, root, base, base.tuned(2 * seed + 1, size), base.tuned(2 * seed + 2, size))


# --- sizes and architectures ----------------------------------------------------------------------------------------
def _again(of: Scene, **sizes: Any) -> Model:
    """A model of the scene's kind with other sizes."""
    makers: Mapping[str, Callable[..., Model]] = {
        "llama": grafts.llama,
        "qwen2": lambda seed, **more: grafts.llama(seed, model_type="qwen2", tied=True, **more),
        "gpt2": grafts.gpt2,
        "bert": grafts.bert,
    }
    return makers[of.kind](5, **sizes)


@case("vocabularies of different size", "vocabulary.size")
def _(s: Scene) -> None:
    wide = _again(s, vocabulary=grafts.TOKENS + 3)
    for name, tensor in wide.tensors.items():
        mine = s.b.tensors[name]
        rows = tuple(slice(0, n) for n in mine.shape)
        tensor[rows] = mine
    s.b = wide


@case("hidden sizes", "size.hidden")
def _(s: Scene) -> None:
    s.b = _again(s, hidden=64)


@case("key and value heads", "size.kv_heads", kinds=("llama", "qwen2"))
def _(s: Scene) -> None:
    s.b = _again(s, kv=4)


@case("depth", "size.layers")
def _(s: Scene) -> None:
    s.b = _again(s, layers=3)


@case("feed-forward width", "size.intermediate", kinds=("llama", "qwen2"))
def _(s: Scene) -> None:
    s.b = _again(s, middle=96)


@case("architectures", "architecture.differs")
def _(s: Scene) -> None:
    s.b = grafts.llama(5, model_type="mistral") if s.kind != "bert" else grafts.gpt2(5)


@case("a head for classes beside one for tokens", "architecture.head")
def _(s: Scene) -> None:
    stem = {"llama": "Llama", "qwen2": "Qwen2", "gpt2": "GPT2", "bert": "Bert"}[s.kind]
    s.b.config["architectures"] = [f"{stem}ForTokenClassification"]


@case("one that sees beside one that doesn't", "architecture.vision", kinds=("llama", "qwen2"))
def _(s: Scene) -> None:
    text = dict(s.b.config)
    s.b.config = {
        "architectures": ["LlavaForConditionalGeneration"],
        "model_type": "llava",
        "text_config": text,
        "vision_config": {"hidden_size": 32},
    }
    s.b.tensors = {f"language_model.{name}": tensor for name, tensor in s.b.tensors.items()}


@case("a table of positions of another length", "positions.table", kinds=("gpt2", "bert"))
def _(s: Scene) -> None:
    name = next(n for n in s.b.tensors if "wpe" in n or "position_embeddings" in n)
    s.b.tensors[name] = np.concatenate([s.b.tensors[name]] * 2)
    s.b.config["n_positions" if s.kind == "gpt2" else "max_position_embeddings"] = 2 * grafts.POSITIONS


@case("numbers of classes", "labels.number", kinds=("bert",))
def _(s: Scene) -> None:
    other = grafts.bert(5, labels=5)
    s.b.tensors |= {name: other.tensors[name] for name in ("classifier.weight", "classifier.bias")}
    s.b.config |= {key: other.config[key] for key in ("id2label", "label2id")}


@case("classes in another order", "labels.differ", kinds=("bert",))
def _(s: Scene) -> None:
    s.b.config["id2label"] = {"0": "class 2", "1": "class 0", "2": "class 1"}


# --- tokens ---------------------------------------------------------------------------------------------------------
@case("token ids permuted at equal size", "tokens.permuted")
def _(s: Scene) -> None:
    assert s.b.tokens is not None
    words = s.b.tokens.vocabulary
    order = [*range(3), *(3 + np.random.default_rng(4).permutation(len(words) - 3))]
    s.b.tokens.vocabulary = [words[i] for i in order]
    for name in s.b.tensors:
        if name.endswith(("embed_tokens.weight", "lm_head.weight", "wte.weight", "word_embeddings.weight")):
            s.b.tensors[name] = s.b.tensors[name][order]


@case("two tokens swapped", "tokens.permuted", "tokens.replaced")
def _(s: Scene) -> None:
    assert s.b.tokens is not None
    words = s.b.tokens.vocabulary
    words[50], words[60] = words[60], words[50]


@case("added tokens", "tokens.added")
def _(s: Scene) -> None:
    assert s.b.tokens is not None
    s.b.tokens.added = ["<|im_start|>", "<|im_end|>"]
    for model in (s.a, s.b, s.base):
        _pad_rows(model, 208)


@case("padded to different sizes", "vocabulary.padding")
def _(s: Scene) -> None:
    _pad_rows(s.b, 256)


@case("another tokenizer of equal size", "tokens.differ")
def _(s: Scene) -> None:
    assert s.b.tokens is not None
    s.b.tokens.vocabulary = [*s.b.tokens.vocabulary[:3], *(f"z{i}" for i in range(len(s.b.tokens.vocabulary) - 3))]


@case("tokens beyond the embedding", "tokens.beyond")
def _(s: Scene) -> None:
    for model in (s.a, s.b):
        assert model.tokens is not None
        model.tokens.added = ["<|extra|>"]


@case("special tokens", "tokens.special", kinds=DECODERS)
def _(s: Scene) -> None:
    assert s.b.tokens is not None
    s.b.tokens.special["eos_token"] = "<pad>"


@case("the end token of the configuration", "tokens.special", kinds=DECODERS)
def _(s: Scene) -> None:
    s.b.config["eos_token_id"] = 7


@case("chat templates", "chat_template.differs", kinds=DECODERS)
def _(s: Scene) -> None:
    assert s.b.tokens is not None
    s.b.tokens.template = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}"


def _pad_rows(model: Model, rows: int) -> None:
    for name, tensor in model.tensors.items():
        if name.endswith(("embed_tokens.weight", "lm_head.weight", "wte.weight", "word_embeddings.weight")):
            model.tensors[name] = np.concatenate([tensor, 0.01 * tensor[: rows - len(tensor)]])
    model.config["vocab_size"] = rows


# --- settings -------------------------------------------------------------------------------------------------------
def _set(key: str, value: Any) -> Plant:
    def plant(s: Scene) -> None:
        s.b.config[key] = value

    return plant


for _name, _key, _value, _code, _kinds in (
    ("RoPE base", "rope_theta", 500_000.0, "rope.theta", ("llama", "qwen2")),
    ("RoPE scaling", "rope_scaling", {"type": "linear", "factor": 4.0}, "rope.scaling", ("llama", "qwen2")),
    ("RoPE in the new spelling", "rope_parameters", {"rope_theta": 1e6, "rope_type": "default"}, "rope.theta", ROTARY),
    ("maximum positions", "max_position_embeddings", 8192, "positions.max", ("llama", "qwen2")),
    ("epsilon of the norms", "rms_norm_eps", 1e-5, "settings.norm_eps", ("llama", "qwen2")),
    ("epsilon of the norms", "layer_norm_epsilon", 1e-6, "settings.norm_eps", ("gpt2",)),
    ("epsilon of the norms", "layer_norm_eps", 1e-6, "settings.norm_eps", ("bert",)),
    ("activation", "hidden_act", "gelu", "settings.activation", ("llama", "qwen2")),
    ("activation", "activation_function", "relu", "settings.activation", ("gpt2",)),
    ("activation", "hidden_act", "relu", "settings.activation", ("bert",)),
    ("scale of attention", "scale_attn_by_inverse_layer_idx", True, "settings.other", ("gpt2",)),
    ("kind of positions", "position_embedding_type", "relative_key", "settings.other", ("bert",)),
    ("biases of attention in the configuration", "attention_bias", True, "settings.other", ("llama",)),
):  # fmt: skip
    PLANTED.append(Case(_name, _set(_key, _value), (_code,), _kinds))


@case("sliding window", "settings.sliding_window", kinds=("llama", "qwen2"))
def _(s: Scene) -> None:
    s.b.config |= {"sliding_window": 32, "use_sliding_window": True}


# --- tensors --------------------------------------------------------------------------------------------------------
@case("extra bias tensors", "tensors.bias", kinds=("llama", "qwen2"))
def _(s: Scene) -> None:
    for i in range(grafts.LAYERS):
        s.b.tensors[f"model.layers.{i}.self_attn.o_proj.bias"] = np.full(grafts.HIDDEN, 0.1, np.float32)


@case("missing bias tensors", "tensors.bias", kinds=("qwen2", "gpt2", "bert"))
def _(s: Scene) -> None:
    for name in [n for n in s.b.tensors if n.endswith(("k_proj.bias", "c_fc.bias", "key.bias"))]:
        del s.b.tensors[name]


@case("a missing tensor", "tensors.missing")
def _(s: Scene) -> None:
    name = next(
        n for n in s.b.tensors if n.endswith(("down_proj.weight", "mlp.c_proj.weight", "intermediate.dense.weight"))
    )
    del s.b.tensors[name]


@case("tied against untied embeddings", "embeddings.tied", kinds=DECODERS)
def _(s: Scene) -> None:
    tied = not s.b.config["tie_word_embeddings"]
    s.b.config["tie_word_embeddings"] = tied
    table = next(n for n in s.b.tensors if n.endswith(("embed_tokens.weight", "wte.weight")))
    if tied:
        s.b.tensors.pop("lm_head.weight")
    else:
        s.b.tensors["lm_head.weight"] = s.b.tensors[table].copy()


@case("a lost output layer", "tensors.missing", kinds=("llama",))
def _(s: Scene) -> None:
    s.b.tensors.pop("lm_head.weight")


@case("names behind another prefix", "tensors.prefix")
def _(s: Scene) -> None:
    first = {"llama": "model.", "qwen2": "model.", "gpt2": "transformer.", "bert": "bert."}[s.kind]
    s.b.tensors = {
        (n.removeprefix(first) if s.kind in ("gpt2", "bert") else f"language_model.{n}"): t
        for n, t in s.b.tensors.items()
    }


@case("another number of rows in one tensor", "size.kv_heads", "size.heads", "size.intermediate", "tensors.shape")
def _(s: Scene) -> None:
    name = next(n for n in s.b.tensors if n.endswith(("v_proj.weight", "attn.c_proj.weight", "self.value.weight")))
    s.b.tensors[name] = s.b.tensors[name][:-2]


@case("a configuration against its tensors", "config.contradicts")
def _(s: Scene) -> None:
    for model in (s.a, s.b):
        model.config["vocab_size"] = grafts.TOKENS + 8


@case("no architecture named", "config.architectures")
def _(s: Scene) -> None:
    del s.b.config["architectures"]


@case("number types", "dtype.mixed")
def _(s: Scene) -> None:
    s.b.dtype = "BF16"


@case("left-over adapter tensors", "adapter.left_over")
def _(s: Scene) -> None:
    layer = next(n for n in s.b.tensors if n.endswith(("q_proj.weight", "c_attn.weight", "self.query.weight")))
    s.b.tensors[layer.replace(".weight", ".lora_A.default.weight")] = np.zeros((4, grafts.HIDDEN), np.float32)


# --- numbers --------------------------------------------------------------------------------------------------------
def _first_matrix(model: Model) -> str:
    return next(
        n for n in model.tensors if n.endswith(("o_proj.weight", "mlp.c_fc.weight", "intermediate.dense.weight"))
    )


@case("NaN in a weight", "weights.nan")
def _(s: Scene) -> None:
    s.b.tensors[_first_matrix(s.b)][3, 5] = np.nan


@case("Inf in a weight", "weights.inf")
def _(s: Scene) -> None:
    s.b.tensors[_first_matrix(s.b)][3, 5] = -np.inf


@case("NaN in a norm", "weights.nan")
def _(s: Scene) -> None:
    name = next(n for n in s.b.tensors if (s.b.tensors[n].ndim == 1 and "norm" in n.lower()) or "ln_1" in n)
    s.b.tensors[name][0] = np.nan


@case("a matrix of zeros", "weights.zero")
def _(s: Scene) -> None:
    s.b.tensors[_first_matrix(s.b)][:] = 0


@case("an unrelated model of the same shape", "weights.unrelated")
def _(s: Scene) -> None:
    s.b = grafts.KINDS[s.kind](9999)


@case("an unrelated model that its card calls a relative", "weights.unrelated")
def _(s: Scene) -> None:
    s.b = grafts.KINDS[s.kind](777)
    s.forebears["x/b"] = BASE


@case("an unrelated model whose card says nothing", "weights.unrelated")
def _(s: Scene) -> None:
    s.b = grafts.KINDS[s.kind](778)
    s.forebears["x/b"] = ()


_TASK = """
merge_method: task_arithmetic
base_model: {base}
models:
  - {{model: x/a, parameters: {{weight: 0.5}}}}
  - {{model: x/b, parameters: {{weight: 0.5}}}}
dtype: float32
"""


@case("an unrelated base", "base.unrelated")
def _(s: Scene) -> None:
    s.others["x/other"] = grafts.KINDS[s.kind](4321).write(s.root / "other")
    s.config = _TASK.format(base="x/other")


@case("the wrong base of a family", "base.wrong")
def _(s: Scene) -> None:
    s.others["x/instruct"] = s.base.tuned(77, 0.4).write(s.root / "instruct")
    s.config = _TASK.format(base="x/instruct")


# --- quantized ------------------------------------------------------------------------------------------------------
def _quantized(method: str, **config: Any) -> Plant:
    def plant(s: Scene) -> None:
        s.b.config["quantization_config"] = {"quant_method": method, **config}
        found = {}
        for name, tensor in s.b.tensors.items():
            if (
                tensor.ndim == 2
                and "embed" not in name
                and "wte" not in name
                and "wpe" not in name
                and method in ("gptq", "awq")
            ):
                stem = name.removesuffix(".weight")
                found[f"{stem}.qweight"] = np.zeros((tensor.shape[1] // 8, tensor.shape[0]), np.int32)
                found[f"{stem}.scales"] = np.ones((1, tensor.shape[0]), np.float32)
            elif tensor.ndim == 2 and "embed" not in name and method == "bitsandbytes":
                found[name] = np.clip(np.round(tensor / 0.01), -127, 127).astype(np.int8)
                found[name.replace(".weight", ".SCB")] = np.ones(tensor.shape[0], np.float32)
            else:
                found[name] = tensor
        s.b.tensors = found
        s.forebears["x/b"] = (Forebear("x/full", 1, "quantized"), Forebear("x/base", 2, "finetune"))

    return plant


PLANTED += [
    Case("quantized by GPTQ", _quantized("gptq", bits=4, group_size=128), ("quantized.gptq",)),
    Case("quantized by AWQ", _quantized("awq", bits=4), ("quantized.awq",)),
    Case("quantized by bitsandbytes", _quantized("bitsandbytes", load_in_8bit=True), ("quantized.bitsandbytes",)),
]


@case("a GGUF file", "quantized.gguf")
def _(s: Scene) -> None:
    import gguf

    folder = s.root / "b"
    folder.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(folder / "model-Q8_0.gguf", "llama")
    writer.add_block_count(grafts.LAYERS)
    for name, tensor in list(s.b.tensors.items())[:4]:
        if tensor.ndim == 2 and tensor.shape[1] % 32 == 0:
            packed = gguf.quants.quantize(tensor, gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, packed, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    s.folders["x/b"] = folder
    s.forebears["x/b"] = (Forebear("x/full", 1, "quantized"), *BASE)


# --- adapters -------------------------------------------------------------------------------------------------------
def _adapters(first: dict[str, Any] | None = None, second: dict[str, Any] | None = None) -> Plant:
    def plant(s: Scene) -> None:
        for key, seed, more in (("x/a", 1, first), ("x/b", 2, second)):
            told = {"named": "x/base", **(more or {})}
            s.folders[key] = grafts.lora(s.base, s.root / key[2:], seed=seed, **told)
            s.forebears[key] = ()

    return plant


_TARGETS = {"targets": ("k_proj", "up_proj", "c_fc", "key")}
PLANTED += [
    Case("adapters: merge B·A, not A and B", _adapters(), ("adapter.factors",)),
    Case("adapters of different rank", _adapters(None, {"rank": 2}), ("adapter.rank",)),
    Case("adapters of different alpha", _adapters(None, {"alpha": 32.0}), ("adapter.alpha",)),
    Case("adapters of different targets", _adapters(None, _TARGETS), ("adapter.targets",)),
    Case("adapters of different bases", _adapters(None, {"named": "x/elsewhere"}), ("adapter.base",)),
    Case(
        "adapters of different revisions of the base",
        _adapters({"more": {"revision": "aaaa"}}, {"more": {"revision": "bbbb"}}),
        ("adapter.base_revision",),
    ),
    Case("an adapter of DoRA", _adapters(None, {"more": {"use_dora": True}}), ("adapter.variant",)),
    Case("an adapter that is no LoRA", _adapters(None, {"more": {"peft_type": "IA3"}}), ("adapter.kind",)),
    Case("an adapter whose rank isn't its tensors'", _adapters(None, {"more": {"r": 64}}), ("adapter.contradicts",)),
]


@case("adapters of models of different size", "adapter.shape")
def _(s: Scene) -> None:
    _adapters()(s)
    s.folders["x/b"] = grafts.lora(_again(s, hidden=64), s.root / "b", seed=2, named="x/base")


@case("an adapter beside a whole model", "adapter.with_model")
def _(s: Scene) -> None:
    s.folders["x/b"] = grafts.lora(s.base, s.root / "b", seed=2, named="x/base")
    s.forebears["x/b"] = ()


@case("an adapter without a configuration", "adapter.undeclared")
def _(s: Scene) -> None:
    _adapters()(s)
    (s.folders["x/b"] / "adapter_config.json").unlink()


@case("an adapter with another vocabulary", "adapter.vocabulary", kinds=("llama", "qwen2"))
def _(s: Scene) -> None:
    s.folders["x/b"] = grafts.lora(s.base, s.root / "b", seed=2, named="x/base")
    import safetensors.numpy

    file = s.folders["x/b"] / "adapter_model.safetensors"
    held = safetensors.numpy.load_file(file)
    held["base_model.model.model.embed_tokens.weight"] = np.zeros((grafts.TOKENS + 5, grafts.HIDDEN), np.float32)
    grafts.save(file, held)
    s.forebears["x/b"] = ()


@case("only pickled weights", "unread.no_safe_weights")
def _(s: Scene) -> None:
    folder = s.b.write(s.root / "b")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    s.folders["x/b"] = folder


@case("a file cut short", "unread.refused")
def _(s: Scene) -> None:
    file = s.b.write(s.root / "b") / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-200])
    s.folders["x/b"] = file.parent


# --- configurations -------------------------------------------------------------------------------------------------
def _config(text: str) -> Plant:
    def plant(s: Scene) -> None:
        s.config = text

    return plant


_MODELS = "models:\n  - {model: x/a, parameters: {weight: 0.5}}\n  - {model: x/b, parameters: {weight: 0.5}}\n"
_BARE = "models:\n  - model: x/a\n  - model: x/b\n"
_THREE = "models:\n  - model: x/a\n  - model: x/b\n  - model: x/base\n"
_FLOAT = "dtype: float32\n"
_A = "base_model: x/a\n"
_LINEAR = "merge_method: linear\n" + _A
_TIES = "merge_method: ties\nbase_model: x/base\n"
_SLERP = "merge_method: slerp\n" + _A

CONFIGS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ties without a base": (
        "merge_method: ties\n" + _MODELS + "parameters: {density: 0.2}\n" + _FLOAT,
        ("config.base_missing",),
    ),
    "slerp with three": (
        "merge_method: slerp\nbase_model: x/base\n" + _THREE + "parameters: {t: 0.5}\n" + _FLOAT,
        ("config.count",),
    ),
    "slerp with a base beside its two": (
        "merge_method: slerp\nbase_model: x/base\n" + _BARE + "parameters: {t: 0.5}\n" + _FLOAT,
        ("config.count",),
    ),
    "slerp without t": (_SLERP + _BARE + _FLOAT, ("config.parameter_missing",)),
    "a missing weight": (_LINEAR + _BARE + _FLOAT, ("config.parameter_missing",)),
    "an unknown parameter": (
        _LINEAR + _MODELS + "parameters: {wieght: 1}\n" + _FLOAT,
        ("config.parameter_unknown",),
    ),
    "a parameter of another method": (
        _LINEAR + _MODELS + "parameters: {density: 0.5}\n" + _FLOAT,
        ("config.parameter_unknown",),
    ),
    "an unknown setting": (
        _LINEAR + "ouput_dtype: float32\n" + _MODELS + _FLOAT,
        ("config.unknown_key",),
    ),
    "a parameter beside the model": (
        _LINEAR + "models:\n  - {model: x/a, weight: 0.5}\n  - {model: x/b, weight: 0.5}\n" + _FLOAT,
        ("config.unknown_key",),
    ),
    "an unknown method": ("merge_method: tise\nbase_model: x/base\n" + _MODELS + _FLOAT, ("config.method",)),
    "no method": ("base_model: x/base\n" + _MODELS + _FLOAT, ("config.method",)),
    "models and slices": (
        _LINEAR + "slices:\n  - sources:\n    - {model: x/a, layer_range: [0, 2]}\n" + _MODELS + _FLOAT,
        ("config.output",),
    ),
    "nothing to merge": (_LINEAR + _FLOAT, ("config.output",)),
    "two tokenizers": (
        _LINEAR + "tokenizer_source: base\ntokenizer: {source: union}\n" + _MODELS + _FLOAT,
        ("config.tokenizer_twice",),
    ),
    "the base joins a mean": ("merge_method: linear\nbase_model: x/base\n" + _MODELS + _FLOAT, ("config.base_joins",)),
    "the base among the models": (
        "merge_method: task_arithmetic\nbase_model: x/base\n"
        + _MODELS
        + "  - {model: x/base, parameters: {weight: 0.5}}\n"
        + _FLOAT,
        ("config.base_among",),
    ),
    "a density that trims nothing": (
        _TIES + _MODELS + _FLOAT,
        ("config.density",),
    ),
    "a density above one": (
        _TIES + _MODELS + "parameters: {density: 20}\n" + _FLOAT,
        ("config.range",),
    ),
    "t above one": (_SLERP + _BARE + "parameters: {t: 1.5}\n" + _FLOAT, ("config.range",)),
    "a weight in words": (
        _LINEAR + _MODELS.replace("0.5", "half") + _FLOAT,
        ("config.parameter_type",),
    ),
    "an unknown number type": (_LINEAR + "dtype: int4\n" + _MODELS, ("config.dtype",)),
    "an unknown chat template": (
        _LINEAR + "chat_template: vicuna\n" + _MODELS + _FLOAT,
        ("config.chat_template",),
    ),
    "a model twice": (
        _LINEAR + "models:\n  - {model: x/a, parameters: {weight: 1}}\n"
        "  - {model: x/a, parameters: {weight: 1}}\n  - {model: x/b, parameters: {weight: 1}}\n" + _FLOAT,
        ("config.duplicate",),
    ),
    "weights that cancel": (
        _LINEAR + _MODELS.replace("weight: 0.5", "weight: -0.5", 1) + _FLOAT,
        ("config.weights",),
    ),
    "weights that blow up": (
        _LINEAR + _MODELS.replace("0.5", "1.0") + "parameters: {normalize: false}\n" + _FLOAT,
        ("config.weights",),
    ),
    "model stock of two": (
        "merge_method: model_stock\nbase_model: x/base\nmodels:\n  - model: x/a\n" + _FLOAT,
        ("config.count",),
    ),
    "slices of different length": (
        _SLERP + "slices:\n  - sources:\n    - {model: x/a, layer_range: [0, 2]}\n"
        "    - {model: x/b, layer_range: [0, 1]}\nparameters: {t: 0.5}\n" + _FLOAT,
        ("config.slices",),
    ),
    "layers that aren't there": (
        _SLERP + "slices:\n  - sources:\n    - {model: x/a, layer_range: [0, 9]}\n"
        "    - {model: x/b, layer_range: [0, 9]}\nparameters: {t: 0.5}\n" + _FLOAT,
        ("config.slices",),
    ),
    "no name of a model": (
        _LINEAR + "models:\n  - {model: a+b+c, parameters: {weight: 1}}\n"
        "  - {model: x/b, parameters: {weight: 1}}\n  - {model: x/a, parameters: {weight: 1}}\n" + _FLOAT,
        ("config.reference",),
    ),
}
PLANTED += [Case(f"config: {name}", _config(text), codes) for name, (text, codes) in CONFIGS.items()]


@case("config: no base and differing configurations", "config.no_base", kinds=("llama", "qwen2"))
def _(s: Scene) -> None:
    s.b.config["rope_theta"] = 500_000.0
    s.config = "merge_method: linear\n" + _MODELS + _FLOAT


@case("config: a tokenizer that cuts the padding", "vocabulary.cut")
def _(s: Scene) -> None:
    for model in (s.a, s.b, s.base):
        _pad_rows(model, 256)
    s.config = _LINEAR + "tokenizer: {source: base}\n" + _MODELS + _FLOAT


@case("a matrix learned anew", "weights.replaced")
def _(s: Scene) -> None:
    name = _first_matrix(s.b)
    s.b.tensors[name] = (0.05 * np.random.default_rng(8).standard_normal(s.b.tensors[name].shape)).astype(np.float32)


@case("a matrix scaled", "weights.scaled")
def _(s: Scene) -> None:
    s.b.tensors[_first_matrix(s.b)] *= 4


@case("a tokenizer that can't be read", "files.unreadable")
def _(s: Scene) -> None:
    folder = s.b.write(s.root / "b")
    (folder / "tokenizer.json").write_text('{"model": {"type": "BPE", "vocab": {')
    s.folders["x/b"] = folder


@case("config: a filter that matches nothing", "config.filter")
def _(s: Scene) -> None:
    weights = "[{filter: self_atn, value: 0.2}, {value: 0.5}]"
    s.config = _LINEAR + _MODELS.replace("0.5", weights, 1) + _FLOAT


@case("config: slices that leave layers out", "config.depth")
def _(s: Scene) -> None:
    sources = "    - {model: x/a, layer_range: [0, 1]}\n    - {model: x/b, layer_range: [0, 1]}\n"
    s.config = _SLERP + "slices:\n  - sources:\n" + sources + "parameters: {t: 0.5}\n" + _FLOAT


@case("config: a base that nobody knows", "base.unread")
def _(s: Scene) -> None:
    s.config = _TASK.format(base="x/nowhere")
