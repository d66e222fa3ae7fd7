"""What an entry holds, made from what was stored of its repo; and how entries are written, many at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from django.db import connection

from hubapp.catalog import bulk
from hubapp.catalog.models import RepoState
from hubapp.catalog.stored import Stored
from hubapp.searching import facets
from workers.searching.rules import fold

COLUMNS = "key, repo_id, text, facets, created, parameters"
_KINDS = {"key": "id", "repo_id": "id", "text": "text", "facets": "text", "created": "id", "parameters": "id"}
_LISTED = RepoState.LISTED.value


class Row(NamedTuple):
    """An entry as it is written; ``facets`` are numbers, ``created`` seconds."""

    key: int
    repo_id: int
    text: str
    facets: tuple[int, ...]
    created: int | None
    parameters: int | None


def row_of(s: Stored, old: Row | None = None) -> Row:
    """The entry of a repo. What was not read anew (no facts) is as in ``old``."""
    name, fact = s.name, s.facts
    numbers = [facets.author(name.partition("/")[0])] if "/" in name else []
    if fact is None:
        before = () if old is None else old.facets
        gated = "manual" if facets.GATED_MANUAL in before else "auto"
        numbers += facets.of_state(s.state, gated)
        numbers += [number for number in before if number > 0]
        created, parameters = (None, None) if old is None else (old.created, old.parameters)
        return Row(s.rank, s.repo_id, fold(name), tuple(numbers), created, parameters)
    if s.state != _LISTED:
        numbers += facets.of_state(s.state, fact.gated)
    numbers += s.terms
    created = None if fact.created_at is None else int(fact.created_at.timestamp())
    return Row(s.rank, s.repo_id, fold(name), tuple(numbers), created, fact.parameters)


def present(repo_ids: Collection[int]) -> dict[int, Row]:
    """The entries there are of some repos, by repo id."""
    where, param = bulk.among("repo_id", sorted(repo_ids))
    rows = bulk.fetch(f"SELECT {COLUMNS} FROM searching_entry WHERE {where}", [param])  # noqa: S608
    return {row[1]: Row(row[0], row[1], row[2], facets.read(row[3]), row[4], row[5]) for row in rows}


def insert(rows: Sequence[Row]) -> None:
    """Write new entries."""
    if not rows:
        return
    if bulk.is_postgres():
        with connection.cursor() as cursor, cursor.copy(f"COPY searching_entry ({COLUMNS}) FROM STDIN") as copy:
            copy.write("".join([_line(row) for row in rows]))
        return
    token = facets.token
    written = [
        (key, repo_id, text, "".join([token(n) for n in numbers]), created, parameters)
        for key, repo_id, text, numbers, created, parameters in rows
    ]
    bulk.insert("searching_entry", _KINDS, written)


def _line(row: Row) -> str:
    """A row in COPY's text format. A folded name holds letters, digits and blanks alone: nothing to escape."""
    numbers = ",".join(map(str, row.facets))
    created = r"\N" if row.created is None else row.created
    parameters = r"\N" if row.parameters is None else row.parameters
    return f"{row.key}\t{row.repo_id}\t{row.text}\t{{{numbers}}}\t{created}\t{parameters}\n"


def delete(repo_ids: Iterable[int]) -> None:
    """Take entries away."""
    where, param = bulk.among("repo_id", sorted(repo_ids))
    bulk.run(f"DELETE FROM searching_entry WHERE {where}", [param])  # noqa: S608
