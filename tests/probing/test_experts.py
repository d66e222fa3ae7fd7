"""Experts say how sure they are, keep silent where they should, and can be kept and loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.probing import planted
from workers.errors import BadInput
from workers.probing.calibration import Temperature, calibration_error, softmax
from workers.probing.comparing import split
from workers.probing.experts import Expert, load, load_text_map, route
from workers.probing.multiview import MultiView
from workers.probing.records import Abstention, ReadingState
from workers.probing.reducing import inner_products
from workers.probing.stacks import Layer, Stack, Update, Weights


def trained(tree: planted.Planted, seed: int = 0) -> Expert:
    parts = split(tree.labels, spare=False, seed=seed)
    expert = Expert(MultiView(probes=6, dim=16, epochs=8), tuple(f"kind {k}" for k in range(6)), text_digest="planted")
    return expert.fit(
        tree.stack.take(parts.train),
        tree.labels[parts.train],
        validation=(tree.stack.take(parts.validation), tree.labels[parts.validation]),
        texts=tree.texts,
    )


def model(stack: Stack, place: int) -> Weights:
    if stack.layers[0].low_rank:
        return {la.name: Update(la.factors[0][place], la.factors[1][place]) for la in stack.layers}
    return {la.name: la.dense()[place] for la in stack.layers}


@pytest.mark.parametrize("full", [False, True], ids=["adapters", "full weights"])
def test_models_of_another_tree_get_no_answer(full: bool) -> None:
    tree, other = planted.tree(0, full=full, each=12), planted.tree(1, full=full, each=12)
    expert, second = trained(tree), trained(other)
    own = expert.ask([model(tree.stack, k) for k in range(0, 72, 5)])
    assert sum(a.state is ReadingState.ANSWERED for a in own) >= 12
    assert all(abs(sum(g.probability for g in a.guesses) - 1) < 0.2 for a in own if a.guesses)
    strange = expert.ask_stack(other.stack)
    assert all(a.reason is Abstention.FOREIGN and not a.embedding for a in strange)
    for k in range(0, 72, 7):
        assert route([expert, second], model(tree.stack, k)) == 0
        assert route([expert, second], model(other.stack, k)) == 1


def test_models_with_other_layers_get_no_answer() -> None:
    tree = planted.tree(0, each=12)
    expert = trained(tree)
    good = dict(model(tree.stack, 0))
    short = {"a": good["a"]}  # one layer of three
    wide = {**good, "a": Update(np.ones((99, 1), "f"), np.ones((1, 16), "f"))}
    full = {name: np.ones(shape, "f") for name, shape in tree.stack.shapes.items()}
    for bad in (short, wide, full, {}):
        assert expert.ask([bad])[0].reason is Abstention.OTHER_LAYERS
    most = {name: value for name, value in good.items() if name != "c"}
    assert expert.ask([most])[0].reason is not Abstention.OTHER_LAYERS


def test_an_expert_is_kept_and_loaded(tmp_path: Path) -> None:
    tree = planted.tree(2, each=12)
    expert = trained(tree)
    expert.save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".safetensors"}
    again = load(tmp_path)
    assert again.labels == expert.labels
    for a, b in zip(again.ask_stack(tree.stack), expert.ask_stack(tree.stack), strict=True):
        assert (a.state, a.reason, [g.label for g in a.guesses]) == (b.state, b.reason, [g.label for g in b.guesses])
    kept = load_text_map(tmp_path)
    assert kept is not None
    text_map, digest = kept
    assert digest == "planted"
    np.testing.assert_allclose(text_map(tree.texts), expert.text_map(tree.texts), atol=1e-5)
    (tmp_path / "method.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(BadInput, match="train it anew"):
        load(tmp_path)


def test_inner_products_are_those_of_the_matrices() -> None:
    tree = planted.tree(3, each=2)
    dense = Stack(tuple(Layer(layer.name, full=layer.dense()) for layer in tree.stack.layers))
    for low, full in zip(inner_products(tree.stack, tree.stack), inner_products(dense, dense), strict=True):
        np.testing.assert_allclose(low, full, rtol=1e-3, atol=1e-2)


@given(
    arrays.arrays(np.float64, (40, 5), elements=st.floats(-20, 20)),
    st.floats(0.1, 10),
    st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_calibration_keeps_the_order_and_finds_the_temperature(logits: np.ndarray, hot: float, seed: int) -> None:
    dice = np.random.default_rng(seed)
    truth = np.array([dice.choice(5, p=row) for row in softmax(logits)])
    found = Temperature().fit(logits * hot, truth)
    proba = found.apply(logits * hot, several=False)
    np.testing.assert_allclose(proba.sum(1), 1)
    assert (np.take_along_axis(proba, logits.argmax(1)[:, None], 1)[:, 0] >= proba.max(1) - 1e-9).all()

    def cost(p: np.ndarray) -> float:
        return float(-np.log(p[np.arange(40), truth] + 1e-300).mean())

    assert cost(proba) <= cost(softmax(logits * hot)) + 1e-3


def test_the_calibration_error() -> None:
    sure = np.full(300, 0.7)
    assert calibration_error(sure, np.arange(300) % 10 < 7) < 0.02
    assert calibration_error(sure, np.zeros(300, bool)) == pytest.approx(0.7)
    with pytest.raises(BadInput):
        calibration_error(np.zeros(0), np.zeros(0, bool))


@given(st.lists(st.integers(0, 30), min_size=40, max_size=160), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_nothing_leaks_between_the_parts(labels: list[int], seed: int) -> None:
    truth = np.array(labels)
    try:
        parts = split(truth, spare=True, seed=seed)
    except BadInput:
        return
    everything = np.concatenate([parts.train, parts.validation, parts.test, parts.spared])
    assert sorted(everything.tolist()) == list(range(len(labels)))
    assert not set(truth[parts.spared]) & set(truth[parts.train])
    assert set(truth[parts.test]) <= set(truth[parts.train])
