"""Reading of crawls: what runs, what ran, and what one has still to look for."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from hubapp.catalog import bulk
from hubapp.catalog.models import Repo
from hubapp.catalog.services import LISTED_STATES
from hubapp.crawling.models import Crawl, Scope, Watermark
from hubapp.jobs.models import ACTIVE_STATES, JobState
from workers.lineage.rules import fold, read

ARGUMENTS = {
    Scope.TOP: "how many of the most downloaded models",
    Scope.AUTHOR: "a user or an organisation",
    Scope.SEARCH: "words that the names hold",
    Scope.FAMILY: "a model's id",
}
"""What each scope's argument is, for forms and messages; scopes without one are not named."""

RETRY = timedelta(days=30)  # after which a name that led nowhere is asked for again
ORPHAN_SHARE = 0.3  # of the cards that one job reads: models without a parent, whose cards may name one


def recent(*, limit: int = 50, before: int | None = None) -> QuerySet[Crawl]:
    """Crawls with their jobs, the latest first; ``before`` is the number of the last one that was seen."""
    crawls = Crawl.objects.select_related("job", "job__created_by").order_by("-pk")
    return (crawls.filter(pk__lt=before) if before else crawls)[:limit]


def one(pk: int) -> Crawl | None:
    """The crawl of that number, with its job."""
    return Crawl.objects.select_related("job").filter(pk=pk).first()


def active() -> QuerySet[Crawl]:
    """Crawls that are queued, running or paused, the oldest first."""
    return Crawl.objects.select_related("job").filter(job__state__in=ACTIVE_STATES).order_by("pk")


def current() -> Crawl | None:
    """The crawl that pages show as under way: the one that runs, else the one that waits longest."""
    return active().filter(job__state=JobState.RUNNING).first() or active().first()


def last_complete() -> Crawl | None:
    """The crawl that finished last."""
    return Crawl.objects.select_related("job").filter(job__state=JobState.DONE).order_by("-job__finished_at").first()


def waiting_for_approval() -> QuerySet[Crawl]:
    """Crawls whose listing no longer showed so many repos that staff is asked."""
    return Crawl.objects.select_related("job").filter(approval="needed").order_by("-pk")


def watermark(endpoint: str) -> datetime | None:
    """Up to which lastModified the endpoint is known completely."""
    return Watermark.objects.filter(endpoint=endpoint).values_list("value", flat=True).first()


def expected_total(crawl: Crawl) -> int | None:
    """How many models the crawl will read, where that can be told beforehand."""
    if crawl.scope == Scope.TOP:
        return int(crawl.argument)
    if crawl.scope == Scope.EVERYTHING and Watermark.objects.filter(endpoint=crawl.endpoint).exists():
        return Repo.objects.filter(state__in=LISTED_STATES).count()
    return None


# --- reconciliation -------------------------------------------------------------------------------------------------
def missing_after(crawl: Crawl) -> QuerySet[Repo]:
    """Repos that the crawl's complete listing did not show and that no one has read since it began."""
    began = crawl.job.started_at or crawl.job.created_at
    return Repo.objects.filter(
        Q(crawled_at__lt=began) | Q(crawled_at=None), state__in=LISTED_STATES, listing__lt=crawl.listing
    ).order_by("pk")


# --- look-ups -------------------------------------------------------------------------------------------------------
def unknown_parents(*, limit: int, now: datetime | None = None) -> list[str]:
    """Names declared as parents that no listing has shown and nobody has asked for, the most wanted first.

    Also those that led nowhere long ago. In one of the spellings in which they were declared.
    """
    stamp = (now or timezone.now()) - RETRY
    rows = bulk.fetch(
        """
        SELECT e.target, min(e.text), count(*)
        FROM lineage_evidence e
        WHERE e.withdrawn_at IS NULL AND e.target <> ''
          AND NOT EXISTS (
            SELECT 1 FROM catalog_repo r WHERE r.folded = e.target AND r.state <> 'gone'
              AND (r.state <> 'stub' OR r.looked_up_at > %s))
          AND NOT EXISTS (SELECT 1 FROM catalog_alias a WHERE a.folded = e.target)
        GROUP BY e.target ORDER BY count(*) DESC, e.target LIMIT %s
        """,
        [_param(stamp), limit],
    )
    names = []
    for target, text, _ in rows:
        name = read(text).target
        names.append(name if fold(name) == target else target)
    return names


def ids_by_folded(names: Iterable[str]) -> dict[str, int]:
    """The living repo of each name, whatever its case: folded name → key."""
    where, param = bulk.among("folded", {fold(name) for name in names}, "text")
    rows = bulk.fetch(
        f"SELECT folded, id FROM catalog_repo WHERE {where} AND state <> 'gone' ORDER BY id DESC",  # noqa: S608
        [param],
    )
    return dict(rows)


def unread_cards(*, limit: int, after: int = 0, orphans: bool = False) -> list[tuple[int, int, str, str, bool]]:
    """(rank, id, name, revision, has an adapter) of models whose card was not read at its present revision, by rank.

    ``orphans``: only models of which no standing evidence names a parent.
    """
    extra = (
        "AND NOT EXISTS (SELECT 1 FROM lineage_evidence e WHERE e.child_id = r.id AND e.withdrawn_at IS NULL)"
        if orphans
        else ""
    )
    rows = bulk.fetch(
        f"""
        SELECT n.key, r.id, r.name, r.sha, l.value, r.tags
        FROM searching_entry n JOIN catalog_repo r ON r.id = n.repo_id
        LEFT JOIN catalog_term l ON l.id = r.library_id
        WHERE r.state IN ('listed', 'gated') AND n.key > %s
          AND (r.card_sha = '' OR (r.sha <> '' AND r.card_sha <> r.sha)) {extra}
        ORDER BY n.key LIMIT %s
        """,  # noqa: S608 (constant text)
        [after, limit],
    )
    return [(rank, pk, name, sha, _adapts(library, tags)) for rank, pk, name, sha, library, tags in rows]


_ADAPTER_MARKS = ("peft", "lora", "adapter", "qlora")


def _adapts(library: str | None, tags: Any) -> bool:
    text = tags.lower() if isinstance(tags, str) else str(tags).lower()
    return library == "peft" or any(mark in text for mark in _ADAPTER_MARKS)


def _param(moment: datetime) -> Any:
    from django.db import connection

    return connection.ops.adapt_datetimefield_value(moment)
