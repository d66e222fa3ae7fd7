"""What ``GET /api/models`` can be asked: its parameters and its opaque keyset cursors."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from samplehub.shape import EXPANDABLE, FULL_FIELDS, LIST_FIELDS, SORTS, Key, order_key

PAGE_MAX = 1000
#: Query names that are filters under another name: each value is matched like ``filter=<prefix><value>``.
TAG_PARAMETERS = {
    "tags": "",
    "library": "",
    "language": "",
    "pipeline_tag": "",
    "license": "license:",
    "dataset": "dataset:",
    "other": "",
}


class QueryError(ValueError):
    """A query that the hub refuses with 400; the text goes to the caller."""


@dataclass(frozen=True)
class ListQuery:
    """One listing as asked for. ``cursor`` is the key after which to go on."""

    tags: tuple[str, ...] = ()
    author: str | None = None
    search: str | None = None
    sort: str = "trendingScore"
    limit: int = PAGE_MAX
    fields: tuple[str, ...] = LIST_FIELDS
    gated: bool | None = None
    parameters: tuple[float, float] | None = None
    cursor: Key | None = None

    @property
    def filtered(self) -> bool:
        return bool(self.tags or self.author or self.search or self.gated is not None or self.parameters)


def truth(values: list[str] | None) -> bool:
    return bool(values) and values[-1].lower() in ("1", "true", "yes", "")  # type: ignore[index]


def parse(query: dict[str, list[str]]) -> ListQuery:
    """Reads a query. Raises QueryError where the Hub refuses: unknown sort or field, bad limit or cursor, direction."""
    tags = [tag for value in query.get("filter", []) for tag in value.split(",") if tag]
    for name, prefix in TAG_PARAMETERS.items():
        for value in query.get(name, []):
            tags += [part if part.startswith(prefix) else prefix + part for part in value.split(",") if part]
    sort = query.get("sort", ["trendingScore"])[-1]
    sort = {"created_at": "createdAt", "last_modified": "lastModified", "trending": "trendingScore"}.get(sort, sort)
    if sort not in SORTS:
        raise QueryError(f'Invalid sort parameter "{sort}": expected one of {", ".join(SORTS)}')
    if query.get("direction", ["-1"])[-1] != "-1":
        raise QueryError('Invalid direction: listings are in descending order, "-1"')
    limit_text = query.get("limit", [str(PAGE_MAX)])[-1]
    if not limit_text.isdecimal() or int(limit_text) < 1:
        raise QueryError(f'Invalid limit "{limit_text}": expected a number from 1 to {PAGE_MAX}')
    gated = query.get("gated", [""])[-1].lower()
    result = ListQuery(
        tags=tuple(dict.fromkeys(tags)),
        author=query.get("author", [None])[-1],  # type: ignore[list-item]
        search=query.get("search", [None])[-1],  # type: ignore[list-item]
        sort=sort,
        limit=min(int(limit_text), PAGE_MAX),
        fields=asked_fields(query, sort),
        gated={"true": True, "1": True, "false": False, "0": False}.get(gated),
        parameters=parameter_range(query["num_parameters"][-1]) if query.get("num_parameters") else None,
    )
    if cursor := query.get("cursor"):
        result = replace(result, cursor=read_cursor(cursor[-1], sort))
    return result


def asked_fields(query: dict[str, list[str]], sort: str) -> tuple[str, ...]:
    """The fields of each row: those of ``expand`` alone, or the usual ones and what full, cardData and config add."""
    expand = expand_of(query)
    extras = [name for name in ("full", "cardData", "config") if truth(query.get(name))]
    if expand:
        if extras:
            raise QueryError(f"expand cannot be used together with {', '.join(extras)}")
        return ("_id", "id", *expand)
    fields = [name for name in LIST_FIELDS if name != "trendingScore" or sort == "trendingScore"]
    if "full" in extras:
        fields += FULL_FIELDS
    fields += [name for name in ("cardData", "config") if name in extras]
    return tuple(fields)


def expand_of(query: dict[str, list[str]]) -> tuple[str, ...]:
    expand = tuple(dict.fromkeys(name for value in query.get("expand", []) for name in value.split(",") if name))
    if unknown := [name for name in expand if name not in EXPANDABLE]:
        raise QueryError(f'Invalid expand "{unknown[0]}": expected one of {", ".join(EXPANDABLE)}')
    return expand


_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def parameter_range(text: str) -> tuple[float, float]:
    """Reads ``min:6B,max:128B``."""
    low, high = 0.0, float("inf")
    for part in text.split(","):
        found = re.fullmatch(r"\s*(min|max):(\d+(?:\.\d+)?)([KMBT]?)\s*", part)
        if not found:
            raise QueryError(f'Invalid num_parameters "{text}"')
        value = float(found[2]) * _UNITS[found[3]]
        low, high = (value, high) if found[1] == "min" else (low, value)
    return low, high


# Cursors --------------------------------------------------------------------------------------
# The Hub's own look: base64 of a keyset condition,
# {"$or":[{"createdAt":V,"_id":{"$gt":I}},{"createdAt":{"$lt":V}},{"createdAt":null}]}.


def write_cursor(value: Any, oid: str, sort: str) -> str:
    if value is None:
        condition: dict[str, Any] = {sort: None, "_id": {"$gt": oid}}
    else:
        condition = {"$or": [{sort: value, "_id": {"$gt": oid}}, {sort: {"$lt": value}}, {sort: None}]}
    return base64.b64encode(json.dumps(condition, separators=(",", ":")).encode()).decode()


def read_cursor(text: str, sort: str) -> Key:
    """The key behind which a cursor goes on. Raises QueryError: no cursor of ours, or one of another sort."""
    try:
        condition = json.loads(base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True))
        point = condition["$or"][0] if "$or" in condition else condition
        oid, value = point["_id"]["$gt"], point[sort]
        if not isinstance(oid, str) or not isinstance(value, str | int | float | None):
            raise TypeError
        return order_key(value, oid, sort)
    except (binascii.Error, ValueError, KeyError, IndexError, TypeError):
        raise QueryError("Invalid cursor") from None


def next_target(query: dict[str, list[str]], cursor: str) -> str:
    """Path and query of the next page: the same query with the cursor put in."""
    pairs = [(name, value) for name, values in query.items() if name != "cursor" for value in values]
    return "/api/models?" + urlencode([*pairs, ("cursor", cursor)])
