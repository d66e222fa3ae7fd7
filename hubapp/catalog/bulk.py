"""Many rows in one statement, on both databases: what the ORM does for a thousand rows costs more than the rows.

Table and column names come from this package alone; values always travel as parameters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any

from django.db import connection

TYPES = {
    "id": "bigint",
    "int": "integer",
    "small": "smallint",
    "float": "double precision",
    "text": "text",
    "bool": "boolean",
    "time": "timestamptz",
    "json": "jsonb",
}


_NUMBERS = frozenset({"id", "int", "small"})
_ROWS_AT_ONCE = 100
_PARAMETERS = 30_000  # SQLite takes 32,766 in one statement


def is_postgres() -> bool:
    """Whether the default database is PostgreSQL (otherwise it is SQLite)."""
    return connection.vendor == "postgresql"


def moment(value: datetime | None) -> str | None:
    """A UTC time as both databases take it."""
    return moments()(value)


def moments() -> Callable[[datetime | None], str | None]:
    """A function from UTC times to what this database takes; the driver's own conversion costs ten times as much."""
    cut = None if is_postgres() else -6  # SQLite holds them without "+00:00"

    def moment(value: datetime | None) -> str | None:
        return None if value is None else str(value)[:cut]

    return moment


def among(column: str, values: Iterable[Any], kind: str = "id") -> tuple[str, Any]:
    """(SQL, parameter) of "column is one of values": one parameter, however many values."""
    if is_postgres():
        return f"{column} = ANY(%s::{TYPES[kind]}[])", _array(values, kind)
    return f"{column} IN (SELECT value FROM json_each(%s))", json.dumps(list(values))  # noqa: S608


def _array(values: Iterable[Any], kind: str) -> Any:
    """What PostgreSQL reads as an array; the driver writes numbers one by one, at three times the cost of the rest."""
    if kind in _NUMBERS:
        return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"
    return list(values)


def fetch(sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a query, as the driver gives them."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


def run(sql: str, params: Sequence[Any] = ()) -> int:
    """Execute one statement; returns the number of rows it touched."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.rowcount


def insert(table: str, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]], conflict: str = "") -> None:
    """Insert ``rows``; ``columns`` maps a name to its kind (a key of ``TYPES``), ``conflict`` is an ON CONFLICT clause.

    Rows should come sorted by the key, so that two writers take their locks in one order.
    """
    if not rows:
        return
    names = ", ".join(columns)
    with connection.cursor() as cursor:
        if is_postgres() and not conflict:
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        elif is_postgres():
            arrays = ", ".join(f"%s::{TYPES[kind]}[]" for kind in columns.values())
            cursor.execute(
                f"INSERT INTO {table} ({names}) SELECT * FROM unnest({arrays}) {conflict}",  # noqa: S608
                [_array(c, k) for c, k in zip(zip(*rows, strict=True), columns.values(), strict=True)],
            )
        else:
            _insert_sqlite(table, names, len(columns), rows, conflict)


def _insert_sqlite(table: str, names: str, width: int, rows: Sequence[tuple[Any, ...]], conflict: str) -> None:
    """Many rows in each statement: SQLite then works long without Python's lock, and other threads with it."""
    size = max(1, min(_ROWS_AT_ONCE, _PARAMETERS // width))
    whole = len(rows) - len(rows) % size
    execute = connection.connection.execute  # past Django's search for "%s", which would cost more than the rows
    with connection.wrap_database_errors:
        for at in range(0, whole, size):
            values = list(chain.from_iterable(rows[at : at + size]))
            execute(_statement(table, names, width, size, conflict), values)
        for row in rows[whole:]:
            execute(_statement(table, names, width, 1, conflict), row)


@lru_cache(maxsize=256)
def _statement(table: str, names: str, width: int, rows: int, conflict: str) -> str:
    marks = f"({', '.join('?' * width)})"
    return f"INSERT INTO {table} ({names}) VALUES {', '.join([marks] * rows)} {conflict}"  # noqa: S608


def update(table: str, keys: Mapping[str, str], columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Set ``columns`` where ``keys`` match; each row holds the keys' values, then the columns'."""
    if not rows:
        return
    with connection.cursor() as cursor:
        if is_postgres():
            kinds = [*keys.values(), *columns.values()]
            arrays = ", ".join(f"%s::{TYPES[kind]}[]" for kind in kinds)
            sets = ", ".join(f"{name} = v.{name}" for name in columns)
            where = " AND ".join(f"t.{name} = v.{name}" for name in keys)
            names = ", ".join([*keys, *columns])
            cursor.execute(
                f"UPDATE {table} t SET {sets} FROM unnest({arrays}) AS v({names}) WHERE {where}",  # noqa: S608
                [_array(c, k) for c, k in zip(zip(*rows, strict=True), kinds, strict=True)],
            )
        else:
            sets = ", ".join(f"{name} = %s" for name in columns)
            where = " AND ".join(f"{name} = %s" for name in keys)
            size = len(keys)
            cursor.executemany(
                f"UPDATE {table} SET {sets} WHERE {where}",  # noqa: S608
                [(*row[size:], *row[:size]) for row in rows],
            )


def delete(table: str, keys: Mapping[str, str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Delete where ``keys`` have the values of one of ``rows``."""
    if not rows:
        return
    with connection.cursor() as cursor:
        if is_postgres():
            arrays = ", ".join(f"%s::{TYPES[kind]}[]" for kind in keys.values())
            where = " AND ".join(f"t.{name} = v.{name}" for name in keys)
            cursor.execute(
                f"DELETE FROM {table} t USING unnest({arrays}) AS v({', '.join(keys)}) WHERE {where}",  # noqa: S608
                [_array(c, k) for c, k in zip(zip(*rows, strict=True), keys.values(), strict=True)],
            )
        else:
            where = " AND ".join(f"{name} = %s" for name in keys)
            cursor.executemany(f"DELETE FROM {table} WHERE {where}", rows)  # noqa: S608
