"""What a page of facts comes to in the repo table: rows to insert, rows to update, repos that are unchanged.

Written for speed: what is here is run for every one of millions of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import blake2b
from operator import attrgetter
from typing import Any

import orjson

from hubapp.catalog import bulk, terms
from hubapp.catalog.models import RepoState
from hubapp.catalog.names import Present
from hubapp.catalog.ranks import rank_of
from hubapp.catalog.stored import Stored
from workers.crawling.records import RepoFacts
from workers.lineage.rules import fold

_PLAIN = {
    "name": "text",
    "author": "text",
    "sha": "text",
    "downloads": "id",
    "downloads_all": "id",
    "likes": "int",
    "trending": "float",
    "licence_name": "text",
    "licence_link": "text",
    "parameters": "id",
    "gated": "text",
}
"""What is stored as it was read."""

_MADE = {
    "hub_id": "text",
    "folded": "text",
    "state": "text",
    "rank": "id",
    "created_at": "time",
    "modified_at": "time",
    "task_id": "id",
    "library_id": "id",
    "licence_id": "id",
    "architecture_id": "id",
    "model_type_id": "id",
    "tags": "json",
    "dtypes": "json",
    "digest": "text",
    "crawled_at": "time",
    "listing": "int",
    "retired": "id",
}
COLUMNS = {**_PLAIN, **_MADE, "moved_to_id": "id"}
"""What an update writes, after the key."""

NEW_COLUMNS = {"id": "id", **_PLAIN, **_MADE, "card_excerpt": "text", "card_sha": "text", "lookup_answer": "text"}
"""What an insert writes; columns that begin as null are left out."""

_plain = attrgetter(*_PLAIN)  # eleven attributes in one call
NAMED = ("id", "name", "folded", "author", "state", "rank")
BLANK: dict[str, Any] = {
    "retired": 0,
    "sha": "",
    "downloads": 0,
    "downloads_all": 0,
    "likes": 0,
    "trending": 0.0,
    "licence_name": "",
    "licence_link": "",
    "tags": "[]",
    "dtypes": "{}",
    "gated": "",
    "digest": "",
    "listing": 0,
    "card_excerpt": "",
    "card_sha": "",
    "lookup_answer": "",
}
"""What a repo has of which nothing but the name is known."""


_LISTED, _GATED, _DISABLED = RepoState.LISTED.value, RepoState.GATED.value, RepoState.DISABLED.value


class Page:
    """A page's rows with the repos that they speak of (None: new)."""

    def __init__(self, pairs: Sequence[tuple[RepoFacts, Present | None]], now: datetime, listing: int | None) -> None:
        self.pairs = pairs
        self.listing = listing
        self.stamp = bulk.moment(now)
        self.moment = bulk.moments()
        self.new: list[tuple[Any, ...]] = []
        self.changed: list[tuple[Any, ...]] = []
        self.same: list[int] = []
        self.links: dict[int, list[int]] = {}  # repo → its languages and datasets

    def plan(self) -> list[Stored]:
        """Decide for each row; afterwards ``new``, ``changed``, ``same`` and ``links`` are what is to be written."""
        told = [(fact, repo, *_state_and_digest(fact)) for fact, repo in self.pairs]
        unequal = [
            fact for fact, repo, state, digest in told if repo is None or not _is_same(fact, repo, state, digest)
        ]
        ids = terms.by_kind(_terms_of(unequal))
        fresh = iter(new_ids(sum(repo is None for _, repo in self.pairs)))
        stored = []
        for fact, repo, state, digest in told:
            if repo is None:
                repo_id = next(fresh)
                rank = rank_of(repo_id, fact.downloads)
                made, found = self._made(fact, state, rank, digest, ids)
                self.new.append((repo_id, *_plain(fact), *made, self.listing or 0, 0, "", "", ""))
                stored.append(Stored(repo_id, fact.name, state, rank, fact, True, True, True, None, None, None, found))
                if fact.languages or fact.datasets:
                    self._link(repo_id, fact, ids)
            elif _is_same(fact, repo, state, digest):
                self.same.append(repo.id)
                stored.append(
                    Stored(repo.id, repo.name, state, repo.rank, fact, False, False, False, repo.name, state, repo.rank)
                )
            else:
                rank = rank_of(repo.id, fact.downloads, repo.rank)
                made, found = self._made(fact, state, rank, digest, ids)
                listing = repo.listing if self.listing is None else self.listing
                self.changed.append((repo.id, *_plain(fact), *made, listing, 0, None))
                descends = repo.digest[:16] != digest[:16] or repo.name != fact.name or repo.state != state
                stored.append(
                    Stored(
                        repo.id, fact.name, state, rank, fact, False, True, descends,
                        repo.name, repo.state, repo.rank, found,
                    )
                )  # fmt: skip
                self._link(repo.id, fact, ids)
        return stored

    def _made(
        self, fact: RepoFacts, state: str, rank: int, digest: str, ids: terms.Ids
    ) -> tuple[tuple[Any, ...], tuple[int, ...]]:
        """The columns from ``hub_id`` to ``crawled_at``, and the ids of all terms of the repo."""
        moment = self.moment
        single = (
            ids[terms.TASK].get(fact.task),
            ids[terms.LIBRARY].get(fact.library),
            ids[terms.LICENCE].get(fact.licence),
            ids[terms.ARCHITECTURE].get(fact.architecture),
            ids[terms.MODEL_TYPE].get(fact.model_type),
        )
        found = [term for term in single if term is not None]
        if fact.languages:
            found += [ids[terms.LANGUAGE][value] for value in fact.languages]
        if fact.datasets:
            found += [ids[terms.DATASET][value] for value in fact.datasets]
        return (
            fact.hub_id or None,
            fold(fact.name),
            state,
            rank,
            moment(fact.created_at),
            moment(fact.modified_at),
            *single,
            orjson.dumps(fact.tags).decode(),
            orjson.dumps(fact.dtypes).decode() if fact.dtypes else "{}",
            digest,
            self.stamp,
        ), tuple(found)

    def _link(self, repo_id: int, fact: RepoFacts, ids: terms.Ids) -> None:
        self.links[repo_id] = [
            *(ids[terms.LANGUAGE][value] for value in fact.languages),
            *(ids[terms.DATASET][value] for value in fact.datasets),
        ]


def _state_and_digest(fact: RepoFacts) -> tuple[str, str]:
    """The state that a row shows, and a digest in two halves: of what lineage reads, and of everything."""
    state = _DISABLED if fact.disabled else _GATED if fact.gated else _LISTED
    descent = blake2b(orjson.dumps((fact.tags, fact.declared, state)), digest_size=8).hexdigest()
    return state, descent + (fact.digest or blake2b(orjson.dumps(fact), digest_size=8).hexdigest())


def _is_same(fact: RepoFacts, repo: Present, state: str, digest: str) -> bool:
    return repo.digest == digest and repo.name == fact.name and repo.state == state


def _terms_of(facts: Sequence[RepoFacts]) -> dict[str, set[str]]:
    wanted = {
        terms.TASK: {fact.task for fact in facts},
        terms.LIBRARY: {fact.library for fact in facts},
        terms.LICENCE: {fact.licence for fact in facts},
        terms.ARCHITECTURE: {fact.architecture for fact in facts},
        terms.MODEL_TYPE: {fact.model_type for fact in facts},
        terms.LANGUAGE: {value for fact in facts for value in fact.languages},
        terms.DATASET: {value for fact in facts for value in fact.datasets},
    }
    return {kind: values - {""} for kind, values in wanted.items()}


def new_ids(count: int) -> list[int]:
    """The next keys of the repo table, in rising order; the ingest lock keeps others from taking them on SQLite."""
    if not count:
        return []
    if bulk.is_postgres():
        return sorted(
            row[0]
            for row in bulk.fetch(
                "SELECT nextval(pg_get_serial_sequence('catalog_repo', 'id')) FROM generate_series(1, %s)", [count]
            )
        )
    ((last,),) = bulk.fetch("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'catalog_repo'")
    return list(range(last + 1, last + 1 + count))
