"""A search as a value: what is asked for, in which order, from where on. It round-trips through a URL."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from decimal import Decimal
from typing import Any, Self
from urllib.parse import urlencode

from django.db.models import TextChoices

from hubapp.catalog.models import RepoState
from workers.errors import BadRequest
from workers.lineage.records import Relation

LIMIT = 25
LIMIT_MAX = 100
TEXT_MAX = 200  # characters of a query, or of a filter's value, that are read: a term is no longer
STATES = (RepoState.LISTED.value, RepoState.GATED.value, RepoState.STUB.value, RepoState.DISABLED.value)
GATED = ("no", "yes", "auto", "manual")
BY = ("names", "meaning")
_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kmbt]?)", re.IGNORECASE)
_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}


class Sort(TextChoices):
    """The orders a result can have; each ends in popularity, so that it is total."""

    POPULARITY = "popularity", "Most popular"
    DOWNLOADS = "downloads", "Most downloads"
    LIKES = "likes", "Most likes"
    TRENDING = "trending", "Trending"
    CREATED = "created", "Newest"
    MODIFIED = "modified", "Recently changed"
    SIZE = "size", "Largest"
    NAME = "name", "Name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is searched for. Every field's default means "does not matter".

    ``text``: fragments of a name, all of which must occur. ``relation``: how it descends from some parent.
    ``task`` … ``author``: exact values. ``min_parameters``, ``max_parameters``: counts. ``created_after``,
    ``created_before``: days in UTC, both included. ``no_parent``: nothing is known that it descends from.
    ``finding``: a finding's code; ``has_findings``: any. ``gated``: one of GATED; ``state``: one of STATES.
    ``literal``: do not mend typos. ``by``: one of BY, how the text is read; "" leaves that to the text.
    ``after``: a page's ``next``.
    """

    text: str = ""
    relation: Relation | None = None
    task: str = ""
    library: str = ""
    licence: str = ""
    language: str = ""
    dataset: str = ""
    architecture: str = ""
    model_type: str = ""
    author: str = ""
    min_parameters: int | None = None
    max_parameters: int | None = None
    created_after: date | None = None
    created_before: date | None = None
    no_parent: bool = False
    has_findings: bool = False
    finding: str = ""
    gated: str = ""
    state: str = ""
    sort: Sort = Sort.POPULARITY
    literal: bool = False
    by: str = ""
    after: str = ""
    limit: int = LIMIT

    @classmethod
    def from_params(cls, params: Mapping[str, str]) -> Self:
        """The search that a URL's parameters (a QueryDict or any mapping) ask for; others are ignored.

        Raises BadRequest naming the first one that can't be read.
        """
        query, problems = cls.read(params)
        if problems:
            raise BadRequest(problems[0])
        return query

    @classmethod
    def read(cls, params: Mapping[str, str]) -> tuple[Self, list[str]]:
        """As ``from_params``, but what can't be read is left out and told in the list."""
        values: dict[str, Any] = {}
        problems = []
        for field, (name, parse, _) in _PARAMS.items():
            raw = params.get(name, "").replace("\0", "").strip()[: TEXT_MAX if field != "after" else 2_000]
            if raw:
                try:
                    values[field] = parse(raw)
                except (ValueError, OverflowError) as error:
                    problems.append(f"{name}={raw[:40]!r}: {error}")
        return cls(**values), problems

    def to_params(self) -> dict[str, str]:
        """The parameters that give this search, in one canonical order; defaults are left out."""
        found = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                name, _, write = _PARAMS[field.name]
                found[name] = write(value)
        return found

    def to_string(self) -> str:
        """The same as the query part of a URL, without its question mark."""
        return urlencode(self.to_params())

    def but(self, **changes: Any) -> Self:
        """The same search with other values, from its first page on."""
        return replace(self, **{"after": "", **changes})

    @property
    def filters(self) -> dict[str, Any]:
        """The fields other than the text that narrow this search, with their values."""
        return {name: value for name in FILTERS if (value := getattr(self, name)) != _DEFAULTS[name]}


# --- how each field is spelt in a URL -------------------------------------------------------------------------------
def _choice(known: Mapping[str, Any]) -> Callable[[str], Any]:
    def parse(raw: str) -> Any:
        try:
            return known[raw.lower()]
        except KeyError:
            raise ValueError(f"is none of {', '.join(known)}") from None

    return parse


def _count(raw: str) -> int:
    """``7b``, ``1.5B``, ``125M`` or a plain number."""
    found = _COUNT.fullmatch(raw)
    if found is None:
        raise ValueError("is no number such as 7000000000, 7b or 125M")
    count = int(Decimal(found[1]) * _SUFFIXES[found[2].lower()])
    if count >= 2**63:
        raise ValueError("is too large")
    return count


def _day(raw: str) -> date:
    try:
        return date.fromisoformat(raw)
    except ValueError:
        raise ValueError("is no date such as 2024-03-31") from None


def _limit(raw: str) -> int:
    if not raw.isdecimal() or not 1 <= int(raw) <= LIMIT_MAX:
        raise ValueError(f"is no number from 1 to {LIMIT_MAX}")
    return int(raw)


def _same(value: str) -> str:
    return value


_FLAG = (
    _choice({"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False}),
    lambda _: "1",
)
_PARAMS: dict[str, tuple[str, Callable[[str], Any], Callable[[Any], str]]] = {
    "text": ("q", _same, _same),
    "relation": ("relation", _choice({r.name.lower(): r for r in Relation}), lambda r: r.name.lower()),
    **{
        name: (name, _same, _same)
        for name in ("task", "library", "licence", "language", "dataset", "architecture", "model_type", "author")
    },
    "min_parameters": ("min", _count, str),
    "max_parameters": ("max", _count, str),
    "created_after": ("since", _day, date.isoformat),
    "created_before": ("until", _day, date.isoformat),
    "no_parent": ("no_parent", *_FLAG),
    "has_findings": ("has_findings", *_FLAG),
    "finding": ("finding", _same, _same),
    "gated": ("gated", _choice({value: value for value in GATED}), _same),
    "state": ("state", _choice({value: value for value in STATES}), _same),
    "sort": ("sort", _choice({value: Sort(value) for value in Sort.values}), lambda sort: sort.value),
    "literal": ("literal", *_FLAG),
    "by": ("by", _choice({value: value for value in BY}), _same),
    "after": ("after", _same, _same),
    "limit": ("limit", _limit, str),
}
_DEFAULTS = {field.name: field.default for field in fields(Query)}
FILTERS = tuple(name for name in _DEFAULTS if name not in {"text", "sort", "literal", "by", "after", "limit"})
