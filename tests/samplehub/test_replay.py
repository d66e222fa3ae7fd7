"""Replayed tables: rows come out as they went in, dirt and all, or the file and row that cannot be are named."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi, ModelCard

import samplehub
from samplehub.content import ContentError, load
from samplehub.replay import load as load_files
from tests.samplehub.conftest import ask, follow

ROW = {
    "id": "moss-lab/a",
    "createdAt": "2024-05-01T10:00:00.000Z",
    "lastModified": "2024-05-02T10:00:00.000Z",
    "downloads": 5,
    "likes": 2,
    "tags": ["gguf", "license:mit"],
    "cardData": {"license": "mit", "base_model": ["moss-lab/b", "./local"], "License": None},
    "baseModels": {"relation": "finetune", "models": [{"_id": "65e5", "id": "moss-lab/b"}]},
    "gated": False,
}
SERVED = {**ROW, "author": "moss-lab"}
FIELDS = "&".join(f"expand={name}" for name in (*ROW, "author") if name not in ("id",))


def served(path: Path) -> list[dict[str, Any]]:
    with samplehub.serve(f"replay:{path}") as hub:
        return follow(hub, f"/api/models?sort=createdAt&{FIELDS}")


def as_text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The same rows in each format that a table may come in."""
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix in (".csv", ".tsv"):
        with path.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows({name: as_text(value) for name, value in row.items()} for row in rows)
    else:
        import pyarrow as pa
        from pyarrow import parquet

        rows = [{**row, "cardData": as_text(row.get("cardData"))} for row in rows]
        parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".tsv", ".jsonl", ".json"])
def test_a_row_comes_out_as_it_went_in(tmp_path: Path, suffix: str) -> None:
    rows = served(write(tmp_path / f"rows{suffix}", [ROW]))
    assert {name: value for name, value in rows[0].items() if name != "_id"} == SERVED
    assert rows[0]["cardData"]["License"] is None


def test_typed_columns_give_back_each_row_its_own(tmp_path: Path) -> None:
    """A parquet struct has a key for every row's keys, a date is a timestamp: the API shows neither."""
    import pyarrow as pa
    from pyarrow import parquet

    rows: list[dict[str, Any]] = [
        {"id": "a/1", "createdAt": datetime(2024, 1, 2, 3, 4, 5, 678000, UTC), "trendingScore": None},
        {"id": "a/2", "createdAt": datetime(2024, 1, 1, tzinfo=UTC), "trendingScore": None},
        {"id": "a/3", "createdAt": None, "trendingScore": 2.0},
    ]  # fmt: skip
    rows[0]["safetensors"] = {"parameters": {"F32": 7}, "total": 7}
    rows[1]["safetensors"] = {"parameters": {"BF16": 3}, "total": 3}
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    with samplehub.serve(f"replay:{tmp_path / 't.parquet'}") as hub:
        found = follow(hub, "/api/models?sort=createdAt&expand=createdAt&expand=safetensors&expand=trendingScore")
    assert [row["id"] for row in found] == ["a/1", "a/2", "a/3"]
    assert found[0]["createdAt"] == "2024-01-02T03:04:05.678Z"
    assert found[1]["safetensors"] == {"parameters": {"BF16": 3}, "total": 3}
    assert found[2].keys() == {"_id", "id", "trendingScore"}


def test_dirt_is_served_verbatim(tmp_path: Path) -> None:
    dirty = [
        {**ROW, "id": "d/1", "tags": "not a list", "downloads": "many", "createdAt": "yesterday", "likes": -1},
        {**ROW, "id": "d/2", "cardData": [1, 2], "baseModels": "nothing", "lastModified": 17},
        {**ROW, "id": "d/3", "cardData": {"base_model": "=1+1\u0000<script>", "license": ["mit", None]}},
        {**ROW, "id": " spaced name ", "gated": "sometimes"},
        {"id": "d/4"},
    ]
    found = {row["id"]: row for row in served(write(tmp_path / "dirt.jsonl", dirty))}
    assert len(found) == 5
    for row in dirty:
        for name, value in row.items():
            assert found[str(row["id"])][name] == value
    assert found["d/4"].keys() == {"_id", "id", "author", "gated"}


def test_other_spellings_and_python_literals(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("modelId,created_at,tags,private\na/b,2024-01-01 05:00:00+02:00,\"['x', 'y']\",False\n")
    with samplehub.serve(f"replay:{path}") as hub:
        row = ask(hub, "/api/models?expand=createdAt&expand=tags&expand=private").json()[0]
    assert (row["id"], row["createdAt"], row["tags"]) == ("a/b", "2024-01-01T03:00:00.000Z", ["x", "y"])
    assert row["private"] is False


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.jsonl", '{"id": "a/b"}\n{"likes": 1}\n', "row 2: column id: expected a repo's id, found None"),
        ("a.jsonl", '{"id": "a/b"}\n\n{"id": }\n', "line 3"),
        ("a.jsonl", '{"id": 7}\n', "row 1: column id: expected a repo's id, found 7"),
        ("a.jsonl", "[1, 2]\n", "expected an object"),
        ("a.json", "{", "a.json"),
        ("a.csv", "likes\n3\n", "row 1: column id"),
        ("a.csv", "source,target,edge\na/b,,merged\n", "row 1: an edge needs source and target"),
        ("a.csv", "source,target,edge\na/b,a/c,adopted\n", "unknown relation 'adopted'"),
        ("a.parquet", "no parquet", "a.parquet"),
        ("a.xlsx", "x", "expected .parquet"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, text: str, told: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ContentError) as error:
        load_files([str(path)])
    assert told in str(error.value)
    assert name in str(error.value)


@pytest.mark.parametrize(
    "text",
    ["replay:/no/such/file.csv", "replay:", "generated:", "generated:x", "generated:0", "menagerie", "collection:x"],
)
def test_content_that_is_none(text: str) -> None:
    with pytest.raises(ContentError):
        load(text)


def test_edges_become_rows_as_the_hub_would_have_them(tmp_path: Path) -> None:
    path = tmp_path / "edges.csv"
    path.write_text(
        "source,target,edge\nr/base,q/base-GGUF,quantized\nr/base,m/mix,merged\nr/other,m/mix,merged\nr/base,l/lora,adapter\n"
        "s/loop,s/loop,finetuned\nc/one,c/two,finetuned\nc/two,c/one,finetuned\n"
    )
    with samplehub.serve(f"replay:{path}") as hub:
        api = HfApi(endpoint=hub.url, token=False)
        expand: Any = ["baseModels", "cardData", "tags", "createdAt", "library_name"]
        models = {model.id: model for model in api.list_models(expand=expand)}
        assert len(models) == 8
        mix: Any = models["m/mix"]
        assert mix.base_models["relation"] == "merge"
        assert [m["id"] for m in mix.base_models["models"]] == ["r/base", "r/other"]
        assert mix.card_data.base_model == ["r/base", "r/other"]
        assert "base_model:merge:r/other" in mix.tags
        assert mix.created_at > models["r/base"].created_at
        assert models["l/lora"].library_name == "peft"
        loop: Any = models["s/loop"]
        assert (loop.card_data.base_model, loop.base_models) == ("s/loop", None)
        assert {m.id for m in api.list_models(filter="base_model:r/base")} == {"q/base-GGUF", "m/mix", "l/lora"}
        assert {row["_id"] for row in ask(hub, "/api/models").json() if row["id"] == "r/base"} == {
            mix.base_models["models"][0]["_id"]
        }


def test_edges_agree_with_real_rows_beside_them(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(
        '{"id": "r/parent", "createdAt": "2024-06-01T00:00:00.000Z"}\n'
        '{"id": "r/child", "createdAt": "2024-06-20T00:00:00.000Z", "baseModels": {"relation": "finetune", "models": '
        '[{"_id": "65e5", "id": "r/parent"}, {"_id": "65e6", "id": "made/between"}]}}\n'
    )
    (tmp_path / "edges.csv").write_text(
        "source,target,edge\nr/parent,made/between,finetuned\nmade/between,made/later,finetuned\nmade/later,r/child,merged\n"
        "r/child,made/leaf,adapter\nmade/root,r/parent,finetuned\n"
    )
    catalogue = load_files([str(tmp_path / "edges.csv"), str(tmp_path / "rows.jsonl")])
    line = ("made/root", "r/parent", "made/between", "made/later", "r/child", "made/leaf")
    found = [catalogue.repos[name].row for name in line]
    assert [row["createdAt"] for row in found] == sorted(row["createdAt"] for row in found)
    assert len({row["createdAt"] for row in found}) == 6
    assert found[1]["_id"] == "65e5"  # as the table's own parents tell it
    assert found[2]["baseModels"]["models"] == [{"_id": "65e5", "id": "r/parent"}]
    assert found[2]["_id"] == "65e6"
    assert catalogue.repos["r/child"].row["createdAt"] == "2024-06-20T00:00:00.000Z"


def test_a_rename_within_a_table_is_a_rename_of_the_hub(shared_data: Path) -> None:
    """Two real rows name one ``_id`` by its old and its new name."""
    with samplehub.serve(f"replay:{shared_data / 'hub_models.parquet'},{shared_data / 'hub_edges.csv'}") as hub:
        info = HfApi(endpoint=hub.url, token=False).model_info("PowerInfer/SmallThinker-3B-Preview")
    assert info.id == "Tiiny/SmallThinker-3B-Preview"


def test_a_replayed_card_can_be_read(tmp_path: Path) -> None:
    with samplehub.serve(f"replay:{write(tmp_path / 'a.jsonl', [ROW])}") as hub:
        api = HfApi(endpoint=hub.url, token=False)
        path = api.hf_hub_download("moss-lab/a", "README.md", cache_dir=tmp_path)
        assert ModelCard.load(path).data.base_model == ["moss-lab/b", "./local"]
        assert [file.rfilename for file in api.model_info("moss-lab/a").siblings or ()] == ["README.md"]


def test_the_real_rows(shared_data: Path) -> None:
    """Every value of the real table that its listing shows is the table's own."""
    from pyarrow import parquet

    table = {row["id"]: row for row in parquet.read_table(shared_data / "hub_models.parquet").to_pylist()}
    names = ("cardData", "baseModels", "tags", "createdAt", "downloads", "pipeline_tag", "author", "trendingScore")
    with samplehub.serve(f"replay:{shared_data / 'hub_models.parquet'}") as hub:
        rows = follow(hub, "/api/models?sort=createdAt&" + "&".join(f"expand={name}" for name in names))
    assert {row["id"] for row in rows} == table.keys()
    for row in rows:
        real = table[row["id"]]
        assert row.get("cardData") == (json.loads(real["cardData"]) if real["cardData"] else None)
        assert row.get("baseModels") == real["baseModels"]
        assert row["createdAt"] == f"{real['createdAt']:%Y-%m-%dT%H:%M:%S}.000Z"
        for name in ("tags", "downloads", "pipeline_tag", "author", "trendingScore"):
            assert row.get(name) == real[name]
    dates = [row["createdAt"] for row in rows]
    assert dates == sorted(dates, reverse=True)


def test_the_real_edges(shared_data: Path) -> None:
    """Every edge of the real file is declared by its child, and resolved but for self-loops."""
    with (shared_data / "hub_edges.csv").open() as file:
        edges = {(row["source"], row["target"]) for row in csv.DictReader(file)}
    catalogue = load_files([str(shared_data / "hub_edges.csv")])
    assert len(catalogue) == len({name for edge in edges for name in edge}) == 29973
    declared: Counter[tuple[str, str]] = Counter()
    resolved: set[tuple[str, str]] = set()
    for repo in catalogue.repos.values():
        names = repo.row.get("cardData", {}).get("base_model", [])
        declared.update((parent, repo.id) for parent in ([names] if isinstance(names, str) else names))
        resolved.update((model["id"], repo.id) for model in repo.row.get("baseModels", {}).get("models", ()))
    assert declared.keys() == edges
    assert set(declared.values()) == {1}
    assert resolved == {(parent, child) for parent, child in edges if parent != child}
    dates = {name: repo.row["createdAt"] for name, repo in catalogue.repos.items()}
    assert all(dates[parent] < dates[child] for parent, child in edges if parent != child)


def test_real_rows_and_real_edges_together(shared_data: Path) -> None:
    """One ``_id`` for each repo, wherever it is named; no made-up parent younger than its child."""
    both = load_files([str(shared_data / "hub_models.parquet"), str(shared_data / "hub_edges.csv")])
    real = {repo.id for repo in both.repos.values() if "downloadsAllTime" in repo.row and "modelId" in repo.row}
    oids = {name: repo.row["_id"] for name, repo in both.repos.items()}
    assert len(set(oids.values())) == len(oids) == len(real)
    table = set(load_files([str(shared_data / "hub_models.parquet")]).repos)
    for repo in both.repos.values():
        for model in (repo.row.get("baseModels") or {}).get("models", ()):
            parent = both.find(model["id"])
            if parent is not None:
                assert oids[model["id"]] == model["_id"]
            else:
                assert both.new_name(model["id"]) or repo.id in table
                if repo.id not in table:
                    assert parent.row["createdAt"] < repo.row["createdAt"]
