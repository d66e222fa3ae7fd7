"""What models mean, as stored: which texts are to be read anew, their points, and what of them is new since."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Count, Max, QuerySet
from django.utils import timezone

from hubapp.catalog import bulk
from hubapp.catalog.models import Repo, RepoState, TermKind
from hubapp.jobs.services import enqueue
from hubapp.probing.models import Reading
from hubapp.searching import conditions, reading
from hubapp.searching.models import Lexicon, Meaning
from hubapp.searching.query import Query
from workers.probing.records import Abstention

KIND = "meanings"
ALLOWED_MAX = 1_000_000  # ids that filters may leave: all that is held in memory
OVERLAP = 60_000_000  # microseconds that are looked back: a transaction may end after a later one


@dataclass(frozen=True, slots=True)
class Described:
    """A repo's texts' sources, and the hash of what was read of them before ("" if nothing was)."""

    repo_id: int
    key: int
    name: str
    excerpt: str
    task: str
    tags: tuple[str, ...]
    datasets: tuple[str, ...]
    languages: tuple[str, ...]
    text_hash: str


@dataclass(frozen=True, slots=True)
class Row:
    """What is stored of one repo: see ``models.Meaning``."""

    repo_id: int
    text_hash: str
    encoder: str
    card: bytes
    name: bytes
    words: str


def after(key: int, limit: int) -> list[Described]:
    """The next repos by popularity behind ``key``, with what their texts are made of."""
    rows = bulk.fetch(
        "SELECT e.key, e.repo_id, COALESCE(m.text_hash, '') FROM searching_entry e "
        "LEFT JOIN searching_meaning m ON m.repo_id = e.repo_id WHERE e.key > %s ORDER BY e.key LIMIT %s",
        [key, limit],
    )
    ids = [row[1] for row in rows]
    repos = Repo.objects.filter(pk__in=ids).select_related("task").in_bulk()
    terms = _terms(ids)
    found = []
    for place, repo_id, text_hash in rows:
        repo = repos.get(repo_id)
        if repo is None:
            continue
        mine = terms.get(repo_id, {})
        found.append(
            Described(
                repo_id=repo_id,
                key=place,
                name=repo.name,
                excerpt=repo.card_excerpt,
                task=repo.task.value if repo.task else "",
                tags=tuple(str(tag)[:80] for tag in repo.tags[:60]),
                datasets=tuple(mine.get(TermKind.DATASET.value, ())),
                languages=tuple(mine.get(TermKind.LANGUAGE.value, ())),
                text_hash=text_hash,
            )
        )
    return found


def _terms(repo_ids: Collection[int]) -> dict[int, dict[str, list[str]]]:
    where, param = bulk.among("l.repo_id", repo_ids)
    found: dict[int, dict[str, list[str]]] = {}
    for repo_id, kind, value in bulk.fetch(
        "SELECT l.repo_id, t.kind, t.value FROM catalog_repoterm l JOIN catalog_term t ON t.id = l.term_id "  # noqa: S608
        f"WHERE {where} ORDER BY l.repo_id, t.value",
        [param],
    ):
        found.setdefault(repo_id, {}).setdefault(kind, []).append(value)
    return found


def count() -> int:
    """How many models are to be read: the most popular ones, up to ROOTSTOCK_MEANINGS."""
    found = bulk.fetch("SELECT count(*) FROM (SELECT 1 FROM searching_entry LIMIT %s) AS part", [settings.MEANINGS])
    return int(found[0][0])


def store(*, rows: Sequence[Row]) -> None:
    """Keep what texts mean, in the caller's transaction."""
    version = time.time_ns() // 1_000
    bulk_rows = [
        Meaning(
            repo_id=row.repo_id,
            text_hash=row.text_hash,
            encoder=row.encoder,
            card=row.card,
            name=row.name,
            words=row.words,
            version=version,
        )
        for row in sorted(rows, key=lambda row: row.repo_id)
    ]
    Meaning.objects.bulk_create(
        bulk_rows,
        update_conflicts=True,
        unique_fields=["repo"],
        update_fields=["text_hash", "encoder", "card", "name", "words", "version"],
    )


def since(version: int, encoder: str) -> tuple[int, list[tuple[int, bytes, bytes, str]]]:
    """The newest version; and repo id, card, name, words of what ``encoder`` read since ``version`` or just before."""
    rows = Meaning.objects.filter(version__gt=version - OVERLAP, encoder=encoder).values_list(
        "repo_id", "card", "name", "words", "version"
    )
    newest, found = version, []
    for repo_id, card, name, words, own in rows.iterator(chunk_size=2_000):
        newest = max(newest, own)
        found.append((repo_id, bytes(card), bytes(name), words))
    return newest, found


def present() -> set[int]:
    """The repos whose meaning is stored and that can be found."""
    return {
        row[0]
        for row in bulk.fetch(
            "SELECT m.repo_id FROM searching_meaning m JOIN searching_entry e ON e.repo_id = m.repo_id", []
        )
    }


def allowed(filters: Mapping[str, str]) -> list[int] | None:
    """The repos that a search page's filters leave; None where there are no filters."""
    query, _ = Query.read(dict(filters))
    if not query.filters:
        return None
    return [repo_id for repo_id, _ in reading.matches(conditions.of(query.but(text="")), ALLOWED_MAX)]


def findable(repo_ids: Sequence[int]) -> list[int]:
    """Of some repos those that search may show, in the order given."""
    if not repo_ids:
        return []
    where, param = bulk.among("repo_id", repo_ids)
    here = {row[0] for row in bulk.fetch(f"SELECT repo_id FROM searching_entry WHERE {where}", [param])}  # noqa: S608
    return [repo_id for repo_id in repo_ids if repo_id in here]


# --- weights --------------------------------------------------------------------------------------------------------
def readings_stamp(expert_id: int) -> tuple[int, str]:
    """Changes whenever an expert has read another model, or one anew."""
    found = _readings(expert_id).aggregate(count=Count("pk"), last=Max("read_at"))
    return found["count"], str(found["last"])


def readings(expert_id: int) -> list[tuple[int, bytes, float]]:
    """(repo id, embedding, probability of the first guess) of the models of its tree that an expert has read."""
    return [
        (repo_id, bytes(embedding), float(guesses[0][1]) if guesses else 0.0)
        for repo_id, embedding, guesses in _readings(expert_id)
        .order_by("pk")
        .values_list("repo_id", "embedding", "guesses")
        .iterator(chunk_size=2_000)
    ]


def _readings(expert_id: int) -> QuerySet[Reading]:
    """Those that are no strangers to the tree: an expert that is not sure still knows where a model lies."""
    strangers = [reason.value for reason in Abstention if reason != Abstention.UNSURE]
    return Reading.objects.filter(expert_id=expert_id).exclude(embedding=b"").exclude(reason__in=strangers)


# --- the stand-in for an encoder ------------------------------------------------------------------------------------
def lexicon() -> Lexicon | None:
    """The fitted stand-in, without its data read until asked for."""
    return Lexicon.objects.defer("data").filter(pk=1).first()


def keep_lexicon(*, digest: str, texts: int, data: bytes) -> None:
    """Store the fitted stand-in in place of an older one."""
    Lexicon.objects.update_or_create(
        pk=1, defaults={"digest": digest, "texts": texts, "data": data, "fitted_at": timezone.now()}
    )


def wake() -> None:
    """Ask for the job that reads what is new. Call it when a crawl has ended, or weights were read."""
    if settings.MEANINGS and Repo.objects.exclude(state=RepoState.STUB).exists():
        enqueue(kind=KIND, params={})
