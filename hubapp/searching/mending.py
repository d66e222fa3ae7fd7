"""Misspelt words: asked for only where a search found next to nothing, as it is the price of a mistake alone."""

from __future__ import annotations

from hubapp.catalog import bulk
from hubapp.searching import conditions, reading
from hubapp.searching.query import Query
from workers.searching.rules import LONGEST, PHRASES, SHORTEST_MENDED, deletions, distance, fold

LONG = 5  # letters from which two edits may lie between what was typed and what was meant


def mend(text: str) -> str:
    """``text`` with each word that occurs in no name replaced by the likeliest one that does; "" if none is."""
    words = text.split()[:PHRASES]
    unknown = _unknown({run for word in words for run in fold(word).split() if _can_be_mended(run)})
    if not unknown:
        return ""
    meant = {run: _likeliest(run) for run in sorted(unknown)}
    found = []
    for word in words:
        runs = fold(word).split()
        mended = [meant.get(run) or run for run in runs]
        found.append(word if mended == runs else " ".join(mended))
    return " ".join(found) if found != words else ""


def _can_be_mended(run: str) -> bool:
    return SHORTEST_MENDED <= len(run) <= LONGEST and not run[0].isdigit()


def _unknown(runs: set[str]) -> set[str]:
    """Those that occur in no name, not even as a part of a word."""
    where, param = bulk.among("word", sorted(runs), "text")
    known = {word for (word,) in bulk.fetch(f"SELECT word FROM searching_word WHERE {where}", [param])}  # noqa: S608
    return {run for run in runs - known if not reading.count(conditions.of(Query(text=run)), most=0)}


def _likeliest(run: str) -> str:
    """The word that ``run`` most likely means, or two that were run together; "" if there is none near."""
    most = 2 if len(run) >= LONG else 1
    where, param = bulk.among("s.spelling", sorted(deletions(run)), "text")
    near = bulk.fetch(
        "SELECT DISTINCT w.word, w.count FROM searching_spelling s "  # noqa: S608
        f"JOIN searching_word w ON w.word = s.word WHERE {where}",
        [param],
    )
    ranked = sorted((apart, -count, word) for word, count in near if (apart := distance(run, word)) <= most)
    return ranked[0][2] if ranked else _split(run)


def _split(run: str) -> str:
    """``stablediffusion`` → ``stable diffusion``, where both are words."""
    pairs = [(run[:at], run[at:]) for at in range(3, len(run) - 2)]
    where, param = bulk.among("word", sorted({half for pair in pairs for half in pair}), "text")
    counts = dict(bulk.fetch(f"SELECT word, count FROM searching_word WHERE {where}", [param]))  # noqa: S608
    both = [(min(counts[one], counts[two]), one, two) for one, two in pairs if one in counts and two in counts]
    return " ".join(max(both)[1:]) if both else ""
