"""What the ``search`` job does after crawls: fold in (SQLite), vacuum (PostgreSQL), count words and terms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from hubapp.catalog import bulk
from hubapp.jobs.models import Job
from hubapp.searching import facets, folding
from hubapp.searching.models import Upkeep
from workers.searching.rules import LONGEST, SHORTEST_MENDED, deletions, words

WORDS = 30_000  # the commonest: rarer ones are seldom what a misspelt word meant
GROWTH = 1.02  # counted anew when the index has grown by this factor …
AGE = timedelta(days=7)  # … or after so long
STALE = timedelta(hours=1)  # after a crawl, standings older than this are brought up to date
_CHUNK = 20_000
_CROWD = 400_000  # different words held at once; beyond that, those met only once are dropped


@dataclass(frozen=True, slots=True)
class Counts:
    """How many entries hold each word, and each term (by id); ``newest`` is the last repo looked at."""

    words: dict[str, int]
    terms: dict[int, int]
    newest: int
    at: datetime


def is_due() -> bool:
    """Whether there is anything to fold in, to count or to bring up to date."""
    return bool(folding.backlog()) or counting_is_due() or standing_is_due()


def standing_is_due() -> bool:
    """Whether repos may stand elsewhere in the orders than when that was last looked at."""
    last = Upkeep.objects.filter(pk=1).first()
    if last is None or last.stood_at is None:
        return _newest() > 0
    if timezone.now() - last.stood_at < STALE:
        return False
    return Job.objects.filter(kind="crawl", updated_at__gt=last.stood_at).exists()


def counting_is_due() -> bool:
    """Whether words and terms are to be counted anew."""
    newest = _newest()
    last = Upkeep.objects.filter(pk=1).first()
    if last is None or last.counted_at is None:
        return newest > 0
    return newest > last.counted_to * GROWTH or (newest > last.counted_to and timezone.now() - last.counted_at > AGE)


def vacuum() -> None:
    """PostgreSQL: empty the index's pending list, mark what is visible to all, renew the planner's figures.

    Outside any transaction. Walks by popularity read the index alone only where pages are marked so.
    """
    if bulk.is_postgres():
        with connection.cursor() as cursor:
            cursor.execute("VACUUM (ANALYZE) searching_entry, searching_standing")


_STAND = """
INSERT INTO searching_standing (repo_id, key, downloads, likes, trending, created, modified, parameters)
SELECT e.repo_id, e.key, r.downloads, r.likes, r.trending,
       COALESCE(e.created, 0), COALESCE({}, 0), COALESCE(e.parameters, 0)
FROM searching_entry e JOIN catalog_repo r ON r.id = e.repo_id
WHERE e.repo_id > %s AND e.repo_id <= %s ORDER BY e.repo_id
ON CONFLICT (repo_id) DO UPDATE SET key = excluded.key, downloads = excluded.downloads, likes = excluded.likes,
    trending = excluded.trending, created = excluded.created, modified = excluded.modified,
    parameters = excluded.parameters
WHERE searching_standing.key <> excluded.key OR searching_standing.downloads <> excluded.downloads
   OR searching_standing.likes <> excluded.likes OR searching_standing.trending <> excluded.trending
   OR searching_standing.created <> excluded.created OR searching_standing.modified <> excluded.modified
   OR searching_standing.parameters <> excluded.parameters
"""


def standing_until(after: int) -> int | None:
    """The last repo of the part that begins after ``after``; None where that part is the last one."""
    rows = bulk.fetch(
        "SELECT repo_id FROM searching_entry WHERE repo_id > %s ORDER BY repo_id LIMIT 1 OFFSET %s", [after, _CHUNK]
    )
    return int(rows[0][0]) if rows else None


def stand(after: int, last: int | None) -> None:
    """Bring the standings of repos after ``after``, up to ``last`` (None: of all), up to date. In a transaction.

    Repos that left the index keep theirs, which no search meets.
    """
    seconds = "EXTRACT(EPOCH FROM r.modified_at)::bigint" if bulk.is_postgres() else "unixepoch(r.modified_at)"
    bulk.run(_STAND.format(seconds), [after, 2**62 if last is None else last])
    if last is None:
        Upkeep.objects.update_or_create(pk=1, defaults={"stood_at": timezone.now()})


def count(heartbeat: Callable[[], None] = lambda: None) -> Counts:
    """Count words and terms: some seconds for millions of entries. Outside any transaction."""
    newest, now = _newest(), timezone.now()
    if bulk.is_postgres():
        found = bulk.fetch(
            "SELECT word, count(*) "
            "FROM (SELECT unnest(string_to_array(btrim(text), ' ')) AS word FROM searching_entry) names "
            "WHERE length(word) BETWEEN %s AND %s AND word !~ '^[0-9]' GROUP BY word ORDER BY 2 DESC, 1 LIMIT %s",
            [SHORTEST_MENDED, LONGEST, WORDS],
        )
        terms = bulk.fetch(
            "SELECT n, count(*) FROM (SELECT unnest(facets) AS n FROM searching_entry) f WHERE n > 0 GROUP BY n"
        )
        return Counts(dict(found), dict(terms), newest, now)
    met: Counter[str] = Counter()
    held: Counter[str] = Counter()
    after = -1
    while rows := bulk.fetch(
        "SELECT key, text, facets FROM searching_entry WHERE key > %s ORDER BY key LIMIT %s", [after, _CHUNK]
    ):
        after = rows[-1][0]
        for _, text, tokens in rows:
            met.update(words(text))
            held.update(tokens[at : at + 3] for at in range(0, len(tokens), 3))
        if len(met) > _CROWD:
            met = Counter({word: times for word, times in met.items() if times > 1})
        heartbeat()
    common = sorted(met.items(), key=lambda pair: (-pair[1], pair[0]))[:WORDS]
    numbers = {facets.number(token): times for token, times in held.items()}
    return Counts(dict(common), {n: times for n, times in numbers.items() if n > 0}, newest, now)


def store(counts: Counts) -> None:
    """Put the counts in place of the last ones, in the caller's transaction."""
    spellings = [(short, word) for word in sorted(counts.words) for short in sorted(deletions(word))]
    for table in ("searching_word", "searching_spelling", "searching_tally"):
        bulk.run(f"DELETE FROM {table}")  # noqa: S608
    bulk.insert("searching_word", {"word": "text", "count": "int"}, sorted(counts.words.items()))
    bulk.insert("searching_spelling", {"spelling": "text", "word": "text"}, spellings)
    bulk.insert("searching_tally", {"term_id": "id", "kind": "text", "count": "int"}, _still(counts.terms))
    Upkeep.objects.update_or_create(pk=1, defaults={"counted_to": counts.newest, "counted_at": counts.at})


def _still(terms: dict[int, int]) -> list[tuple[int, str, int]]:
    """Id, kind and count of those terms that there still are."""
    where, param = bulk.among("id", terms)
    rows = bulk.fetch(f"SELECT id, kind FROM catalog_term WHERE {where} ORDER BY id", [param])  # noqa: S608
    return [(number, kind, terms[number]) for number, kind in rows]


def tidy(heartbeat: Callable[[], None] = lambda: None) -> None:
    """All of it at once: for commands, benches and tests."""
    while folding.fold_some():
        heartbeat()
    vacuum()
    counts = count(heartbeat)
    with transaction.atomic():
        store(counts)
    after: int | None = 0
    while after is not None:
        last = standing_until(after)
        with transaction.atomic():
            stand(after, last)
        after = last
        heartbeat()


def _newest() -> int:
    return bulk.fetch("SELECT COALESCE(MAX(repo_id), 0) FROM searching_entry")[0][0]
