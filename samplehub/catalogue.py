"""The repos that a hub holds in memory: look-up, listing order, and changes made while it runs."""

from __future__ import annotations

import bisect
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from samplehub.files import Commit, Snapshots, with_front_matter
from samplehub.query import ListQuery
from samplehub.shape import RELATIONS, Key, Row, author_of, commit_id, iso, object_id, order_key, sort_value

#: The user that every repo admits.
OWNER = "sample-owner"


class CatalogueError(Exception):
    """A change that cannot be made: no such repo, a name that is taken, an unknown field."""


@dataclass
class Repo:
    """One repo: its row, its files, and what keeps a caller from it."""

    row: Row
    files: Snapshots | Callable[[Row], Snapshots] | None = None
    allowed: frozenset[str] = frozenset()  # callers who may read a gated or private repo

    @property
    def id(self) -> str:
        return str(self.row.get("id"))

    @property
    def snapshots(self) -> Snapshots | None:
        """The repo's commits and files; made from the row when first asked for where that is how they come."""
        if callable(self.files):
            self.files = self.files(self.row)
        return self.files

    def admits(self, user: str | None) -> bool:
        """Whether a user may read what is private, gated or disabled here."""
        return user == OWNER or (user is not None and user in self.allowed)

    @property
    def private(self) -> bool:
        return bool(self.row.get("private"))

    @property
    def gated(self) -> bool:
        return self.row.get("gated") in ("auto", "manual", True)

    @property
    def disabled(self) -> bool:
        return bool(self.row.get("disabled"))


@dataclass
class Catalogue:
    """Rows in memory. Any change raises ``version``, which drops the sorted lists made from it."""

    repos: dict[str, Repo] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    version: int = 0
    settle: Callable[[Catalogue], None] | None = None  # called after a change, to make anew what depends on other repos
    _orders: dict[str, tuple[int, list[Key], list[Repo]]] = field(default_factory=dict)
    _indexed: tuple[int, dict[tuple[str, str], list[Repo]]] | None = None
    _children: tuple[int, dict[str, dict[str, int]]] | None = None

    @classmethod
    def of_rows(cls, rows: Iterable[Row]) -> Catalogue:
        """A catalogue of bare rows; of two rows with one id the later stands."""
        catalogue = cls()
        for row in rows:
            row.setdefault("_id", object_id(str(row.get("id")), row.get("createdAt")))
            catalogue.repos[str(row.get("id"))] = Repo(row)
        return catalogue

    def __len__(self) -> int:
        return len(self.repos)

    def find(self, repo_id: str) -> Repo | None:
        return self.repos.get(repo_id)

    def new_name(self, repo_id: str) -> str | None:
        """The present name of a renamed repo, over any number of renames."""
        seen = set()
        while repo_id in self.renamed and repo_id not in seen and repo_id not in self.repos:
            seen.add(repo_id)
            repo_id = self.renamed[repo_id]
        return repo_id if seen and repo_id in self.repos else None

    # Listing ---------------------------------------------------------------------------------

    def ordered(self, sort: str) -> tuple[list[Key], list[Repo]]:
        cached = self._orders.get(sort)
        if cached is None or cached[0] != self.version:
            pairs = sorted(
                (
                    (order_key(sort_value(repo.row, sort), str(repo.row.get("_id")), sort), repo)
                    for repo in self.repos.values()
                ),
                key=lambda pair: pair[0],
            )
            cached = (self.version, [key for key, _ in pairs], [repo for _, repo in pairs])
            self._orders[sort] = cached
        return cached[1], cached[2]

    def candidates(self, query: ListQuery) -> Iterator[Repo]:
        """The repos behind a query's cursor in listing order: all that match, and others where no index helps."""
        narrow = [self._index().get(("tag", tag), []) for tag in query.tags]
        if query.author is not None:
            narrow.append(self._index().get(("author", query.author), []))
        if narrow:
            few = min(narrow, key=len)
            pairs = sorted(
                (order_key(sort_value(repo.row, query.sort), str(repo.row.get("_id")), query.sort), n)
                for n, repo in enumerate(few)
            )
            start = 0 if query.cursor is None else bisect.bisect_right(pairs, (query.cursor, len(few)))
            return (few[n] for _, n in pairs[start:])
        keys, repos = self.ordered(query.sort)
        start = 0 if query.cursor is None else bisect.bisect_right(keys, query.cursor)
        return (repos[n] for n in range(start, len(repos)))

    def _index(self) -> dict[tuple[str, str], list[Repo]]:
        """Repos by tag and by author."""
        if self._indexed is None or self._indexed[0] != self.version:
            index: dict[tuple[str, str], list[Repo]] = {}
            for repo in self.repos.values():
                for name in tags_of(repo.row):
                    index.setdefault(("tag", name), []).append(repo)
                if isinstance(author := repo.row.get("author"), str):
                    index.setdefault(("author", author), []).append(repo)
            self._indexed = (self.version, index)
        return self._indexed[1]

    def children_count(self, repo_id: str) -> dict[str, int]:
        """How many models name this one as their resolved parent, by relation."""
        if self._children is None or self._children[0] != self.version:
            counts: dict[str, dict[str, int]] = {}
            for repo in self.repos.values():
                parents = repo.row.get("baseModels")
                if not isinstance(parents, dict) or repo.private:
                    continue
                models, relation = parents.get("models"), str(parents.get("relation"))
                for parent in models if isinstance(models, list) else ():
                    if isinstance(parent, dict):
                        slot = counts.setdefault(str(parent.get("id")), dict.fromkeys(RELATIONS, 0))
                        slot[relation] = slot.get(relation, 0) + 1
            self._children = (self.version, counts)
        return self._children[1].get(repo_id) or dict.fromkeys(RELATIONS, 0)

    # Changes while it runs -------------------------------------------------------------------

    def change(self, action: str, repo_id: str, **arguments: Any) -> Row | None:
        """Makes one change and tells the row that results (None after a deletion).

        ``delete``, ``rename(to=)``, ``make_private``, ``make_public``, ``gate(how="auto")``, ``ungate``,
        ``disable``, ``enable``, ``edit(fields={…})`` and ``add(row={…})``. Raises CatalogueError.
        """
        if action not in self.ACTIONS:
            raise CatalogueError(f"unknown action {action!r}; there are {', '.join(self.ACTIONS)}")
        if action != "add" and repo_id not in self.repos:
            raise CatalogueError(f"no repo {repo_id!r}")
        try:
            row = self._change(action, repo_id, arguments)
        except TypeError as error:
            raise CatalogueError(f"{action}: {error}") from None
        self.version += 1
        if self.settle is not None:
            self.settle(self)
        return row

    def _change(self, action: str, repo_id: str, arguments: dict[str, Any]) -> Row | None:
        if action == "add":
            return self._add(repo_id, **arguments)
        repo = self.repos[repo_id]
        if action == "delete":
            del self.repos[repo_id]
            return None
        if action == "rename":
            self._rename(repo, **arguments)
        elif action == "gate":
            repo.row["gated"] = arguments.get("how", "auto")
        elif action == "edit":
            self._edit(repo, **arguments)
        else:
            name, value = self._FLAGS[action]
            repo.row[name] = value
        return repo.row

    _FLAGS = {
        "make_private": ("private", True), "make_public": ("private", False), "ungate": ("gated", False),
        "disable": ("disabled", True), "enable": ("disabled", False),
    }  # fmt: skip
    ACTIONS = ("add", "delete", "rename", "edit", "gate", *_FLAGS)

    def _rename(self, repo: Repo, *, to: str) -> None:
        if to in self.repos:
            raise CatalogueError(f"{to!r} is taken")
        old = repo.id
        self.repos[to] = self.repos.pop(old)
        self.renamed.pop(to, None)
        self.renamed[old] = to
        repo.row["id"] = repo.row["modelId"] = to
        repo.row["author"] = author_of(to)
        if self.settle is None:
            self._rename_in_children(old, to)

    def _rename_in_children(self, old: str, new: str) -> None:
        """A resolved parent is known by its ``_id``: its new name shows in its children; cards keep the old."""
        for child in self.repos.values():
            parents = child.row.get("baseModels")
            if not isinstance(parents, dict):
                continue
            models = parents.get("models")
            if not isinstance(models, list) or not any(isinstance(m, dict) and m.get("id") == old for m in models):
                continue
            named_now = [{**m, "id": new} if isinstance(m, dict) and m.get("id") == old else m for m in models]
            child.row["baseModels"] = {**parents, "models": named_now}
            prefix = ("base_model:", f"base_model:{parents.get('relation')}:")
            named = {f"{start}{old}": f"{start}{new}" for start in prefix}
            tags = child.row.get("tags")
            if isinstance(tags, list):
                child.row["tags"] = [named.get(tag, tag) if isinstance(tag, str) else tag for tag in tags]

    def _edit(self, repo: Repo, *, fields: Row, touch: bool = True) -> None:
        if {"id", "_id"} & fields.keys():
            raise CatalogueError("an id is changed by rename, and _id never")
        repo.row.update(fields)
        if touch and "lastModified" not in fields:
            repo.row["lastModified"] = iso(time.time())
        if "cardData" in fields and (snapshots := repo.snapshots) is not None:
            card = with_front_matter(
                snapshots.trees[0].get("README.md") if snapshots.trees else None, fields["cardData"]
            )
            commit = Commit(commit_id(repo.id, time.time_ns()), "Update README.md", repo.row["lastModified"])
            repo.files = snapshots.with_commit(commit, {"README.md": card})
            repo.row["sha"] = commit.id

    def _add(self, repo_id: str, *, row: Row | None = None) -> Row:
        if repo_id in self.repos:
            raise CatalogueError(f"{repo_id!r} is taken")
        now = iso(time.time())
        full: Row = {
            "id": repo_id, "modelId": repo_id, "author": author_of(repo_id),
            "createdAt": now, "lastModified": now, "downloads": 0, "downloadsAllTime": 0, "likes": 0,
            "trendingScore": 0, "private": False, "gated": False, "disabled": False, "tags": ["region:us"],
            **(row or {}),
        }  # fmt: skip
        full.setdefault("_id", object_id(repo_id, full["createdAt"]))
        self.repos[repo_id] = Repo(full)
        self.renamed.pop(repo_id, None)
        return full


def tags_of(row: Row) -> set[str]:
    """All that ``filter=`` matches on: the tags, the task, the library and the region."""
    tags = row.get("tags")
    found = {tag for tag in tags if isinstance(tag, str)} if isinstance(tags, list) else set()
    found |= {value for value in (row.get("pipeline_tag"), row.get("library_name")) if isinstance(value, str)}
    return found
