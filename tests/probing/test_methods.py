"""Each method learns what is planted, keeps what it learned, and does not look at how an update was factored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.probing import planted
from workers.errors import BadInput
from workers.probing.dense import Dense
from workers.probing.multiview import MultiView
from workers.probing.prober import Prober, top1
from workers.probing.probex import ProbeX
from workers.probing.stacks import Update, stack
from workers.probing.statnn import StatNN

SMALL: dict[str, Any] = {
    "statnn": lambda: StatNN(hidden=32, dim=16, epochs=20),
    "dense": lambda: Dense(dim=16, epochs=30, search_epochs=4, lr=1e-2),
    "probex": lambda: ProbeX(probes=16, projection=16, dim=32, epochs=30, search_epochs=4),
    "multiview": lambda: MultiView(probes=6, dim=16, epochs=10),
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def fitted(method: str, tree: planted.Planted, **more: Any) -> Prober:
    probe: Prober = SMALL[method]()
    return probe.fit(tree.stack.take(tree.train), tree.labels[tree.train], texts=tree.texts, **more)


@pytest.mark.parametrize(
    ("method", "full"), [("dense", False), ("probex", False), ("multiview", False), ("multiview", True)]
)
def test_it_learns(method: str, full: bool) -> None:
    tree = planted.tree(0, full=full)
    probe = fitted(method, tree)
    others = tree.stack.take(tree.test)
    assert top1(probe.scores(others), tree.labels[tree.test]) > 0.8
    said = probe.embed(others) @ probe.text_map_(tree.texts).T
    assert top1(said, tree.labels[tree.test]) > 0.7
    proba = probe.predict_proba(others)
    assert proba.shape == (len(others), 6)
    np.testing.assert_allclose(proba.sum(1), 1, atol=1e-5)
    assert (probe.predict(others) == proba.argmax(1)).all()


@pytest.mark.parametrize("method", sorted(SMALL))
def test_what_is_kept_answers_alike(method: str) -> None:
    tree = planted.tree(1, each=6)
    probe = fitted(method, tree)
    again = type(probe)(**probe.get_params()).restore(probe.state())
    np.testing.assert_allclose(again.scores(tree.stack), probe.scores(tree.stack), atol=1e-4)
    np.testing.assert_allclose(again.embed(tree.stack), probe.embed(tree.stack), atol=1e-4)
    np.testing.assert_allclose(again.text_map_(tree.texts), probe.text_map_(tree.texts), atol=1e-5)
    assert again.layers_ == probe.layers_
    assert not any(array.dtype == object for array in probe.state().values())


@pytest.mark.parametrize("method", sorted(SMALL))
def test_other_factors_of_the_same_updates_get_the_same_answer(method: str) -> None:
    tree = planted.tree(2, each=6)
    probe = fitted(method, tree)
    turned = planted.rebased(tree.stack, 5)
    np.testing.assert_allclose(probe.embed(turned), probe.embed(tree.stack), atol=5e-3)


def test_the_same_seed_gives_the_same_expert() -> None:
    tree = planted.tree(3, each=6)
    one, other = fitted("multiview", tree), fitted("multiview", tree)
    np.testing.assert_allclose(one.scores(tree.stack), other.scores(tree.stack), atol=1e-6)


def test_models_with_several_labels() -> None:
    tree = planted.tree(4, each=12)
    many = np.zeros((len(tree.labels), 6), np.float32)
    many[np.arange(len(many)), tree.labels] = 1
    many[:, 0] = np.maximum(many[:, 0], many[:, 1])  # who has label 1 has label 0 too
    probe = MultiView(probes=6, dim=16, epochs=10).fit(tree.stack.take(tree.train), many[tree.train])
    right = probe.predict(tree.stack.take(tree.test)) == many[tree.test]
    assert right.mean() > 0.85
    with pytest.raises(BadInput, match="without texts"):
        _ = probe.text_map_


def test_the_layer_is_chosen_on_validation() -> None:
    tree = planted.tree(5)
    blind = tree.stack.layers[0]
    noise = np.random.default_rng(0).standard_normal(blind.factors[0].shape).astype(np.float32)
    layers = (type(blind)(blind.name, b=noise, a=noise.transpose(0, 2, 1)[:, :, :16].copy()), *tree.stack.layers[1:])
    models = type(tree.stack)(layers)
    probe = ProbeX(probes=8, projection=8, dim=16, epochs=5, search_epochs=5).fit(
        models.take(tree.train),
        tree.labels[tree.train],
        texts=tree.texts,
        validation=(models.take(tree.test), tree.labels[tree.test]),
    )
    assert probe.layers_ != ("a",)
    assert probe.search_["a"] < max(probe.search_.values())


def test_a_fit_can_be_stopped() -> None:
    class Enough(Exception):
        pass

    shares: list[float] = []

    def beat(share: float) -> None:
        shares.append(share)
        if share > 0.5:
            raise Enough

    with pytest.raises(Enough):
        fitted("multiview", planted.tree(6, each=6), beat=beat)
    assert shares == sorted(shares)


@pytest.mark.parametrize(
    ("labels", "message"),
    [(np.zeros(60, int), "same label"), (np.arange(5), "each model needs one")],
)
def test_labels_that_make_no_sense_are_refused(labels: np.ndarray, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        MultiView().fit(planted.tree(0).stack, labels)


# --- stacks ---------------------------------------------------------------------------------------------------------
def test_adapters_of_different_ranks_are_stacked() -> None:
    dice = np.random.default_rng(0)
    updates = [
        {"q": Update(dice.standard_normal((5, r)).astype("f"), dice.standard_normal((r, 7)).astype("f"))}
        for r in (1, 4)
    ]
    both = stack(updates)
    for k, model in enumerate(updates):
        np.testing.assert_allclose(both.layers[0].dense()[k], model["q"].b @ model["q"].a, atol=1e-5)
    np.testing.assert_allclose(
        both.layers[0].norms(), [np.linalg.norm(m["q"].b @ m["q"].a) for m in updates], rtol=1e-4
    )


def test_an_adapter_that_leaves_a_layer_alone_has_a_zero_update_there() -> None:
    one = {"q": Update(np.ones((3, 1), "f"), np.ones((1, 2), "f"))}
    both = stack([one, {}], ["q"])
    assert both.layers[0].dense()[1].any() == np.False_


def test_weights_that_are_not_finite_are_refused() -> None:
    bad = np.ones((3, 2), "f")
    bad[1, 1] = np.nan
    with pytest.raises(BadInput, match="model 1 holds NaN"):
        stack([{"q": np.ones((3, 2), "f")}, {"q": bad}])


def test_convolutions_keep_their_outputs_apart() -> None:
    kernel = np.arange(2 * 3 * 2 * 2, dtype="f").reshape(2, 3, 2, 2)
    assert stack([{"c": kernel}]).layers[0].shape == (2, 12)
    np.testing.assert_array_equal(stack([{"c": kernel}]).layers[0].dense()[0, 1], kernel[1].ravel())
