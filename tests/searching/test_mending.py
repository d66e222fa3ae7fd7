"""Misspelt queries, ids and addresses that people paste, suggestions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import connection, transaction
from django.utils import timezone

from hubapp.catalog import services as catalog
from hubapp.catalog.models import Repo
from hubapp.searching import mending, queries, services, upkeep
from hubapp.searching.query import Query
from tests.searching import library
from workers.crawling.records import RepoFacts

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

NAMES = [
    "meta-llama/Llama-3.1-8B",
    "mistralai/Mistral-7B-v0.1",
    "mistralai/Mixtral-8x7B",
    "stabilityai/stable-diffusion-xl",
    "distilbert/distilbert-base-uncased",
    "openai-community/gpt2",
    "Qwen/Qwen2.5-7B-Instruct",
    "bigcode/starcoder2",
]


@pytest.fixture(autouse=True)
def stocked(request: pytest.FixtureRequest) -> None:
    library.crawl([RepoFacts(name, f"{n:024x}", downloads=1000 - n) for n, name in enumerate(NAMES)])
    upkeep.tidy()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("mistrl", "mistral"),
        ("misrtal", "mistral"),
        ("mitsral-7b", "mistral 7 b"),
        ("lamma", "llama"),
        ("instrct qwen2.5", "instruct qwen2.5"),
        ("distillbert", "distilbert"),
        ("stablediffusion", "stable diffusion"),
        ("starcodder2", "starcoder 2"),
    ],
)
def test_a_misspelt_word_is_mended_and_said_to_be(typed: str, meant: str) -> None:
    page = queries.search(Query(text=typed))
    assert page.corrected == meant
    assert page.hits
    literal = queries.search(Query(text=typed, literal=True))
    assert (literal.hits, literal.total, literal.corrected) == ((), 0, "")


@pytest.mark.parametrize("typed", ["mistral", "mist", "oder", "zzzzzzzz", "7b", "xl", "llama mistral", "qqqq wwww"])
def test_what_is_known_or_like_nothing_is_left_alone(typed: str) -> None:
    assert queries.search(Query(text=typed)).corrected == ""


def test_another_spelling_is_offered_where_little_is_found() -> None:
    library.crawl([RepoFacts("someone/mistrel-test", f"{99:024x}")])
    page = queries.search(Query(text="mistrel"))
    assert [hit.name for hit in page.hits] == ["someone/mistrel-test"]
    assert page.corrected == ""
    assert mending.mend("mistrel") == ""  # it occurs, so it is meant


def test_filters_hold_for_what_was_meant() -> None:
    assert queries.search(Query(text="mistrl", author="meta-llama")).corrected == ""
    page = queries.search(Query(text="mistrl", author="mistralai"))
    assert {hit.name.split("/")[0] for hit in page.hits} == {"mistralai"}
    assert page.corrected == "mistral"


@pytest.mark.parametrize(
    ("text", "name", "how"),
    [
        ("openai-community/gpt2", "openai-community/gpt2", "exact"),
        ("OpenAI-Community/GPT2", "openai-community/gpt2", "case"),
        (" openai-community/gpt2/ ", "openai-community/gpt2", "exact"),
        ("https://huggingface.co/openai-community/gpt2", "openai-community/gpt2", "url"),
        ("http://www.huggingface.co/openai-community/GPT2/blob/main/README.md?x=1#top", "openai-community/gpt2", "url"),
        ("huggingface.co/Qwen/Qwen2.5-7B-Instruct/tree/main", "Qwen/Qwen2.5-7B-Instruct", "url"),
        ("hf.co/Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct", "url"),
        ("http://127.0.0.1:8001/Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-7B-Instruct", "url"),
    ],
)
def test_locate(text: str, name: str, how: str, settings: pytest.FixtureRequest) -> None:
    settings.HUB_ENDPOINT = "http://127.0.0.1:8001"  # type: ignore[attr-defined]
    found = queries.locate(text)
    assert found is not None
    assert (found.name, found.how) == (name, how)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "gpt3",
        "https://example.org/openai-community/gpt2",
        "javascript:alert(1)",
        "\0",
        "a" * 3000,
        "%",
        "//",
    ],
)
def test_what_names_no_model_locates_none(text: str) -> None:
    assert queries.locate(text) is None


def test_an_old_name_leads_to_the_present_one() -> None:
    row = RepoFacts("mistralai/Mistral-7B", f"{1:024x}", downloads=999)
    library.crawl([row])
    found = queries.locate("mistralai/mistral-7b-v0.1")
    assert found is not None
    assert (found.name, found.how) == ("mistralai/Mistral-7B", "alias")
    assert [hit.name for hit in queries.search(Query(text="v0.1", literal=True)).hits] == []


def test_suggestions_put_the_model_of_that_name_first() -> None:
    library.crawl(
        [RepoFacts("zz/gpt2-medium-very-popular", f"{50:024x}", downloads=10**7), RepoFacts("gpt2", f"{51:024x}")]
    )
    names = [hit.name for hit in queries.suggest("gpt2")]
    assert names[0] == "gpt2"
    assert set(names) == {"gpt2", "zz/gpt2-medium-very-popular", "openai-community/gpt2"}
    assert queries.suggest("mistrl")[0].name == "mistralai/Mistral-7B-v0.1"
    assert queries.suggest("'\"%_\\") == ()


def test_names_that_only_parents_have_are_found_as_stubs() -> None:
    with transaction.atomic():
        services.index(stored=catalog.ensure_stubs(names=["lost-org/lost-model-7b"]))
    hit = queries.search(Query(text="lost-model")).hits[0]
    assert (hit.name, hit.state) == ("lost-org/lost-model-7b", "stub")
    assert [h.name for h in queries.search(Query(state="stub")).hits] == ["lost-org/lost-model-7b"]
    # and as themselves once they are crawled
    library.crawl([RepoFacts("lost-org/Lost-Model-7B", f"{77:024x}", downloads=5, task="fill-mask")])
    assert [(h.name, h.state) for h in queries.search(Query(task="fill-mask")).hits] == [
        ("lost-org/Lost-Model-7B", "listed")
    ]
    assert queries.search(Query(state="stub")).hits == ()


@pytest.mark.parametrize(
    "text",
    [
        '" OR text:*',
        "a* NEAR(b c)",
        "{x} : ^y",
        "100%",
        "a_b",
        "\\",
        "';--",
        "用户",
        "é",
        "\x1b[31m",
        "-llama",
        "NOT llama",
        "[]",
        "((",
    ],
)
def test_no_text_is_a_query_language(text: str) -> None:
    page = queries.search(Query(text=text, literal=True))
    assert queries.count(Query(text=text, literal=True)) == len(page.hits)
    queries.search(Query(text=text))


def test_non_ascii_names_are_found() -> None:
    library.crawl([RepoFacts("org/Modèle-用户-7b", f"{88:024x}")])
    for text in ("modele", "Modèle", "用户", "7b modele"):
        assert "org/Modèle-用户-7b" in [hit.name for hit in queries.search(Query(text=text)).hits], text


def test_an_unchanged_page_writes_nothing_and_a_private_model_is_found_no_more(
    django_assert_num_queries: pytest.FixtureRequest,
) -> None:
    row = RepoFacts(NAMES[0], f"{0:024x}", downloads=1000)
    library.crawl([row])
    library.crawl([replace(row, likes=7)])
    repo = Repo.objects.get(name=NAMES[0])
    assert repo.likes == 7
    with transaction.atomic():
        stored = catalog.mark(states={repo.pk: catalog.RepoState.PRIVATE}, now=timezone.now())
        services.index(stored=stored)
    assert queries.search(Query(text="llama", literal=True)).hits == ()
    if connection.vendor == "sqlite":
        upkeep.tidy()
        with connection.cursor() as cursor:  # FTS5 compares itself with the entries
            cursor.execute("INSERT INTO searching_fts (searching_fts, rank) VALUES ('integrity-check', 1)")
