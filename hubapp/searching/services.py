"""Keeping the index in step with the catalogue, inside the transaction that changes the catalogue."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hubapp.catalog.models import RepoState
from hubapp.catalog.stored import Stored
from hubapp.jobs.services import enqueue
from hubapp.searching import entries, folding, upkeep

KIND = "search"
UNFINDABLE = frozenset({RepoState.GONE.value, RepoState.PRIVATE.value, RepoState.RENAMED.value})
"""States of repos that no search shows."""


def index(*, stored: Sequence[Stored]) -> None:
    """Make new repos findable, move those whose name, rank or facets changed, take away those that can't be had.

    Runs in the caller's transaction. New repos cost no look-up.
    """
    hidden = [s.repo_id for s in stored if s.state in UNFINDABLE]
    if hidden:
        remove(repo_ids=hidden)
        stored = [s for s in stored if s.state not in UNFINDABLE]
    new = [entries.row_of(s) for s in stored if s.is_new]
    entries.insert(new)
    folding.note(left=[], come=new)
    changed = [s for s in stored if not s.is_new]
    if not changed:
        return
    before = entries.present([s.repo_id for s in changed])
    after = [entries.row_of(s, before.get(s.repo_id)) for s in changed]
    moved = [row for row in after if row != before.get(row.repo_id)]
    if moved:
        left = [before[row.repo_id] for row in moved if row.repo_id in before]
        entries.delete([row.repo_id for row in left])
        entries.insert(moved)
        folding.note(left=left, come=moved)


def remove(*, repo_ids: Collection[int]) -> None:
    """Take repos out of the index, in the caller's transaction. Those that are not in it are ignored."""
    left = entries.present(repo_ids)
    if left:
        entries.delete(left)
        folding.note(left=list(left.values()), come=[])


def wake() -> None:
    """Ask for the job that keeps the index quick, if it has something to do. Call it when a crawl has ended."""
    if upkeep.is_due():
        enqueue(kind=KIND, params={})
