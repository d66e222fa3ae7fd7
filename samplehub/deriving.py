"""What the Hub makes of a repo's files: its row, and the parents that its card's words resolve to."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping

import yaml

from samplehub.files import Blob
from samplehub.shape import Row, base_model_tags, hub_tags, listed

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TASKS = {"ForCausalLM": "text-generation", "ForImageClassification": "image-classification"}
QUANTIZED_TAGS = frozenset(("gguf", "awq", "gptq", "exl2", "mlx", "bnb"))


def front_matter(text: str) -> Row | None:
    """The front matter of a card; None where there is none or where it is no mapping."""
    if not text.startswith("---"):
        return None
    head, found, _ = text[3:].partition("\n---")
    if not found:
        return None
    try:
        card = yaml.load(head, Loader=_Loader)  # noqa: S506 - safe, and in C where there is one
    except yaml.YAMLError:
        return None
    return card if isinstance(card, dict) else None


def derived_row(tree: Mapping[str, Blob]) -> Row:
    """The part of a row that comes from the files: card, config, library, task, parameters, formats."""
    row: Row = {}
    if "README.md" in tree:
        row["cardData"] = front_matter(tree["README.md"].read().decode("utf-8", "replace")) or {}
    card = row.get("cardData") or {}
    config = _json(tree, "config.json")
    adapter = _json(tree, "adapter_config.json")
    if config:
        row["config"] = {k: config[k] for k in ("architectures", "model_type", "quantization_config") if k in config}
    if adapter:
        row["config"] = {"peft": {k: adapter.get(k) for k in ("base_model_name_or_path", "task_type")}}
    library = card.get("library_name") or (
        "peft" if adapter else "transformers" if config.get("model_type") in ("llama", "vit") else None
    )
    if library:
        row["library_name"] = library
    if task := card.get("pipeline_tag") or _task(config):
        row["pipeline_tag"] = task
    if parameters := _parameters(tree):
        row["safetensors"] = {"parameters": parameters, "total": sum(parameters.values())}
    row["usedStorage"] = sum(blob.size for blob in tree.values() if blob.sha256)
    return row


def _json(tree: Mapping[str, Blob], name: str) -> Row:
    try:
        value = json.loads(tree[name].read()) if name in tree else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _task(config: Row) -> str | None:
    for name in config.get("architectures") or ():
        for ending, task in TASKS.items():
            if str(name).endswith(ending):
                return task
    return None


def _parameters(tree: Mapping[str, Blob]) -> dict[str, int]:
    """Parameters by dtype over the model's safetensors files; adapters are not counted, as on the Hub."""
    counts: dict[str, int] = {}
    for name, blob in tree.items():
        if not (name.startswith("model") and name.endswith(".safetensors")):
            continue
        data = blob.read()
        header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
        for key, tensor in header.items():
            if key != "__metadata__":
                size = 1
                for side in tensor["shape"]:
                    size *= side
                counts[tensor["dtype"]] = counts.get(tensor["dtype"], 0) + size
    return counts


def formats(tree: Mapping[str, Blob]) -> list[str]:
    endings = {".safetensors": "safetensors", ".gguf": "gguf", ".bin": "pytorch"}
    return [tag for ending, tag in endings.items() if any(name.endswith(ending) for name in tree)]


def resolve(row: Row, find: Callable[[str], tuple[str, str] | None]) -> Row | None:
    """The ``baseModels`` of a row: what its card declares, as far as it names repos that exist.

    ``find`` gives ``(_id, present id)`` for an id, and follows renames; None for what is missing or private.
    An id must be written exactly; the model itself is never its own parent.
    """
    card = row.get("cardData")
    if not isinstance(card, dict):
        return None
    models: dict[str, str] = {}
    for name in listed(card.get("base_model")):
        found = find(name)
        if found and found[0] != row.get("_id"):
            models[found[0]] = found[1]
    if not models:
        return None
    ordered = [{"_id": oid, "id": name} for oid, name in sorted(models.items(), key=lambda item: item[1])]
    return {"relation": relation(row, card, len(models)), "models": ordered}


def relation(row: Row, card: Row, count: int) -> str:
    """The relation that the Hub would type: as declared, else by count, library and tags."""
    declared = card.get("base_model_relation")
    if declared in ("adapter", "finetune", "merge", "quantized"):
        return str(declared)
    if count > 1:
        return "merge"
    if row.get("library_name") == "peft":
        return "adapter"
    if QUANTIZED_TAGS & set(listed(card.get("tags"))) or "quantization_config" in (row.get("config") or {}):
        return "quantized"
    return "finetune"


def tag(row: Row, tree: Mapping[str, Blob]) -> list[str]:
    """All tags of a row whose parents are resolved."""
    config = row.get("config") or {}
    return hub_tags(
        row.get("cardData"),
        library=row.get("library_name"),
        task=row.get("pipeline_tag"),
        model_type=config.get("model_type"),
        formats=formats(tree),
        base_models=row.get("baseModels"),
    )


__all__ = ["base_model_tags", "derived_row", "front_matter", "resolve", "tag"]
