"""What is read of a model's files. Standard library only: both wings import it."""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

SCHEMA_VERSION = 1
SCHEMA_BYTES = 128 * 1024 * 1024  # of a stored schema, unpacked: a bound for what was damaged, never reached

# What comes after a layer's name in an adapter: PEFT's own spelling, that of diffusers, and kohya's.
_FACTOR = re.compile(
    r"\.(?P<part>lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector|lora_down|lora_up"
    r"|lora\.down|lora\.up)(?:\.[\w-]+)??(?:\.weight)?$"
)
_DOWN = frozenset({"lora_A", "lora_down", "lora.down"})
_UP = frozenset({"lora_B", "lora_up", "lora.up"})


class Tensor(NamedTuple):
    """One tensor and where its bytes lie: ``start`` to ``end`` in ``file``, counted from the file's first byte.

    ``dtype`` is spelt as safetensors does ("F32", "BF16", …), or GGUF ("Q4_K"). ``shape`` is row-major, as torch
    shows it, for GGUF too (whose own order is the reverse).
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    start: int
    end: int

    @property
    def numel(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.end - self.start


class FileInfo(NamedTuple):
    """A file of weights: its size in bytes, and its hash where the Hub told it ("" where not)."""

    name: str
    size: int
    sha256: str = ""


@dataclass(frozen=True)
class Schema:
    """The tensors of a model, in the order of their files, and what the headers say beside them."""

    format: str  # "safetensors" or "gguf"
    tensors: tuple[Tensor, ...]
    metadata: dict[str, str] = field(default_factory=dict)
    files: tuple[FileInfo, ...] = ()

    @cached_property
    def by_name(self) -> dict[str, Tensor]:
        return {tensor.name: tensor for tensor in self.tensors}

    @cached_property
    def parameters(self) -> int:
        """How many numbers the tensors hold (packed ones count as what they are stored in)."""
        return sum(tensor.numel for tensor in self.tensors)

    @cached_property
    def dtypes(self) -> dict[str, int]:
        """Numbers by dtype, most first."""
        counts: dict[str, int] = {}
        for tensor in self.tensors:
            counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.numel
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @cached_property
    def is_adapter(self) -> bool:
        """Whether the tensors are low-rank factors (beside which whole modules may have been saved)."""
        return any(factor_of(tensor.name) is not None for tensor in self.tensors)

    @cached_property
    def signature(self) -> str:
        """A digest over names and shapes: equal for models of one architecture and size, whatever their dtype.

        Of an adapter, over the layers that it changes and their sizes: its rank is left out.
        """
        if self.is_adapter:
            parts = [f"{layer} {sides[0]}x{sides[1]}" for layer, sides in sorted(self._layers().items())]
            return _digest(["adapter", *parts])
        return _digest([f"{t.name} {'x'.join(map(str, t.shape))}" for t in sorted(self.tensors)])

    def _layers(self) -> dict[str, tuple[int, int]]:
        """(out, in) of each layer that an adapter changes; 0 for a side whose factor is missing."""
        found: dict[str, list[int]] = {}
        for tensor in self.tensors:
            factor = factor_of(tensor.name)
            if factor is None or not tensor.shape:
                continue
            sides = found.setdefault(factor[0], [0, 0])
            if factor[1] == "a":
                sides[1] = prod(tensor.shape[1:])
            elif factor[1] == "b":
                sides[0] = tensor.shape[0]
        return {layer: (sides[0], sides[1]) for layer, sides in found.items()}

    # --- kept in the database ---------------------------------------------------------------------------------------
    def pack(self) -> bytes:
        """Everything, in a compact form: about 10 bytes a tensor."""
        number = {file.name: i for i, file in enumerate(self.files)}
        kinds = sorted({tensor.dtype for tensor in self.tensors})
        of_kind = {kind: i for i, kind in enumerate(kinds)}
        told = {
            "version": SCHEMA_VERSION,
            "format": self.format,
            "metadata": self.metadata,
            "files": self.files,
            "dtypes": kinds,
            "tensors": [[t.name, of_kind[t.dtype], t.shape, number[t.file], t.start, t.end] for t in self.tensors],
        }
        return zlib.compress(json.dumps(told, separators=(",", ":")).encode(), 6)

    @classmethod
    def unpack(cls, packed: bytes) -> Schema:
        """What ``pack`` made. Raises ValueError where it is of another version or damaged."""
        stream = zlib.decompressobj()
        try:
            told = json.loads(stream.decompress(packed, SCHEMA_BYTES))
        except zlib.error as error:
            raise ValueError(f"The stored schema is damaged: {error}") from None
        if told["version"] != SCHEMA_VERSION:
            raise ValueError(f"The stored schema is of version {told['version']}, not {SCHEMA_VERSION}.")
        files = tuple(FileInfo(*file) for file in told["files"])
        kinds = told["dtypes"]
        return cls(
            told["format"],
            tuple(Tensor(n, kinds[k], tuple(shape), files[f].name, s, e) for n, k, shape, f, s, e in told["tensors"]),
            told["metadata"],
            files,
        )


def factor_of(name: str) -> tuple[str, str] | None:
    """(layer, part) of a tensor of an adapter; None for any other.

    ``layer`` is the layer's name in the base model, PEFT's own prefix taken off; ``part`` is "a" (r by in), "b"
    (out by r), "ea" and "eb" (those of an embedding), or "m" (DoRA's magnitudes).
    """
    found = _FACTOR.search(name)
    if found is None:
        return None
    layer = name[: found.start()].removeprefix("base_model.model.")
    part = found["part"]
    if part in _DOWN:
        return layer, "a"
    if part in _UP:
        return layer, "b"
    return layer, {"lora_embedding_A": "ea", "lora_embedding_B": "eb"}.get(part, "m")


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


# --- beside the weights ---------------------------------------------------------------------------------------------
class State(StrEnum):
    """How far the weights of a repo could be read."""

    READ = "read"
    NO_SAFE_WEIGHTS = "no_safe_weights"  # only pickles, which are never opened
    NO_WEIGHTS = "no_weights"
    GATED = "gated"  # its files need an accepted agreement, and the settings do not say to read such
    REFUSED = "refused"  # hostile or garbled; the reason says what and where
    MISSING = "missing"  # no such repo or revision any more


@dataclass(frozen=True, slots=True)
class TokenizerFacts:
    """A tokenizer in digests: equal digests mean equal things. Lists are cut at bounds, digests cover all.

    ``vocabulary_hash`` is over token → id, ``tokens_hash`` over the set of tokens: same tokens under other ids give
    two different ones of the first and the same of the second. ``pairs`` and ``tokens`` are the 128 smallest 32-bit
    hashes of (token, id) and of token: what two tokenizers share is estimated from them (bottom-k sketch).
    """

    kind: str = ""  # "BPE", "Unigram", "WordPiece", "WordLevel", "sentencepiece", …
    size: int = 0  # tokens, added ones included
    vocabulary_hash: str = ""
    tokens_hash: str = ""
    core_hash: str = ""  # token → id of the vocabulary without added tokens
    merges_hash: str = ""  # of a BPE's merge rules
    pipeline_hash: str = ""  # normalizer, pre-tokenizer, post-processor, decoder
    largest_id: int = -1
    added: dict[str, int] = field(default_factory=dict)  # added tokens, special ones among them; at most 2,000
    special: dict[str, str] = field(default_factory=dict)  # role ("bos_token", "eos_token", …) → token
    special_ids: dict[str, int] = field(default_factory=dict)  # role → id, where the vocabulary has it
    chat_template_hash: str = ""
    tokenizer_class: str = ""
    pairs: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()
    files: tuple[str, ...] = ()  # what was read

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> TokenizerFacts:
        """From what ``asdict`` gave, perhaps by way of JSON."""
        return cls(**_fields(cls, stored))


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What an adapter's configuration says (PEFT), or its tensors where it has none (``declared`` is then False)."""

    kind: str = "lora"
    rank: int = 0
    alpha: float = 0.0
    targets: tuple[str, ...] = ()
    base: str = ""  # base_model_name_or_path, verbatim
    base_revision: str = ""
    dora: bool = False
    rslora: bool = False
    fan_in_fan_out: bool = False
    modules_to_save: tuple[str, ...] = ()
    rank_pattern: dict[str, int] = field(default_factory=dict)
    alpha_pattern: dict[str, float] = field(default_factory=dict)
    task: str = ""
    declared: bool = True

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> AdapterFacts:
        """From what ``asdict`` gave, perhaps by way of JSON."""
        return cls(**_fields(cls, stored))


@dataclass(frozen=True, slots=True)
class Quantization:
    """How weights were made smaller than 16 bits: ``method`` is "gptq", "awq", "bitsandbytes", "gguf", "fp8", …

    ``source`` says what it was told from: "config", "tensors" or "file name". ``bits`` is 0 where unknown.
    """

    method: str
    bits: float = 0.0
    detail: str = ""  # "Q4_K_M", "nf4", "group size 128"
    source: str = "config"


@dataclass(frozen=True)
class Inspection:
    """All that reading the small files and the headers of one revision told."""

    name: str
    revision: str
    state: State
    reason: str = ""  # for a person: why it could not be read; "" where it was
    config: dict[str, Any] = field(default_factory=dict)  # config.json, bounded
    tokenizer: TokenizerFacts | None = None
    adapter: AdapterFacts | None = None
    quantization: Quantization | None = None
    schema: Schema | None = None
    bytes_read: int = 0
    requests: int = 0
    code: str = ""  # the error's, where one was met
    oddities: tuple[str, ...] = ()  # what could not be read beside the weights, and why
    tokenizer_print: str = ""  # digest of the tokenizer's files: who has the same one has the same tokenizer


def _fields(cls: type[TokenizerFacts | AdapterFacts], stored: Mapping[str, Any]) -> dict[str, Any]:
    """Those values that the class knows; JSON's lists as tuples again."""
    known = {name: value for name, value in stored.items() if name in cls.__dataclass_fields__}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}


def as_json(facts: TokenizerFacts | AdapterFacts | Quantization | None) -> dict[str, Any] | None:
    """Facts as plain JSON, for the database."""
    if facts is None:
        return None
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(facts).items()}
