"""What the tree's scripts are told."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from hubapp.catalog.models import Repo
from hubapp.web import tree
from tests.factories import crawl_rows, family_rows

STAR = "meta-llama/Giant-8B"
MERGED = "merger/Everything-Everywhere-8B"


@pytest.fixture
def ask(client: Client, grove: dict[str, int]):
    def asked(address: str, status: int = 200) -> dict:
        response = client.get(address)
        assert response.status_code == status, response.content[:300]
        assert response["Content-Type"] == "application/json"
        return response.json()

    return asked


def by_name(answer: dict) -> dict[str, dict]:
    return {node["name"]: node for node in answer["nodes"]}


def test_a_chain_comes_with_its_whole_line(ask, grove: dict[str, int]) -> None:
    answer = ask("/tree-data/open/author0/Some-Model-7B-step16-dpo")
    nodes = by_name(answer)
    assert len(nodes) == 17
    at, steps = nodes["author0/Some-Model-7B-step16-dpo"], 0
    while at["parent"] is not None:
        at = next(node for node in answer["nodes"] if node["id"] == at["parent"])
        steps += 1
    assert (at["name"], steps) == ("chain/root-7B", 16)


def test_a_merge_comes_with_all_its_parents_and_what_it_names_in_vain(ask, grove: dict[str, int]) -> None:
    answer = ask(f"/tree-data/open/{MERGED}")
    into = [edge for edge in answer["edges"] if edge["c"] == grove[MERGED]]
    assert len(into) == 65
    assert [edge["at"] for edge in into] == list(range(65))
    assert [edge["p"] for edge in into if edge["primary"]] == [grove["merger/primary-8B"]]
    assert {edge["p"] for edge in into} <= {node["id"] for node in answer["nodes"]}
    assert [ghost["text"] for ghost in answer["ghosts"]] == ["/home/me/models/secret-sauce"]
    assert answer["whole"] == [grove[MERGED]]


def test_lines_of_others_come_along_and_unknown_names_are_told(ask, grove: dict[str, int]) -> None:
    answer = ask("/tree-data/open/odd/first-13B?also=odd/MYSELF-13b&also=no/such&also=chain/root-7B")
    assert {"odd/myself-13B", "odd/left-right-13B", "odd/left-13B", "chain/root-7B"} <= by_name(answer).keys()
    assert answer["missing"] == ["no/such"]
    assert answer["renamed"] == {"odd/MYSELF-13b": "odd/myself-13B"}


def test_contradictions_are_told_apart(ask, grove: dict[str, int]) -> None:
    answer = ask("/tree-data/open/odd/first-13B?also=odd/left-13B&also=odd/older-13B&also=odd/myself-13B")
    kinds = {(edge["p"], edge["c"]): edge for edge in answer["edges"]}
    cycle = kinds[grove["odd/left-right-13B"], grove["odd/left-13B"]]
    assert (cycle["k"], cycle["why"], cycle["primary"]) == ("contradicted", ["cycle"], False)
    older = kinds[grove["odd/right-13B"], grove["odd/older-13B"]]
    assert (older["k"], older["why"]) == ("contradicted", ["parent_younger"])
    assert kinds[grove["odd/first-13B"], grove["odd/left-13B"]]["k"] == "declared"
    assert by_name(answer)["odd/myself-13B"]["self"] is True
    assert by_name(answer)["lost/never-crawled-13B"]["state"] == "stub"


def test_a_first_look_shows_a_few_of_each_relation(ask, grove: dict[str, int]) -> None:
    answer = ask(f"/tree-data/children/{grove[STAR]}")
    assert sorted(answer["shelves"]) == ["a", "f", "m", "q"]
    assert {len(shelf["ids"]) for shelf in answer["shelves"].values()} == {12}
    assert not any(shelf["done"] for shelf in answer["shelves"].values())
    assert {name for name, _ in answer["shelves"]["q"]["authors"][:3]} == {"mradermacher", "bartowski", "TheBloke"}
    assert by_name(ask(f"/tree-data/open/{STAR}"))[STAR]["counts"] == [120, 300, 120, 60, 0]


def test_a_first_look_takes_few_reads(client: Client, grove: dict[str, int]) -> None:
    with CaptureQueriesContext(connection) as queries:
        client.get(f"/tree-data/children/{grove[STAR]}")
    assert len(queries) <= 22
    with CaptureQueriesContext(connection) as queries:
        client.get(f"/tree-data/children/{grove[STAR]}?shelf=adapter&limit=25")
    assert len(queries) <= 13


def test_pages_of_a_shelf_go_on_where_they_ended(ask, grove: dict[str, int]) -> None:
    ids: list[int] = []
    after = ""
    while True:
        answer = ask(f"/tree-data/children/{grove[STAR]}?shelf=quantized&limit=50&after={after}")
        shelf = answer["shelves"]["q"]
        ids += shelf["ids"]
        assert set(shelf["ids"]) <= {node["id"] for node in answer["nodes"]}
        if shelf["done"]:
            break
        after = shelf["after"]
    assert len(ids) == len(set(ids)) == 120


def test_filters_reach_the_shelves(ask, grove: dict[str, int]) -> None:
    answer = ask(f"/tree-data/children/{grove[STAR]}?relation=quantized,merge&licence=mit&size=4b-9b")
    assert sorted(answer["shelves"]) == ["m", "q"]
    assert {node["licence"] for node in answer["nodes"]} == {"mit"}
    one = ask(f"/tree-data/children/{grove[STAR]}?shelf=quantized&of=TheBloke&limit=500")
    assert {node["author"] for node in one["nodes"]} == {"TheBloke"}
    none = ask(f"/tree-data/children/{grove[STAR]}?until=1999-12-31")
    assert all(shelf["ids"] == [] and shelf["done"] for shelf in none["shelves"].values())
    nonsense = ask(f"/tree-data/children/{grove[STAR]}?until=2024-99-99&size=huge&relation=cousin")
    assert len(nonsense["shelves"]) == 4


def test_search_inside_finds_what_was_never_loaded(ask, grove: dict[str, int]) -> None:
    found = ask(f"/tree-data/find/{grove[STAR]}?q=gguf-59")["found"]
    assert "Giant-8B-GGUF-591" in " ".join(entry["name"] for entry in found)
    assert ask(f"/tree-data/find/{grove['chain/root-7B']}?q=gguf-59")["found"] == []
    assert ask(f"/tree-data/find/{grove[STAR]}?q=%20")["found"] == []


@pytest.mark.django_db
def test_search_inside_a_large_family_asks_the_index_first(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    crawl_rows(family_rows())
    root = Repo.objects.get(name="gpt2").pk
    small = client.get(f"/tree-data/find/{root}?q=step").json()
    monkeypatch.setattr(tree, "LARGE", 1)
    assert client.get(f"/tree-data/find/{root}?q=step").json() == small
    assert len(small["found"]) == 8
    assert client.get(f"/tree-data/find/{root}?q=lone").json() == {"found": []}


def test_a_path_leads_through_the_nearest_common_ancestor(ask, grove: dict[str, int]) -> None:
    answer = ask("/tree-data/path?from=odd/orphan-13B&to=odd/gated-13B")
    names = {node["id"]: node["name"] for node in answer["nodes"]}
    assert [names[step] for step in answer["steps"]] == [
        "odd/orphan-13B",
        "odd/deleted-13B",
        "odd/first-13B",
        "odd/right-13B",
        "odd/gated-13B",
    ]
    assert names[answer["apex"]] == "odd/first-13B"
    strangers = ask("/tree-data/path?from=odd/orphan-13B&to=chain/root-7B")
    assert strangers["steps"] == []


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("/tree-data/open/no/such", 404, "input.unknown_model"),
        ("/tree-data/children/999999", 404, "input.unknown_model"),
        ("/tree-data/parents/999999", 404, "input.unknown_model"),
        ("/tree-data/path?from=odd/first-13B&to=", 404, "input.unknown_model"),
        ("/tree-data/children/{star}?shelf=cousin", 400, "input.request"),
        ("/tree-data/children/{star}?shelf=merge&after=x", 400, "input.request"),
        ("/tree-data/children/{star}?shelf=merge&limit=-3", 400, "input.request"),
        ("/tree-data/children/{star}?shelf=merge&after=99999999999999999999", 400, "input.request"),
    ],
)
def test_what_makes_no_sense_is_answered_with_a_code(
    ask, grove: dict[str, int], address: str, status: int, code: str
) -> None:
    error = ask(address.format(star=grove[STAR]), status)["error"]
    assert error["code"] == code
    assert error["message"]


def test_only_reading_is_allowed(client: Client, grove: dict[str, int]) -> None:
    assert client.post(f"/tree-data/open/{STAR}").status_code == 405
