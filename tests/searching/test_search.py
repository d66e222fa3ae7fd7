"""Search on both databases, held to a plain reading of every model."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from hubapp.catalog import services as catalog
from hubapp.catalog.models import Repo, RepoState
from hubapp.lineage.remarks import QUIET
from hubapp.searching import folding, queries, reading, services, upkeep
from hubapp.searching.query import Query, Sort
from tests.searching import library
from workers.errors import BadRequest
from workers.lineage.records import Relation

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

QUERIES = [
    Query(),
    Query(text="llama"),
    Query(text="lama"),
    Query(text="qw"),
    Query(text="q"),
    Query(text="8b"),
    Query(text="llama-3.1 instruct"),
    Query(text="coder gguf"),
    Query(text="theBLOKE"),
    Query(text="nothing-is-called-so", literal=True),
    Query(text="%%% _ '\""),
    Query(text='llama" OR "1'),
    Query(text="8b", relation=Relation.MERGE),
    Query(relation=Relation.ADAPTER),
    Query(relation=Relation.QUANTIZED, task="fill-mask", gated="no"),
    Query(task="text-generation", language="de", licence="mit"),
    Query(licence="Apache-2.0"),
    Query(licence="never-heard-of"),
    Query(dataset="HuggingFaceH4/ultrachat_200k"),
    Query(library="peft", architecture="LlamaForCausalLM", model_type="bert"),
    Query(author="meta"),
    Query(author="META-llama", text="chat"),
    Query(min_parameters=7_000_000_000),
    Query(min_parameters=1, max_parameters=125_000_000, text="bert"),
    Query(created_after=date(2026, 1, 1)),
    Query(created_after=date(2025, 6, 1), created_before=date(2025, 6, 30), text="llama"),
    Query(no_parent=True),
    Query(no_parent=True, text="mistral"),
    Query(has_findings=True),
    Query(finding="mirror", text="llama", language="en"),
    Query(gated="yes"),
    Query(gated="manual", text="qwen"),
    Query(state="listed", text="gpt2"),
    Query(state="gated"),
    Query(state="stub"),
]


@pytest.fixture
def stocked() -> None:
    library.crawl(library.facts(260))
    library.descend()


def every_page(query: Query) -> list[str]:
    """All results, a page of forty at a time."""
    names: list[str] = []
    query = replace(query, limit=40)
    while True:
        page = queries.search(query)
        names += [hit.name for hit in page.hits]
        if not page.next:
            return names
        query = replace(query, after=page.next)


def check(some: list[Query]) -> None:
    repos = library.living()
    for query in some:
        expected = library.expected(replace(query, licence=query.licence.lower()), repos)
        assert every_page(query) == expected, query
        assert queries.count(query) == len(expected), query


@pytest.mark.parametrize("window", [reading.WINDOW, 3], ids=["wide", "narrow"])
def test_every_search_finds_what_a_plain_reading_finds(
    stocked: None, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Walking and gathering agree, whichever answers; before the upkeep and after it."""
    monkeypatch.setattr(reading, "WINDOW", window)
    monkeypatch.setattr(reading, "WINDOW_ELSEWHERE", window)
    if window == 3:
        check(QUERIES)
    else:
        upkeep.tidy()
        check(QUERIES)


@pytest.mark.parametrize("window", [reading.WINDOW, 3], ids=["wide", "narrow"])
def test_every_order_is_total_and_leaves_no_model_out(
    stocked: None, window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "WINDOW_ELSEWHERE", window)
    upkeep.tidy()
    dice = random.Random(4)
    for sort in Sort:
        check([replace(Query(), sort=sort), *(replace(query, sort=sort) for query in dice.sample(QUERIES, 6))])


def test_renamed_changed_and_removed_models_are_found_as_they_are_now(stocked: None) -> None:
    upkeep.tidy()
    rows = library.facts(260)
    moved = [replace(row, name=f"new/{row.name.split('/')[1]}-{n}", author="new") for n, row in enumerate(rows[:40])]
    moved += [replace(row, downloads=row.downloads * 50 + 900, licence="mit") for row in rows[40:80]]
    library.crawl(moved)
    library.touch_ranks()
    gone = list(Repo.objects.order_by("name")[:15])
    with transaction.atomic():
        states = {repo.pk: RepoState.GONE for repo in gone}
        services.remove(repo_ids=[s.repo_id for s in catalog.mark(states=states, now=timezone.now())])
    some = [*QUERIES, Query(text="new llama"), Query(author="new")]
    check(some)
    library.crawl(library.facts(60, seed=9))
    upkeep.tidy()
    check([Query(licence="mit", sort=sort) for sort in Sort])
    assert not folding.backlog()
    check(some)
    # and back again, within one upkeep's reach
    library.crawl(rows)
    library.crawl(moved)
    library.touch_ranks()
    check(some)
    upkeep.tidy()
    check(some)


def test_pages_stay_in_place_while_models_are_added(stocked: None) -> None:
    first = queries.search(Query(text="llama", limit=10))
    library.crawl(
        [replace(row, name=f"z/{row.name.split('/')[1]}", hub_id=f"f{row.hub_id[1:]}") for row in library.facts(30)]
    )
    second = queries.search(Query(text="llama", limit=10, after=first.next))
    assert not {hit.repo_id for hit in first.hits} & {hit.repo_id for hit in second.hits}


def test_a_mark_of_another_order_or_of_nobody_is_refused(stocked: None) -> None:
    page = queries.search(Query(text="llama", sort=Sort.LIKES, limit=3))
    for mark, sort in (
        (page.next, Sort.NAME),
        ("x", Sort.LIKES),
        ("bnVsbA", Sort.LIKES),
        ("WyJsaWtlcyIsMSwyLDNd", Sort.LIKES),
    ):
        with pytest.raises(BadRequest):
            queries.search(Query(text="llama", sort=sort, after=mark))


def test_hits_show_the_facts(stocked: None) -> None:
    for hit in queries.search(Query(limit=100)).hits:
        repo = Repo.objects.select_related("task", "licence").get(pk=hit.repo_id)
        assert (hit.name, hit.likes, hit.downloads, hit.parameters) == (
            repo.name,
            repo.likes,
            repo.downloads,
            repo.parameters,
        )
        assert hit.task == (repo.task.value if repo.task else "")
        assert hit.licence == (repo.licence.value if repo.licence else "")
        assert hit.created_at == repo.created_at
        assert hit.findings == repo.findings.exclude(code__in=QUIET).count()
        assert set(hit.relations) == {edge.relation for edge in repo.parent_edges.all()}


def test_values_are_counted_among_the_matches(stocked: None) -> None:
    upkeep.tidy()
    query = Query(text="llama", licence="mit")
    found = queries.facets(query)
    repos = library.living()
    for value in found["language"]:
        assert value.count == len(library.expected(replace(query, language=value.value), repos))
    for value in found["relation"]:
        assert value.count == len(library.expected(replace(query, relation=Relation[value.value.upper()]), repos))
    assert found["licence"] == (queries.Value("mit", len(library.expected(query, repos))),)
    everywhere = queries.offered()
    assert everywhere["library"][0].count == len(library.expected(Query(library=everywhere["library"][0].value), repos))
    assert [value.value for value in queries.commonest("dataset", 5, part="hugging")] == [
        "HuggingFaceH4/ultrachat_200k"
    ]


def test_counting_stops_at_its_cap(stocked: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from hubapp.searching import conditions

    assert reading.count(conditions.of(Query(text="llama")), most=5) == 6
    upkeep.tidy()
    assert reading.count(conditions.of(Query(text="llama")), most=5) == 6


def test_dates_include_both_ends(stocked: None) -> None:
    repo = Repo.objects.exclude(created_at=None).order_by("created_at").first()
    assert repo is not None
    assert repo.created_at is not None
    day = repo.created_at.date()
    assert repo.name in every_page(Query(created_after=day, created_before=day))
    assert repo.name not in every_page(Query(created_after=day + timedelta(days=1)))
