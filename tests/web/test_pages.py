"""The pages over a crawled family: each address answers, says what is so, and stays within its queries."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser

import pytest
from django.test import Client

from hubapp.catalog.models import Alias, Repo, RepoState
from hubapp.crawling.models import Crawl
from hubapp.jobs.models import Fault, Job
from tests.factories import crawl_rows, row

pytestmark = pytest.mark.django_db


def page(client, address: str, status: int = 200) -> str:
    response = client.get(address)
    assert response.status_code == status, response.content[:500]
    return response.content.decode()


@pytest.fixture(autouse=True)
def _crawled(crawled: Crawl) -> Crawl:
    return crawled


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("/", "The largest families"),
        ("/live", "edges of descent"),
        ("/families", "gpt2"),
        ("/families/gpt2", "Growth"),
        ("/families/lone/model", "stands alone"),
        ("/models/gpt2", "names no parent"),
        ("/models/acme/gpt2-chat", "fine-tune"),
        ("/models/lost/base-of-old", "Not crawled"),
        ("/children/acme/gpt2-chat", "children of"),
        ("/compare", "Compare two models"),
        ("/compare?a=acme/gpt2-chat-lora&b=acme/gpt2-medical", "nearest common ancestor is"),
        ("/crawls", "Every model"),
        ("/about", "What the marks mean"),
        ("/robots.txt", "Disallow"),
    ],
)
def test_each_page_says_what_it_is_for(client, address, says):
    assert says in page(client, address)


# --- the model's page -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("asked", "leads_to"),
    [
        ("/models/Acme/GPT2-Chat", "/models/acme/gpt2-chat"),
        ("/models/gpt2/", "/models/gpt2"),
        ("/models/GPT2?relation=adapter", "/models/gpt2?relation=adapter"),
        ("/children/GPT2", "/children/gpt2"),
    ],
)
def test_another_spelling_leads_to_the_name(client, asked, leads_to):
    response = client.get(asked)
    assert response.status_code == 301
    assert response.headers["Location"] == leads_to


def test_of_many_parents_the_first_show_their_evidence_and_the_rest_on_demand(client):
    crawl_rows([row("big/merge", *(f"base/model-{i}" for i in range(30)), relation="merge")])
    text = page(client, "/models/big/merge")
    assert text.count('class="evidence"') <= 16
    assert "model-29" in text
    assert page(client, "/models/big/merge?parents=all").count('class="evidence"') == 30


def test_an_old_name_leads_to_the_present_one(client):
    Alias.objects.create(folded="acme/gpt2-talk", name="acme/gpt2-talk", repo=Repo.objects.get(name="acme/gpt2-chat"))
    assert client.get("/models/Acme/GPT2-Talk").headers["Location"] == "/models/acme/gpt2-chat"
    assert "acme/gpt2-talk" in page(client, "/models/acme/gpt2-chat")


def test_the_three_answers_come_first_and_are_honest(client):
    text = page(client, "/models/mixer/gpt2-chat-medical")
    where, trained, mergeable = (
        text.index(title) for title in ("Where from", "Trained on what", "Mergeable with what")
    )
    assert where < trained < mergeable < text.index('id="parents-title"')
    assert text.count("Weights not read yet") == 2
    assert ">2</data> parents" in text


def test_the_line_runs_from_the_root_to_the_model_and_folds_its_middle(client):
    text = page(client, "/models/chain/step-8")
    strip = text[text.index('class="strip"') : text.index("Trained on what")]
    assert strip.index(">gpt2<") < strip.index("step-7") < strip.index("step-8")
    assert "step-3" not in strip
    assert "chain/</span>step-3" in page(client, "/models/chain/step-8?line=whole")


def test_card_datasets_lead_to_their_pages(client):
    text = page(client, "/models/acme/gpt2-chat")
    assert 'href="/datasets/acme/dialogues"' in text
    assert 'href="/datasets/wikitext"' in text


def test_evidence_is_shown_word_for_word_with_what_was_mended(client):
    text = page(client, "/models/dirty/wrong-case")
    assert "Acme/GPT2-Chat" in text
    assert "mended: written in another case" in text


def test_a_path_that_is_no_model_is_kept_and_said(client):
    text = page(client, "/models/dirty/local-path")
    assert "./out/checkpoint-500" in text
    assert "leads to no model" in text


def test_findings_are_sentences(client):
    text = page(client, "/models/dirty/itself")
    assert 'data-finding="' in text


def test_licences_name_the_ancestor_that_conflicts(client):
    text = page(client, "/models/mixer/gpt2-chat-medical")
    licences = text[text.index('id="licences"') :]
    assert "Conflict with" in licences
    assert "gpt2-medical" in licences
    assert "no legal advice" in licences


def test_children_come_by_relation_and_page_by_page(client):
    text = page(client, "/models/acme/gpt2-chat")
    assert 'title="15">15</data> adapters' in text
    assert "many/</span>child-13" in text
    rest = page(client, "/children/acme/gpt2-chat?relation=adapter")
    assert rest.count('class="repo"') >= 15
    fragment = client.get("/children/acme/gpt2-chat?relation=adapter", headers={"HX-Request": "true"})
    more = fragment.content.decode()
    assert "<html" not in more
    assert "after=" in more
    address = re.search(r'hx-get="([^"]*after=[^"]*)"', more)[1].replace("&amp;", "&")
    rows = client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert rows.lstrip().startswith("<tr>")
    assert "many/</span>child-00" in rows


@pytest.mark.parametrize("after", ["x", "-1e9", "%00", "9" * 40])
def test_a_bad_cursor_is_a_request_that_cannot_be_read(client, after):
    response = client.get(f"/children/gpt2?relation=finetune&after={after}")
    assert response.status_code in {200, 400}


@pytest.mark.parametrize(
    ("state", "says"),
    [
        (RepoState.GONE, "Deleted from the Hub"),
        (RepoState.PRIVATE, "No longer public"),
        (RepoState.DISABLED, "Disabled by"),
    ],
)
def test_what_is_no_longer_there_says_so(client, state, says):
    Repo.objects.filter(name="acme/gpt2-chat").update(state=state)
    text = page(client, "/models/acme/gpt2-chat")
    assert says in text
    assert 'class="repo dead"' in page(client, "/models/acme/gpt2-chat-lora")


def test_a_gated_model_says_who_decides(client):
    assert "its authors decide" in page(client, "/models/acme/gpt2-gated")


# --- what is not there ----------------------------------------------------------------------------------------------
def test_an_unknown_model_has_a_page_of_its_own(client):
    text = page(client, "/models/acme/not-crawled", 404)
    assert "is not in here" in text
    assert "input.unknown_model" in text
    assert "<form method" not in text
    text = page(client, "/models/%3Cscript%3Ealert(1)%3C/script%3E", 404)
    assert "<script>alert" not in text
    assert "be a model" in text


def test_staff_can_have_an_unknown_model_fetched_and_nobody_else_can(client, admin_client):
    assert "Fetch this model" in admin_client.get("/models/acme/not-crawled").content.decode()
    assert client.post("/fetch/acme/not-crawled").status_code == 302
    assert not Crawl.objects.filter(argument="acme/not-crawled").exists()
    assert admin_client.get("/fetch/acme/not-crawled").status_code == 405
    response = admin_client.post("/fetch/acme/not-crawled")
    crawl = Crawl.objects.get(argument="acme/not-crawled")
    assert crawl.scope == "family"
    assert response.headers["Location"] == f"/crawls/{crawl.pk}"


def test_a_form_from_elsewhere_is_refused_with_a_page(admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    response = client.post("/fetch/acme/not-crawled")
    assert response.status_code == 403
    assert "was not accepted" in response.content.decode()


@pytest.mark.parametrize("address", ["/nothing/here", "/crawls/999999", "/models/", "/families/no/such"])
def test_addresses_that_lead_nowhere(client, address):
    assert "<h1>" in page(client, address, 404)


# --- compare --------------------------------------------------------------------------------------------------------
def test_compare_says_where_lines_meet_and_what_differs(client):
    text = page(client, "/compare?a=acme/gpt2-chat-lora&b=acme/gpt2-medical")
    assert "Their nearest common ancestor is" in text
    assert "cc-by-nc-4.0" in text
    assert "≠" in text


def test_compare_takes_any_spelling_and_keeps_the_proper_one(client):
    response = client.get("/compare?a=GPT2&b=Acme/gpt2-chat")
    assert response.status_code == 302
    assert response.headers["Location"] == "/compare?a=gpt2&b=acme%2Fgpt2-chat"


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("a=gpt2&b=gpt2", 200, "the same model"),
        ("a=gpt2", 200, "Compare two models"),
        ("a=gpt2&b=no/such", 404, "is not in here"),
        ("a=gpt2&b=acme/gpt2-chat", 200, "descends from"),
        ("a=gpt2&b=lone/model", 200, "share no ancestor"),
        ("a=gpt2&b=lost/base-of-old", 200, "share no ancestor"),
        ("a=%00&b=%F0%9F%8C%B1", 404, "is not in here"),
    ],
)
def test_compare_of_what_does_not_meet(client, query, status, says):
    assert says in page(client, f"/compare?{query}", status)


def test_names_are_offered_as_one_types(client):
    assert '<option value="acme/gpt2-chat">' in page(client, "/compare/names?for=b&b=gpt2-ch")
    assert "<option" not in page(client, "/compare/names?for=b&b=g")
    assert "<option" not in page(client, "/compare/names?for=nothing&b=gpt2")


# --- families and crawls --------------------------------------------------------------------------------------------
def test_a_member_leads_to_its_family(client):
    assert client.get("/families/chain/step-4").headers["Location"] == "/families/gpt2"


@pytest.mark.parametrize("chart", ["growth", "relations", "depths", "authors", "licences"])
def test_every_chart_has_its_table_as_a_file(client, chart):
    response = client.get(f"/families/gpt2?table={chart}")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.reader(response.content.decode().splitlines()))
    assert len(rows) > 1
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)


def test_a_chart_that_is_not_there(client):
    assert client.get("/families/gpt2?table=nothing").status_code == 400


def test_a_crawl_tells_its_faults_but_not_its_rows(client, crawled):
    Fault.objects.create(job=crawled.job, subject="acme/odd", code="row.key.x", message="odd <b>", excerpt="SECRET ROW")
    text = page(client, f"/crawls/{crawled.pk}")
    assert "row.key.x" in text
    assert "odd &lt;b&gt;" in text
    assert "SECRET ROW" not in text


def test_the_live_parts_come_without_a_frame(client, crawled):
    working = client.get("/crawls", headers={"HX-Request": "true", "HX-Target": "working"}).content.decode()
    assert "<html" not in working
    one = client.get(f"/crawls/{crawled.pk}", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in one
    assert "hx-get" not in one  # it is complete: nothing more to ask for


def test_a_crawl_under_way_renews_itself(client, crawled):
    Job.objects.filter(pk=crawled.job_id).update(
        state="running", progress={"done": 500, "total": 2000, "unit": "models", "rate": 50.0}, finished_at=None
    )
    text = page(client, "/")
    assert 'hx-trigger="every 2s"' in text
    assert 'value="25.0"' in text
    assert "30 seconds left" in text


# --- all pages ------------------------------------------------------------------------------------------------------
PAGES = [
    "/",
    "/families",
    "/families/gpt2",
    "/models/gpt2",
    "/models/dirty/markup",
    "/models/acme/gpt2-chat",
    "/models/lost/base-of-old",
    "/children/gpt2",
    "/compare?a=gpt2&b=dirty/markup",
    "/crawls",
    "/about",
    "/no/such/page",
]


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, {name: value or "" for name, value in attrs}))


@pytest.mark.parametrize("address", PAGES)
def test_no_page_needs_what_the_policy_forbids_or_lets_markup_through(client, address):
    tags = Tags(client.get(address).content.decode()).found
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert sum(tag == "h1" for tag, _ in tags) == 1
    for tag, attrs in tags:
        assert "style" not in attrs
        assert not [name for name in attrs if name.startswith("on")]
        if tag == "script":
            assert attrs["src"].startswith("/static/")
        if tag == "img":
            assert attrs["src"].startswith("/")
        if tag in {"link", "use"}:
            assert attrs["href"].startswith(("/", "#"))
        if tag == "a":
            assert attrs["href"].startswith(("/", "#", "?", "http://", "https://"))


@pytest.mark.parametrize(
    ("address", "limit"),
    [
        ("/", 45),
        ("/live", 45),
        ("/families", 45),
        ("/families/gpt2", 31),
        ("/models/gpt2", 28),
        ("/models/acme/gpt2-chat", 36),
        ("/models/mixer/gpt2-chat-medical", 36),
        ("/models/chain/step-8", 40),
        ("/children/acme/gpt2-chat", 12),
        ("/crawls", 8),
        ("/about", 0),
    ],
)
def test_queries_are_few(client, address, limit, django_assert_max_num_queries):
    with django_assert_max_num_queries(limit):
        client.get(address)
