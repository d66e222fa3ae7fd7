"""Rows as the Hub and its imitators write them: nothing raises, nothing with an id is lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.crawling import rows
from workers.errors import BadRow, RemoteGarbled
from workers.lineage.records import Declared, Relation, Source

ROW = {
    "_id": "65dea2b0f1b1a0b9f0c3a111",
    "id": "weqweasdas/RM-Gemma-7B",
    "author": "weqweasdas",
    "createdAt": "2024-02-28T15:24:14.000Z",
    "lastModified": "2024-03-22T02:39:37.000Z",
    "downloads": 23827,
    "downloadsAllTime": 48055,
    "likes": 8,
    "trendingScore": 0.5,
    "gated": False,
    "private": False,
    "disabled": False,
    "sha": "0123456789abcdef0123456789abcdef01234567",
    "pipeline_tag": "text-classification",
    "library_name": "transformers",
    "tags": ["transformers", "license:gemma", "dataset:org/extra", "base_model:google/gemma-7b"],
    "cardData": {
        "license": "gemma",
        "license_name": "Gemma terms",
        "license_link": "https://ai.google.dev/gemma/terms",
        "language": ["en", "fr", "en"],
        "datasets": "org/main",
        "base_model": "google/gemma-7b",
    },
    "safetensors": {"parameters": {"BF16": 8537680896, "F32": None}, "total": 8537680896},
    "config": {"architectures": ["GemmaForSequenceClassification"], "model_type": "gemma"},
    "baseModels": {"relation": "finetune", "models": [{"_id": "65d2a2b0f1b1a0b9f0c3a222", "id": "google/gemma-7b"}]},
}


def test_a_whole_row() -> None:
    facts = rows.facts_of(ROW)
    assert facts.name == "weqweasdas/RM-Gemma-7B"
    assert facts.hub_id == "65dea2b0f1b1a0b9f0c3a111"
    assert facts.created_at == datetime(2024, 2, 28, 15, 24, 14, tzinfo=UTC)
    assert (facts.downloads, facts.downloads_all, facts.likes, facts.trending) == (23827, 48055, 8, 0.5)
    assert (facts.task, facts.library) == ("text-classification", "transformers")
    assert (facts.licence, facts.licence_name) == ("gemma", "Gemma terms")
    assert facts.languages == ("en", "fr")
    assert facts.datasets == ("org/main", "org/extra")
    assert facts.parameters == 8537680896
    assert facts.dtypes == {"BF16": 8537680896}
    assert (facts.architecture, facts.model_type) == ("GemmaForSequenceClassification", "gemma")
    assert set(facts.declared) == {
        Declared(Source.HUB, "google/gemma-7b", Relation.FINETUNE, "65d2a2b0f1b1a0b9f0c3a222"),
        Declared(Source.CARD, "google/gemma-7b"),
        Declared(Source.TAG, "google/gemma-7b"),
    }
    assert facts.oddities == ()


@pytest.mark.parametrize(
    ("change", "code", "field", "value"),
    [
        ({"downloads": "many"}, "row.downloads", "downloads", 0),
        ({"downloads": -1}, "row.downloads", "downloads", 0),
        ({"downloads": 10**30}, "row.downloads", "downloads", 2**63 - 1),
        ({"likes": 2**40}, "row.likes", "likes", 2**31 - 1),
        ({"likes": True}, "row.likes", "likes", 0),
        ({"trendingScore": float("nan")}, "row.trendingScore", "trending", 0.0),
        ({"createdAt": "yesterday"}, "row.createdAt", "created_at", None),
        ({"createdAt": 1700000000}, "row.createdAt", "created_at", None),
        ({"createdAt": "0001-01-01T00:00:00+14:00"}, "row.createdAt", "created_at", None),
        ({"tags": "transformers"}, "row.tags", "tags", ()),
        ({"tags": ["a", None, 3, "b"]}, "row.tags", "tags", ("a", "b")),
        ({"gated": "perhaps"}, "row.gated", "gated", "manual"),
        ({"sha": ["abc"]}, "row.sha", "sha", ""),
        ({"_id": 12}, "row._id", "hub_id", ""),
        ({"author": {"name": "x"}}, "row.author", "author", "weqweasdas"),
        ({"safetensors": [1, 2]}, "row.safetensors", "parameters", None),
        ({"safetensors": {"total": "8B"}}, "row.safetensors.total", "parameters", None),
        ({"safetensors": {"parameters": {"F32": "x", "F16": 7}}}, "row.safetensors.parameters", "parameters", 7),
        ({"config": "none"}, "row.config", "architecture", ""),
        ({"cardData": "{broken"}, "row.cardData", "licence", "gemma"),
        ({"cardData": ["license", "mit"]}, "row.cardData", "licence", "gemma"),
        ({"cardData": {"license": {"a": 1}}}, "row.cardData.license", "licence", "gemma"),
        ({"cardData": {"license": ["mit", "apache-2.0"]}}, "row.cardData.license", "licence", "mit"),
        ({"cardData": {"License": "MIT"}}, "row.key.license", "licence", "mit"),
        ({"cardData": {"Language": "EN"}}, "row.key.language", "languages", ("en",)),
        ({"cardData": {"language": ["de", 5]}}, "row.cardData.language", "languages", ("de",)),
        ({"pipeline_tag": ["text-generation", "x"]}, "row.pipeline_tag", "task", ""),
        ({"library_name": "x" * 300}, "row.library_name", "library", "x" * 200),
        ({"cardData": {"base_model": 7}}, "row.cardData.base_model", "licence", "gemma"),
    ],
)
def test_a_wrong_field_is_named_and_the_row_is_kept(change: dict, code: str, field: str, value: object) -> None:
    facts = rows.facts_of({**ROW, **change})
    assert code in [noted for noted, _ in facts.oddities]
    assert getattr(facts, field) == value
    assert facts.name == ROW["id"]


def test_norwegian_is_not_a_truth_value() -> None:
    assert rows.facts_of({**ROW, "cardData": {"language": [False, "da"]}}).languages == ("no", "da")


def test_a_card_that_came_as_text_is_read() -> None:
    facts = rows.facts_of({**ROW, "cardData": json.dumps(ROW["cardData"])})
    assert facts.licence == "gemma"
    assert Declared(Source.CARD, "google/gemma-7b") in facts.declared
    assert facts.oddities == ()


def test_wrong_case_of_base_model_is_read_and_named() -> None:
    facts = rows.facts_of({"id": "a/b", "cardData": {"Base_model": "c/d"}})
    assert facts.declared == (Declared(Source.CARD, "c/d"),)
    assert [code for code, _ in facts.oddities] == ["row.key.base_model"]


def test_a_gguf_row_tells_its_size_and_kind() -> None:
    facts = rows.facts_of({"id": "a/b-GGUF", "gguf": {"total": 2795443200, "architecture": "stablelm"}})
    assert (facts.parameters, facts.model_type) == (2795443200, "stablelm")


@pytest.mark.parametrize("bad", [None, 7, "", " ", "a b/c", "a/b/c", "/a", "a/", "x" * 250, "a\x00b", ["a/b"]])
def test_without_a_usable_id_a_row_is_rejected_with_its_reason(bad: object) -> None:
    with pytest.raises(BadRow):
        rows.facts_of({"id": bad})
    facts, rejected, _ = rows.read([{"id": bad, "downloads": 3}, {"id": "a/b"}, 5, None])
    assert [fact.name for fact in facts] == ["a/b"]
    assert len(rejected) == 3
    assert all(reject.message and reject.code == "input.row" for reject in rejected)
    assert len({reject.subject for reject in rejected}) == 3


def test_private_rows_are_dropped() -> None:
    facts, rejected, private = rows.read([{**ROW, "private": True}, ROW])
    assert (len(facts), rejected, private) == (1, [], 1)


@pytest.mark.parametrize(
    "body",
    [
        b'[{"id": "a/b", "downloads": NaN, "likes": -Infinity}]',
        b'[{"id": "a/b", "tags": ["\\ud800"], "author": "x\\udfff"}]',
        b'[{"id": "a/b", "tags": ["caf\xe9"]}]',
        b'[{"id": "a/b", "downloads": 1' + b"0" * 5000 + b"}]",
        b'[{"id": "a/b", "tags": ["x\\u0000y"], "cardData": {"l\\u0000": "v\\u0000"}}]',
        b'[{"id": "a/b", "trendingScore": 1e999}]',
    ],
)
def test_one_wild_value_does_not_spoil_a_page(body: bytes) -> None:
    facts, rejected, _ = rows.read(rows.parse(body))
    assert [fact.name for fact in facts] == ["a/b"]
    assert rejected == []
    text = orjson.dumps(facts[0]).decode()  # orjson refuses lone surrogates
    assert "\\u0000" not in text


@pytest.mark.parametrize("body", [b"", b"[{", b"<html>", b"[" * 100_000])
def test_what_is_no_json_is_garbled(body: bytes) -> None:
    with pytest.raises(RemoteGarbled):
        rows.parse(body)


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_row = st.dictionaries(
    st.sampled_from([*rows.EXPAND, "_id", "id", "modelId"]) | st.text(max_size=8), _anything, max_size=12
)


@settings(max_examples=80, deadline=None)
@given(
    _row, st.dictionaries(st.sampled_from(["license", "Language", "datasets", "base_model", "Base-Model"]), _anything)
)
def test_no_row_is_lost_whatever_it_holds(row: dict, card: dict) -> None:
    row = rows.scrubbed({**row, "id": "org/name", "cardData": card, "private": False})
    facts = rows.facts_of(row)
    assert facts.name == "org/name"
    assert 0 <= facts.downloads <= rows.BIG
    assert 0 <= facts.likes <= rows.INT
    assert facts.created_at is None or facts.created_at.utcoffset().total_seconds() == 0  # type: ignore[union-attr]
    assert all(len(value) <= 200 for value in (facts.task, facts.library, facts.licence, *facts.languages))
    json.dumps(facts.tags, allow_nan=False)
    orjson.dumps(facts)


@settings(max_examples=60, deadline=None)
@given(_anything)
def test_no_value_in_the_place_of_a_row_raises_anything_but_bad_row(value: object) -> None:
    facts, rejected, private = rows.read([value])
    assert len(facts) + len(rejected) + private == 1


def test_every_real_row_is_read(shared_data) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(shared_data / "hub_models.parquet").to_pylist()
    body = orjson.dumps([{**row, "cardData": row["cardData"] and json.loads(row["cardData"])} for row in table])
    facts, rejected, private = rows.read(rows.parse(body))
    assert len(facts) == len(table)
    assert (rejected, private) == ([], 0)
    declared = {fact.name: fact.declared for fact in facts}
    for row in table:
        said = {d.text for d in declared[row["id"]] if d.source == Source.HUB}
        assert said == {model["id"] for model in (row["baseModels"] or {}).get("models", [])}
