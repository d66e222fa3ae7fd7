"""A table's cells as values of the API: text that holds JSON, numbers and dates in text, padding, no-values."""

from __future__ import annotations

import ast
import json
import math
from datetime import UTC, date, datetime, time
from typing import Any

from samplehub.shape import iso

#: Columns whose text is JSON, or a Python literal as careless exports write it.
NESTED = frozenset((
    "cardData", "gguf", "config", "safetensors", "baseModels", "tags", "siblings", "model-index", "transformersInfo",
    "spaces", "widgetData", "childrenModelCount", "inferenceProviderMapping", "evalResults",
))  # fmt: skip
NUMBERS = frozenset(("downloads", "downloadsAllTime", "likes", "trendingScore", "usedStorage"))
FLAGS = frozenset(("private", "disabled", "gated"))
DATES = frozenset(("createdAt", "lastModified"))
#: What stands in a text table for "no value".
NULLS = frozenset(("", "null", "None", "NaN", "nan", "<NA>"))


def read(name: str, value: Any) -> Any:
    """A cell as the API would give it, or as found where it is no such thing; None for no value."""
    if isinstance(value, str):
        return None if value in NULLS and name != "id" else _text(name, value)
    if isinstance(value, float):
        return None if not math.isfinite(value) else int(value) if value.is_integer() else value
    if isinstance(value, datetime):
        return iso(_in_utc(value).timestamp())
    if isinstance(value, date):
        return iso(datetime.combine(value, time(), UTC).timestamp())
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value


def _text(name: str, text: str) -> Any:
    if name in NESTED:
        return _nested(text)
    if name in NUMBERS:
        return _number(text)
    if name in FLAGS:
        return {"true": True, "false": False}.get(text.lower(), text)
    if name in DATES:
        return _date(text)
    return text


def _nested(text: str) -> Any:
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    return text


def _number(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        return text
    return text if not math.isfinite(number) else int(number) if number.is_integer() else number


def _date(text: str) -> str:
    """``2024-02-28 15:24:14`` in the API's spelling; what is no date stays as it is."""
    try:
        return iso(_in_utc(datetime.fromisoformat(text)).timestamp())
    except (ValueError, OverflowError):
        return text


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def without_padding(value: Any) -> Any:
    """A struct without the keys that only other rows have: a typed table has a column for every key of any row."""
    if isinstance(value, dict):
        return {key: without_padding(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_padding(item) for item in value]
    return value
