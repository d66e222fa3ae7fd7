"""Writing of repos: pages of facts, stubs, states, cards. All run inside the caller's transaction.

Whatever makes or renames repos holds the ingest lock: looking up what is there and writing what follows from it is then
safe without a retry, and one writer is faster than the Hub's rate limit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from django.db import connection, transaction

from hubapp.catalog import bulk, names
from hubapp.catalog.models import RepoState
from hubapp.catalog.page import BLANK, COLUMNS, NAMED, NEW_COLUMNS, Page, new_ids
from hubapp.catalog.ranks import unknown_rank
from hubapp.catalog.stored import Stored
from workers.crawling.records import RepoFacts
from workers.lineage.rules import fold

_LOCK = 0x726F6F7473  # "roots": the advisory lock of PostgreSQL under which repos are made

_DISABLED, _GONE, _RENAMED = RepoState.DISABLED.value, RepoState.GONE.value, RepoState.RENAMED.value
_STUB = RepoState.STUB.value
LISTED_STATES = (RepoState.LISTED, RepoState.GATED, RepoState.DISABLED)
"""The states in which a complete listing shows a repo."""


def lock_ingest() -> None:
    """Wait until no one else makes repos; held to the end of the transaction.

    SQLite's write transactions are serial anyway (settings ask for IMMEDIATE).
    """
    if bulk.is_postgres():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


@transaction.atomic(savepoint=False)
def store(*, facts: Sequence[RepoFacts], now: datetime, listing: int | None = None) -> list[Stored]:
    """Store one page: at most some thousand repos, each named once or more (the last reading stands).

    ``listing`` is the number of the complete listing that this page belongs to. Returns what became of each repo,
    unchanged ones included, and of the repos that lost their name to another.
    """
    lock_ingest()
    plan = names.plan(facts, names.look_up(facts))
    if plan.lost:
        retired = [(row.id, _GONE, row.id) for row in plan.lost]
        bulk.update("catalog_repo", {"id": "id"}, {"state": "text", "retired": "id"}, retired)
        _purge_cards([row.id for row in plan.lost])
    page = Page(plan.pairs, now, listing)
    stored = page.plan()
    names.free(plan)
    bulk.insert("catalog_repo", NEW_COLUMNS, page.new)
    bulk.update("catalog_repo", {"id": "id"}, COLUMNS, sorted(page.changed))
    if page.same:
        where, param = bulk.among("id", page.same)
        seen = {"crawled_at": page.stamp} | ({} if listing is None else {"listing": listing})
        sets = ", ".join(f"{column} = %s" for column in seen)
        bulk.run(f"UPDATE catalog_repo SET {sets} WHERE {where}", [*seen.values(), param])  # noqa: S608
    _write_links(stored, page.links)
    names.remember(stored)
    _purge_cards([s.repo_id for s in stored if s.state == _DISABLED and s.old_state not in (None, _DISABLED)])
    return stored + [_now(row, _GONE) for row in plan.lost]


def ensure_stubs(*, names: Collection[str]) -> list[Stored]:
    """Make a stub of each name that no repo and no alias has, whatever the case; returns the new ones.

    ``names`` are valid repo ids; of several spellings of one the first in order stands.
    """
    spelt: dict[str, str] = {}
    for name in sorted(set(names)):
        spelt.setdefault(fold(name), name)
    if not spelt:
        return []
    with transaction.atomic():
        lock_ingest()
        where, param = bulk.among("folded", spelt, "text")
        taken = bulk.fetch(f"SELECT folded FROM catalog_repo WHERE {where} AND state <> 'gone'", [param])  # noqa: S608
        taken += bulk.fetch(f"SELECT folded FROM catalog_alias WHERE {where}", [param])  # noqa: S608
        missing = sorted(spelt.keys() - {folded for (folded,) in taken})
        stored = []
        rows = []
        for repo_id, folded in zip(new_ids(len(missing)), missing, strict=True):
            name = spelt[folded]
            author = name.partition("/")[0] if "/" in name else ""
            rank = unknown_rank(repo_id)
            rows.append((repo_id, name, folded, author, _STUB, rank, *BLANK.values()))
            stored.append(Stored(repo_id, name, _STUB, rank, None, True, True, True))
        bulk.insert("catalog_repo", {name: NEW_COLUMNS[name] for name in (*NAMED, *BLANK)}, rows)
    return stored


def respell_stubs(*, spellings: Mapping[int, str]) -> list[Stored]:
    """Write stubs (keys) another way: the same names but for their case. Returns those that changed."""
    if not spellings:
        return []
    with transaction.atomic():
        lock_ingest()
        stored = [
            Stored(row.id, spelt, row.state, row.rank, None, False, True, False, row.name, row.state, row.rank)
            for row in names.by_id(spellings)
            if row.state == RepoState.STUB and row.name != (spelt := spellings[row.id]) and row.folded == fold(spelt)
        ]
        rows = [(s.repo_id, s.name, s.name.partition("/")[0] if "/" in s.name else "") for s in stored]
        bulk.update("catalog_repo", {"id": "id"}, {"name": "text", "author": "text"}, rows)
    return stored


@transaction.atomic(savepoint=False)
def mark(*, states: Mapping[int, RepoState], now: datetime) -> list[Stored]:
    """Set the states of repos that were looked for and found gone, private or disabled; their card text is purged."""
    lock_ingest()
    stored = []
    for row in names.by_id(states):
        state = states[row.id].value
        if row.state != state:
            stored.append(
                Stored(row.id, row.name, state, row.rank, None, False, True, True, row.name, row.state, row.rank)
            )
    stamp = bulk.moment(now)
    bulk.update(
        "catalog_repo",
        {"id": "id"},
        {"state": "text", "crawled_at": "time", "retired": "id"},
        [(s.repo_id, s.state, stamp, s.repo_id if s.state == _GONE else 0) for s in stored],
    )
    _purge_cards([s.repo_id for s in stored if s.state in (RepoState.GONE, RepoState.PRIVATE, RepoState.DISABLED)])
    return stored


@transaction.atomic(savepoint=False)
def mark_moved(*, moved: Mapping[int, int], now: datetime) -> list[Stored]:
    """Stubs (keys) that turned out to be old names of other repos (values): they become pointers and aliases."""
    lock_ingest()
    stamp = bulk.moment(now)
    rows = [row for row in names.by_id(moved) if row.state == RepoState.STUB and moved[row.id] != row.id]
    bulk.update(
        "catalog_repo",
        {"id": "id"},
        {"state": "text", "moved_to_id": "id", "looked_up_at": "time", "lookup_answer": "text"},
        [(row.id, _RENAMED, moved[row.id], stamp, "renamed") for row in rows],
    )
    names.add_aliases([(fold(row.name), row.name, moved[row.id]) for row in rows])
    return [_now(row, _RENAMED) for row in rows]


def note_lookups(*, answers: Mapping[int, str], now: datetime) -> None:
    """Remember that stubs were asked for by name, and with which error's code."""
    stamp = bulk.moment(now)
    bulk.update(
        "catalog_repo",
        {"id": "id"},
        {"looked_up_at": "time", "lookup_answer": "text"},
        [(repo_id, stamp, answer[:60]) for repo_id, answer in sorted(answers.items())],
    )


def store_cards(*, cards: Iterable[tuple[int, int | None, str, str]]) -> None:
    """Store what was read of cards: (repo id, length in characters or None, excerpt, revision) each.

    A repo that has gone meanwhile keeps no text.
    """
    rows = list(cards)
    shown = {r.id for r in names.by_id([row[0] for row in rows]) if r.state in (RepoState.LISTED, RepoState.GATED)}
    bulk.update(
        "catalog_repo",
        {"id": "id"},
        {"card_length": "int", "card_excerpt": "text", "card_sha": "text"},
        [row for row in rows if row[0] in shown],
    )


def _now(row: names.Present, state: str) -> Stored:
    """A repo of which nothing but the state changed."""
    return Stored(row.id, row.name, state, row.rank, None, False, True, True, row.name, row.state, row.rank)


def _write_links(stored: Sequence[Stored], links: Mapping[int, list[int]]) -> None:
    """Languages and datasets of new and changed repos."""
    wanted = {(repo_id, term) for repo_id, found in links.items() for term in found}
    known = [s.repo_id for s in stored if s.changed and not s.is_new]
    if known:
        where, param = bulk.among("repo_id", known)
        present = set(bulk.fetch(f"SELECT repo_id, term_id FROM catalog_repoterm WHERE {where}", [param]))  # noqa: S608
        bulk.delete("catalog_repoterm", {"repo_id": "id", "term_id": "id"}, sorted(present - wanted))
        wanted -= present
    bulk.insert("catalog_repoterm", {"repo_id": "id", "term_id": "id"}, sorted(wanted))


def _purge_cards(repo_ids: Collection[int]) -> None:
    if repo_ids:
        where, param = bulk.among("id", repo_ids)
        bulk.run(
            f"UPDATE catalog_repo SET card_excerpt = '', card_length = NULL, card_sha = '' WHERE {where}",  # noqa: S608
            [param],
        )
