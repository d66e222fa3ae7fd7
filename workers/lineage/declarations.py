"""From a listing's row, a card, an adapter's or a merge's configuration to statements of descent, verbatim.

Nothing is judged here: a text that names no repo is handed on like any other, and an entry listed twice is handed on
twice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import yaml

from workers.lineage.records import Declared, Relation, Source
from workers.lineage.rules import is_repo_id

MAX_TEXT = 500  # characters of a statement that are kept, as the column is wide
MAX_ENTRIES = 1_000  # the longest real list has 65; a card may not fill the database
MAX_YAML = 64 * 1024  # characters of front matter or of one configuration that are parsed

_RELATIONS = {
    "finetune": Relation.FINETUNE,
    "finetuned": Relation.FINETUNE,
    "fine-tune": Relation.FINETUNE,
    "fine-tuned": Relation.FINETUNE,
    "finetuning": Relation.FINETUNE,
    "adapter": Relation.ADAPTER,
    "adapters": Relation.ADAPTER,
    "lora": Relation.ADAPTER,
    "peft": Relation.ADAPTER,
    "quantized": Relation.QUANTIZED,
    "quantised": Relation.QUANTIZED,
    "quantize": Relation.QUANTIZED,
    "quantization": Relation.QUANTIZED,
    "quant": Relation.QUANTIZED,
    "merge": Relation.MERGE,
    "merged": Relation.MERGE,
    "merges": Relation.MERGE,
}
_HUB_RELATIONS = {r.name.lower(): r for r in (Relation.FINETUNE, Relation.ADAPTER, Relation.QUANTIZED, Relation.MERGE)}


def relation_of(value: object) -> Relation | None:
    """The relation that a word stands for ("finetuned", "LoRA", "merge"), None where it stands for none."""
    return _RELATIONS.get(value.strip().lower()) if isinstance(value, str) else None


def from_row(row: Mapping[str, Any], card: Mapping[str, Any] | None = None) -> tuple[Declared, ...]:
    """All statements of one listing row: ``baseModels``, ``base_model:…`` tags and the card. Never raises.

    ``card`` is the front matter where the caller has read it already; otherwise the row's ``cardData`` is taken.
    """
    hub = row.get("baseModels")
    tags = row.get("tags")
    if card is None:
        card = row.get("cardData")
    found: list[Declared] = []
    if hub:
        _from_hub(hub, found)
    if tags and type(tags) is list:
        named = [tag for tag in tags if type(tag) is str and tag[:11] == "base_model:"]
        if named:
            _from_tags(named, found)
    if card and isinstance(card, dict):
        if "base_model" in card:
            _from_front_matter(card, found)
        else:
            for key in card:  # "Base_model" does occur
                if type(key) is str and len(key) == 10 and key[0] in "Bb" and _is_base_model(key):
                    _from_front_matter(card, found)
                    break
    return tuple(found)


def from_card(text: str, adapter_config: Mapping[str, Any] | None = None) -> tuple[Declared, ...]:
    """The statements in a model's own files: the card's front matter, the mergekit configurations quoted in its body,
    and ``adapter_config.json`` where there is one.

    YAML that can't be read, is over 64 kB, or uses aliases gives none.
    """
    front, body = split_card(text)
    found: list[Declared] = []
    if front:
        card = load_yaml(front)
        if isinstance(card, dict):
            _from_front_matter(card, found)
    for block in _code_blocks(body):
        found.extend(from_mergekit(block))
    if adapter_config:
        found.extend(from_adapter_config(adapter_config))
    return tuple(found)


def from_adapter_config(config: Mapping[str, Any]) -> tuple[Declared, ...]:
    """The base that PEFT wrote into ``adapter_config.json``; often a path on the trainer's disk."""
    text = config.get("base_model_name_or_path")
    if not isinstance(text, str) or not text.strip():
        return ()
    return (Declared(Source.ADAPTER_CONFIG, _kept(text), Relation.ADAPTER),)


def from_mergekit(text: str) -> tuple[Declared, ...]:
    """The models that a mergekit configuration (YAML) merges, its base first; () where ``text`` is none.

    Both "models" and "slices" are read, and "modules" with slices in them; "model+lora" names both.
    """
    if "model" not in text or not any(word in text for word in ("merge_method", "slices", "models")):
        return ()
    config = load_yaml(text)
    if not isinstance(config, dict) or not ({"models", "slices", "modules"} & config.keys()):
        return ()
    if "merge_method" not in config and "slices" not in config:
        return ()
    seen: dict[str, None] = {}
    for name in _mergekit_names(config):
        for part in name.split("+"):
            if part.strip():
                seen.setdefault(_kept(part.strip()))
    return tuple(Declared(Source.MERGEKIT, name, Relation.MERGE) for name in list(seen)[:MAX_ENTRIES])


# --- the sources ----------------------------------------------------------------------------------------------------
def _from_hub(hub: Any, found: list[Declared]) -> None:
    # At run time a dict; the client's annotation says a list. Both are read.
    for group in hub if isinstance(hub, list) else (hub,):
        models = group.get("models") if isinstance(group, dict) else None
        if not isinstance(models, list):
            continue
        relation = relation_of(group.get("relation"))
        for model in models[:MAX_ENTRIES]:
            if isinstance(model, dict):
                name, hub_id = model.get("id"), model.get("_id")
                if not isinstance(hub_id, str) or len(hub_id) > 24:
                    hub_id = ""
            else:
                name, hub_id = model, ""
            if name and isinstance(name, str):
                found.append(Declared(Source.HUB, _kept(name), relation, hub_id))


def _from_tags(tags: list[str], found: list[Declared]) -> None:
    """``base_model:X`` and ``base_model:finetune:X``: one statement for each X and relation.

    The Hub writes both tags for each parent; the one without a relation says nothing more and is left out.
    """
    plain: list[str] = []
    typed: set[str] = set()
    for tag in tags[: 2 * MAX_ENTRIES]:
        rest = tag[11:]
        word, colon, name = rest.partition(":")
        relation = _HUB_RELATIONS.get(word) if colon else None
        if relation is not None:
            if name:
                typed.add(name)
                found.append(Declared(Source.TAG, _kept(name), relation))
        elif rest:
            plain.append(rest)
    found.extend(Declared(Source.TAG, _kept(name)) for name in plain if name not in typed)


def _from_front_matter(card: Mapping[Any, Any], found: list[Declared]) -> None:
    relation = None
    values: list[object] = []
    for key, value in card.items():
        if type(key) is str and 10 <= len(key) <= 19 and key[0] in "Bb":
            if _is_base_model(key):
                values.append(value)
            elif key.lower().replace("-", "_") == "base_model_relation":
                relation = relation_of(value)
    for value in values:
        if type(value) is str and value and not ("," in value or ";" in value or "\n" in value):  # nearly all
            texts: Iterable[str] = (_kept(value),) if value.strip() else ()
        else:
            texts = islice(_texts(value), MAX_ENTRIES)
        found.extend(Declared(Source.CARD, text, relation) for text in texts)


def _is_base_model(key: str) -> bool:
    return key == "base_model" or key.lower().replace("-", "_") == "base_model"


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    """The texts in whatever an author put under base_model: a string, a list, or junk (kept as JSON)."""
    if value is None or value == "" or isinstance(value, bool):
        return
    if isinstance(value, str):
        if "/" in value and re.search(r"[,;\n]", value):
            # "org/a, org/b" in one string: two statements, if it is nothing but ids
            parts = [part.strip() for part in re.split(r"[,;\n]", value) if part.strip()]
            if len(parts) > 1 and all("/" in part and is_repo_id(part) for part in parts):
                yield from (_kept(part) for part in parts)
                return
        if value.strip():
            yield _kept(value)
    elif isinstance(value, list) and depth < 3:
        for entry in value[:MAX_ENTRIES]:
            yield from _texts(entry, depth + 1)
    elif isinstance(value, dict) and depth < 3:
        named = [value[key] for key in ("id", "name", "model", "repo_id") if isinstance(value.get(key), str)]
        if named:
            yield from _texts(named[0], depth + 1)
        elif value:
            yield _as_json(value)
    elif value not in ([], {}):
        yield _as_json(value)


def _as_json(value: object) -> str:
    return _kept(json.dumps(value, ensure_ascii=False, default=str, sort_keys=True))


def _kept(text: str) -> str:
    """As much of a text as is stored. NUL is the one character PostgreSQL can't hold, lone surrogates can't be sent."""
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT]
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


# --- cards and configurations ---------------------------------------------------------------------------------------
_FRONT_RE = re.compile(r"\A\ufeff?\s*---[ \t]*\r?\n(.*?)(?:\r?\n)?^---[ \t]*\r?$", re.S | re.M)
_FENCE_RE = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*\n(.*?)^[ \t]*(?:```|~~~)[ \t]*\r?$", re.S | re.M)


def split_card(text: str) -> tuple[str, str]:
    """(front matter, body) of a card; the front matter is "" where there is none or it is over 64 kB."""
    match = _FRONT_RE.match(text)
    if not match:
        return "", text
    front = match.group(1)
    return (front if len(front) <= MAX_YAML else ""), text[match.end() :]


def _code_blocks(body: str, limit: int = 50) -> Iterator[str]:
    for count, match in enumerate(_FENCE_RE.finditer(body)):
        if count >= limit:
            return
        block = match.group(1)
        if len(block) <= MAX_YAML:
            yield block


class _NoAliases(yaml.SafeLoader):
    """The safe loader, without the aliases that let ten lines grow to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("aliases are not read")
        return super().compose_node(parent, index)


def load_yaml(text: str) -> object:
    """``text`` by the safe loader without aliases; None where it is too long or can't be read."""
    if len(text) > MAX_YAML:
        return None
    try:
        return yaml.load(text, Loader=_NoAliases)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, OverflowError):
        return None


def _mergekit_names(config: Mapping[Any, Any]) -> Iterator[str]:
    base = config.get("base_model")
    if isinstance(base, str):
        yield base
    elif isinstance(base, dict):
        yield from _model_path(base.get("model", base))
    for entry in _dicts(config.get("models")):
        yield from _model_path(entry.get("model"))
    for piece in _dicts(config.get("slices")):
        for source in _dicts(piece.get("sources")):
            yield from _model_path(source.get("model"))
    modules = config.get("modules")
    if isinstance(modules, dict):
        for module in _dicts(list(modules.values())):
            yield from _mergekit_names(module)


def _model_path(model: object) -> Iterator[str]:
    # mergekit also takes {model: {path: …}, lora: …}
    if isinstance(model, str):
        yield model
    elif isinstance(model, dict):
        for key in ("model", "path", "lora"):
            yield from _model_path(model.get(key))


def _dicts(value: object) -> list[dict[Any, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
