"""A page of ``GET /api/models``, made from a catalogue."""

from __future__ import annotations

from itertools import islice
from typing import Any, Protocol

from samplehub.catalogue import Repo, tags_of
from samplehub.query import ListQuery, write_cursor
from samplehub.shape import Row, project, sort_value


class Shelf(Protocol):
    """What a catalogue must be able to do, however it keeps its repos."""

    @property
    def version(self) -> int: ...
    def __len__(self) -> int: ...
    def find(self, repo_id: str) -> Repo | None: ...
    def new_name(self, repo_id: str) -> str | None: ...
    def candidates(self, query: ListQuery) -> Any: ...
    def children_count(self, repo_id: str) -> dict[str, int]: ...
    def change(self, action: str, repo_id: str, **arguments: Any) -> Row | None: ...


def matches(row: Row, query: ListQuery) -> bool:
    """Whether a row passes every filter of a query."""
    if query.tags and not tags_of(row).issuperset(query.tags):
        return False
    if query.author is not None and row.get("author") != query.author:
        return False
    if query.search is not None:
        name = str(row.get("id")).lower()
        if not all(word in name for word in query.search.lower().split()):
            return False
    if query.gated is not None and bool(row.get("gated")) != query.gated:
        return False
    if query.parameters is not None:
        weights = row.get("safetensors")
        total = weights.get("total") if isinstance(weights, dict) else None
        return isinstance(total, int | float) and query.parameters[0] <= total <= query.parameters[1]
    return True


def page(shelf: Shelf, query: ListQuery, user: str | None = None) -> tuple[list[Row], str | None]:
    """The rows of a page, cut to the asked-for fields, and the cursor of the next page if there is one.

    Private repos are listed to those who may read them and to nobody else.
    """
    found = (
        repo for repo in shelf.candidates(query) if (not repo.private or repo.admits(user)) and matches(repo.row, query)
    )
    repos = list(islice(found, query.limit + 1))
    rows = [project(answer_row(shelf, repo, query.fields), query.fields) for repo in repos[: query.limit]]
    if len(repos) <= query.limit:
        return rows, None
    last = repos[query.limit - 1].row
    return rows, write_cursor(sort_value(last, query.sort), str(last.get("_id")), query.sort)


def answer_row(shelf: Shelf, repo: Repo, fields: tuple[str, ...]) -> Row:
    """A repo's row with what is computed for the answer: files and the count of its children."""
    extra: Row = {}
    if "siblings" in fields and repo.snapshots is not None and repo.snapshots.trees:
        extra["siblings"] = [{"rfilename": name} for name in sorted(repo.snapshots.trees[0])]
    if "childrenModelCount" in fields:
        extra["childrenModelCount"] = shelf.children_count(repo.id)
    return {**repo.row, **extra} if extra else repo.row
