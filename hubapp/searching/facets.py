"""What a repo can be filtered by, as numbers: the ids of its terms, a number for its author, and small ones for states.

PostgreSQL keeps them as an array under a GIN index. SQLite keeps each as three characters, so that one full-text index
of trigrams holds names and facets alike and a search for both is one walk along it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any
from zlib import crc32

from django.db import connection, models

from hubapp.catalog.models import RepoState

GATED_AUTO, GATED_MANUAL, STUB, DISABLED = -1, -2, -3, -4
_STATES = {RepoState.STUB.value: STUB, RepoState.DISABLED.value: DISABLED}
_GATED = {"auto": GATED_AUTO, "manual": GATED_MANUAL}
_AUTHORS = -1000  # and below

# Each of the three digits has letters of its own, so that no trigram across two facets equals a facet. The range holds
# what no name on the Hub holds, and no letter that case folding would change.
_BASE = 9_216
_FIRST = 0x3400
_SHIFT = 1 << 31  # numbers of four bytes become positive


def author(name: str) -> int:
    """The number of an author, whatever the case. Two may share one; the name tells them apart (see conditions)."""
    return _AUTHORS - (crc32(name.lower().encode("utf-8", "replace")) & 0x3FFF_FFFF)


def of_state(state: str, gated: str) -> list[int]:
    """The numbers of a repo's state: none for one that is simply there."""
    if state == RepoState.GATED.value:
        return [_GATED.get(gated, GATED_AUTO)]
    number = _STATES.get(state)
    return [] if number is None else [number]


@lru_cache(maxsize=16_384)
def token(number: int) -> str:
    """The three characters that stand for a number in SQLite's index."""
    rest, low = divmod(number + _SHIFT, _BASE)
    high, middle = divmod(rest, _BASE)
    return chr(_FIRST + high) + chr(_FIRST + _BASE + middle) + chr(_FIRST + 2 * _BASE + low)


def number(token: str) -> int:
    """What ``token`` stands for."""
    high, middle, low = (ord(char) - _FIRST - place * _BASE for place, char in enumerate(token))
    return (high * _BASE + middle) * _BASE + low - _SHIFT


def written(numbers: Iterable[int]) -> Any:
    """Facets as a column of this database holds them."""
    if connection.vendor == "postgresql":
        return list(numbers)
    return "".join([token(n) for n in numbers])


def read(value: str | Sequence[int] | None) -> tuple[int, ...]:
    """The inverse of ``written``."""
    if not value:
        return ()
    if isinstance(value, str):
        return tuple(number(value[at : at + 3]) for at in range(0, len(value), 3))
    return tuple(value)


class FacetsField(models.Field):
    """A repo's facets: ``integer[]`` on PostgreSQL, text on SQLite; a tuple of numbers in Python."""

    def db_type(self, connection: Any) -> str:
        return "integer[]" if connection.vendor == "postgresql" else "text"

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> tuple[int, ...]:
        return read(value)

    def get_prep_value(self, value: Any) -> Any:
        return list(value or ())

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return written(value or ())
