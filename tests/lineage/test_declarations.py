"""Statements of descent in rows, cards and configurations: kept verbatim, whatever they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import row
from workers.lineage.declarations import from_adapter_config, from_card, from_mergekit, from_row
from workers.lineage.records import Declared, Relation, Source

HUB, CARD, TAG = Source.HUB, Source.CARD, Source.TAG


def card(value: object, **more: object) -> list[tuple[str, Relation | None]]:
    return [(d.text, d.relation) for d in from_row({"cardData": {"base_model": value, **more}})]


def test_a_row_says_it_three_times() -> None:
    declared = from_row(row("a/child", "gpt2", relation="adapter"))
    hub_id = next(d.hub_id for d in declared if d.source == HUB)
    assert declared == (
        Declared(HUB, "gpt2", Relation.ADAPTER, hub_id),
        Declared(TAG, "gpt2", Relation.ADAPTER),
        Declared(CARD, "gpt2"),
    )
    assert len(hub_id) == 24


def test_a_tag_without_relation_counts_where_there_is_no_other() -> None:
    assert from_row({"tags": ["base_model:a/b", "base_model:merge:a/b", "base_model:c/d", "base_model:", 3]}) == (
        Declared(TAG, "a/b", Relation.MERGE),
        Declared(TAG, "c/d"),
    )


def test_a_name_with_a_colon_is_no_relation() -> None:
    assert from_row({"tags": ["base_model:ollama:latest"]}) == (Declared(TAG, "ollama:latest"),)


def test_the_card_in_all_its_forms() -> None:
    assert card("gpt2") == [("gpt2", None)]
    assert card(["a/b", "a/b", None, "", 7, ["c/d"]]) == [
        ("a/b", None),
        ("a/b", None),
        ("7", None),
        ("c/d", None),
    ]
    assert card("a/b, c/d") == [("a/b", None), ("c/d", None)]
    assert card("Llama 3, the 8B one") == [("Llama 3, the 8B one", None)]
    assert card({"id": "a/b"}) == [("a/b", None)]
    assert card({"x": 1}) == [('{"x": 1}', None)]
    assert card(None) == card([]) == card("") == card({}) == card(True) == []
    assert card("a/b", base_model_relation="Quantized") == [("a/b", Relation.QUANTIZED)]
    assert card("a/b", base_model_relation="nonsense") == [("a/b", None)]


def test_keys_in_the_wrong_case_count() -> None:
    declared = from_row({"cardData": {"Base_model": "a/b", "BASE_MODEL_RELATION": "merge"}})
    assert declared == (Declared(CARD, "a/b", Relation.MERGE),)


def test_texts_are_cut_to_the_column_and_storable() -> None:
    (declared,) = from_row({"cardData": {"base_model": "x\x00\ud800" * 400}})
    assert len(declared.text) == 500
    declared.text.encode()
    assert "\x00" not in declared.text


def test_a_list_may_not_fill_the_database() -> None:
    assert len(from_row({"cardData": {"base_model": ["a/b"] * 5_000}})) == 1_000


def test_base_models_of_every_shape() -> None:
    shapes = [
        None,
        [],
        "x",
        {"models": None},
        {"models": [None, 3, {"id": None}, {"_id": 5}]},
        {"relation": "merge", "models": ["a/b", {"id": "c/d", "_id": {"$oid": 1}}]},
        [{"relation": "merge", "models": [{"id": "e/f", "_id": "1"}]}],
    ]
    found = [[(d.text, d.relation, d.hub_id) for d in from_row({"baseModels": shape})] for shape in shapes]
    assert found[:5] == [[]] * 5
    assert found[5] == [("a/b", Relation.MERGE, ""), ("c/d", Relation.MERGE, "")]
    assert found[6] == [("e/f", Relation.MERGE, "1")]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={"baseModels": _json, "tags": _json, "cardData": _json | st.fixed_dictionaries({"base_model": _json})},
    )
)
def test_no_row_raises(row: dict) -> None:
    for declared in from_row(row):
        assert declared.text
        assert len(declared.text) <= 500


MERGE = """
slices:
  - sources:
      - model: a/base
        layer_range: [0, 32]
      - model: b/other+c/lora
        layer_range: [0, 32]
merge_method: slerp
base_model: a/base
parameters: {t: 0.5}
dtype: bfloat16
"""


def test_mergekit_configurations() -> None:
    texts = [d.text for d in from_mergekit(MERGE)]
    assert texts == ["a/base", "b/other", "c/lora"]
    assert {(d.source, d.relation) for d in from_mergekit(MERGE)} == {(Source.MERGEKIT, Relation.MERGE)}
    nested = "merge_method: linear\nmodels:\n  - model: {model: {path: x/y}, lora: null}\n  - {model: z/w}\n"
    assert [d.text for d in from_mergekit(nested)] == ["x/y", "z/w"]
    modules = "modules:\n  default:\n    slices:\n    - sources: [{model: m/n}]\nmerge_method: linear\n"
    assert [d.text for d in from_mergekit(modules)] == ["m/n"]


@pytest.mark.parametrize(
    "text", ["", "models: 3", "- a\n- b", "model: x", "{", "a: &a [*a, *a]\nmodels: []\nmerge_method: x"]
)
def test_what_is_no_mergekit_configuration(text: str) -> None:
    assert from_mergekit(text) == ()


def test_a_card_with_a_configuration_in_its_body() -> None:
    text = f"---\nbase_model: a/base\n---\n# Merge\n```yaml\n{MERGE}```\n\n```python\nprint('models')\n```\n"
    assert [(d.source, d.text) for d in from_card(text)] == [
        (CARD, "a/base"),
        (Source.MERGEKIT, "a/base"),
        (Source.MERGEKIT, "b/other"),
        (Source.MERGEKIT, "c/lora"),
    ]


@pytest.mark.parametrize(
    "front",
    [
        "base_model: &a [*a]",
        "a: &a [x]\nbase_model: *a",
        "base_model: !!python/object/apply:os.system [x]",
        "base_model: [",
        "base_model: " + "x" * 70_000,
    ],
)
def test_front_matter_that_is_refused(front: str) -> None:
    assert from_card(f"---\n{front}\n---\nbody") == ()


def test_adapter_configurations(shared_data: Path) -> None:
    assert from_adapter_config({}) == from_adapter_config({"base_model_name_or_path": None}) == ()
    assert from_adapter_config({"base_model_name_or_path": "./x"})[0].text == "./x"
    found = {
        from_adapter_config(json.loads(path.read_text()))[0].text
        for path in shared_data.glob("adapters/*/adapter_config.json")
    }
    assert {"gpt2", "distilbert-base-uncased"} >= {text.rpartition("/")[2] for text in found} or found
