"""SQLite: folding entries into the full-text table, in batches.

Writing a name's forty trigrams costs more than all else that a crawl does with a model, one batch of thousands costs
less than many of few, and readers can do without for a while: so a crawl only leaves a note of what the table lacks.
PostgreSQL does the same by itself (the pending list of a GIN index); here all of it is one question, ``backlog``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from hubapp.catalog import bulk
from hubapp.searching.entries import Row
from hubapp.searching.facets import written
from hubapp.searching.indexes import FTS

BATCH = 5_000  # entries folded in at once: about half a second of SQLite's only write lock


@dataclass(frozen=True, slots=True)
class Backlog:
    """What the full-text table lacks: the entries of repos after ``repo_id``, and of ``changed`` keys."""

    repo_id: int
    newest: int
    changed: int

    def __bool__(self) -> bool:
        return self.newest > self.repo_id or self.changed > 0


def backlog() -> Backlog:
    """What is still to be folded in; nothing on PostgreSQL."""
    if bulk.is_postgres():
        return Backlog(0, 0, 0)
    sql = (
        "SELECT COALESCE((SELECT folded_to FROM searching_upkeep WHERE id = 1), 0), "
        "COALESCE((SELECT MAX(repo_id) FROM searching_entry), 0), (SELECT COUNT(*) FROM searching_unfolded)"
    )
    return Backlog(*bulk.fetch(sql)[0])


def note(*, left: Sequence[Row], come: Sequence[Row]) -> None:
    """Remember that the full-text table holds entries that ``left``, and lacks some that have ``come``.

    Repos that are newer than the last one folded in need no note.
    """
    if bulk.is_postgres():
        return
    last = backlog().repo_id
    rows: list[tuple[int, str | None, Any]] = [
        (row.key, row.text, written(row.facets)) for row in left if row.repo_id <= last
    ]
    gone = {row.key for row in left}
    rows += [(row.key, None, None) for row in come if row.repo_id <= last and row.key not in gone]
    if rows:
        with connection.cursor() as cursor:
            # The first note of a key stands: it tells what the table holds.
            cursor.executemany(
                "INSERT INTO searching_unfolded (key, text, facets) VALUES (%s, %s, %s) ON CONFLICT (key) DO NOTHING",
                rows,
            )


def fold_some(most: int = BATCH) -> int:
    """Fold the next batch in; returns how many entries it held, 0 when the table lacks nothing."""
    if not backlog():
        return 0
    with transaction.atomic():
        todo = backlog()
        return (_fold_changed(most) if todo.changed else 0) + _fold_new(most, todo)


def _fold_changed(most: int) -> int:
    notes = bulk.fetch("SELECT key, text, facets FROM searching_unfolded ORDER BY key LIMIT %s", [most])
    keys = [row[0] for row in notes]
    where, param = bulk.among("key", keys)
    held = [row for row in notes if row[1] is not None]
    with connection.cursor() as cursor:
        # Always in order of key: FTS5 writes what it has gathered to disk when a rowid is not above the last one.
        cursor.executemany(f"INSERT INTO {FTS} ({FTS}, rowid, text, facets) VALUES ('delete', %s, %s, %s)", held)  # noqa: S608
        cursor.execute(
            f"INSERT INTO {FTS} (rowid, text, facets) "  # noqa: S608
            f"SELECT key, text, facets FROM searching_entry WHERE {where} ORDER BY key",
            [param],
        )
        cursor.execute(f"DELETE FROM searching_unfolded WHERE {where}", [param])  # noqa: S608
    return len(keys)


def _fold_new(most: int, todo: Backlog) -> int:
    if todo.newest <= todo.repo_id:
        return 0
    ids = bulk.fetch(
        "SELECT repo_id FROM searching_entry WHERE repo_id > %s ORDER BY repo_id LIMIT %s", [todo.repo_id, most]
    )
    last = ids[-1][0]
    with connection.cursor() as cursor:
        if todo.repo_id == 0:
            cursor.execute(f"INSERT INTO {FTS} ({FTS}) VALUES ('delete-all')")  # noqa: S608 - whatever a flush left
        cursor.execute(
            f"INSERT INTO {FTS} (rowid, text, facets) "  # noqa: S608
            "SELECT key, text, facets FROM searching_entry WHERE repo_id > %s AND repo_id <= %s ORDER BY key",
            [todo.repo_id, last],
        )
        cursor.execute(
            "INSERT INTO searching_upkeep (id, folded_to, counted_to) VALUES (1, %s, 0) "
            "ON CONFLICT (id) DO UPDATE SET folded_to = excluded.folded_to",
            [last],
        )
    return len(ids)


def empty() -> None:
    """Forget all that was folded in: the next batches fill the table anew."""
    if bulk.is_postgres():
        return
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO {FTS} ({FTS}) VALUES ('delete-all')")  # noqa: S608
        cursor.execute("DELETE FROM searching_unfolded")
        cursor.execute("UPDATE searching_upkeep SET folded_to = 0")
