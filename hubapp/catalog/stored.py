"""What storing a page did to each repo: read by the rooms above to keep their own tables in step."""

from __future__ import annotations

from typing import NamedTuple

from workers.crawling.records import RepoFacts


class Stored(NamedTuple):
    """One repo after ``catalog.services`` wrote it. A page names each repo at most once.

    ``facts`` is None where nothing was read of the repo itself: a stub just made, or a repo whose state or name alone
    changed. ``old_*`` are the values before; None for a new repo. ``changed`` says whether any stored fact differs,
    ``descent_changed`` whether anything that lineage reads does (name, state, tags, declared parents). ``terms`` are
    the ids of all terms of ``facts``: task, library, licence, architecture, model type, languages, datasets.
    """

    repo_id: int
    name: str
    state: str
    rank: int
    facts: RepoFacts | None = None
    is_new: bool = False
    changed: bool = False
    descent_changed: bool = False
    old_name: str | None = None
    old_state: str | None = None
    old_rank: int | None = None
    terms: tuple[int, ...] = ()

    @property
    def folded(self) -> str:
        return self.name.lower()

    @property
    def old_folded(self) -> str | None:
        return None if self.old_name is None else self.old_name.lower()

    @property
    def renamed_from(self) -> str | None:
        """The former name, where it differs."""
        return self.old_name if self.old_name not in (None, self.name) else None
