"""Hubs for crawls: small, on loopback, with faults on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from samplehub.catalogue import Catalogue
from samplehub.running import Running, serve

CREATED = "2024-01-{:02d}T00:00:00.000Z"


def row(name: str, number: int = 1, **fields: Any) -> dict[str, Any]:
    """A listing row of its own ``_id``; ``number`` makes it later than those of smaller ones."""
    day, hour = 1 + number // 24 % 28, number % 24
    moment = f"2024-01-{day:02d}T{hour:02d}:00:00.000Z"
    return {
        "_id": f"{number:024x}",
        "id": name,
        "modelId": name,
        "author": name.partition("/")[0] if "/" in name else None,
        "createdAt": moment,
        "lastModified": moment,
        "downloads": number,
        "downloadsAllTime": number * 10,
        "likes": 1,
        "trendingScore": 0,
        "private": False,
        "gated": False,
        "disabled": False,
        "sha": f"{number:040x}",
        "tags": ["region:us"],
        **fields,
    }


def child_of(name: str, parent: str, number: int, relation: str = "finetune", **fields: Any) -> dict[str, Any]:
    """A row that declares ``parent`` everywhere a real one does."""
    tags = [f"base_model:{parent}", f"base_model:{relation}:{parent}", "region:us"]
    return row(name, number, **{"cardData": {"base_model": parent}, "tags": tags, **fields})


@pytest.fixture
def make_hub() -> Iterator[Callable[..., Running]]:
    """``make_hub(rows, faults=…)`` serves those rows until the test ends."""
    with ExitStack() as stack:

        def make(rows: list[dict[str, Any]] | None = None, content: str = "", **options: Any) -> Running:
            catalogue = Catalogue.of_rows(rows) if rows is not None else None
            return stack.enter_context(serve(content or "collection", catalogue=catalogue, **options))

        yield make
