"""The parts of search by meaning: the exact index, shares joined, words reworded, ways of meaning spread."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.searching import fusing, lexical
from workers.searching.answering import Library, Space, in_turn
from workers.searching.describing import card_text, name_text
from workers.searching.index import ExactIndex
from workers.searching.records import Answer, Found, Question, Reason, Why
from workers.searching.rewording import Vocabulary, words_of
from workers.searching.rules import subject
from workers.searching.thesaurus import thesaurus

COLOURS, TEXTURES, SHAPES = (
    ("red", "green", "blue", "yellow"),
    ("plain", "striped", "dotted"),
    ("circle", "ring", "cross"),
)
LABELS = [" ".join(words) for words in itertools.product(COLOURS, TEXTURES, SHAPES)]
MUTE = lexical.fit([])  # an encoder that says nothing: what is left is the thesaurus


# --- the index ------------------------------------------------------------------------------------------------------
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "put", "remove"]), st.integers(0, 12), st.integers(-3, 3), st.integers(-3, 3)),
    max_size=40,
)


@given(STEPS, st.sets(st.integers(0, 12)), st.booleans(), st.integers(1, 6))
def test_the_index_finds_what_looking_at_each_row_finds(
    steps: list[tuple[str, int, int, int]], some: set[int], filtered: bool, limit: int
) -> None:
    index, rows = ExactIndex(2), {}
    for deed, one, x, y in steps:
        if deed == "put":
            rows[one] = np.array([x, y], dtype=np.float32)
            index.put([one], rows[one][None])
        else:
            rows.pop(one, None)
            index.remove([one])
    allowed = np.array(sorted(some), dtype=np.int64) if filtered else None
    query = np.array([1.0, 0.5], dtype=np.float32)
    ids, near = index.search(query, limit, allowed)
    wanted = sorted((one for one in rows if not filtered or one in some), key=lambda one: (-(rows[one] @ query), one))
    assert ids.tolist() == wanted[:limit]
    assert near.tolist() == [float(rows[one] @ query) for one in wanted[:limit]]
    assert sorted(index.ids()) == sorted(rows)


def test_the_index_grows_and_refuses_rows_of_another_width() -> None:
    index = ExactIndex(3)
    rows = np.eye(3, dtype=np.float32)[np.arange(2_000) % 3]
    index.put(list(range(2_000)), rows)
    assert len(index) == 2_000
    np.testing.assert_array_equal(index.rows([5, 1_999]), rows[[5, 1_999]])
    with pytest.raises(ValueError, match="1 rows of 3 were expected"):
        index.put([1], np.ones((1, 2), dtype=np.float32))


# --- shares ---------------------------------------------------------------------------------------------------------
SHARES = st.dictionaries(st.integers(1, 6), st.floats(0, 1), max_size=6)


@given(SHARES, SHARES)
def test_another_reason_never_makes_a_model_less_likely(cards: dict[int, float], names: dict[int, float]) -> None:
    alone = {f.repo_id: f for f in fusing.fuse([{one: Reason(Why.CARD, s) for one, s in cards.items()}], 10)}
    both = fusing.fuse(
        [{one: Reason(why, s) for one, s in of.items()} for why, of in ((Why.CARD, cards), (Why.NAME, names))], 10
    )
    assert [f.score for f in both] == sorted((f.score for f in both), reverse=True)
    for found in both:
        assert 0 <= found.score <= 1
        if found.repo_id in alone:
            assert found.score >= alone[found.repo_id].score - 1e-12
        assert found.reasons[0].share == max(reason.share for reason in found.reasons)


@given(st.lists(st.tuples(st.integers(1, 9), st.floats(0, 1), st.sampled_from(Why), st.text(max_size=9)), max_size=5))
def test_answers_and_questions_survive_their_json(rows: list[tuple[int, float, Why, str]]) -> None:
    found = tuple(Found(one, round(s, 4), (Reason(why, round(s, 4), words),)) for one, s, why, words in rows)
    answer = Answer(found=found, encoder="x", weights=3, cards=4)
    assert Answer.from_json(answer.to_json()) == answer
    question = Question(text="a b", filters={"task": "x"}, named={one: s for one, s, _, _ in rows})
    assert Question.from_json(question.to_json()) == question


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5), lambda c: st.lists(c) | st.dictionaries(st.text(max_size=5), c)
    )
)
def test_what_is_no_question_or_answer_is_refused(value: object) -> None:
    for kind in (Question, Answer):
        with pytest.raises(ValueError, match="no "):
            kind.from_json(value)


# --- words ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("question", "about"),
    [
        ("find me models trained on photos of red circles", "red circles"),
        ("Which LoRA draws a crimson disc with stripes?", "crimson disc with stripes"),
        ("something for medical text in German", "something for medical text in German"),
        ("models", "models"),
    ],
)
def test_what_a_question_is_about(question: str, about: str) -> None:
    assert subject(question) == about


@given(st.text(max_size=80))
def test_a_subject_is_a_part_of_the_question(text: str) -> None:
    assert subject(text) in " ".join(text.split())


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("red striped circle", "red striped circle"),
        ("a ring, green and with dots", "green dotted ring"),
        ("crimson hoop with stripes", "red striped ring"),
        ("azure speckled ring", "blue dotted ring"),
        ("golden circle, no pattern: plain", "yellow plain circle"),
    ],
)
def test_other_words_become_the_trees_own(asked: str, meant: str) -> None:
    """The labels leave out what is asked for; its words stand in others."""
    labels = [label for label in LABELS if label != meant]
    ways = Vocabulary(labels, MUTE, thesaurus()).reword(asked)
    assert max(ways, key=lambda way: way.part).text == meant
    assert sum(way.part for way in ways) == pytest.approx(1.0)


def test_words_of_another_world_stay_as_they_are() -> None:
    vocabulary = Vocabulary(["beans", "pickup truck", "maple tree", "oak tree"], MUTE, thesaurus())
    for text in ("quarterly earnings", "", "?!", "x" * 300):
        ways = vocabulary.reword(text)
        assert [(way.text, way.part) for way in ways] == [(text, 1.0)]
    assert words_of("Four-sided, of the 3") == ["four", "sided", "3"]


def test_texts_of_cards_and_names() -> None:
    assert name_text("ann/redCircles-lora-v2-8bit-xkcd") == "red Circles lora bit"
    assert name_text("ann/x7f3") == ""
    text = card_text(
        excerpt="# Title\n<img src=x> A [model](http://x) of **soup**",
        tags=["safetensors", "cooking-tips", "region:us"],
    )
    assert text == "Title A model of soup Tags: cooking tips."
    assert card_text(excerpt="", task="text-generation") == ""


# --- weights and words ----------------------------------------------------------------------------------------------
def space_of(labels: list[str]) -> tuple[Library, dict[int, str]]:
    """A space in which each word has a direction, and eight models about each of all labels, those left out too."""
    words = (*COLOURS, *TEXTURES, *SHAPES)
    encoder = lexical.fit(LABELS)
    picks = np.stack([encoder.encode([word])[0] for word in words], axis=1)

    def to_space(rows: np.ndarray) -> np.ndarray:
        found = rows @ picks
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)

    library = Library(encoder)
    space = Space.of(title="t", to_space=to_space, scale=30.0, labels=labels, encoder=encoder, dim=len(words))
    about = {100 * at + copy: label for at, label in enumerate(LABELS) for copy in range(8)}
    noise = np.random.default_rng(0).normal(size=(len(about), len(words))) * 0.02
    rows = to_space(encoder.encode(list(about.values()))) + noise
    space.index.put(list(about), (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
    library.spaces[1] = space
    return library, about


def test_models_without_cards_are_found_by_what_they_were_trained_on() -> None:
    unseen = ["red striped ring", "blue plain cross"]
    library, about = space_of([label for label in LABELS if label not in unseen])
    for asked, meant in (("blue plain cross", "blue plain cross"), ("a crimson hoop with stripes", "red striped ring")):
        answer = library.answer(Question(text=asked))
        first = answer.found[0]
        assert about[first.repo_id] == meant
        assert first.reasons[0] == Reason(Why.WEIGHTS, first.reasons[0].share, meant)
        assert first.score > 0.5
    only = np.array(sorted(one for one, label in about.items() if "green" in label))
    assert all("green" in about[found.repo_id] for found in library.answer(Question(text="red ring"), only).found)


def test_a_doubtful_question_shows_models_of_each_way_it_can_be_meant() -> None:
    """Eight models are alike for each way: the first five show more than one of them."""
    library, about = space_of(LABELS)
    found = library.answer(Question(text="striped and red round thing")).found
    assert len({about[one.repo_id] for one in found[:5]}) >= 2
    assert len({about[one.repo_id] for one in library.answer(Question(text="red striped ring")).found[:5]}) == 1
    assert len({one.repo_id for one in found}) == len(found)


def test_a_question_for_nobody_finds_nothing() -> None:
    library, _ = space_of(LABELS)
    assert library.answer(Question(text="quarterly earnings of banks")).found == ()
    assert library.alike(-1, 5).found == ()
    alike = library.alike(0, 5)
    assert len(alike.found) == 5
    assert 0 not in {found.repo_id for found in alike.found}


@given(st.lists(st.integers(0, 40), unique=True), st.lists(st.integers(0, 40), unique=True))
def test_weights_have_their_turns_and_nobody_is_lost_or_doubled(fused: list[int], weighed: list[int]) -> None:
    found = [Found(one, 0.9, (Reason(Why.CARD, 0.9),)) for one in fused]
    alone = [Found(one, 0.2, (Reason(Why.WEIGHTS, 0.2),)) for one in weighed]
    order = [one.repo_id for one in in_turn(found, alone)]
    assert len(order) == len(set(order))
    assert set(fused) <= set(order) <= set(fused) | set(weighed)
    if fused and weighed:
        assert order[0] == fused[0]
        assert set(weighed[:3]) <= set(order[: max(5, len(order) - len(fused))])
    if not weighed:
        assert order == fused


def test_a_model_without_a_card_is_not_hidden_by_near_misses_with_cards() -> None:
    near = [Found(one, 0.97, (Reason(Why.NAME, 0.85), Reason(Why.CARD, 0.75))) for one in range(20)]
    right = Found(99, 0.3, (Reason(Why.WEIGHTS, 0.3, "red striped circle"),))
    assert right in in_turn([*near, right], [right])[:2]
