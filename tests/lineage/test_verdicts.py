"""Verdicts on declared edges, with relatives and strangers made by the rules that real ones follow."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import models
from tests.support.models import Model
from workers.lineage.records import Kinship, Relation, Standing
from workers.lineage.verdicts import Known, judge, judge_edge
from workers.weights.sketches import Sketch, loads
from workers.weights.sketching import Arrays, sketch

BASE = models.grow(1)


def drawn(model: Model, dtype: str = "F32") -> Sketch:
    """Its sketch, by way of the stored form."""
    return loads(sketch(Arrays(model, dtype)).dumps())


def test_a_fine_tune_is_confirmed_and_a_stranger_of_the_same_shape_contradicted() -> None:
    child = drawn(models.tune(BASE, 2))
    verdict = judge_edge(child, drawn(BASE), Relation.FINETUNE)
    assert (verdict.verdict, verdict.kinship) == (Standing.CONFIRMED, Kinship.FINETUNE)
    assert verdict.figures["similarity"] > 0.98
    assert [layer.label for layer in verdict.layers] == ["embeddings", "0", "1", "2", "head"]
    other = judge_edge(child, drawn(models.grow(3)), Relation.FINETUNE)
    assert (other.verdict, other.kinship, other.reason) == (Standing.CONTRADICTED, Kinship.UNRELATED, "unrelated")


def test_long_training_still_shows_the_parent() -> None:
    verdict = judge_edge(drawn(models.tune(BASE, 2, by=2.0)), drawn(BASE))
    assert 0.2 < verdict.figures["similarity"] < 0.7
    assert verdict.verdict is Standing.CONFIRMED


@pytest.mark.parametrize("what", ["norms", "positions", "a zero head"])
def test_what_strangers_have_in_common_makes_no_relatives(what: str) -> None:
    names = {"norms": "norm", "positions": "positions", "a zero head": "score"}
    some = {k: v for k, v in models.grow(1, labels=9).items() if names[what] in k}
    other = {k: v for k, v in models.grow(2, labels=9).items() if names[what] in k}
    assert judge_edge(drawn(some), drawn(other)).verdict is Standing.CANNOT_TELL


def test_a_new_head_and_a_larger_vocabulary_do_not_hide_the_parent() -> None:
    child = models.tune(BASE, 2)
    del child["lm_head.weight"]
    child["score.weight"] = np.random.default_rng(0).standard_normal((5, models.WIDTH)).astype(np.float32)
    child["model.embed_tokens.weight"] = np.concatenate(
        [child["model.embed_tokens.weight"], np.ones((9, models.WIDTH))]
    )
    assert judge_edge(drawn(child), drawn(BASE)).verdict is Standing.CONFIRMED


@pytest.mark.parametrize("prefix", ["model.", ""])
def test_prefixes_that_come_and_go_do_not_hide_the_parent(prefix: str) -> None:
    child = {prefix + k.removeprefix("model.") if "lm_head" not in k else k: v for k, v in models.tune(BASE, 2).items()}
    child = {("wrapped." + k if prefix else k): v for k, v in child.items()}
    verdict = judge_edge(drawn(child), drawn(BASE))
    assert verdict.verdict is Standing.CONFIRMED
    assert verdict.figures["tensors"] >= 19


def test_a_transposed_layout_is_seen_through() -> None:
    child = {k: (v.T.copy() if v.ndim == 2 and "layers" in k else v) for k, v in models.tune(BASE, 2).items()}
    verdict = judge_edge(drawn(child), drawn(BASE))
    assert verdict.verdict is Standing.CONFIRMED
    assert verdict.figures["alike"] == 1


def test_the_same_weights_in_fewer_bits_are_the_same_weights() -> None:
    rounded = {k: models.bf16(v) for k, v in BASE.items()}
    assert judge_edge(drawn(rounded, "BF16"), drawn(BASE)).kinship is Kinship.SAME_WEIGHTS
    assert judge_edge(drawn(BASE), drawn(dict(BASE))).kinship is Kinship.SAME_WEIGHTS
    assert judge_edge(drawn(models.tune(rounded, 3, by=0.02)), drawn(BASE)).kinship is Kinship.FINETUNE


def test_quantized_copies_are_told_from_fine_tunes() -> None:
    packed: dict[str, np.ndarray] = {}
    kinds: dict[str, str] = {}
    dequantized: Model = {}
    for name, values in BASE.items():
        packed[name] = dequantized[name] = values
        if values.ndim == 2 and "layers" in name:
            whole, scale = models.int8(values)
            packed[name], packed[f"{name}_scale"] = whole, scale
            kinds[name] = "I8"
            dequantized[name] = whole.astype(np.float32) * scale[:, None]
    for model, kind in ((packed, kinds), (dequantized, {})):
        child = loads(sketch(Arrays(model, kind)).dumps())
        verdict = judge_edge(child, drawn(BASE), Relation.QUANTIZED)
        assert (verdict.verdict, verdict.kinship) == (Standing.CONFIRMED, Kinship.QUANTIZED), verdict
    tuned = judge_edge(drawn(models.tune(BASE, 2, by=0.01)), drawn(BASE), Relation.QUANTIZED)
    assert tuned.kinship is Kinship.FINETUNE


def test_a_sibling_that_is_declared_as_parent_is_contradicted_and_the_parent_named() -> None:
    sibling, child = models.tune(BASE, 2), models.tune(BASE, 3)
    root = Known("root", drawn(BASE), before=frozenset({"sibling"}))
    verdict = judge(drawn(child), {"sibling": (drawn(sibling), Relation.FINETUNE)}, [root])["sibling"]
    assert (verdict.verdict, verdict.reason, verdict.likelier) == (Standing.CONTRADICTED, "branched_before", "root")
    assert abs(verdict.figures["hold"]) < 0.2


def test_siblings_and_cousins_do_not_make_a_true_parent_doubtful() -> None:
    parent = models.tune(BASE, 2)
    child = models.tune(parent, 3, by=0.4)
    others = [
        Known("root", drawn(BASE), before=frozenset({"parent"})),
        Known("sibling", drawn(models.tune(parent, 4))),
        Known("uncle", drawn(models.tune(BASE, 5)), beside=frozenset({"parent"})),
        Known("grandchild", drawn(models.tune(child, 6, by=0.01)), older=False),
        Known("stranger", drawn(models.grow(9))),
    ]
    verdict = judge(drawn(child), {"parent": (drawn(parent), Relation.FINETUNE)}, others)["parent"]
    assert (verdict.verdict, verdict.likelier) == (Standing.CONFIRMED, "")


def test_of_a_grandparent_it_is_said_who_stands_nearer() -> None:
    parent = models.tune(BASE, 2)
    verdict = judge(
        drawn(models.tune(parent, 3)),
        {"root": (drawn(BASE), Relation.FINETUNE)},
        [Known("parent", drawn(parent))],
    )["root"]
    assert (verdict.verdict, verdict.reason, verdict.likelier) == (Standing.CONFIRMED, "by_way_of", "parent")
    assert verdict.kinship is Kinship.FINETUNE


def test_a_wrong_base_is_contradicted_and_the_right_one_named() -> None:
    child = drawn(models.tune(BASE, 2))
    others = [Known("right", drawn(BASE)), Known("stranger", drawn(models.grow(8)))]
    verdict = judge(child, {"wrong": (drawn(models.grow(7)), Relation.FINETUNE)}, others)["wrong"]
    assert (verdict.verdict, verdict.likelier) == (Standing.CONTRADICTED, "right")


def test_parents_of_a_merge_are_told_from_a_sibling_that_had_no_part() -> None:
    family = {key: models.tune(BASE, seed, by=0.2) for key, seed in (("a", 2), ("b", 3), ("c", 4))}
    child = models.mixed({"a": 0.6, "b": 0.4}, family)
    root = Known("root", drawn(BASE), before=frozenset("abc"))
    declared = {key: (drawn(model), Relation.MERGE) for key, model in family.items()}
    found = judge(drawn(child), declared, [root])
    assert {key: v.verdict.value for key, v in found.items()} == {
        "a": "confirmed", "b": "confirmed", "c": "contradicted",
    }  # fmt: skip
    assert found["a"].kinship is Kinship.MERGE
    assert found["a"].figures["weight"] == pytest.approx(0.6, abs=0.02)


def test_a_merge_that_keeps_the_largest_changes_alone_is_confirmed_too() -> None:
    family = {key: models.tune(BASE, seed, by=0.2) for key, seed in (("a", 2), ("b", 3))}
    child: Model = {}
    for name, base in BASE.items():
        change = np.stack([family[key][name] - base for key in family])
        floor = np.quantile(np.abs(change).reshape(2, -1), 0.5, axis=1).reshape(2, *[1] * base.ndim)
        kept = np.where(np.abs(change) >= floor, change, 0)
        sign = np.sign(kept.sum(axis=0))
        agree = np.where(np.sign(kept) == sign, kept, 0)
        child[name] = (base + agree.sum(axis=0) / np.maximum(1, (agree != 0).sum(axis=0))).astype(np.float32)
    root = Known("root", drawn(BASE), before=frozenset("ab"))
    found = judge(drawn(child), {key: (drawn(m), Relation.MERGE) for key, m in family.items()}, [root])
    assert {v.verdict for v in found.values()} == {Standing.CONFIRMED}


def test_the_base_that_task_vectors_were_added_to_is_no_stranger_to_the_merge() -> None:
    family = {key: models.tune(BASE, seed, by=0.2) for key, seed in (("a", 2), ("b", 3))} | {"base": BASE}
    child = models.mixed({"a": 0.7, "b": 0.7, "base": -0.4}, family)
    declared = {key: (drawn(model), Relation.MERGE) for key, model in family.items()}
    found = judge(drawn(child), declared, bases=frozenset({"base"}))
    assert {key: v.reason for key, v in found.items()} == {"a": "in_hull", "b": "in_hull", "base": "base_of_mix"}
    assert {v.verdict for v in found.values()} == {Standing.CONFIRMED}


def test_a_copy_with_its_channels_permuted_is_not_called_a_stranger() -> None:
    order = np.random.default_rng(0).permutation(models.WIDTH)
    child: Model = {}
    for name, values in BASE.items():
        permuted = values
        if values.ndim == 1 and len(values) == models.WIDTH:
            permuted = values[order]
        elif values.ndim == 2 and values.shape[1] == models.WIDTH:
            permuted = values[:, order]
        if values.ndim == 2 and values.shape[0] == models.WIDTH and ("o_proj" in name or "down" in name):
            permuted = permuted[order]
        child[name] = permuted
    verdict = judge_edge(drawn(child), drawn(BASE))
    assert (verdict.verdict, verdict.reason) == (Standing.CANNOT_TELL, "rearranged")


def test_a_child_with_every_other_layer_taken_out_is_confirmed() -> None:
    deep = models.grow(1, layers=8)
    child = {k: v for k, v in models.tune(deep, 2).items() if "layers" not in k}
    for name, values in models.tune(deep, 2).items():
        if "layers." in name and int(name.split(".")[2]) % 2 == 0:
            child[name.replace(f".{name.split('.')[2]}.", f".{int(name.split('.')[2]) // 2}.", 1)] = values
    verdict = judge_edge(drawn(child), drawn(deep))
    assert verdict.verdict is Standing.CONFIRMED


def test_models_that_share_a_frozen_tower_are_not_called_parent_and_child() -> None:
    tower = {k.replace("model.", "vision."): v for k, v in models.grow(5).items() if "layers" in k}
    one, other = models.grow(1) | tower, models.grow(2) | tower
    verdict = judge_edge(drawn(one), drawn(other))
    assert (verdict.verdict, verdict.reason) == (Standing.CANNOT_TELL, "part_related")


def test_numbers_that_are_none_and_empty_models_end_in_cannot_tell() -> None:
    broken = {k: np.full_like(v, np.nan) for k, v in BASE.items()}
    for model in (broken, {"x.weight": np.ones((3, 3), np.float32)}, {}):
        assert judge_edge(drawn(model), drawn(BASE)).verdict is Standing.CANNOT_TELL


# --- adapters -------------------------------------------------------------------------------------------------------
def test_an_adapter_fits_the_base_that_shaped_it_and_no_other() -> None:
    adapter, other = drawn(models.lean(BASE, 5)), drawn(models.grow(2))
    right = judge(adapter, {"base": (drawn(BASE), Relation.ADAPTER)}, [Known("other", other)])["base"]
    assert (right.verdict, right.kinship) == (Standing.CONFIRMED, Kinship.ADAPTER)
    wrong = judge(adapter, {"other": (other, Relation.ADAPTER)})["other"]
    assert wrong.verdict is Standing.CANNOT_TELL
    named = judge(adapter, {"other": (other, Relation.ADAPTER)}, [Known("base", drawn(BASE))])["other"]
    assert (named.verdict, named.likelier) == (Standing.CONTRADICTED, "base")


def test_an_adapter_fits_its_bases_fine_tune_as_well_so_only_the_named_one_is_confirmed() -> None:
    adapter, tuned = drawn(models.lean(BASE, 5)), drawn(models.tune(BASE, 6))
    relatives = [Known("tuned", tuned)]
    assert judge(adapter, {"base": (drawn(BASE), Relation.ADAPTER)}, relatives)["base"].verdict is Standing.CONFIRMED
    asked = judge(adapter, {"tuned": (tuned, Relation.ADAPTER)}, named=frozenset())["tuned"]
    assert (asked.verdict, asked.reason) == (Standing.CANNOT_TELL, "fits_unnamed")


def test_an_adapter_that_cannot_be_put_on_its_base_is_contradicted() -> None:
    verdict = judge(drawn(models.lean(BASE, 5)), {"base": (drawn(models.grow(1, width=64)), Relation.ADAPTER)})["base"]
    assert (verdict.verdict, verdict.reason) == (Standing.CONTRADICTED, "adapter_shapes")


def test_an_adapter_of_noise_says_nothing() -> None:
    rng = np.random.default_rng(1)
    noise = {k: rng.standard_normal(v.shape).astype(np.float32) for k, v in models.lean(BASE, 5).items()}
    assert judge(drawn(noise), {"base": (drawn(BASE), Relation.ADAPTER)})["base"].verdict is Standing.CANNOT_TELL
