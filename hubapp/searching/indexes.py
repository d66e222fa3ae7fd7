"""The indexes that Django's models cannot describe: one function makes them on either database, and may run again."""

from __future__ import annotations

from typing import Any

from django.db import DatabaseError, transaction

FTS = "searching_fts"
WALK = "searching_entry_walk"
GIN = "searching_entry_gin"
TRIGRAMS = "searching_entry_trgm"

# detail=none: which entries hold a trigram, not where. Half the size, and a found name is looked at anyway.
_SQLITE = (
    f"CREATE VIRTUAL TABLE IF NOT EXISTS {FTS} USING fts5(text, facets, tokenize='trigram', detail=none, "
    "content='searching_entry', content_rowid='key')"
)
# All that a walk by popularity tests, so that it reads one B-tree and not a page of the table for each entry.
_WALK = (
    f"CREATE UNIQUE INDEX IF NOT EXISTS {WALK} ON searching_entry (key) "
    "INCLUDE (text, facets, repo_id, created, parameters)"
)
# One entry in 128, to know the very common from the rest.
SAMPLED = "e.repo_id %% 128 = 0"
SAMPLE = "searching_entry_sample"
_SAMPLE = (
    f"CREATE INDEX IF NOT EXISTS {SAMPLE} ON searching_entry (key) "
    "INCLUDE (text, facets, repo_id, created, parameters) WHERE repo_id % 128 = 0"
)
_FACETS_ONLY = f"CREATE INDEX IF NOT EXISTS {GIN} ON searching_entry USING gin (facets)"
_BOTH = f"CREATE INDEX IF NOT EXISTS {TRIGRAMS} ON searching_entry USING gin (text gin_trgm_ops, facets)"
# The planner guesses how many names hold a fragment from a sample of names: the usual hundred are too few.
_STATISTICS = "ALTER TABLE searching_entry ALTER COLUMN text SET STATISTICS 1000"


def create(connection: Any) -> None:
    """Make what is missing. Without the right to have pg_trgm, names are found by looking through them."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(_SQLITE)
            return
        cursor.execute(_WALK)
        cursor.execute(_SAMPLE)
        cursor.execute(_STATISTICS)
        if _has_trigrams(connection):
            cursor.execute(_BOTH)
            cursor.execute(f"DROP INDEX IF EXISTS {GIN}")
        else:
            cursor.execute(_FACETS_ONLY)


def drop(connection: Any) -> None:
    """Take them away again."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"DROP TABLE IF EXISTS {FTS}")
        else:
            cursor.execute(f"DROP INDEX IF EXISTS {WALK}, {SAMPLE}, {GIN}, {TRIGRAMS}")


def _has_trigrams(connection: Any) -> bool:
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except DatabaseError:
        return False
    return True
