"""A catalogue of generated models that makes each row when it is asked for: two million need no gigabytes.

The first change (a deletion, a rename…) takes all rows into memory, so it is for contents of a size that tests use.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as np

from samplehub.catalogue import Catalogue, CatalogueError, Repo, tags_of
from samplehub.files import Blob, Commit, Snapshots, Tree
from samplehub.generator.forest import DIRT_NAMES, UNRESOLVED, Ints
from samplehub.generator.rows import Generated
from samplehub.query import ListQuery
from samplehub.replay import card_text
from samplehub.shape import RELATIONS, Key, Row

CHANGEABLE = 300_000  # rows that may be taken into memory: about 2 kB each


class GeneratedShelf:
    """Generated models as a hub holds them. Same methods as ``Catalogue``."""

    def __init__(self, models: Generated) -> None:
        self.models = models
        self._memory: Catalogue | None = None
        self._orders: dict[str, tuple[Ints, Ints]] = {}
        self._found = functools.lru_cache(maxsize=32)(self._find_indices)

    def __len__(self) -> int:
        return self.models.n if self._memory is None else len(self._memory)

    @property
    def version(self) -> int:
        """Rises with each change."""
        return 0 if self._memory is None else self._memory.version + 1

    # Look-up ---------------------------------------------------------------------------------

    def index_of(self, repo_id: str) -> int | None:
        """The index of the model with an id."""
        hashes, order = self._hashes
        at = int(np.searchsorted(hashes, hash(repo_id)))
        while at < len(hashes) and hashes[at] == hash(repo_id):
            if self.models.id(int(order[at])) == repo_id:
                return int(order[at])
            at += 1
        return None

    @functools.cached_property
    def _ids(self) -> list[str]:
        return [self.models.id(i) for i in range(self.models.n)]

    @functools.cached_property
    def _hashes(self) -> tuple[Ints, Ints]:
        hashes = np.fromiter((hash(self.models.id(i)) for i in range(self.models.n)), np.int64, self.models.n)
        order = np.argsort(hashes)
        return hashes[order], order

    def find(self, repo_id: str) -> Repo | None:
        if self._memory is not None:
            return self._memory.find(repo_id)
        index = self.index_of(repo_id)
        return None if index is None else Repo(self.models.row(index), snapshots_of)

    def new_name(self, repo_id: str) -> str | None:
        return self._memory.new_name(repo_id) if self._memory is not None else None

    def children_count(self, repo_id: str) -> dict[str, int]:
        """How many models name this one as their resolved parent, by relation."""
        if self._memory is not None:
            return self._memory.children_count(repo_id)
        index = self.index_of(repo_id)
        relations = self.models.relation[self._children(index)] if index is not None else np.empty(0, np.int64)
        counts = np.bincount(relations, minlength=len(RELATIONS))
        return dict(zip(RELATIONS, counts.tolist(), strict=True))

    @functools.cached_property
    def _family(self) -> tuple[Ints, Ints]:
        """Children by parent: children in order of their parent, and where each parent's begin."""
        parents, children, _ = self.models.edges()
        unresolved = [number for number, name in enumerate(DIRT_NAMES) if name in UNRESOLVED]
        seen = self.models.card[children] & ~np.isin(self.models.dirt[children], unresolved)
        parents, children = parents[seen], children[seen]
        order = np.argsort(parents, kind="stable")
        return children[order], np.searchsorted(parents[order], np.arange(self.models.n + 1))

    def _children(self, index: int) -> Ints:
        children, start = self._family
        return children[start[index] : start[index + 1]]

    # Listing ---------------------------------------------------------------------------------

    def candidates(self, query: ListQuery) -> Iterator[Repo]:
        """The repos behind a query's cursor in listing order: all that match, and others where no index helps."""
        if self._memory is not None:
            return self._memory.candidates(query)
        if query.tags or query.author is not None or query.search is not None:
            indices = self._found(query.tags, query.author, query.search)
        else:
            indices = None
        return (Repo(self.models.row(i), snapshots_of) for i in self._ordered(query, indices))

    def _ordered(self, query: ListQuery, chosen: Ints | None) -> Iterator[int]:
        values, order = self._order(query.sort)
        if chosen is not None:
            member = np.zeros(self.models.n, bool)
            member[chosen] = True
            order = order[member[order]]
            values = self._values(query.sort)[order]
        start = 0 if query.cursor is None else self._position(values, order, query.cursor, query.sort)
        for at in range(start, len(order)):
            yield int(order[at])

    def _values(self, sort: str) -> Ints:
        name = {"createdAt": "created", "lastModified": "modified", "trendingScore": "trending"}.get(sort, sort)
        return getattr(self.models, name)

    def _order(self, sort: str) -> tuple[Ints, Ints]:
        """Values in listing order (falling), and the indices that have them (rising among equals)."""
        if sort not in self._orders:
            values = self._values(sort)
            order = np.argsort(-values, kind="stable").astype(np.int32)
            self._orders[sort] = (values[order], order)
        return self._orders[sort]

    @staticmethod
    def _position(values: Ints, order: Ints, cursor: Key, sort: str) -> int:
        """Where a listing goes on behind a cursor; ``_id`` rises with the index."""
        value, oid = -cursor[0] / (1000 if sort in ("createdAt", "lastModified") else 1), cursor[1]
        low = int(np.searchsorted(-values, -value, side="left"))
        high = int(np.searchsorted(-values, -value, side="right"))
        last = int(oid[-8:], 16) if len(oid) == 24 and _is_hex(oid) else -1
        return low + int(np.searchsorted(order[low:high], last, side="right"))

    def _find_indices(self, tags: tuple[str, ...], author: str | None, search: str | None) -> Ints:
        """The models that match; what an array cannot tell is found by making every row once."""
        found: Ints | None = None
        rest = []
        for tag in tags:
            if tag.startswith("base_model:") and (index := self.index_of(tag.rsplit(":", 1)[-1])) is not None:
                found = self._children(index) if found is None else np.intersect1d(found, self._children(index))
            else:
                rest.append(tag)
        if found is None:
            found = np.arange(self.models.n)
        if author is not None:
            found = found[
                np.isin(self.models.author[found], self._author_numbers(author)) & (found >= self.models.bare)
            ]
        if search is not None:
            words = search.lower().split()
            ids = self._ids
            found = np.array([i for i in found.tolist() if all(word in ids[i].lower() for word in words)], np.int64)
        if rest:
            if len(found) > self.models.n // 10:
                found = functools.reduce(
                    np.intersect1d, [self._tagged.get(tag, np.empty(0, np.int64)) for tag in rest], found
                )
            else:
                found = np.array([i for i in found.tolist() if tags_of(self.models.row(i)).issuperset(rest)], np.int64)
        return found

    def _author_numbers(self, author: str) -> list[int]:
        number = self._authors.get(author)
        return [] if number is None else [number]

    @functools.cached_property
    def _authors(self) -> dict[str, int]:
        numbers, first = np.unique(self.models.author, return_index=True)
        names = (self.models.author_name(i) for i in first.tolist())
        return dict(zip(names, numbers.tolist(), strict=True))

    @functools.cached_property
    def _tagged(self) -> dict[str, Ints]:
        """Indices by tag; made from all rows, so slow for very many."""
        index: dict[str, list[int]] = {}
        for i in range(self.models.n):
            for tag in tags_of(self.models.row(i)):
                if not tag.startswith("base_model:"):
                    index.setdefault(tag, []).append(i)
        return {tag: np.array(found, np.int64) for tag, found in index.items()}

    # Changes ---------------------------------------------------------------------------------

    def change(self, action: str, repo_id: str, **arguments: Any) -> Row | None:
        """As ``Catalogue.change``; refused for very many rows."""
        if self._memory is None:
            if self.models.n > CHANGEABLE:
                raise CatalogueError(f"generated contents of more than {CHANGEABLE:,} models cannot be changed")
            memory = Catalogue()
            memory.repos = {row["id"]: Repo(row, snapshots_of) for row in self.models.rows()}
            row = memory.change(action, repo_id, **arguments)
            self._memory = memory
            return row
        return self._memory.change(action, repo_id, **arguments)


def snapshots_of(row: Row) -> Snapshots:
    """One commit with the card; generated models have no weights."""
    commit = Commit(row["sha"], "Upload folder using huggingface_hub", row["lastModified"], "", str(row["author"]))
    card = {"README.md": Blob.of_bytes(card_text(row).encode())} if "cardData" in row else {}
    return Snapshots([commit], [Tree(card)])


def _is_hex(text: str) -> bool:
    try:
        int(text, 16)
    except ValueError:
        return False
    return True


def load(n: int, seed: int = 0) -> GeneratedShelf:
    """``n`` generated models as a hub holds them."""
    return GeneratedShelf(Generated(n, seed))
