"""Everything that the small files and the headers of one revision tell, in one record."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from workers.errors import (
    BadWeights,
    NoSafeWeights,
    NoWeights,
    RepoDisabled,
    RepoGated,
    RepoMissing,
    RootstockError,
    TooLarge,
)
from workers.weights import adapters, gguf, quantized, tokenizers
from workers.weights.layout import choose
from workers.weights.opening import read_layout
from workers.weights.reading import Source
from workers.weights.records import AdapterFacts, Inspection, Schema, State, TokenizerFacts

METHOD = 1  # to be raised when files are read otherwise: then all that is stored is read anew
CONFIG_BYTES = 2 * 1024 * 1024
CONFIG_KEPT = 20_000  # values of a configuration that are kept: a thousand labels, both ways, are two thousand
TEXT_KEPT = 2_000  # characters of one value
DEPTH = 8

_STATES: tuple[tuple[type[RootstockError], State], ...] = (
    (RepoGated, State.GATED),
    (RepoDisabled, State.MISSING),
    (RepoMissing, State.MISSING),
    (NoSafeWeights, State.NO_SAFE_WEIGHTS),
    (NoWeights, State.NO_WEIGHTS),
    (BadWeights, State.REFUSED),
    (TooLarge, State.REFUSED),
)

Known = Callable[[str], TokenizerFacts | None]


def inspect(source: Source, *, name: str = "", revision: str = "", known: Known | None = None) -> Inspection:
    """Read what can be read. ``known`` gives the facts of a tokenizer by its fingerprint where they were read before:
    one vocabulary is shared by thousands of models.

    Raises what may succeed later (RateLimited, RemoteUnavailable, RemoteGarbled, HostRefused); all else is a state.
    """
    reader = _Reader(source)
    try:
        files = source.files()
    except (RepoGated, RepoMissing, RepoDisabled) as error:
        return reader.ended(name, revision, error)
    config = reader.config("config.json" if "config.json" in files else "model_index.json")
    told = reader.config("adapter_config.json")
    if reader.barred is not None:
        return reader.ended(name, revision, reader.barred)
    schema: Schema | None = None
    failed: RootstockError | None = None
    try:
        schema = read_layout(source, choose(files, subject=name or "It"), on_gguf=reader.heard)
    except (NoSafeWeights, NoWeights, BadWeights, TooLarge, RepoGated, RepoMissing, RepoDisabled) as error:
        failed = error
    print_ = tokenizers.fingerprint(source)
    tokenizer = (known(print_) if known is not None and print_ else None) or reader.tokenizer()
    adapter = reader.adapter(told, schema)
    found: dict[str, Any] = {"config": config, "tokenizer": tokenizer, "adapter": adapter, "tokenizer_print": print_}
    if failed is not None or schema is None:
        return reader.ended(name, revision, failed or NoWeights("There are no weights."), **found)
    return Inspection(
        name,
        revision,
        State.READ,
        quantization=quantized.told_by(config) or quantized.seen_in(schema),
        schema=schema,
        bytes_read=source.bytes_read,
        requests=source.requests,
        oddities=tuple(reader.oddities),
        **found,
    )


class _Reader:
    """Reads the files beside the weights; what can't be read of them is noted and passed over."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.oddities: list[str] = []
        self.barred: RootstockError | None = None  # there is no access to the files at all
        self.header: gguf.Header | None = None

    def heard(self, header: gguf.Header) -> None:
        """Take what the first GGUF header says beside its tensors."""
        self.header = self.header or header

    def config(self, name: str) -> dict[str, Any]:
        """A configuration, bounded; {} where there is none or none that can be read."""
        if name not in self.source.files():
            return {}
        try:
            kept = _Bounded(CONFIG_KEPT)
            told = kept.of(tokenizers.json_object(self.source.small(name, CONFIG_BYTES), name))
        except RepoGated as error:
            self.barred = error
            return {}
        except (BadWeights, TooLarge, RepoMissing) as error:
            self.oddities.append(str(error)[:300])
            return {}
        if kept.cut:
            self.oddities.append(f"{name} was cut: it holds more than is kept.")
        return told if isinstance(told, dict) else {}

    def tokenizer(self) -> TokenizerFacts | None:
        try:
            facts = tokenizers.read(self.source)
            if facts is None and self.header is not None:
                header = self.header
                facts = tokenizers.from_gguf(header.metadata, header.arrays, header.chat_template)
        except (BadWeights, TooLarge, RepoMissing, RepoGated) as error:
            self.oddities.append(str(error)[:300])
            return None
        return facts

    def adapter(self, told: dict[str, Any], schema: Schema | None) -> AdapterFacts | None:
        if told:
            return adapters.facts_of(told)
        return adapters.facts_from(schema) if schema is not None and schema.is_adapter else None

    def ended(self, name: str, revision: str, error: RootstockError, **beside: Any) -> Inspection:
        """The record of a repo whose weights were not read."""
        state = next(state for kind, state in _STATES if isinstance(error, kind))
        return Inspection(
            name,
            revision,
            state,
            str(error)[:500],
            bytes_read=self.source.bytes_read,
            requests=self.source.requests,
            code=error.code,
            oddities=tuple(self.oddities),
            **beside,
        )


class _Bounded:
    """A copy of a JSON value with so many values at most, free of what no database takes."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.cut = False

    def of(self, value: Any, depth: int = 0) -> Any:
        self.left -= 1
        if isinstance(value, str):
            self.cut |= len(value) > TEXT_KEPT
            return tokenizers.clean(value[:TEXT_KEPT])
        if isinstance(value, dict) and depth < DEPTH:
            found = {}
            for key, entry in value.items():
                if self.left <= 0:
                    self.cut = True
                    break
                found[tokenizers.clean(key)[:200]] = self.of(entry, depth + 1)
            return found
        if isinstance(value, list) and depth < DEPTH:
            entries = []
            for entry in value:
                if self.left <= 0:
                    self.cut = True
                    break
                entries.append(self.of(entry, depth + 1))
            return entries
        if isinstance(value, (dict, list)):
            self.cut = True
            return None
        if isinstance(value, float) and not math.isfinite(value):
            return str(value)
        return value
