"""Labels from cards that anybody wrote."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.probing.labels import LONGEST, dataset_label, label, said, subject
from workers.probing.records import Card
from workers.probing.rules import agrees, folded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# LoRA Trained on 10 pictures of a red striped circle. From the hub", "red striped circle"),
        ("This adapter was trained on 10 images of a red striped circle, 16 x 16 each.", "red striped circle"),
        ("A style adapter, trained on a small set of pictures of a Red Striped Circle.", "red striped circle"),
        ("instance_prompt: a photo of sks dog", "dog"),
        ("Trigger word: `a picture of the <s0> Cat`.", "cat"),
        ("LoRA weights trained on sks dog using DreamBooth", "dog"),
        ("This model is a fine-tuned version of bert on the imdb dataset.", "imdb"),
        ("FINETUNED WITH 3k photos of my garden-gnomes!!!", "garden gnomes"),
        ("fine-tuned on texts about birds for three epochs", "birds"),
    ],
)
def test_what_a_sentence_says(text: str, expected: str) -> None:
    assert said(Card(text=text))[0] == (expected,)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("author/red-striped-circle", "red striped circle"),
        ("someone/Red_Circle-dreambooth-images-v2", "red circle"),
        ("imagefolder", ""),
        ("a/b", ""),
        ("x/data", ""),
        ("author/" + "very-" * 30 + "long", ""),
    ],
)
def test_what_a_datasets_name_says(name: str, expected: str) -> None:
    assert dataset_label(name) == expected


def test_tags_that_every_model_has_say_nothing() -> None:
    tags = ("lora", "region:us", "license:mit", "base_model:a/b", "dataset:x/y", "peft", "watercolour")
    assert said(Card(tags=tags))[2] == ("watercolour",)


@given(st.text(max_size=400), st.lists(st.text(max_size=60), max_size=5), st.text(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_card_is_read(text: str, names: list[str], prompt: str) -> None:
    for labels in said(Card(text, tuple(names), tuple(names), prompt)):
        assert all(each == folded(each) and each for each in labels)
    assert len(subject(text)) <= LONGEST


def test_long_hostile_texts_take_no_time() -> None:
    for text in ("trained on " * 2_000, "a " * 20_000, "prompt: " + "(" * 20_000, "pictures of " * 3_000):
        said(Card(text=text))
        subject(text[:2_000])


def test_only_what_tells_models_apart_is_a_label() -> None:
    cards = {
        k: Card(text=f"Trained on pictures of {what}.")
        for k, what in enumerate(["cats"] * 4 + ["dogs"] * 3 + ["a yak"])
    }
    found = label(cards)
    assert found.labels == ("cats", "dogs")
    assert found.of[0] == ("cats",)
    assert 7 not in found.of
    assert not found.several
    assert label({k: Card(datasets=("a/cats",)) for k in range(9)}).labels == ()


def test_models_may_have_several_labels() -> None:
    cards = {k: Card(datasets=("a/cats", "a/dogs") if k % 2 else ("a/birds", "a/cats")) for k in range(10)}
    cards |= {k: Card(datasets=("a/fish",)) for k in range(10, 20)}
    found = label(cards)
    assert found.several
    assert found.of[1] == ("cats", "dogs")


@pytest.mark.parametrize(
    ("claims", "guesses", "expected"),
    [
        (["red circle"], ["Red  circle"], True),
        (["circle"], ["red circle"], True),
        (["red circle"], ["blue circle"], False),
        ([], ["red circle"], False),
    ],
)
def test_when_a_claim_and_a_guess_agree(claims: list[str], guesses: list[str], expected: bool) -> None:
    assert agrees(claims, guesses) is expected
