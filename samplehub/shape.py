"""The shape of one model's row, as the Hub's API gives it.

A row is a plain dict in the API's own spelling (``createdAt``, ``library_name``, ``baseModels``…).
Everything the hub serves about a model, but for its files, is such a row; this module knows which
fields there are, which of them each kind of answer carries, and how ids and tags are made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

Row = dict[str, Any]
Key = tuple[float, str]  # the place of a row in a listing

#: Creation dates were not kept before this moment: older repos all carry it.
CREATED_FLOOR = "2022-03-02T23:29:04.000Z"
CREATED_FLOOR_S = 1646263744

#: The values ``expand`` may take (huggingface_hub 2.4.0, ``ExpandModelProperty_T``, and the Hub's own list).
EXPANDABLE = (
    "author", "baseModels", "cardData", "childrenModelCount", "config", "createdAt", "disabled", "downloads",
    "downloadsAllTime", "evalResults", "gated", "gguf", "inference", "inferenceProviderMapping", "lastModified",
    "library_name", "likes", "mask_token", "model-index", "pipeline_tag", "private", "resourceGroup", "safetensors",
    "sha", "siblings", "spaces", "tags", "transformersInfo", "trendingScore", "usedStorage", "widgetData",
)  # fmt: skip

#: What a listing carries when nothing is asked for.
LIST_FIELDS = (
    "_id", "id", "likes", "trendingScore", "private", "downloads", "tags", "pipeline_tag", "library_name",
    "createdAt", "modelId",
)  # fmt: skip

#: What ``full=true`` adds to a listing.
FULL_FIELDS = ("author", "gated", "lastModified", "sha", "siblings")

#: What the answer for one model carries when nothing is asked for.
INFO_FIELDS = (
    "_id", "id", "private", "pipeline_tag", "library_name", "tags", "downloads", "likes", "modelId", "author", "sha",
    "lastModified", "gated", "disabled", "mask_token", "widgetData", "model-index", "config", "cardData",
    "transformersInfo", "gguf", "siblings", "spaces", "createdAt", "safetensors", "usedStorage",
)  # fmt: skip

#: What is sorted as a number lies within this; the figure of a dirty row may be any.
LARGEST = 10**15

RELATIONS = ("adapter", "finetune", "merge", "quantized")

SORTS = ("createdAt", "downloads", "lastModified", "likes", "trendingScore")


def iso(seconds: float) -> str:
    """A moment in the API's spelling, ``2024-02-28T15:24:14.000Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def moment_ms(value: object) -> int | None:
    """Milliseconds since 1970 of a date as a row holds it; None where it is no date."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def object_id(repo_id: str, created: object = None, *, seconds: int | None = None) -> str:
    """The 24 hex digits that name a repo for good: its second of creation, then a hash of its first id."""
    if seconds is None:
        ms = moment_ms(created)
        seconds = CREATED_FLOOR_S if ms is None else ms // 1000
    return f"{seconds & 0xFFFFFFFF:08x}" + hashlib.sha256(repo_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def commit_id(repo_id: str, *parts: object) -> str:
    """A commit's 40 hex digits, made from the repo's id and whatever tells the commit apart."""
    return hashlib.sha1(repr((repo_id, *parts)).encode(), usedforsecurity=False).hexdigest()


def author_of(repo_id: str) -> str | None:
    """The namespace of an id; None for the old ids that have none (``gpt2``)."""
    return repo_id.split("/", 1)[0] if "/" in repo_id else None


def listed(value: object) -> list[str]:
    """A card field that may be a string, a list or nothing, as a list of strings."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list | tuple):
        return [item for item in value if isinstance(item, str)]
    return []


def base_model_tags(base_models: Mapping[str, Any] | None) -> list[str]:
    """``base_model:X`` and ``base_model:<relation>:X`` for each resolved parent, in the Hub's order."""
    tags: list[str] = []
    for parent in (base_models or {}).get("models") or ():
        tags.append(f"base_model:{parent['id']}")
        tags.append(f"base_model:{(base_models or {})['relation']}:{parent['id']}")
    return tags


def hub_tags(
    card: Mapping[str, Any] | None,
    *,
    library: str | None = None,
    task: str | None = None,
    model_type: str | None = None,
    formats: Iterable[str] = (),
    base_models: Mapping[str, Any] | None = None,
) -> list[str]:
    """The tags that the Hub computes for a repo from its card, its files and its resolved parents."""
    card = card or {}
    tags: list[str] = []
    tags += [library] if library else []
    tags += list(formats)
    tags += [model_type] if model_type else []
    tags += [task] if task else []
    tags += listed(card.get("tags"))
    if "model-index" in card:
        tags.append("model-index")
    tags += listed(card.get("language"))
    tags += [f"dataset:{name}" for name in listed(card.get("datasets"))]
    tags += base_model_tags(base_models)
    tags += [f"license:{name}" for name in listed(card.get("license"))]
    tags.append("region:us")
    return list(dict.fromkeys(tags))


def project(row: Mapping[str, Any], fields: Iterable[str]) -> Row:
    """The asked-for fields of a row, in the order asked; what the row lacks is left out, as the Hub does."""
    return {name: row[name] for name in fields if name in row and row[name] is not None}


def sort_value(row: Mapping[str, Any], sort: str) -> Any:
    """What a row is sorted by, as it is written into a cursor; None sorts last."""
    value = row.get(sort)
    if sort in ("createdAt", "lastModified"):
        return value if moment_ms(value) is not None else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -LARGEST < value < LARGEST else None


def order_key(value: Any, oid: str, sort: str) -> Key:
    """The place of a row in a listing: value falling, then ``_id`` rising; what has no value comes last."""
    number = moment_ms(value) if sort in ("createdAt", "lastModified") else value
    return (float("inf") if number is None else -float(number), oid)
