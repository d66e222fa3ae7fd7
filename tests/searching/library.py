"""A few hundred models to search among, and a reading of the same question without any index: the oracle."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import F

from hubapp.catalog import services as catalog
from hubapp.catalog.models import Repo, RepoState
from hubapp.lineage.models import Edge, Finding
from hubapp.lineage.remarks import QUIET
from hubapp.searching import services
from hubapp.searching.query import Query, Sort
from workers.crawling.records import RepoFacts
from workers.lineage.records import Relation
from workers.searching.rules import fold, matches, phrases

NOW = datetime(2026, 11, 1, tzinfo=UTC)
BASES = ("Llama-3.1", "llama-2", "Mistral", "Qwen2.5", "gpt2", "distilbert-base", "starcoder2", "stable-diffusion-v1-5")
SIZES = ("7B", "8b", "18B", "0.5B", "70b", "")
ENDS = ("Instruct", "chat", "GGUF", "lora", "8bit", "ft_v2", "")
AUTHORS = ("meta-llama", "meta", "TheBloke", "Qwen", "me")


def facts(count: int, seed: int = 1) -> list[RepoFacts]:
    """Models with all that search knows, some of it missing."""
    dice = random.Random(seed)
    found = {}
    for number in range(count):
        parts = [dice.choice(BASES), dice.choice(SIZES), dice.choice(ENDS), dice.choice(("", str(number)))]
        name = f"{dice.choice(AUTHORS)}/{'-'.join(part for part in parts if part)}"
        gated = dice.choice(("", "", "", "auto", "manual"))
        found[name] = RepoFacts(
            name,
            f"{number:024x}",
            author=name.partition("/")[0],
            created_at=NOW - timedelta(days=dice.randrange(900)) if dice.random() < 0.9 else None,
            modified_at=NOW - timedelta(hours=dice.randrange(9000)) if dice.random() < 0.9 else None,
            downloads=int(dice.paretovariate(0.5)) - 1,
            likes=dice.choice((0, 0, 1, 2, 50)),
            trending=dice.choice((0.0, 0.0, 1.5, 2.25)),
            task=dice.choice(("text-generation", "fill-mask", "")),
            library=dice.choice(("transformers", "peft", "")),
            licence=dice.choice(("apache-2.0", "mit", "llama3.1", "")),
            languages=tuple(sorted(dice.sample(("en", "de", "fr"), dice.randrange(3)))),
            datasets=tuple(sorted(dice.sample(("wikitext", "HuggingFaceH4/ultrachat_200k"), dice.randrange(2)))),
            architecture=dice.choice(("LlamaForCausalLM", "")),
            model_type=dice.choice(("llama", "bert", "")),
            parameters=dice.choice((None, 125_000_000, 7_000_000_000, 7_000_000_000, 70_000_000_000)),
            gated=gated,
        )
    return list(found.values())


@transaction.atomic
def crawl(rows: list[RepoFacts]) -> None:
    """Store and index as a crawl does."""
    stored = catalog.store(facts=rows, now=NOW)
    services.index(stored=[s for s in stored if s.changed])


def descend(seed: int = 1) -> None:
    """Edges and findings among the stored repos."""
    dice = random.Random(seed)
    repos = list(Repo.objects.order_by("name"))
    edges = {}
    for child in repos[1:]:
        for _ in range(dice.choice((0, 0, 1, 1, 3))):
            parent = dice.choice(repos)
            if parent.pk != child.pk:
                edges[child.pk, parent.pk] = Edge(
                    child=child, parent=parent, relation=dice.choice(list(Relation)), sources=4, rank=child.rank
                )
    Edge.objects.bulk_create(edges.values())
    Finding.objects.bulk_create(
        Finding(repo=repo, code=dice.choice(("mirror", "wrong_case", "cycle")), first_seen=NOW)
        for repo in repos
        if dice.random() < 0.2
    )


def expected(query: Query, repos: list[Repo] | None = None) -> list[str]:
    """The names that ``query`` asks for, in order, by looking at each of ``repos`` (default: all) in plain Python."""
    found = [repo for repo in (living() if repos is None else repos) if _is_wanted(repo, query)]
    found.sort(key=lambda repo: _place(repo, query.sort))
    return [repo.name for repo in found]


def living() -> list[Repo]:
    """All repos that can be found, with what belongs to them read ahead."""
    hidden = (RepoState.GONE, RepoState.PRIVATE, RepoState.RENAMED)
    repos = Repo.objects.exclude(state__in=hidden).select_related(
        "task", "library", "licence", "architecture", "model_type"
    )
    return list(repos.prefetch_related("links__term", "parent_edges", "findings"))


def _is_wanted(repo: Repo, query: Query) -> bool:
    wanted = phrases(query.text)
    links = {(link.term.kind, link.term.value) for link in repo.links.all()}
    relations = {edge.relation for edge in repo.parent_edges.all()}
    codes = {finding.code for finding in repo.findings.all()}
    told = codes - QUIET
    gated = repo.state == RepoState.GATED
    day = repo.created_at.date() if repo.created_at else None
    return all(
        (
            not query.text or (wanted and matches(fold(repo.name), wanted)),
            *(
                not getattr(query, name) or str(getattr(repo, name) or "") == getattr(query, name)
                for name in ("task", "library", "licence", "architecture", "model_type")
            ),
            not query.language or ("language", query.language) in links,
            not query.dataset or ("dataset", query.dataset) in links,
            not query.author or ("/" in repo.name and repo.name.split("/")[0].lower() == query.author.lower()),
            query.relation is None or query.relation in relations,
            not query.no_parent or not relations,
            not query.has_findings or told,
            not query.finding or query.finding in codes,
            query.min_parameters is None or (repo.parameters or -1) >= query.min_parameters,
            query.max_parameters is None or (repo.parameters is not None and repo.parameters <= query.max_parameters),
            query.created_after is None or (day is not None and day >= query.created_after),
            query.created_before is None or (day is not None and day <= query.created_before),
            query.gated != "no" or not gated,
            query.gated != "yes" or gated,
            query.gated not in {"auto", "manual"} or (gated and repo.gated == query.gated),
            not query.state or repo.state == query.state,
        )
    )


def _place(repo: Repo, sort: Sort) -> tuple[object, ...]:
    """Where a repo stands in an order: values downwards, those without one last, ties by popularity."""
    if sort == Sort.POPULARITY:
        return (repo.rank,)
    if sort == Sort.NAME:
        return (repo.folded.encode(), repo.rank)
    value = {
        Sort.DOWNLOADS: repo.downloads,
        Sort.LIKES: repo.likes,
        Sort.TRENDING: repo.trending,
        Sort.CREATED: int(repo.created_at.timestamp()) if repo.created_at else None,
        Sort.MODIFIED: int(repo.modified_at.timestamp()) if repo.modified_at else None,
        Sort.SIZE: repo.parameters,
    }[sort]
    return (not value, -(value or 0), repo.rank)


def touch_ranks() -> None:
    """Edges follow their children's ranks, as lineage sees to."""
    for edge in Edge.objects.exclude(rank=F("child__rank")).select_related("child"):
        Edge.objects.filter(pk=edge.pk).update(rank=edge.child.rank)
