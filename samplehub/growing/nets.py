"""The three architectures of the collection, with the parameter names and shapes of the published layouts.

``Decoder`` is a Llama, ``PatchNet`` a ViT, ``ConvNet`` a small convolutional classifier of our own. Each loads into
the library that its config names.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

State = dict[str, Tensor]


@dataclass(frozen=True)
class DecoderShape:
    vocab: int = 384
    hidden: int = 32
    inner: int = 96
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    context: int = 64

    def config(self) -> dict[str, Any]:
        """config.json as the library reads it."""
        return {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": self.vocab,
            "hidden_size": self.hidden,
            "intermediate_size": self.inner, "num_hidden_layers": self.layers, "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads, "head_dim": self.hidden // self.heads, "hidden_act": "silu",
            "max_position_embeddings": self.context, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
            "tie_word_embeddings": True,
            "attention_bias": False, "mlp_bias": False, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32",
        }  # fmt: skip


class RMSNorm(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class Attention(nn.Module):
    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.shape = shape
        width = shape.hidden // shape.heads
        self.q_proj = nn.Linear(shape.hidden, shape.heads * width, bias=False)
        self.k_proj = nn.Linear(shape.hidden, shape.kv_heads * width, bias=False)
        self.v_proj = nn.Linear(shape.hidden, shape.kv_heads * width, bias=False)
        self.o_proj = nn.Linear(shape.heads * width, shape.hidden, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, _ = x.shape
        width = self.shape.hidden // self.shape.heads

        def heads(y: Tensor, count: int) -> Tensor:
            return y.view(batch, length, count, width).transpose(1, 2)

        def turned(y: Tensor) -> Tensor:
            first, second = y.chunk(2, -1)
            return y * cos + torch.cat((-second, first), -1) * sin

        q = turned(heads(self.q_proj(x), self.shape.heads))
        k = turned(heads(self.k_proj(x), self.shape.kv_heads))
        v = heads(self.v_proj(x), self.shape.kv_heads)
        share = self.shape.heads // self.shape.kv_heads
        k, v = k.repeat_interleave(share, 1), v.repeat_interleave(share, 1)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(batch, length, -1))


class GatedMLP(nn.Module):
    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.inner, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.inner, bias=False)
        self.down_proj = nn.Linear(shape.inner, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.self_attn = Attention(shape)
        self.mlp = GatedMLP(shape)
        self.input_layernorm = RMSNorm(shape.hidden)
        self.post_attention_layernorm = RMSNorm(shape.hidden)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class DecoderBody(nn.Module):
    def __init__(self, shape: DecoderShape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.layers))
        self.norm = RMSNorm(shape.hidden)


class Decoder(nn.Module):
    """A Llama with tied embeddings: ``forward(tokens)`` gives logits, batch x length x vocabulary."""

    def __init__(self, shape: DecoderShape | None = None) -> None:
        super().__init__()
        self.shape = shape or DecoderShape()
        self.model = DecoderBody(self.shape)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.05)

    def forward(self, tokens: Tensor) -> Tensor:
        width = self.shape.hidden // self.shape.heads
        angle = 10000.0 ** (-torch.arange(0, width, 2).float() / width)
        phase = torch.arange(tokens.shape[1])[:, None] * torch.cat((angle, angle))[None]
        cos, sin = phase.cos(), phase.sin()
        x = self.model.embed_tokens(tokens)
        for layer in self.model.layers:
            x = layer(x, cos, sin)
        return self.model.norm(x) @ self.model.embed_tokens.weight.T


class ViTSelfAttention(nn.Module):
    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = (nn.Linear(hidden, hidden) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        batch, length, hidden = x.shape
        q, k, v = (
            part(x).view(batch, length, self.heads, hidden // self.heads).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, length, hidden)


def _part(**parts: nn.Module) -> nn.Module:
    """A module that only groups others under names, as the published layout nests them."""
    group = nn.Module()
    for name, part in parts.items():
        group.add_module(name, part)
    return group


class ViTLayer(nn.Module):
    def __init__(self, hidden: int, heads: int, inner: int) -> None:
        super().__init__()
        self.attention = _part(attention=ViTSelfAttention(hidden, heads), output=_part(dense=nn.Linear(hidden, hidden)))
        self.intermediate = _part(dense=nn.Linear(hidden, inner))
        self.output = _part(dense=nn.Linear(inner, hidden))
        self.layernorm_before, self.layernorm_after = nn.LayerNorm(hidden, 1e-12), nn.LayerNorm(hidden, 1e-12)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention.output.dense(self.attention.attention(self.layernorm_before(x)))  # type: ignore[union-attr, operator]
        return x + self.output.dense(functional.gelu(self.intermediate.dense(self.layernorm_after(x))))  # type: ignore[union-attr, operator]


class PatchNet(nn.Module):
    """A ViT for 16 x 16 pictures: ``forward(images)`` gives logits, batch x classes."""

    HIDDEN, HEADS, INNER, LAYERS, PATCH, SIDE = 32, 4, 64, 2, 4, 16

    def __init__(self, classes: int) -> None:
        super().__init__()
        count = (self.SIDE // self.PATCH) ** 2
        embeddings = _part(patch_embeddings=_part(projection=nn.Conv2d(3, self.HIDDEN, self.PATCH, self.PATCH)))
        embeddings.cls_token = nn.Parameter(torch.randn(1, 1, self.HIDDEN) * 0.02)
        embeddings.position_embeddings = nn.Parameter(torch.randn(1, count + 1, self.HIDDEN) * 0.02)
        layers = nn.ModuleList(ViTLayer(self.HIDDEN, self.HEADS, self.INNER) for _ in range(self.LAYERS))
        self.vit = _part(embeddings=embeddings, encoder=_part(layer=layers), layernorm=nn.LayerNorm(self.HIDDEN, 1e-12))
        self.classifier = nn.Linear(self.HIDDEN, classes)

    def forward(self, images: Tensor) -> Tensor:
        embeddings: Any = self.vit.embeddings
        patches = embeddings.patch_embeddings.projection(images).flatten(2).transpose(1, 2)
        x = torch.cat((embeddings.cls_token.expand(len(images), -1, -1), patches), 1) + embeddings.position_embeddings
        for layer in self.vit.encoder.layer:  # type: ignore[union-attr]
            x = layer(x)
        return self.classifier(self.vit.layernorm(x)[:, 0])  # type: ignore[operator]

    @classmethod
    def config(cls, labels: tuple[str, ...]) -> dict[str, Any]:
        return {
            "architectures": ["ViTForImageClassification"], "model_type": "vit", "hidden_size": cls.HIDDEN,
            "num_hidden_layers": cls.LAYERS, "num_attention_heads": cls.HEADS, "intermediate_size": cls.INNER,
            "hidden_act": "gelu", "image_size": cls.SIDE, "patch_size": cls.PATCH, "num_channels": 3, "qkv_bias": True,
            "layer_norm_eps": 1e-12, "torch_dtype": "float32", **_labels(labels),
        }  # fmt: skip


class ConvNet(nn.Module):
    """Two convolutions and a linear head: ``forward(images)`` gives logits, batch x classes."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 24, 3, padding=1)
        self.head = nn.Linear(24 * 16, classes)

    def forward(self, images: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.conv1(images)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2)
        return self.head(x.flatten(1))

    @classmethod
    def config(cls, labels: tuple[str, ...]) -> dict[str, Any]:
        return {"architectures": ["SeedlingForImageClassification"], "model_type": "seedling", "channels": [3, 12, 24],
                "image_size": 16, "torch_dtype": "float32", **_labels(labels)}  # fmt: skip


def _labels(labels: tuple[str, ...]) -> dict[str, Any]:
    return {
        "id2label": {str(n): name for n, name in enumerate(labels)},
        "label2id": {name: n for n, name in enumerate(labels)},
    }


# Adapters ---------------------------------------------------------------------------------------


class LowRank(nn.Module):
    """A linear layer with a frozen weight and a low-rank difference (Hu et al. 2021): W x + (alpha / rank) B A x."""

    def __init__(self, base: nn.Linear, rank: int, alpha: int) -> None:
        super().__init__()
        self.base, self.scale = base, alpha / rank
        self.lora_A = nn.Parameter(torch.randn(rank, base.in_features) / math.sqrt(base.in_features))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + (x @ self.lora_A.T @ self.lora_B.T) * self.scale


def add_adapters(net: nn.Module, targets: tuple[str, ...], rank: int, alpha: int) -> dict[str, LowRank]:
    """Freezes a net and puts a low-rank difference on each linear layer whose last name is a target."""
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    added: dict[str, LowRank] = {}
    for name, module in list(net.named_modules()):
        if isinstance(module, nn.Linear) and name.rsplit(".", 1)[-1] in targets:
            parent_name, _, last = name.rpartition(".")
            added[name] = LowRank(module, rank, alpha)
            setattr(net.get_submodule(parent_name), last, added[name])
    return added


def adapter_state(added: dict[str, LowRank]) -> State:
    """The adapters' tensors under the names that PEFT gives them."""
    state: State = {}
    for name, layer in added.items():
        state[f"base_model.model.{name}.lora_A.weight"] = layer.lora_A.detach().clone()
        state[f"base_model.model.{name}.lora_B.weight"] = layer.lora_B.detach().clone()
    return state


def shape_of(config: dict[str, Any]) -> DecoderShape:
    """The decoder's shape that a config describes."""
    names = {
        "vocab": "vocab_size", "hidden": "hidden_size", "inner": "intermediate_size", "layers": "num_hidden_layers",
        "heads": "num_attention_heads", "kv_heads": "num_key_value_heads", "context": "max_position_embeddings",
    }  # fmt: skip
    return DecoderShape(**{name: int(config[names[name]]) for name in asdict(DecoderShape())})
