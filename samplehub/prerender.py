"""Listing pages made beforehand and kept in a file, so that serving one costs next to nothing.

For benches: what is to be measured is the crawler, on a machine that it shares with this hub.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from samplehub.http11 import FileSlice, json_bytes
from samplehub.listing import Shelf, page
from samplehub.query import PAGE_MAX, ListQuery, read_cursor
from samplehub.shape import EXPANDABLE

#: The fields of a usual full crawl; a request for exactly these, in any order, is answered from the file.
USUAL_FIELDS = (
    "author", "baseModels", "cardData", "config", "createdAt", "disabled", "downloads", "downloadsAllTime", "gated",
    "gguf", "lastModified", "library_name", "likes", "pipeline_tag", "private", "safetensors", "sha", "tags",
    "trendingScore",
)  # fmt: skip
KEPT_BYTES = 6_000_000_000  # of page files from earlier runs; the oldest are dropped beyond it


def cache_folder() -> Path:
    """Where page files are kept: below the project's state, so that one folder moves all of it."""
    return Path(os.environ.get("ROOTSTOCK_VAR", "var")).resolve() / "samplehub"


@dataclass(frozen=True)
class Pages:
    """All pages of one unfiltered listing. ``spans`` are (offset, length); ``cursors[k]`` leads to page k."""

    path: Path
    fields: frozenset[str]
    sort: str
    limit: int
    version: int
    spans: list[tuple[int, int]]
    cursors: list[str | None]
    starts: dict[tuple[float, str] | None, int]

    def find(self, query: ListQuery, version: int) -> tuple[FileSlice, str | None] | None:
        """The page that answers a query, and the cursor of the next; None where it must be made."""
        if query.filtered or version != self.version or query.sort != self.sort or query.limit != self.limit:
            return None
        if frozenset(query.fields) != self.fields or (number := self.starts.get(query.cursor)) is None:
            return None
        offset, length = self.spans[number]
        following = self.cursors[number + 1] if number + 1 < len(self.cursors) else None
        return FileSlice(self.path, offset, length), following


def make(
    shelf: Shelf, about: str, *, expand: tuple[str, ...] = USUAL_FIELDS, sort: str = "createdAt", limit: int = PAGE_MAX
) -> Pages:
    """Makes, or finds again, the pages of a listing. Only generated contents are found again: their name says all.

    Raises ValueError for a field that the Hub does not have.
    """
    if unknown := [name for name in expand if name not in EXPANDABLE]:
        raise ValueError(
            f"cannot make pages beforehand with the fields {', '.join(unknown)}: the hub has no such fields"
        )
    fields = ("_id", "id", *expand)
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    kept = about.startswith("generated:") and shelf.version == 0
    from samplehub.generator import VERSION

    label = json.dumps([about, VERSION, sorted(fields), sort, limit])
    name = (
        f"pages-{hashlib.sha256(label.encode()).hexdigest()[:20]}" if kept else f"pages-once-{os.getpid()}-{id(shelf)}"
    )
    path, index = folder / f"{name}.json", folder / f"{name}.index"
    if not (kept and path.exists() and index.exists()):
        _write(shelf, ListQuery(sort=sort, limit=limit, fields=fields), path, index)
    spans, cursors = json.loads(index.read_text())
    if not kept:
        index.unlink()
    os.utime(path)
    _tidy(folder, path)
    starts = {None if cursor is None else read_cursor(cursor, sort): n for n, cursor in enumerate(cursors)}
    return Pages(path, frozenset(fields), sort, limit, shelf.version, [(a, b) for a, b in spans], cursors, starts)


def _write(shelf: Shelf, query: ListQuery, path: Path, index: Path) -> None:
    spans: list[tuple[int, int]] = []
    cursors: list[str | None] = [None]
    offset = 0
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix="unfinished-")
    try:
        with os.fdopen(handle, "wb") as file:
            while True:
                rows, cursor = page(shelf, query)
                body = json_bytes(rows)
                file.write(body)
                spans.append((offset, len(body)))
                offset += len(body)
                if cursor is None:
                    break
                cursors.append(cursor)
                query = replace(query, cursor=read_cursor(cursor, query.sort))
        index.write_text(json.dumps([spans, cursors]))
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def _tidy(folder: Path, current: Path) -> None:
    """Drops the page files that were used longest ago, until the others fit."""
    files = sorted(folder.glob("pages-*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
    total = 0
    for file in files:
        total += file.stat().st_size
        if total > KEPT_BYTES and file != current:
            file.unlink(missing_ok=True)
            file.with_suffix(".index").unlink(missing_ok=True)
