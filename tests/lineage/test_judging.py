"""What follows from the statements about one model: edges, their relations and repairs, and findings."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.lineage.judging import judge
from workers.lineage.mirrors import likely_original
from workers.lineage.records import ChildFacts, Code, Judgement, Named, Relation, Said, Source
from workers.lineage.rules import fold, target_of

OLD, NEW = datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
CHILD = ChildFacts(1, "me/child", NEW)
HUB, CARD, TAG, PEFT, KIT = Source.HUB, Source.CARD, Source.TAG, Source.ADAPTER_CONFIG, Source.MERGEKIT
FINETUNE, ADAPTER, QUANTIZED, MERGE = Relation.FINETUNE, Relation.ADAPTER, Relation.QUANTIZED, Relation.MERGE


def said(source: Source, text: str, relation: Relation | int = 0, times: int = 1) -> Said:
    return Said(int(source), text, target_of(text, source), int(relation), times)


def known(*names: str, state: str = "listed", created: datetime | None = OLD, first: int = 10) -> dict[str, Named]:
    return {fold(name): Named(first + at, name, state, created) for at, name in enumerate(names)}


def judged(*statements: Said, names: dict[str, Named], child: ChildFacts = CHILD) -> Judgement:
    return judge(child, statements, names)


def codes(judgement: Judgement) -> dict[str, str]:
    return {f.code: f.subject for f in judgement.findings}


def test_all_agree() -> None:
    j = judged(said(HUB, "a/b", FINETUNE), said(TAG, "a/b", FINETUNE), said(CARD, "a/b"), names=known("a/b"))
    (edge,) = j.edges
    assert (edge.parent_id, edge.relation, edge.repaired, edge.place) == (10, FINETUNE, "", 0)
    assert edge.sources == (1 << HUB) | (1 << CARD) | (1 << TAG)
    assert j.findings == ()


def test_wrong_case_is_repaired_and_said() -> None:
    j = judged(said(CARD, "A/B"), names=known("a/b"))
    assert j.edges[0].parent_id == 10
    assert j.edges[0].repaired == "case"
    assert codes(j) == {Code.WRONG_CASE: "A/B", Code.DROPPED_BY_HUB: "a/b"}


def test_wrong_case_in_the_card_alone_leaves_the_hubs_edge_as_it_is() -> None:
    j = judged(said(HUB, "a/b", FINETUNE), said(CARD, "A/B"), names=known("a/b"))
    (edge,) = j.edges
    assert edge.repaired == ""
    assert codes(j) == {Code.WRONG_CASE: "A/B"}


@pytest.mark.parametrize("text", ["me/child", "ME/Child", "https://huggingface.co/me/child", "child"])
def test_a_model_is_not_its_own_parent(text: str) -> None:
    j = judged(said(CARD, text), names={})
    assert j.edges == ()
    assert codes(j) == {Code.SELF_REFERENCE: text}


def test_a_bare_name_that_is_a_model_is_no_self_reference() -> None:
    j = judged(said(CARD, "child"), names=known("child"))
    assert [e.parent_id for e in j.edges] == [10]


def test_a_bare_name_that_nobody_has() -> None:
    j = judged(said(CARD, "Meta-Llama-3-8B"), names={})
    assert j.edges[0].parent_id is None
    assert codes(j)[Code.NO_NAMESPACE] == "Meta-Llama-3-8B"
    assert Code.MISSING_PARENT not in codes(j)


def test_an_unknown_parent_becomes_a_name_spelt_as_declared() -> None:
    j = judged(said(CARD, "lost/Model"), said(PEFT, "lost/model", ADAPTER), names={})
    assert j.spellings == {"lost/model": "lost/model"}, "the adapter's configuration is trusted before the card"
    assert j.edges[0].folded == "lost/model"
    assert j.edges[0].relation == ADAPTER
    assert codes(j)[Code.MISSING_PARENT] == "lost/model"


def test_texts_that_name_nothing_are_told_apart() -> None:
    j = judged(
        said(CARD, "./out"),
        said(CARD, "https://example.org/x"),
        said(CARD, "datasets/squad"),
        said(CARD, "None"),
        said(CARD, "a b c"),
        names={},
    )
    assert j.edges == ()
    assert {(f.code, f.subject) for f in j.findings} == {
        (Code.LOCAL_PATH, "./out"),
        (Code.NOT_A_MODEL, "https://example.org/x"),
        (Code.NOT_A_MODEL, "datasets/squad"),
        (Code.PLACEHOLDER, "None"),
        (Code.UNREADABLE, "a b c"),
    }


def test_a_cleaned_text_keeps_its_original() -> None:
    j = judged(said(CARD, "https://huggingface.co/a/b/tree/main"), names=known("a/b"))
    assert j.edges[0].repaired == "text"
    assert codes(j)[Code.UNCLEAN_TEXT] == "https://huggingface.co/a/b/tree/main"


def test_duplicates_in_one_list() -> None:
    j = judged(said(CARD, "a/b", times=3), said(HUB, "a/b", FINETUNE), names=known("a/b"))
    (finding,) = j.findings
    assert (finding.code, finding.subject, finding.detail) == (
        Code.DUPLICATE_ENTRY,
        "a/b",
        {"source": "card", "times": 3},
    )
    twice = judged(said(CARD, "a/b"), said(CARD, "A/B"), names=known("a/b"))
    assert Code.DUPLICATE_ENTRY in codes(twice)


def test_dropped_by_the_hub_singly_and_altogether() -> None:
    names = known("a/b", "c/d")
    j = judged(said(HUB, "a/b", MERGE), said(CARD, "a/b"), said(CARD, "c/d"), names=names)
    assert [(f.code, f.subject, f.detail) for f in j.findings] == [(Code.DROPPED_BY_HUB, "c/d", {"all": False})]
    assert {e.relation for e in j.edges} == {MERGE}, "the Hub's relation holds for the model"
    j = judged(said(CARD, "a/b"), names=names)
    assert [(f.subject, f.detail) for f in j.findings] == [("a/b", {"all": True})]


def test_tagged_merge_yet_typed_finetune() -> None:
    child = CHILD._replace(tags='["merge", "x"]')
    one = judged(said(HUB, "a/b", FINETUNE), names=known("a/b"), child=child)
    assert one.edges[0].relation == FINETUNE, "with one parent the tag may be wrong as well"
    assert codes(one) == {Code.MERGE_TYPED_FINETUNE: ""}
    names = known("a/b", "c/d")
    more = judged(said(HUB, "a/b", FINETUNE), said(CARD, "a/b"), said(CARD, "c/d"), names=names, child=child)
    assert {(e.relation, e.repaired) for e in more.edges} == {(MERGE, "relation")}, "two parents make it certain"


def test_sources_that_disagree() -> None:
    j = judged(said(HUB, "a/b", FINETUNE), said(PEFT, "a/b", ADAPTER), names=known("a/b"))
    assert j.edges[0].relation == FINETUNE
    (finding,) = j.findings
    assert finding.detail == {"says": {"hub": "finetune", "adapter_config": "adapter"}}


@pytest.mark.parametrize(
    ("tags", "parents", "relation"),
    [
        ("[]", ["a/b"], Relation.UNKNOWN),
        ('["peft"]', ["a/b"], ADAPTER),
        ('["gguf", "x"]', ["a/b"], QUANTIZED),
        ('["merge"]', ["a/b"], MERGE),
        ("[]", ["a/b", "c/d"], MERGE),
    ],
)
def test_the_relation_where_nobody_says_it(tags: str, parents: list[str], relation: Relation) -> None:
    j = judged(*(said(CARD, p) for p in parents), names=known("a/b", "c/d"), child=CHILD._replace(tags=tags))
    assert {e.relation for e in j.edges} == {relation}


def test_parents_that_are_younger_gone_or_renamed() -> None:
    names = known("a/young", created=datetime(2025, 1, 1, tzinfo=UTC))
    names |= known("a/gone", state="gone", first=20)
    names["a/old-name"] = Named(30, "a/new-name", "listed", OLD, via_alias=True)
    j = judged(said(CARD, "a/young"), said(CARD, "a/gone"), said(CARD, "a/old-name"), names=names)
    found = codes(j)
    assert found[Code.PARENT_YOUNGER] == "a/young"
    assert found[Code.PARENT_GONE] == "a/gone"
    assert found[Code.PARENT_RENAMED] == "a/old-name"
    renamed = next(e for e in j.edges if e.parent_id == 30)
    assert renamed.repaired == "renamed"


def test_the_same_second_is_not_younger() -> None:
    j = judged(said(HUB, "a/b", FINETUNE), names=known("a/b", created=NEW))
    assert j.findings == ()


def test_an_old_and_a_new_name_of_one_parent_make_one_edge() -> None:
    names = known("a/new")
    names["a/old"] = Named(10, "a/new", "listed", OLD, via_alias=True)
    j = judged(said(HUB, "a/new", FINETUNE), said(CARD, "a/old"), names=names)
    (edge,) = j.edges
    assert edge.repaired == ""
    assert codes(j) == {Code.PARENT_RENAMED: "a/old"}


def test_the_order_of_parents() -> None:
    names = known("z/oldest", created=datetime(2020, 1, 1, tzinfo=UTC), first=50)
    names |= known("b/same", "a/same", first=10)
    names |= known("a/stub", state="stub", created=None, first=90)
    names |= known("m/hub", created=NEW, first=95)
    j = judged(
        *(said(CARD, n) for n in ("z/oldest", "b/same", "a/same", "a/stub")), said(HUB, "m/hub", MERGE), names=names
    )
    assert [e.folded for e in j.edges] == ["m/hub", "z/oldest", "a/same", "b/same", "a/stub"]
    assert [e.place for e in j.edges] == [0, 1, 2, 3, 4]


MIRRORS = {
    "unsloth/llama-3-8b-bnb-4bit": ("meta-llama/Meta-Llama-3-8B",),
    "unsloth/llama-3-8b-Instruct": ("meta-llama/Meta-Llama-3-8B-Instruct",),
    "unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit": ("meta-llama/Meta-Llama-3.1-8B-Instruct",),
    "unsloth/gemma-3-4b-it-unsloth-bnb-4bit": ("google/gemma-3-4b-it",),
    "unsloth/mistral-7b-bnb-4bit": ("mistralai/Mistral-7B-v0.1",),
    "unsloth/Qwen2.5-7B-Instruct": ("Qwen/Qwen2.5-7B-Instruct",),
    "unsloth/phi-4-unsloth-bnb-4bit": ("microsoft/phi-4",),
    "unsloth/DeepSeek-R1-Distill-Llama-8B": ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B",),
    "unsloth/llama-2-7b-chat-bnb-4bit": ("meta-llama/Llama-2-7b-chat-hf",),
    "unsloth/something-new": (),
    "NousResearch/Meta-Llama-3-8B": ("meta-llama/Meta-Llama-3-8B",),
    "NousResearch/Hermes-3-Llama-3.1-8B": None,
    "meta-llama/Meta-Llama-3-8B": None,
    "gpt2": None,
}


@pytest.mark.parametrize(("name", "originals"), MIRRORS.items())
def test_mirrors(name: str, originals: tuple[str, ...] | None) -> None:
    assert likely_original(name) == originals


def test_a_mirror_as_parent_is_a_note_and_the_edge_stays() -> None:
    j = judged(said(HUB, "unsloth/phi-4", FINETUNE), names=known("unsloth/phi-4"))
    assert [e.parent_id for e in j.edges] == [10]
    (finding,) = j.findings
    assert (finding.code, finding.detail) == (Code.MIRROR, {"likely": ["microsoft/phi-4"]})


_texts = st.sampled_from(
    [
        "a/b",
        "A/B",
        "c/d",
        "me/child",
        "child",
        "gpt2",
        "lost/x",
        "Lost/X",
        "./p",
        "none",
        "https://hf.co/a/b",
        "old/name",
    ]
)
_names = known("a/b", "c/d", "gpt2") | {"old/name": Named(10, "a/b", "listed", OLD, via_alias=True)}


@given(
    st.lists(st.tuples(st.sampled_from([HUB, CARD, TAG, PEFT, KIT]), _texts, st.integers(0, 5)), max_size=8),
    st.randoms(use_true_random=False),
)
def test_the_order_of_statements_means_nothing(statements: list[tuple[Source, str, int]], order: random.Random) -> None:
    given_order = [said(source, text, relation) for source, text, relation in statements]
    shuffled = list(given_order)
    order.shuffle(shuffled)
    first, second = judged(*given_order, names=_names), judged(*shuffled, names=_names)
    assert first.edges == second.edges
    assert sorted(map(str, first.findings)) == sorted(map(str, second.findings))
    assert len({e.parent_id or e.folded for e in first.edges}) == len(first.edges), "a parent has one edge"
    assert [e.place for e in first.edges] == list(range(len(first.edges)))
