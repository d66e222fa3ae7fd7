"""Writing of crawls: asking for one, storing what it reads, and what follows from a complete one."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from hubapp.catalog import services as catalog
from hubapp.catalog.models import Repo, RepoState
from hubapp.catalog.stored import Stored
from hubapp.crawling import queries
from hubapp.crawling.models import Crawl, Scope, Watermark
from hubapp.jobs import faults
from hubapp.jobs import services as jobs
from hubapp.jobs.models import Job
from hubapp.lineage import services as lineage
from hubapp.searching import meanings
from hubapp.searching import services as searching
from hubapp.weights import services as weights
from workers.crawling.records import CardFacts, Rejected, RepoFacts
from workers.errors import BadRequest
from workers.lineage.records import Source
from workers.lineage.rules import fold, is_repo_id

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

OVERLAP = timedelta(minutes=10)  # the Hub's own lists lag behind its changes
MISSING_LIMIT = 0.02  # of the known repos: when more are gone at once, something else is likelier than deletion
TOP_LIMIT = 1_000_000
_AUTHOR = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_FILE_SOURCES = (Source.ADAPTER_CONFIG, Source.MERGEKIT)
_UNFINDABLE = frozenset({RepoState.GONE.value, RepoState.PRIVATE.value, RepoState.RENAMED.value})


# --- asking ---------------------------------------------------------------------------------------------------------
def start(
    *,
    scope: str,
    argument: str = "",
    by: AbstractBaseUser | None = None,
    endpoint: str | None = None,
    send: bool = True,
) -> Crawl:
    """Ask for a crawl; while the same one is under way, that one is returned.

    ``argument`` is the number for "top", the name for "author" and "family", the words for "search", else empty.
    Raises BadRequest where they do not fit, or where ``endpoint`` is not the one from the settings.
    """
    scope, argument = checked(scope=scope, argument=argument)
    if endpoint is not None and endpoint.rstrip("/") != settings.HUB_ENDPOINT:
        raise BadRequest(f"Only {settings.HUB_ENDPOINT} is crawled here; HF_ENDPOINT says which hub that is.")
    endpoint = settings.HUB_ENDPOINT
    if scope == Scope.CHANGED and not Watermark.objects.filter(endpoint=endpoint).exists():
        raise BadRequest("What changed is only known after a complete crawl: crawl everything first.")
    params = {"scope": scope, "argument": argument, "endpoint": endpoint}
    with transaction.atomic():
        job = jobs.enqueue(kind="crawl", params=params, by=by, send=send)
        crawl, _ = Crawl.objects.get_or_create(
            job=job, defaults={"endpoint": endpoint, "scope": scope, "argument": argument}
        )
    return crawl


def checked(*, scope: str, argument: str) -> tuple[str, str]:
    """Scope and argument in their proper form. Raises BadRequest saying what is wrong."""
    argument = argument.strip()
    if scope not in Scope.values:
        raise BadRequest(f"There is no scope {scope!r}; there are {', '.join(Scope.values)}.")
    if scope in (Scope.EVERYTHING, Scope.CHANGED):
        if argument:
            raise BadRequest(f"A crawl of {scope} takes no argument.")
    elif not argument:
        raise BadRequest(f"A crawl by {scope} needs to know which: {queries.ARGUMENTS[Scope(scope)]}.")
    elif scope == Scope.TOP:
        if not argument.isdecimal() or not 1 <= int(argument) <= TOP_LIMIT:
            raise BadRequest(f"The number of models lies between 1 and {TOP_LIMIT:,}, not {argument[:40]!r}.")
        argument = str(int(argument))
    elif scope == Scope.AUTHOR:
        if not _AUTHOR.fullmatch(argument):
            raise BadRequest(f"{argument[:80]!r} can be no author's name.")
    elif scope == Scope.FAMILY:
        if not is_repo_id(argument):
            raise BadRequest(f"{argument[:80]!r} can be no model's id.")
    elif len(argument) > 100 or not argument.isprintable():
        raise BadRequest("The words to search for are at most 100 printable characters.")
    return str(Scope(scope).value), argument


def begin(*, job_id: int) -> Crawl:
    """Give a crawl of everything the number of its listing, once. Returns the crawl."""
    with transaction.atomic():
        catalog.lock_ingest()
        crawl = Crawl.objects.select_for_update().get(job_id=job_id)
        if crawl.scope == Scope.EVERYTHING and crawl.listing is None:
            last = Crawl.objects.aggregate(last=Max("listing"))["last"] or 0
            seen = Repo.objects.aggregate(last=Max("listing"))["last"] or 0 if last == 0 else 0
            crawl.listing = max(last, seen) + 1
            crawl.save(update_fields=["listing"])
    return crawl


# --- storing --------------------------------------------------------------------------------------------------------
def store_page(
    *,
    job_id: int,
    facts: Sequence[RepoFacts],
    rejected: Sequence[Rejected] = (),
    listing: int | None = None,
    moment: datetime | None = None,
    now: datetime | None = None,
) -> list[Stored]:
    """Store one page in the caller's transaction: repos, evidence, index, and what could not be used.

    ``moment`` is the Hub's clock at the first page, from which the next watermark is made.
    """
    now = now or timezone.now()
    stored = catalog.store(facts=facts, now=now, listing=listing)
    spread(stored=stored, now=now)
    _note_faults(job_id=job_id, facts=facts, rejected=rejected)
    if moment is not None:
        Crawl.objects.filter(job_id=job_id, started_watermark=None).update(started_watermark=moment - OVERLAP)
    return stored


def spread(*, stored: Sequence[Stored], now: datetime, sources: Collection[Source] = lineage.ROW_SOURCES) -> None:
    """Keep lineage and search in step with what was stored; unchanged repos cost nothing."""
    changed = [s for s in stored if s.changed]
    if changed:
        lineage.declare(stored=changed, now=now, sources=sources)
        searching.index(stored=[s for s in changed if s.state not in _UNFINDABLE])
        hidden = [s.repo_id for s in changed if s.state in _UNFINDABLE]
        if hidden:
            searching.remove(repo_ids=hidden)


def _note_faults(*, job_id: int, facts: Sequence[RepoFacts], rejected: Sequence[Rejected]) -> None:
    found: list[tuple[str, str, str, str]] = list(rejected)
    found += [(fact.name, code, message, "") for fact in facts for code, message in fact.oddities]
    if found:
        faults.record_faults(job=Job(pk=job_id), faults=found)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the Hub said of one name: the facts of a repo (perhaps under a new name), or an error's code."""

    name: str
    facts: RepoFacts | None = None
    code: str = ""


def store_answers(*, job_id: int, answers: Sequence[Answer], now: datetime | None = None) -> list[Stored]:
    """Store look-ups by name in the caller's transaction; a negative answer is remembered on the name's stub."""
    now = now or timezone.now()
    found = [answer.facts for answer in answers if answer.facts is not None]
    stored = catalog.store(facts=found, now=now)
    # A name that led to another one is a pointer; one that led nowhere stays a stub that need not be asked for again.
    moved = [a for a in answers if a.facts is not None and fold(a.facts.name) != fold(a.name)]
    stubs = catalog.ensure_stubs(names=[a.name for a in answers if a.facts is None] + [a.name for a in moved])
    ids = queries.ids_by_folded([a.name for a in answers] + [fact.name for fact in found])
    stored += stubs
    pointers = {
        ids[fold(a.name)]: ids[fold(a.facts.name)]
        for a in moved
        if a.facts is not None and fold(a.name) in ids and fold(a.facts.name) in ids
    }
    stored += catalog.mark_moved(moved=pointers, now=now)
    catalog.note_lookups(
        answers={ids[fold(a.name)]: a.code for a in answers if a.facts is None and fold(a.name) in ids}, now=now
    )
    spread(stored=stored, now=now)
    _note_faults(job_id=job_id, facts=found, rejected=())
    return stored


def store_checks(*, job_id: int, found: Sequence[RepoFacts], states: Mapping[int, RepoState]) -> list[Stored]:
    """Store what became of repos that a complete listing no longer showed, in the caller's transaction."""
    now = timezone.now()
    stored = catalog.store(facts=found, now=now) + catalog.mark(states=states, now=now)
    spread(stored=stored, now=now)
    _note_faults(job_id=job_id, facts=found, rejected=())
    return stored


def store_cards(*, job_id: int, cards: Sequence[CardFacts]) -> None:
    """Store what was read of cards and configurations, in the caller's transaction."""
    now = timezone.now()
    catalog.store_cards(cards=[(card.repo_id, card.length, card.excerpt, card.sha) for card in cards])
    repos = Repo.objects.in_bulk([card.repo_id for card in cards])
    told = [
        Stored(
            repo_id=repo.pk,
            name=repo.name,
            state=repo.state,
            rank=repo.rank or 0,
            facts=RepoFacts(repo.name, repo.hub_id or "", declared=card.declared),
            changed=True,
            descent_changed=True,
            old_name=repo.name,
            old_state=repo.state,
            old_rank=repo.rank,
        )
        for card in cards
        if (repo := repos.get(card.repo_id)) is not None
    ]
    lineage.declare(stored=told, now=now, sources=_FILE_SOURCES)
    faults.record_faults(
        job=Job(pk=job_id),
        faults=[
            (repos[card.repo_id].name, code, message, "")
            for card in cards
            if card.repo_id in repos
            for code, message in card.oddities
        ],
    )


# --- completing -----------------------------------------------------------------------------------------------------
def complete(*, job_id: int) -> None:
    """A crawl has read all that it was asked for; in its last transaction.

    After a complete listing, or one of changes, the watermark moves. Repos that a complete listing no longer showed
    are looked for by a job of its own, once staff has agreed if they are many.
    """
    crawl = Crawl.objects.get(job_id=job_id)
    if crawl.scope in (Scope.EVERYTHING, Scope.CHANGED) and crawl.started_watermark is not None:
        Watermark.objects.update_or_create(endpoint=crawl.endpoint, defaults={"value": crawl.started_watermark})
    if crawl.listing is not None:
        missing = queries.missing_after(crawl).count()
        known = missing + Repo.objects.filter(listing=crawl.listing, state__in=catalog.LISTED_STATES).count()
        crawl.missing_share = missing / known if known else 0.0
        crawl.approval = "needed" if crawl.missing_share > MISSING_LIMIT else ""
        crawl.save(update_fields=["missing_share", "approval"])
        if missing and not crawl.approval:
            reconcile(crawl=crawl)
    lineage.wake()
    searching.wake()
    if settings.HUB_CARDS:
        read_cards()  # and then what they mean
    else:
        meanings.wake()
    if settings.READ_WEIGHTS:
        weights.ask(scope="all", onward=True)


def reconcile(*, crawl: Crawl, by: AbstractBaseUser | None = None) -> Job:
    """Ask for a look at each repo that the crawl's listing no longer showed."""
    return jobs.enqueue(kind="reconcile", params={"crawl": crawl.pk}, by=by)


def read_cards(*, by: AbstractBaseUser | None = None) -> Job:
    """Ask for the cards of models whose card was not read yet: the most popular, and those without a parent."""
    return jobs.enqueue(kind="cards", params={"limit": settings.HUB_CARDS}, by=by)


def approve(*, crawl_id: int, by: AbstractBaseUser | None = None) -> Job:
    """Let the many repos that a listing no longer showed be looked for and marked. Raises BadRequest."""
    crawl = _decide(crawl_id, "given")
    return reconcile(crawl=crawl, by=by)


def refuse(*, crawl_id: int, by: AbstractBaseUser | None = None) -> None:
    """Leave the repos that a listing no longer showed as they are. Raises BadRequest."""
    _decide(crawl_id, "refused")


def _decide(crawl_id: int, answer: str) -> Crawl:
    if not Crawl.objects.filter(pk=crawl_id, approval="needed").update(approval=answer):
        raise BadRequest("This crawl does not wait for a decision.")
    return Crawl.objects.get(pk=crawl_id)
