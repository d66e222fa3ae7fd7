"""Pages into repos: names move, ids stay, nothing is written for what is unchanged. On both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from hubapp.catalog import queries, ranks, services
from hubapp.catalog.models import Alias, Repo, RepoState, RepoTerm, Term
from workers.crawling.records import RepoFacts

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db]
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def facts(name: str, number: int = 1, **fields: Any) -> RepoFacts:
    return RepoFacts(
        **{
            "name": name,
            "hub_id": f"{number:024x}",
            "author": name.partition("/")[0],
            "created_at": datetime(2024, 1, 1, tzinfo=UTC),
            "modified_at": datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
            "downloads": 100,
            "tags": ("a", "b"),
            **fields,
        }
    )


def store(*rows: RepoFacts, **options: Any) -> dict[str, Any]:
    with transaction.atomic():
        return {s.name: s for s in services.store(facts=rows, now=options.pop("now", NOW), **options)}


def test_all_facts_arrive() -> None:
    store(
        facts(
            "org/model",
            sha="ab" * 20,
            downloads_all=12,
            likes=3,
            trending=1.5,
            task="text-generation",
            library="transformers",
            licence="mit",
            licence_name="MIT",
            licence_link="https://example.org",
            languages=("en", "fr"),
            datasets=("org/data",),
            parameters=7_000_000_000,
            dtypes={"BF16": 7_000_000_000},
            architecture="LlamaForCausalLM",
            model_type="llama",
            gated="auto",
        )
    )
    repo = Repo.objects.get()
    assert (repo.name, repo.folded, repo.author, repo.state) == ("org/model", "org/model", "org", RepoState.GATED)
    assert repo.created_at == datetime(2024, 1, 1, tzinfo=UTC)
    assert repo.modified_at == datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    assert repo.crawled_at == NOW
    assert (repo.task.value, repo.library.value, repo.licence.value) == ("text-generation", "transformers", "mit")
    assert (repo.architecture.value, repo.model_type.value) == ("LlamaForCausalLM", "llama")
    assert (repo.tags, repo.dtypes, repo.parameters) == (["a", "b"], {"BF16": 7_000_000_000}, 7_000_000_000)
    assert (repo.likes, repo.trending, repo.downloads_all, repo.gated) == (3, 1.5, 12, "auto")
    assert queries.terms(repo) == {"language": ["en", "fr"], "dataset": ["org/data"]}
    assert (repo.card_length, repo.card_excerpt, repo.moved_to) == (None, "", None)


def test_texts_that_break_tables_come_back_as_they_were() -> None:
    wild = "tab\t, newline\n, quote \" ' \\N \\. {a,b} NULL, é 🦙 %s"
    store(facts("org/model", tags=(wild, ""), licence_name=wild[:200], datasets=(wild,)))
    repo = Repo.objects.get()
    assert (repo.tags, repo.licence_name) == ([wild, ""], wild[:200])
    store(facts("org/model", tags=(wild, "new"), licence_name=wild[::-1][:200]))
    repo.refresh_from_db()
    assert (repo.tags, repo.licence_name) == ([wild, "new"], wild[::-1][:200])
    assert RepoTerm.objects.count() == 0


def test_the_same_page_twice_changes_nothing() -> None:
    page = [facts(f"org/model-{n}", n, languages=("en",)) for n in range(1, 30)]
    first = store(*page)
    assert all(s.is_new and s.changed for s in first.values())
    before = list(Repo.objects.order_by("id").values())
    again = store(*page, now=NOW + timedelta(days=1))
    assert not any(s.changed or s.is_new for s in again.values())
    after = list(Repo.objects.order_by("id").values())
    for row in (*before, *after):
        row.pop("crawled_at")
    assert before == after


def test_an_unchanged_page_costs_few_statements() -> None:
    page = [facts(f"org/model-{n}", n, languages=("en",)) for n in range(1, 200)]
    store(*page)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        store(*page)
    assert len(captured) <= 12
    assert sum("UPDATE" in query["sql"] for query in captured) == 1


def test_changes_are_told_apart() -> None:
    store(facts("org/model", 1, languages=("en", "de"), datasets=("x/y",)))
    liked = store(facts("org/model", 1, languages=("en", "de"), datasets=("x/y",), likes=9))["org/model"]
    assert (liked.changed, liked.descent_changed, liked.is_new) == (True, False, False)
    tagged = store(facts("org/model", 1, languages=("fr", "de"), tags=("merge",)))["org/model"]
    assert (tagged.changed, tagged.descent_changed) == (True, True)
    assert queries.terms(Repo.objects.get()) == {"language": ["de", "fr"], "dataset": []}
    assert Term.objects.filter(value="x/y").exists()  # terms are shared: they stay


def test_a_rename_keeps_the_repo_and_its_old_name() -> None:
    (old,) = store(facts("org/old", 1)).values()
    new = store(facts("Org/New", 1))["Org/New"]
    assert (new.repo_id, new.renamed_from, new.old_folded) == (old.repo_id, "org/old", "org/old")
    assert list(Alias.objects.values_list("folded", "repo_id")) == [("org/old", old.repo_id)]
    assert Repo.objects.get().folded == "org/new"
    assert queries.find("ORG/old").repo.name == "Org/New"


def test_renamed_back_and_forth_leaves_the_last_word() -> None:
    store(facts("org/a", 1))
    store(facts("org/b", 1))
    store(facts("org/a", 1))
    assert Repo.objects.get().name == "org/a"
    assert list(Alias.objects.values_list("folded", flat=True)) == ["org/b"]


def test_a_change_of_case_alone_makes_no_alias() -> None:
    store(facts("org/model", 1))
    store(facts("Org/Model", 1))
    assert Repo.objects.get().name == "Org/Model"
    assert not Alias.objects.exists()


def test_two_names_swapped_in_one_page() -> None:
    store(facts("org/a", 1), facts("org/b", 2), facts("org/c", 3))
    ids = {repo.hub_id: repo.pk for repo in Repo.objects.all()}
    stored = store(facts("org/b", 1), facts("org/c", 2), facts("org/a", 3))
    assert len(stored) == 3
    assert {repo.hub_id: (repo.pk, repo.name) for repo in Repo.objects.all()} == {
        f"{1:024x}": (ids[f"{1:024x}"], "org/b"),
        f"{2:024x}": (ids[f"{2:024x}"], "org/c"),
        f"{3:024x}": (ids[f"{3:024x}"], "org/a"),
    }
    assert not Alias.objects.exists()  # all names are in use


def test_a_name_taken_anew_after_deletion() -> None:
    (old,) = store(facts("org/model", 1)).values()
    with transaction.atomic():
        services.store_cards(cards=[(old.repo_id, 100, "text of the old one", "ab")])
        stored = services.store(facts=[facts("org/model", 2)], now=NOW)
    gone = next(s for s in stored if s.repo_id == old.repo_id)
    assert (gone.state, gone.old_state, gone.changed) == (RepoState.GONE, RepoState.LISTED, True)
    assert Repo.objects.get(state=RepoState.LISTED).hub_id == f"{2:024x}"
    assert Repo.objects.get(state=RepoState.GONE).card_excerpt == ""


def test_a_name_given_up_by_a_rename_that_a_later_page_shows() -> None:
    (first,) = store(facts("org/model", 1)).values()
    store(facts("org/model", 2))  # 1 has been renamed, but to what is not known yet
    found = store(facts("org/elsewhere", 1))["org/elsewhere"]
    assert (found.repo_id, found.state, found.old_state) == (first.repo_id, RepoState.LISTED, RepoState.GONE)
    assert queries.find("org/model").repo.hub_id == f"{2:024x}"


def test_the_same_repo_twice_in_a_page_is_stored_once_as_last_modified() -> None:
    later = datetime(2025, 1, 1, tzinfo=UTC)
    stored = store(facts("org/new", 1, modified_at=later), facts("org/old", 1), facts("org/new", 2))
    assert list(stored) == ["org/new"]
    assert Repo.objects.get().hub_id == f"{1:024x}"


def test_a_stub_becomes_the_repo_when_it_is_listed() -> None:
    with transaction.atomic():
        stubs = services.ensure_stubs(names=["org/Parent", "ORG/parent", "gpt2"])
    assert sorted(s.name for s in stubs) == ["ORG/parent", "gpt2"]
    assert all(s.is_new and s.state == RepoState.STUB and not ranks.has_downloads(s.rank) for s in stubs)
    with transaction.atomic():
        assert services.ensure_stubs(names=["org/parent"]) == []
    listed = store(facts("org/Parent", 5, downloads=0))["org/Parent"]
    assert listed.repo_id == next(s.repo_id for s in stubs if s.name == "ORG/parent")
    assert (listed.is_new, listed.old_state, listed.state) == (False, RepoState.STUB, RepoState.LISTED)
    assert ranks.has_downloads(listed.rank)
    assert Repo.objects.filter(folded="org/parent").count() == 1


def test_a_repo_renamed_to_a_name_that_was_hearsay() -> None:
    store(facts("org/a", 1))
    with transaction.atomic():
        (stub,) = services.ensure_stubs(names=["org/b"])
    stored = store(facts("org/b", 1))
    assert Repo.objects.get(state=RepoState.LISTED).name == "org/b"
    assert Repo.objects.get(pk=stub.repo_id).state == RepoState.GONE
    assert {s.repo_id for s in stored.values()} <= {stub.repo_id, Repo.objects.get(name="org/b", state="listed").pk}


def test_an_old_name_found_by_look_up_points_to_its_repo() -> None:
    (new,) = store(facts("org/new", 1)).values()
    with transaction.atomic():
        (stub,) = services.ensure_stubs(names=["org/old"])
        (moved,) = services.mark_moved(moved={stub.repo_id: new.repo_id}, now=NOW)
    assert (moved.state, moved.old_state) == (RepoState.RENAMED, RepoState.STUB)
    assert Repo.objects.get(pk=stub.repo_id).moved_to_id == new.repo_id
    assert queries.find("org/OLD").repo.pk == new.repo_id
    # Somebody takes the old name: it is a repo of its own now, and no alias.
    taken = store(facts("org/old", 9))["org/old"]
    assert taken.repo_id == stub.repo_id
    repo = Repo.objects.get(pk=stub.repo_id)
    assert (repo.state, repo.moved_to_id, repo.hub_id) == (RepoState.LISTED, None, f"{9:024x}")
    assert not Alias.objects.exists()


def test_rows_without_an_id_of_the_hub_are_known_by_name() -> None:
    store(facts("org/model", hub_id=""))
    store(facts("org/model", hub_id="", likes=2))
    assert Repo.objects.get().hub_id is None
    store(facts("org/model", 7))
    assert Repo.objects.get().hub_id == f"{7:024x}"
    store(facts("org/model", hub_id="", likes=5))
    assert Repo.objects.count() == 1


def test_cards_of_what_has_gone_are_purged() -> None:
    store(*(facts(f"org/{n}", n) for n in (1, 2, 3, 4)))
    ids = dict(Repo.objects.values_list("name", "pk"))
    with transaction.atomic():
        services.store_cards(cards=[(pk, 900, "words", "ab" * 20) for pk in ids.values()])
    with transaction.atomic():
        services.mark(states={ids["org/1"]: RepoState.GONE, ids["org/2"]: RepoState.PRIVATE}, now=NOW)
    store(facts("org/3", 3, disabled=True))
    texts = dict(Repo.objects.values_list("name", "card_excerpt"))
    assert texts == {"org/1": "", "org/2": "", "org/3": "", "org/4": "words"}
    with transaction.atomic():
        services.store_cards(cards=[(ids["org/1"], 900, "words", "ab" * 20)])
    assert Repo.objects.get(name="org/1").card_excerpt == ""


def test_what_comes_back_is_listed_again() -> None:
    (one,) = store(facts("org/model", 1)).values()
    with transaction.atomic():
        services.mark(states={one.repo_id: RepoState.GONE}, now=NOW)
    back = store(facts("org/model", 1))["org/model"]
    assert (back.repo_id, back.state, back.changed) == (one.repo_id, RepoState.LISTED, True)


def test_ranks_follow_downloads_and_ignore_noise() -> None:
    store(facts("a/few", 1, downloads=10), facts("a/many", 2, downloads=1_000_000), facts("a/none", 3, downloads=0))
    assert list(Repo.objects.order_by("rank").values_list("name", flat=True)) == ["a/many", "a/few", "a/none"]
    noise = store(facts("a/many", 2, downloads=1_050_000))["a/many"]
    assert noise.rank == noise.old_rank
    jump = store(facts("a/few", 1, downloads=5_000_000))["a/few"]
    assert jump.rank != jump.old_rank
    assert list(Repo.objects.order_by("rank").values_list("name", flat=True)) == ["a/few", "a/many", "a/none"]


def test_the_listing_is_noted_on_changed_and_unchanged_alike() -> None:
    store(facts("org/a", 1), facts("org/b", 2), facts("org/c", 3), listing=1)
    store(facts("org/a", 1), facts("org/b", 2, likes=7), facts("org/d", 4), listing=2)
    store(replace(facts("org/a", 1), likes=8))
    assert dict(Repo.objects.values_list("name", "listing")) == {"org/a": 2, "org/b": 2, "org/c": 1, "org/d": 2}


def test_an_empty_page() -> None:
    assert store() == {}
