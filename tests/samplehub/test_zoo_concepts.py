"""The zoo's concept adapters: painted, trained and drawn as their arguments say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from samplehub.zoo import denoiser
from samplehub.zoo.concepts import ConceptZoo, Recipe, grow_concepts
from samplehub.zoo.loops import one_thread
from samplehub.zoo.painting import CONCEPTS, held_out, paint

SMALL = Recipe(steps=12, batch=4, pictures=4, together=8)
ARGUMENTS = {"train": 1, "val": 1, "test": 1, "unseen": 2, "concepts": range(6), "held": frozenset((0, 5))}


@pytest.fixture(scope="module")
def base() -> denoiser.State:
    return denoiser.train(3, steps=25, batch=32)


@pytest.fixture(scope="module")
def zoo(base: denoiser.State) -> ConceptZoo:
    return grow_concepts(3, recipe=SMALL, base=base, **ARGUMENTS)


def test_concepts_are_144_and_their_paraphrases_share_no_word_with_their_names():
    assert len({concept.name for concept in CONCEPTS}) == 144
    for concept in CONCEPTS:
        for phrase in concept.paraphrases:
            assert not set(concept.words) & set(phrase.split())


@pytest.mark.parametrize("seed", range(5))
def test_held_out_concepts_leave_every_word_among_the_others(seed: int):
    held = held_out(seed, 36)
    assert len(held) == 36
    assert held == held_out(seed, 36)
    seen = {word for number, concept in enumerate(CONCEPTS) if number not in held for word in concept.words}
    assert len(seen) == 16


def test_pictures_are_in_range_and_differ_in_all_three_attributes():
    pictures = paint(denoiser.KINDS, torch.Generator().manual_seed(0))
    assert pictures.shape == (144, 3, 16, 16)
    assert pictures.min() >= -1
    assert pictures.max() <= 1
    again = [paint(denoiser.KINDS[number].expand(40, 3), torch.Generator().manual_seed(1)).mean(0) for number in (0, 1)]
    assert (again[0] - again[1]).abs().max() > 0.1  # plain and striped


def test_a_zoo_has_the_models_that_were_asked_for(zoo: ConceptZoo):
    assert len(zoo) == 4 * 3 + 2 * 2
    assert {split: int((zoo.split == split).sum()) for split in ("train", "val", "test", "unseen")} == {
        "train": 4, "val": 4, "test": 4, "unseen": 4,
    }  # fmt: skip
    assert set(zoo.concept[zoo.split == "unseen"]) == {0, 5}
    for layer in zoo.layers:
        assert zoo.updates(layer).shape == (16, *denoiser.shape_of(layer))
        assert np.isfinite(zoo.b[layer]).all()


def test_adapters_lower_the_loss_on_new_pictures_of_their_concepts(zoo: ConceptZoo, base: denoiser.State):
    dice = torch.Generator().manual_seed(9)
    better = 0
    for number in range(len(zoo)):
        kinds = denoiser.KINDS[zoo.concept[number]].expand(64, 3)
        clean = denoiser.patches(paint(kinds, dice))
        t, noise = torch.rand(64, generator=dice), torch.randn(clean.shape, generator=dice)
        adapters = {f"{layer}.A": torch.from_numpy(zoo.a[layer][number]) for layer in zoo.layers}
        adapters |= {f"{layer}.B": torch.from_numpy(zoo.b[layer][number]) for layer in zoo.layers}
        with one_thread(), torch.no_grad():
            with_it, without = (
                float(denoiser.loss(each, state=base, scale=1.0, clean=clean, t=t, noise=noise))
                for each in (adapters, {})
            )
        better += with_it < without
    assert better >= 14  # of 16, after 12 steps


def test_the_same_seed_gives_the_same_tensors_on_any_number_of_threads(zoo: ConceptZoo, base: denoiser.State):
    again = grow_concepts(3, recipe=SMALL, base=base, threads=1, **ARGUMENTS)
    other = grow_concepts(4, recipe=SMALL, base=base, threads=1, **ARGUMENTS)
    for layer in zoo.layers:
        np.testing.assert_array_equal(zoo.b[layer], again.b[layer])
        assert not np.allclose(zoo.b[layer], other.b[layer])


def test_progress_is_told_and_a_saved_zoo_reads_back(zoo: ConceptZoo, base: denoiser.State, tmp_path):
    told: list[tuple[int, int]] = []
    grow_concepts(3, recipe=SMALL, base=base, progress=lambda done, of: told.append((done, of)), **ARGUMENTS)
    assert told == [(8, 16), (16, 16)]
    zoo.save(tmp_path / "zoo.npz")
    with np.load(tmp_path / "zoo.npz") as kept:
        assert list(kept["layers"]) == list(zoo.layers)
        np.testing.assert_array_equal(kept[f"B.{zoo.layers[0]}"], zoo.b[zoo.layers[0]])
        assert kept["texts"][0] == "a photo of a red plain circle"
