"""What a tokenizer is, in digests: enough to tell two apart, and how, without keeping either.

Read from tokenizer.json (the tokenizers library's form), vocab.json + merges.txt, vocab.txt, a SentencePiece model, or
a GGUF header; roles of special tokens and the chat template from the files beside.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import orjson

from workers.errors import BadWeights, TooLarge
from workers.weights.reading import Source
from workers.weights.records import TokenizerFacts

TOKENIZER_BYTES = 40 * 1024 * 1024  # 262,000 tokens with their merges take 33 MB
CONFIG_BYTES = 8 * 1024 * 1024
BRACKETS = 2_000_000  # of a tokenizer.json: a list costs 56 bytes, and a hostile file is nothing but lists
COMMAS = 4_000_000
TOKENS = 1_000_000
ADDED = 2_000
SKETCH = 128
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
FILES = (
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)
_PIPELINE = ("normalizer", "pre_tokenizer", "post_processor", "decoder")


def present(source: Source) -> tuple[str, ...]:
    """The tokenizer's files that the model has."""
    known = source.files()
    return tuple(name for name in FILES if name in known)


def fingerprint(source: Source) -> str:
    """A digest of all that ``read`` would read, known without reading it; "" where the source can't tell."""
    digests = [(name, source.digest(name)) for name in present(source)]
    if not digests or not all(digest for _, digest in digests):
        return ""
    return hashlib.sha256(repr(digests).encode()).hexdigest()


def read(source: Source) -> TokenizerFacts | None:
    """The facts of a model's tokenizer; None where it has none. Raises BadWeights, TooLarge, what the source raises."""
    files = present(source)
    told = _object(source, "tokenizer_config.json") if "tokenizer_config.json" in files else {}
    roles = _object(source, "special_tokens_map.json") if "special_tokens_map.json" in files else {}
    found = _vocabulary_of(source, files, told)
    if found is None:
        return None
    facts, ids = found
    special = {role: text for role in ROLES if (text := _content(told.get(role)) or _content(roles.get(role)))}
    template = _template(told.get("chat_template"))
    if "chat_template.jinja" in files:
        template = source.small("chat_template.jinja", CONFIG_BYTES).decode("utf-8", "replace").strip()
    elif "chat_template.json" in files:
        template = _template(_object(source, "chat_template.json").get("chat_template"))
    return replace(
        facts,
        special=special,
        special_ids={role: ids[text] for role, text in special.items() if text in ids},
        chat_template_hash=_hash([template]) if template else "",
        tokenizer_class=str(told.get("tokenizer_class") or "")[:100],
        files=files,
    )


def from_gguf(metadata: Mapping[str, str], arrays: Mapping[str, list[str]], template: str) -> TokenizerFacts | None:
    """The facts of a tokenizer that a GGUF header carries; None where it carries none."""
    tokens = arrays.get("tokenizer.ggml.tokens")
    if not tokens:
        return None
    kinds = {"gpt2": "BPE", "llama": "sentencepiece", "bert": "WordPiece", "t5": "Unigram"}
    named = metadata.get("tokenizer.ggml.model", "")[:40]
    vocabulary = {clean(token): i for i, token in enumerate(tokens)}
    facts, _ = _digested(kinds.get(named, named), vocabulary, {}, merges=arrays.get("tokenizer.ggml.merges", []))
    ids = {}
    for role, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("sep", "seperator"), ("pad", "padding")):
        number = metadata.get(f"tokenizer.ggml.{key}_token_id", "")  # "seperator" is how the format spells it
        if number.isdecimal() and int(number) < len(tokens):
            ids[f"{role}_token"] = int(number)
    return replace(
        facts,
        special={role: clean(tokens[number])[:200] for role, number in ids.items()},
        special_ids=ids,
        chat_template_hash=_hash([template.strip()]) if template.strip() else "",
        tokenizer_class=metadata.get("tokenizer.ggml.pre", "")[:100],
        files=("gguf",),
    )


# --- vocabularies ---------------------------------------------------------------------------------------------------
_Found = tuple[TokenizerFacts, dict[str, int]]  # the facts, and token → id of all


def _vocabulary_of(source: Source, files: tuple[str, ...], told: Mapping[str, Any]) -> _Found | None:
    if "tokenizer.json" in files:
        return _from_json(_object(source, "tokenizer.json", TOKENIZER_BYTES))
    added = _decoder(told)
    if "added_tokens.json" in files:
        added = {**_ids(_object(source, "added_tokens.json")), **added}
    if "vocab.json" in files:
        merges = source.small("merges.txt", TOKENIZER_BYTES).decode("utf-8", "replace") if "merges.txt" in files else ""
        lines = [line for line in merges.splitlines() if line and not line.startswith("#version")]
        return _digested("BPE", _ids(_object(source, "vocab.json", TOKENIZER_BYTES)), added, merges=lines)
    if "vocab.txt" in files:
        words = source.small("vocab.txt", TOKENIZER_BYTES).decode("utf-8", "replace").splitlines()
        return _digested("WordPiece", {word: i for i, word in enumerate(words[:TOKENS])}, added)
    model = next((name for name in files if name.endswith(".model")), "")
    if model:
        pieces = _pieces(source.small(model, TOKENIZER_BYTES), model)
        return _digested("sentencepiece", {piece: i for i, piece in enumerate(pieces)}, added)
    return None


def _from_json(told: Mapping[str, Any]) -> _Found:
    """tokenizer.json: its model's vocabulary is an object (token → id) or a list of [token, score]."""
    model = told.get("model")
    model = model if isinstance(model, dict) else {}
    given = model.get("vocab")
    if isinstance(given, list):
        pairs = (entry[0] for entry in given if isinstance(entry, list) and entry and isinstance(entry[0], str))
        vocabulary = {clean(token): i for i, token in enumerate(pairs)}
    else:
        vocabulary = _ids(given if isinstance(given, dict) else {})
    added = {}
    entries = told.get("added_tokens")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and isinstance(entry.get("content"), str) and _is_id(entry.get("id")):
            added[clean(entry["content"])] = entry["id"]
    merges = model.get("merges")
    lines = (
        " ".join(map(str, entry)) if isinstance(entry, list) else str(entry)
        for entry in (merges if isinstance(merges, list) else [])
    )
    pipeline = {name: told.get(name) for name in _PIPELINE}
    kind = model.get("type")
    if not isinstance(kind, str):
        kind = "BPE" if merges else "Unigram" if isinstance(given, list) else "WordPiece"
    facts, ids = _digested(kind[:40], vocabulary, added, merges=lines)
    return replace(facts, pipeline_hash=_hash([orjson.dumps(pipeline, option=orjson.OPT_SORT_KEYS).decode()])), ids


def _digested(
    kind: str, vocabulary: Mapping[str, int], added: Mapping[str, int], *, merges: Iterable[str] = ()
) -> _Found:
    ids = {**vocabulary, **added}
    rules = hashlib.sha256()
    some = False
    for rule in merges:
        some = True
        rules.update(rule.encode("utf-8", "surrogatepass") + b"\n")
    facts = TokenizerFacts(
        kind=kind,
        size=len(ids),
        vocabulary_hash=_hash(f"{number}\t{token}" for token, number in sorted(ids.items())),
        tokens_hash=_hash(sorted(ids)),
        core_hash=_hash(f"{number}\t{token}" for token, number in sorted(vocabulary.items())),
        merges_hash=rules.hexdigest()[:32] if some else "",
        largest_id=max(ids.values(), default=-1),
        added=dict(sorted(((t[:200], n) for t, n in added.items()), key=lambda item: item[1])[:ADDED]),
        pairs=_smallest(f"{number}\t{token}" for token, number in ids.items()),
        tokens=_smallest(ids),
    )
    return facts, ids


def _smallest(texts: Iterable[str]) -> tuple[int, ...]:
    """The smallest hashes of all (bottom-k sketch: Cohen and Kaplan, 2007). The hash is mixed, as CRCs of like texts
    are alike.
    """
    mixed = (
        (zlib.crc32(text.encode("utf-8", "surrogatepass")) * 0x9E3779B1 ^ 0x85EBCA6B) * 0xC2B2AE35 % 2**32
        for text in texts
    )
    return tuple(heapq.nsmallest(SKETCH, set(mixed)))


def _hash(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:32]


def _ids(given: Mapping[str, Any]) -> dict[str, int]:
    return {clean(token): number for token, number in given.items() if _is_id(number)}


def _is_id(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _decoder(told: Mapping[str, Any]) -> dict[str, int]:
    """Added tokens as tokenizer_config.json has them: id → {content}."""
    entries = told.get("added_tokens_decoder")
    found = {}
    for number, entry in entries.items() if isinstance(entries, dict) else ():
        if str(number).isdecimal() and len(str(number)) < 10 and (text := _content(entry)):
            found[clean(text)] = int(number)
    return found


def _pieces(model: bytes, file: str) -> list[str]:
    """The pieces of a SentencePiece model: field 1 of the protocol buffer, in each of which field 1 is the text."""
    found = []
    for number, value in _fields(model, file):
        if number == 1 and isinstance(value, bytes):
            text = next((v for n, v in _fields(value, file) if n == 1 and isinstance(v, bytes)), b"")
            found.append(clean(text.decode("utf-8", "replace")))
            if len(found) > TOKENS:
                raise TooLarge(f"{file} holds over {TOKENS:,} tokens.")
    return found


def _fields(data: bytes, file: str) -> Iterator[tuple[int, bytes | int]]:
    """(number, value) of each field of a protocol buffer message; fixed-width values are passed over."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at, file)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at, file)
            yield key >> 3, value
        elif kind == 2:
            size, at = _varint(data, at, file)
            if at + size > len(data):
                raise BadWeights(f"{file} is no SentencePiece model: a field goes on beyond its end.")
            yield key >> 3, data[at : at + size]
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise BadWeights(f"{file} is no SentencePiece model: it has a field of kind {kind}.")


def _varint(data: bytes, at: int, file: str) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise BadWeights(f"{file} is no SentencePiece model: it breaks off.")


# --- files beside ---------------------------------------------------------------------------------------------------
def _object(source: Source, name: str, limit: int = CONFIG_BYTES) -> dict[str, Any]:
    return json_object(source.small(name, limit), name)


def json_object(raw: bytes, name: str) -> dict[str, Any]:
    """A JSON object out of a stranger's file. Raises BadWeights, TooLarge."""
    if raw.count(b"[") + raw.count(b"{") > BRACKETS or raw.count(b",") > COMMAS:
        raise TooLarge(f"{name} holds more lists and objects than are read.")
    try:
        told = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        try:  # real configurations hold Infinity and NaN, which are no JSON: they become texts
            told = json.loads(raw.decode("utf-8"), parse_constant=str, parse_int=_int)
        except (ValueError, RecursionError):
            raise BadWeights(f"{name} is no JSON: {str(error)[:100]}.") from None
    if not isinstance(told, dict):
        raise BadWeights(f"{name} is no JSON object.")
    return told


def _int(digits: str) -> int | str:
    return int(digits) if len(digits) < 20 else digits[:40]


def _content(value: object) -> str:
    """A token given as text, or as an object with its text."""
    if isinstance(value, dict):
        value = value.get("content")
    return clean(value)[:200] if isinstance(value, str) else ""


def _template(value: object) -> str:
    """A chat template: a text, or a list of named ones."""
    if isinstance(value, str):
        return value.strip()
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode() if isinstance(value, list) and value else ""


def clean(text: str) -> str:
    """Without what no database takes."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
