"""The order of lists: ``Repo.rank`` = 2^40 · bucket + id, smaller is more popular.

A bucket spans a tenth of the downloads. A repo stays in its bucket while its downloads stay within a tenth of it, so
that a day's noise moves nothing in the tables that are sorted by rank.
"""

from __future__ import annotations

from math import log, log1p

SHIFT = 40
_WIDTH = log(1.1)
_LAST = int(log1p(2**63) / _WIDTH) + 1
UNKNOWN = _LAST + 1
"""The bucket of repos whose downloads nobody has told: after all others."""


def rank_of(repo_id: int, downloads: int, old: int | None = None) -> int:
    """The rank for so many downloads; ``old``, the present rank, is kept where it still fits."""
    place = log1p(downloads) / _WIDTH
    if old is not None and has_downloads(old):
        bucket = _LAST - (old >> SHIFT)
        if bucket - 1 <= place <= bucket + 2:
            return old
    return ((_LAST - int(place)) << SHIFT) | repo_id


def unknown_rank(repo_id: int) -> int:
    """The rank of a repo that was named and never read."""
    return (UNKNOWN << SHIFT) | repo_id


def has_downloads(rank: int) -> bool:
    """Whether the rank speaks of downloads that were read (False for stubs)."""
    return rank >> SHIFT != UNKNOWN
