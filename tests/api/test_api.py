"""The API over a crawled family: each answer says what is stored, and all that goes wrong has one shape."""

from __future__ import annotations

import csv
import io
import json
from xml.etree import ElementTree as ET

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import override_settings

from hubapp.api.models import Token
from hubapp.api.services import make_token
from hubapp.api.snapshot import PATH, current
from hubapp.crawling.models import Crawl
from hubapp.lineage import queries as lineage

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _crawled(crawled: Crawl) -> Crawl:
    return crawled


def get(client, address: str, status: int = 200, **params):
    response = client.get(f"/api/v1{address}", params)
    assert response.status_code == status, response.content[:500]
    return response.json()


def test_a_model_with_its_facts_and_place(client):
    model = get(client, "/models/acme/gpt2-chat")
    assert model["licence"] == "apache-2.0"
    assert model["languages"] == ["cy", "en"]
    assert model["datasets"] == ["acme/dialogues", "wikitext"]
    assert model["root"] == "gpt2"
    assert model["primary_parent"] == "gpt2"
    assert model["depth"] == 1
    assert model["children"] == {"finetune": 1, "adapter": 15, "quantized": 1, "merge": 1, "unknown": 1}
    assert model["found_by"] == "exact"
    assert client.get(model["page"]).status_code == 200


def test_the_wrong_case_leads_to_the_model_and_says_so(client):
    model = get(client, "/models/ACME/gpt2-CHAT")
    assert (model["name"], model["found_by"]) == ("acme/gpt2-chat", "case")


def test_a_batch_answers_in_the_order_asked_with_null_for_the_unknown(client):
    asked = ["gpt2", "no/such", "GPT2", "acme/gpt2-chat"]
    response = client.post("/api/v1/models/batch", {"ids": asked}, content_type="application/json")
    items = response.json()["models"]
    assert [item["asked"] for item in items] == asked
    assert [item["model"] and item["model"]["name"] for item in items] == ["gpt2", None, "gpt2", "acme/gpt2-chat"]
    assert [item["model"] and item["model"]["found_by"] for item in items] == ["exact", None, "case", "exact"]


def test_a_batch_of_more_than_a_hundred_is_refused(client):
    response = client.post("/api/v1/models/batch", {"ids": ["gpt2"] * 101}, content_type="application/json")
    assert response.status_code == 422
    assert "100" in response.json()["error"]["message"]


def test_search_pages_through_all_matches_once(client):
    seen: list[str] = []
    after = ""
    while True:
        page = get(client, "/search", text="gpt2", limit=2, after=after)
        seen += [hit["name"] for hit in page["hits"]]
        after = page["after"]
        if not after:
            break
    assert len(seen) == len(set(seen))
    assert {"gpt2", "acme/gpt2-chat", "acme/gpt2-medical"} <= set(seen)
    assert get(client, "/search/count", text="gpt2")["total"] == len(seen)


def test_suggestions_begin_with_the_most_popular(client):
    assert get(client, "/search/suggest", text="gpt2")["hits"][0]["name"] == "gpt2"


def test_parents_come_with_verbatim_evidence_and_findings(client):
    found = get(client, "/lineage/parents/dirty/wrong-case")
    (parent,) = found["parents"]
    assert parent["model"]["name"] == "acme/gpt2-chat"
    assert parent["link"]["repaired"] == "case"
    assert "Acme/GPT2-Chat" in [said["text"] for said in parent["evidence"]]
    assert "wrong_case" in [finding["code"] for finding in parent["findings"] + found["other_findings"]]


def test_the_line_runs_from_the_root(client):
    line = get(client, "/lineage/line/chain/step-8")
    assert [node["name"] for node in line["members"]][:2] == ["gpt2", "acme/gpt2-medical"]
    assert [node["depth"] for node in line["members"]] == list(range(10))


def test_ancestors_and_descendants_are_each_others_mirror(client):
    above = {node["name"] for node in get(client, "/lineage/ancestors/mixer/gpt2-chat-medical")["nodes"]}
    assert above == {"mixer/gpt2-chat-medical", "acme/gpt2-chat", "acme/gpt2-medical", "gpt2"}
    for name in above:
        below = {node["name"] for node in get(client, f"/lineage/descendants/{name}", depth=20)["nodes"]}
        assert "mixer/gpt2-chat-medical" in below


def test_children_page_by_relation(client):
    names: list[str] = []
    after = ""
    while True:
        page = get(client, "/lineage/children/acme/gpt2-chat", relation="adapter", limit=4, after=after)
        assert page["total"] == 15
        names += [child["model"]["name"] for child in page["children"]]
        after = page["after"]
        if not after:
            break
    assert len(names) == len(set(names)) == 15


def test_the_tree_says_how_many_of_how_many(client):
    tree = get(client, "/lineage/tree/acme/gpt2-chat", per_parent=3)
    groups = {group["relation"]: group for group in tree["groups"] if group["parent"] == "acme/gpt2-chat"}
    assert (groups["adapter"]["shown"], groups["adapter"]["total"]) == (3, 15)
    assert tree["root"] == "gpt2"


def test_the_way_between_two_models_passes_their_common_ancestor(client):
    ends = {"a": "chain/step-2", "b": "press/gpt2-chat-GGUF"}
    path = get(client, "/lineage/path", **ends)
    assert path["members"][0]["name"] == ends["a"]
    assert path["members"][-1]["name"] == ends["b"]
    common = get(client, "/lineage/common", **ends)
    assert common["ancestor"]["name"] == path["members"][path["top"]]["name"] == "gpt2"
    assert common["distance_a"] + common["distance_b"] == len(path["links"])


def test_models_of_different_families_have_no_way(client):
    assert get(client, "/lineage/path", 404, a="gpt2", b="lone/model")["error"]["code"] == "input.unknown_model"


def test_licence_conflicts_name_the_ancestor(client):
    found = get(client, "/licences/mixer/gpt2-chat-medical")
    assert [each["ancestor"] for each in found["conflicts"]] == ["acme/gpt2-medical"]
    assert "no legal advice" in found["disclaimer"].lower() or "not legal advice" in found["disclaimer"].lower()


@pytest.mark.parametrize("kind", ["graphml", "json", "mermaid", "dot", "csv"])
def test_exports_are_of_their_format(client, kind):
    response = client.get(f"/api/v1/lineage/export/{kind}/gpt2")
    text = b"".join(response.streaming_content).decode()
    assert "acme/gpt2-chat" in text
    if kind == "graphml":
        assert ET.fromstring(text) is not None
    elif kind == "json":
        assert json.loads(text)["nodes"]
    elif kind == "csv":
        assert len(list(csv.reader(io.StringIO(text)))) > 5


def test_families(client):
    largest = get(client, "/families")["families"][0]
    assert largest["root"]["name"] == "gpt2"
    assert get(client, "/families/chain/step-3")["root"]["name"] == "gpt2"
    assert get(client, "/families/lone/model", 404)["error"]["code"] == "input.unknown_model"


# --- crawls ---------------------------------------------------------------------------------------------------------
def test_crawls_are_open_to_read(client, crawled: Crawl):
    assert [each["id"] for each in get(client, "/crawls")["crawls"]] == [crawled.pk]
    assert get(client, f"/crawls/{crawled.pk}")["scope"] == "everything"


def post(client, address: str, body: object = None, **headers: str):
    return client.post(f"/api/v1{address}", body or {}, content_type="application/json", headers=headers)


def test_staff_starts_and_cancels_a_crawl_with_a_token(client, token: str, staff: User):
    bearer = {"Authorization": f"Bearer {token}"}
    answer = post(client, "/crawls", {"scope": "author", "argument": "acme"}, **bearer)
    assert answer.status_code == 202
    number = answer.json()["id"]
    assert Crawl.objects.get(pk=number).job.created_by == staff
    again = post(client, "/crawls", {"scope": "author", "argument": "acme"}, **bearer)
    assert again.json()["id"] == number
    assert post(client, f"/crawls/{number}/cancel", **bearer).json()["state"] == "cancelled"
    assert post(client, f"/crawls/{number}/pause", **bearer).status_code == 400


@pytest.mark.parametrize("case", ["nothing", "nonsense", "no permission", "inactive", "session"])
def test_nobody_else_starts_a_crawl(client, case: str, staff: User, token: str):
    headers = {"Authorization": f"Bearer {token}"}
    if case == "nothing":
        headers = {}
    elif case == "nonsense":
        headers = {"Authorization": "Bearer root_nonsense"}
    elif case == "no permission":
        plain = User.objects.create_user("plain", password="a long pass phrase", is_staff=True)
        headers = {"Authorization": f"Bearer {make_token(owner=plain, name='t')}"}
    elif case == "inactive":
        User.objects.filter(pk=staff.pk).update(is_active=False)
    else:
        client.force_login(staff)
        headers = {}
    before = Crawl.objects.count()
    answer = post(client, "/crawls", {"scope": "author", "argument": "acme"}, **headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"
    assert Crawl.objects.count() == before


def test_a_token_is_stored_as_a_digest_alone(token: str):
    assert token not in str(Token.objects.values())


def test_a_wish_that_fits_no_crawl_is_explained(client, token: str):
    answer = post(client, "/crawls", {"scope": "top", "argument": "many"}, Authorization=f"Bearer {token}")
    assert answer.status_code == 400
    assert "many" in answer.json()["error"]["message"]


# --- what goes wrong ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "address", "status"),
    [
        ("get", "/models/no/such-model", 404),
        ("get", "/nothing-here", 404),
        ("post", "/search", 405),
        ("get", "/search?limit=0", 422),
        ("get", "/search?after=nonsense", 400),
        ("get", "/lineage/children/gpt2?after=nonsense", 400),
        ("get", "/lineage/export/xlsx/gpt2", 422),
        ("get", "/models/a%00b", 404),
    ],
)
def test_all_errors_have_one_shape(client, method: str, address: str, status: int):
    response = getattr(client, method)(f"/api/v1{address}")
    assert response.status_code == status
    assert response["Content-Type"] == "application/json"
    body = response.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"code", "message"}
    assert body["error"]["message"]


def test_a_query_that_takes_too_long_says_so(client, monkeypatch):
    def slow(limit: int) -> None:
        raise OperationalError("interrupted")

    monkeypatch.setattr(lineage, "largest_families", slow)
    assert get(client, "/families", 503)["error"]["code"] == "busy"


def test_calls_are_counted_by_visitor(client):
    with override_settings(API_CALLS_PER_MINUTE=2):
        answers = [client.get("/api/v1/families", REMOTE_ADDR="192.0.2.7") for _ in range(3)]
        other = client.get("/api/v1/families", REMOTE_ADDR="192.0.2.8")
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2]["Retry-After"]) > 0
    assert "r=0" in answers[2]["RateLimit"]
    assert answers[2].json()["error"]["code"] == "rate_limited"
    assert other.status_code == 200


def test_the_description_is_served_from_here_and_matches_the_snapshot(client):
    assert PATH.read_text() == current(), "the API changed: look at it, then manage.py openapi --write"
    page = client.get("/api/v1/docs").content.decode()
    assert "http://" not in page.replace("http://testserver", "")
    assert "https://" not in page
    assert get(client, "/openapi.json")["info"]["title"] == "Rootstock"
