"""Generated models: the same from the same seed, of the real Hub's shape, and true to what they say of themselves."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import HfApi

import samplehub
from samplehub import prerender
from samplehub.catalogue import Catalogue, CatalogueError, Repo
from samplehub.generator import Forest, Generated, edges, rows
from samplehub.generator.forest import DIRT_NAMES, UNRESOLVED
from samplehub.generator.shelf import CHANGEABLE, GeneratedShelf
from samplehub.listing import page
from samplehub.query import parse
from samplehub.shape import RELATIONS, SORTS
from tests.samplehub.conftest import ask, follow


@pytest.fixture(scope="module")
def models() -> Generated:
    return Generated(20_000, 3)


def test_the_seed_decides(models: Generated) -> None:
    again = Generated(20_000, 3)
    assert [again.row(i) for i in (0, 999, 19_999)] == [models.row(i) for i in (0, 999, 19_999)]
    assert models.row(5000) == models.row(5000)
    assert Generated(20_000, 4).row(5000) != models.row(5000)
    assert list(rows(100, 103, n=20_000, seed=3)) == [models.row(i) for i in (100, 101, 102)]


@pytest.mark.parametrize("n", [1, 2, 3, 7, 100])
def test_any_number_of_models(n: int) -> None:
    models = Generated(n, 1)
    assert len({row["id"] for row in models.rows()}) == n
    assert len(edges(n, 1)[0]) >= 0


def test_ids_are_one_of_a_kind_even_when_folded(models: Generated) -> None:
    ids = [models.id(i).lower() for i in range(models.n)]
    assert len(set(ids)) == models.n
    assert sum("/" not in name for name in ids) == models.bare
    oids = [models.oid(i) for i in range(models.n)]
    assert oids == sorted(set(oids))


def test_shape_of_the_real_hub() -> None:
    forest = Forest(200_000, 1)
    has = forest.parent >= 0
    assert 0.26 < has.mean() < 0.30
    shares = np.bincount(forest.relation[has], minlength=4) / has.sum()
    for name, share in zip(RELATIONS, shares, strict=True):
        real = {"adapter": 258, "finetune": 218, "quantized": 117, "merge": 14}[name] / 607
        assert abs(share - real) < 0.03
    children = np.bincount(forest.parent[has], minlength=forest.n)
    assert 0.045 < children.max() / forest.n < 0.06
    assert children[forest.giant] == children.max()
    assert (np.sort(children)[::-1][:20] > 50).all()
    parents, child, _ = forest.edges()
    assert np.bincount(child).max() >= 60  # a merge of very many
    assert 0.28 * forest.n < len(parents) < 0.33 * forest.n
    assert 0 < (parents > child).mean() < 0.02  # some children are older than a parent
    assert (forest.created[: forest.floor] == forest.created[0]).all()
    assert (np.diff(forest.created) >= 0).all()
    assert not forest.card[~has].all()


@pytest.mark.parametrize("seed", range(5))
def test_no_descent_runs_in_a_circle(seed: int) -> None:
    forest = Forest(5000, seed)
    depth, at = 0, forest.parent.copy()
    while (at >= 0).any():
        at = np.where(at >= 0, forest.parent[at], -1)
        depth += 1
        assert depth < 100
    assert depth >= 5
    assert (forest.parent[forest.root] == -1).all()


def test_rows_tell_what_the_truth_says(models: Generated) -> None:
    seen = set()
    for i in range(models.n):
        row, card = models.row(i), models.row(i).get("cardData")
        assert ("cardData" in row) == bool(models.card[i])
        declared = (card or {}).get("base_model", (card or {}).get("Base_model", []))
        assert ([declared] if isinstance(declared, str) else declared) == models.declared(i)
        resolved = [model["id"] for model in row.get("baseModels", {}).get("models", [])]
        assert resolved == sorted(models.id(p) for p in models.resolved(i))
        assert [tag for tag in row["tags"] if tag.startswith("base_model:") and tag.count(":") == 1] == [
            f"base_model:{name}" for name in resolved
        ]
        dirt = models.dirt_of(i)
        seen.add(dirt)
        if dirt in UNRESOLVED:
            assert models.declared(i)
            assert not resolved
        elif dirt is None and card is not None:
            assert set(models.declared(i)) == {models.id(p) for p in models.parents(i)}
        if dirt == "merge_as_finetune":
            assert "merge" in row["tags"]
            assert row["baseModels"]["relation"] == "finetune"
        if dirt == "self_reference":
            assert models.declared(i) == [row["id"]]
    assert seen == {None, *DIRT_NAMES}


def test_edges_are_all_parents_each_once(models: Generated) -> None:
    parents, children, relation = models.edges()
    told = set(zip(parents.tolist(), children.tolist(), strict=True))
    assert len(told) == len(parents)
    assert told == {(p, i) for i in range(models.n) for p in models.parents(i)}
    assert (relation == models.relation[children]).all()


@pytest.mark.parametrize("sort", SORTS)
def test_a_shelf_lists_as_a_catalogue_in_memory_does(sort: str) -> None:
    models = Generated(1500, 9)
    shelf, memory = GeneratedShelf(models), Catalogue.of_rows(models.rows())
    author = models.row(900)["author"]
    parent = models.id(models.giant)
    for filters in ({}, {"author": [author]}, {"filter": ["license:mit"]}, {"filter": [f"base_model:{parent}", "lora"]},
                    {"search": ["qwen lora"]}, {"filter": [f"base_model:{parent}"], "author": [author]},
                    {"gated": ["true"]},
                    {"filter": ["no-such-tag"]}):  # fmt: skip
        asked: dict[str, list[str]] = {"sort": [sort], "limit": ["170"], "expand": ["tags", sort], **filters}
        while True:
            mine, cursor = page(shelf, parse(asked))
            assert (mine, cursor) == page(memory, parse(asked))
            if cursor is None:
                break
            asked["cursor"] = [cursor]
    for name in (parent, models.id(3), "no/such"):
        assert shelf.children_count(name) == memory.children_count(name)
        found, other = shelf.find(name), memory.find(name)
        assert (found and found.row) == (other and other.row)


def test_a_foreign_cursor_is_taken_for_its_place() -> None:
    shelf = GeneratedShelf(Generated(300, 1))
    condition = {"$or": [{"createdAt": "2024-06-01T00:00:00.000Z", "_id": {"$gt": "zzz"}}]}
    cursor = base64.b64encode(json.dumps(condition).encode()).decode()
    found, _ = page(shelf, parse({"sort": ["createdAt"], "expand": ["createdAt"], "cursor": [cursor]}))
    assert found
    assert all(row["createdAt"] < "2024-06-01T00:00:00.000Z" for row in found)


def test_generated_models_answer_the_client(tmp_path: Path) -> None:
    with samplehub.serve("generated:500:2") as hub:
        api = HfApi(endpoint=hub.url, token=False)
        carded = next(model.id for model in api.list_models(cardData=True) if model.card_data)
        assert api.model_info(carded, files_metadata=True).siblings
        assert Path(api.hf_hub_download(carded, "README.md", cache_dir=tmp_path)).read_text().startswith("---\n")


def test_a_large_content_is_not_taken_into_memory_for_a_change() -> None:
    shelf = GeneratedShelf(Generated(10, 1))
    shelf.models.n = CHANGEABLE + 1
    with pytest.raises(CatalogueError, match="cannot be changed"):
        shelf.change("delete", shelf.models.id(0))


# Pages made beforehand --------------------------------------------------------------------------


@pytest.fixture
def var(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ROOTSTOCK_VAR", str(tmp_path))
    return tmp_path / "samplehub"


def test_pages_made_beforehand_are_the_same_pages(var: Path) -> None:
    fields = "&".join(f"expand={name}" for name in reversed(prerender.USUAL_FIELDS))
    target = f"/api/models?sort=createdAt&limit=1000&{fields}"
    with samplehub.serve("generated:2500:4") as hub:
        made = follow(hub, target)
        hub.control("prerender")
        assert hub.hub is not None
        assert hub.hub.routes.pages is not None
        assert follow(hub, target) == made
        assert hub.state()["counts"]["pages from a file"] == 3
        assert len(list(var.glob("pages-*.json"))) == 1
        narrow = follow(hub, "/api/models?sort=createdAt&expand=likes")  # not made beforehand
        assert [row["id"] for row in narrow] == [row["id"] for row in made]
        hub.change("delete", made[0]["id"])  # what was made is out of date
        assert [row["id"] for row in follow(hub, target)] == [row["id"] for row in made[1:]]
    with samplehub.serve("generated:2500:4", prerender="usual") as again:  # found again
        assert follow(again, target) == made


def test_pages_go_through_limits_and_faults(var: Path) -> None:
    target = "/api/models?sort=createdAt&expand=likes"
    with samplehub.serve("generated:1200:4", prerender="likes", rate_limit="api=6/1000") as hub:
        whole = ask(hub, target)
        assert whole.headers["ratelimit"].startswith('"api";r=5')
        hub.faults("bad_row")
        assert ask(hub, target).json() != whole.json()
        hub.faults("truncate")
        with pytest.raises(json.JSONDecodeError):
            ask(hub, target).json()
        hub.faults("foreign_link")
        assert "127.0.0.2" in ask(hub, target).headers["link"] or "localhost" in ask(hub, target).headers["link"]
        hub.faults()
        assert ask(hub, target).json() == whole.json()


def test_pages_of_other_contents_leave_no_file(var: Path) -> None:
    catalogue = Catalogue({"a/b": Repo({"_id": "1", "id": "a/b", "likes": 3})})
    with samplehub.serve(catalogue=catalogue) as hub:
        hub.control("prerender", expand=["likes"])
        assert ask(hub, "/api/models?sort=createdAt&expand=likes").json() == [{"_id": "1", "id": "a/b", "likes": 3}]
        assert list(var.iterdir())
    assert not list(var.iterdir())


def test_old_page_files_make_room(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerender, "KEPT_BYTES", 1)
    for seed in (1, 2, 3):
        prerender.make(GeneratedShelf(Generated(50, seed)), f"generated:50:{seed}")
    assert len(list(var.glob("pages-*.json"))) == 1
    assert len(list(var.glob("pages-*.index"))) == 1
