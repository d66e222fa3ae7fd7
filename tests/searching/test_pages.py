"""The search page and its fragments, as a browser with and without JavaScript asks for them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.db import transaction
from django.test import Client

from hubapp.searching import queries, upkeep
from hubapp.searching.query import Query
from hubapp.web import search as page
from tests.searching import library
from workers.crawling.records import RepoFacts

EVIL = '"><script>alert(1)</script>'


@pytest.fixture(scope="module", autouse=True)
def stocked(django_db_setup: None, django_db_blocker: pytest.FixtureRequest) -> Iterator[None]:
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        block = transaction.atomic()
        block.__enter__()
        try:
            library.crawl(library.facts(200))
            library.crawl([RepoFacts("gpt2", f"{5000:024x}", licence=EVIL, task=EVIL, downloads=50, datasets=(EVIL,))])
            library.descend()
            upkeep.tidy()
            page._offered.forget()  # type: ignore[attr-defined]
            yield
        finally:
            transaction.set_rollback(True)
            block.__exit__(None, None, None)


pytestmark = pytest.mark.django_db


def names(html: str) -> list[str]:
    """The models that the results show, in order."""
    found = re.findall(r'<li class="hit">.*?<a class="repo[^"]*" href="/models/([^"]+)"', html, re.DOTALL)
    return [name.replace("%20", " ") for name in found]


def get(client: Client, address: str, **headers: str) -> str:
    response = client.get(address, **headers)
    assert response.status_code == 200, (address, response.status_code)
    return response.content.decode()


def test_the_page_shows_what_search_finds(client: Client) -> None:
    html = get(client, "/search?q=llama&relation=adapter&sort=likes")
    query = Query.from_params({"q": "llama", "relation": "adapter", "sort": "likes"})
    assert names(html) == [hit.name for hit in queries.search(query).hits]
    assert 'value="adapter" checked' in html
    assert re.search(r'<option value="likes" selected', html)


def test_pages_follow_one_another_without_javascript(client: Client) -> None:
    html, seen = get(client, "/search?q=llama"), []
    while True:
        seen += names(html)
        more = re.search(r'rel="next" hx-get="([^"]+)"', html)
        if not more:
            break
        html = get(client, more[1].replace("&amp;", "&"))
        assert "Back to its start" in html
    assert seen == library.expected(Query(text="llama"))


def test_htmx_gets_results_more_of_them_or_a_count(client: Client) -> None:
    htmx = {"HTTP_HX_REQUEST": "true", "HTTP_HX_CURRENT_URL": "http://testserver/search?q=lla"}
    response = client.get("/search?q=llama&task=", HTTP_HX_TARGET="results", **htmx)
    html = response.content.decode()
    assert "<html" not in html
    assert names(html)
    assert response.headers["HX-Replace-Url"] == "/search?q=llama"  # letters make no history
    response = client.get("/search?q=llama&task=fill-mask", HTTP_HX_TARGET="results", **htmx)
    assert response.headers["HX-Push-Url"] == "/search?q=llama&task=fill-mask"
    next_page = re.search(r'hx-get="([^"]+after=[^"]+)"', html)
    assert next_page
    more = get(client, next_page[1].replace("&amp;", "&"), HTTP_HX_TARGET="more-hits", **htmx)
    assert names(more)
    assert 'id="results"' not in more
    assert "Filters in force" not in more
    counted = get(client, "/search?q=llama&count=1", HTTP_HX_TARGET="search-count", **htmx)
    assert f"{len(library.expected(Query(text='llama')))} models" in counted
    assert 'hx-swap-oob="true"' in counted
    assert "language" in counted.lower()


def test_a_count_can_be_asked_for_without_javascript(client: Client) -> None:
    html = get(client, "/search?q=llama")
    assert "Count them" in html
    html = get(client, "/search?q=llama&count=1")
    assert f"{len(library.expected(Query(text='llama')))} models" in html


def test_an_address_without_empty_fields_can_be_passed_on(client: Client) -> None:
    response = client.get("/search?q=llama&task=&relation=&min=&sort=likes")
    assert response.status_code == 302
    assert response.headers["Location"] == "/search?q=llama&sort=likes"


def test_typos_are_mended_and_the_literal_search_is_a_link(client: Client) -> None:
    html = get(client, "/search?q=lamma")
    assert "Showing results for <strong>llama</strong>" in html
    literal = re.search(r'href="([^"]+literal=1)"', html)
    assert literal
    assert "No model is called so" in get(client, literal[1].replace("&amp;", "&"))


@pytest.mark.parametrize(
    ("typed", "leads"),
    [
        ("https://huggingface.co/gpt2", "/models/gpt2"),
        ("https://huggingface.co/GPT2/tree/main", "/models/gpt2"),
        (
            "https://huggingface.co/datasets/HuggingFaceH4/ultrachat_200k/viewer",
            "/datasets/HuggingFaceH4/ultrachat_200k",
        ),
    ],
)
def test_a_pasted_address_leads_to_its_page(client: Client, typed: str, leads: str) -> None:
    response = client.get("/search", {"q": typed})
    assert (response.status_code, response.headers["Location"]) == (302, leads)


def test_the_model_of_that_very_name_comes_first(client: Client) -> None:
    html = get(client, "/search?q=gpt2")
    assert "The model of that name" in html
    assert html.index("data-hit>gpt2</a>") < html.index('id="hits"')
    assert "not stored here" in get(client, "/search?q=nobody/nothing-7b")


def test_a_dataset_and_an_author_have_pages(client: Client) -> None:
    html = get(client, "/datasets/wikitext")
    expected = library.expected(Query(dataset="wikitext"))
    assert names(html) == expected[:25]
    assert "trained on it" in html
    html = get(client, "/authors/TheBloke")
    assert names(html) == library.expected(Query(author="TheBloke"))[:25]
    assert client.get("/datasets/never-heard-of").status_code == 404
    assert client.get("/authors/nobody").status_code == 404


def test_what_can_not_be_read_is_told_and_the_rest_holds(client: Client) -> None:
    html = get(client, "/search?q=llama&min=many&sort=likes")
    assert "left out" in html
    assert names(html) == [hit.name for hit in queries.search(Query.from_params({"q": "llama", "sort": "likes"})).hits]
    assert client.get("/search?q=llama&after=nonsense").status_code == 400


def test_nothing_found_says_what_to_do(client: Client) -> None:
    html = get(client, "/search?q=zzzzzzz&task=fill-mask&literal=1")
    assert "Take one away" in html
    assert 'href="/search?q=zzzzzzz&amp;literal=1"' in html


@pytest.mark.parametrize("field", ["q", "task", "author", "dataset", "after", "finding", "min", "sort", "limit"])
def test_markup_in_a_parameter_is_text(client: Client, field: str) -> None:
    response = client.get("/search", {field: EVIL})
    assert response.status_code in {200, 400}
    assert b"<script>alert" not in response.content


def test_markup_in_facts_is_text(client: Client) -> None:
    for address in ("/search?q=gpt2", "/search", "/search?q=gpt2&count=1", "/search/suggest?q=gpt2"):
        assert "<script>alert" not in get(client, address)


def test_suggestions(client: Client) -> None:
    html = get(client, "/search/suggest?q=gpt2")
    assert html.index("/models/gpt2") < html.index("Medium") if "Medium" in html else "/models/gpt2" in html
    assert get(client, "/search/suggest?q=").strip() == ""
    assert "No model is called so" in get(client, "/search/suggest?q=zzzzzzzzz")


def test_a_search_of_many_results_takes_few_statements(
    client: Client, django_assert_max_num_queries: pytest.FixtureRequest
) -> None:
    get(client, "/search?q=llama")
    with django_assert_max_num_queries(12):  # type: ignore[operator]
        get(client, "/search?q=llama&task=text-generation&language=en")
