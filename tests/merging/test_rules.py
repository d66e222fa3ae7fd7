"""What holds for any input: nothing raises, recipes pass our own check, samples are the same in every model."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import graft_faults, grafts
from workers.errors import BadRequest
from workers.merging import facts, rules, samples, statistics
from workers.merging import settings as merge_settings
from workers.merging.opened import judge_folders
from workers.merging.records import Candidate, Forebear, Level, Report, Sampling, Verdict
from workers.merging.tokens import padding_of, shared
from workers.weights.records import Inspection, State

KEYS = [
    "models", "slices", "modules", "merge_method", "base_model", "dtype", "parameters", "tokenizer", "tokenizer_source",
    "chat_template", "weight", "density", "t", "filter", "value", "model", "sources", "layer_range", "normalize",
    "source",
]  # fmt: skip
WORDS = st.sampled_from([*KEYS, "ties", "slerp", "linear", "della", "a/b", "a/b+c/d", "base", "union", "float16", ""])
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=True) | WORDS | st.text(max_size=4)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
CONFIG_KEYS = [
    "architectures", "model_type", "hidden_size", "num_hidden_layers", "rope_theta", "rope_scaling", "rope_parameters",
    "text_config", "vision_config", "id2label", "eos_token_id", "sliding_window", "tie_word_embeddings", "torch_dtype",
    "attention_bias", "layer_types", "something_else", "n_embd",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(KEYS), TREES, max_size=6))
@settings(max_examples=60)
def test_any_configuration_is_looked_through(config: dict[str, Any]) -> None:
    checked = rules.check(config)
    assert all(fault.cause and fault.mend and fault.code.startswith("config.") for fault in checked.faults)


@given(st.lists(st.dictionaries(st.sampled_from(CONFIG_KEYS), TREES, max_size=8), min_size=2, max_size=3))
@settings(max_examples=60)
def test_any_two_configurations_of_models_are_compared(configs: list[dict[str, Any]]) -> None:
    found = [Candidate(f"m/{i}", Inspection(f"m/{i}", "r", State.READ, config=c)) for i, c in enumerate(configs)]
    merge_settings.judge(found, {c.name: facts.facts_of(c) for c in found})
    assert isinstance(rules.judge(found), Report)
    same = [Candidate(f"m/{i}", Inspection(f"m/{i}", "r", State.READ, config=configs[0])) for i in range(2)]
    assert merge_settings.judge(same, {c.name: facts.facts_of(c) for c in same}) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x 1\nb: *x\n", "aliases"),
        ("merge_method: ties\nmerge_method: linear\n", "given twice"),
        ("- a\n", "no mapping"),
        ("a: [", "line"),
        ("a: !!python/object/apply:os.system [ls]\n", "constructor"),
        ("# " + "x" * 70_000, "64 kB"),
    ],
)
def test_a_configuration_that_is_none_is_refused_with_its_place(text: str, words: str) -> None:
    with pytest.raises(BadRequest, match=words):
        rules.read(text)


@pytest.mark.parametrize("method", rules.OFFERED)
@pytest.mark.parametrize("kind", ["llama", "gpt2", "bert"])
def test_every_recipe_passes_our_own_check(method: str, kind: str, tmp_path: Path) -> None:
    scene = graft_faults.scene(kind, tmp_path)
    scene.write()
    report = judge_folders(scene.folders, forebears=scene.forebears, others=scene.others, method=method)
    assert report.recipe is not None
    assert report.recipe.method == method
    checked = rules.check(rules.read(report.recipe.yaml))
    assert checked.method == method
    assert [fault for fault in checked.faults if fault.level is not Level.NOTE] == []
    again = judge_folders(scene.folders, forebears=scene.forebears, others=scene.others, config=checked)
    assert again.verdict is Verdict.MERGEABLE, [fault.cause for fault in again.faults]


def test_what_a_recipe_mends_is_mended_in_its_own_judgement(tmp_path: Path) -> None:
    """Ids permuted, added tokens, other templates: with the recipe as configuration nothing is left to mend."""
    wanted = {"token ids permuted at equal size", "added tokens", "chat templates", "special tokens", "number types"}
    for i, case in enumerate(case for case in graft_faults.PLANTED if case.name in wanted):
        scene = graft_faults.scene("llama", tmp_path / str(i), seed=i)
        case.plant(scene)
        scene.write()
        first = judge_folders(scene.folders, forebears=scene.forebears, others=scene.others)
        assert first.verdict is Verdict.AFTER
        assert first.recipe is not None
        config = rules.check(rules.read(first.recipe.yaml))
        after = judge_folders(scene.folders, forebears=scene.forebears, others=scene.others, config=config)
        left = [fault.code for fault in after.of_level(Level.MEND, Level.STOP)]
        assert left == [], (case.name, first.recipe.yaml)


@given(
    st.dictionaries(
        st.from_regex(r"layers\.[0-9]\.[a-z]{1,3}\.weight", fullmatch=True),
        st.lists(st.integers(1, 64), min_size=1, max_size=3).map(tuple),
        max_size=12,
    ),
    st.integers(1, 4096),
)
def test_a_sample_lies_within_its_tensors_and_its_budget(shapes: dict[str, tuple[int, ...]], budget: int) -> None:
    runs = samples.sample(shapes, budget=budget)
    assert runs == samples.sample(dict(reversed(shapes.items())), budget=budget)[::-1]
    assert all(0 <= run.start < run.stop <= run.shape[0] for run in runs)
    big = [run for run in runs if run.matrix and run.stop - run.start > 1]
    assert 2 * sum(run.count for run in big) <= budget
    every = list(samples.everything(shapes, room=100))
    assert sum(run.count for run in every) == sum(prod(shape) for shape in shapes.values())


def test_conflicts_are_counted_among_the_largest_fifth_of_both() -> None:
    changes = np.zeros((2, 100), np.float32)
    changes[:, :20] = 1.0
    changes[1, :5] = -1.0
    changes[0, 50] = 0.1
    kept, opposed = statistics.conflicts(changes, [(0, 1)])
    assert (kept[0], opposed[0]) == (20, 5)


def test_a_sample_tells_what_everything_tells(tmp_path: Path) -> None:
    base = grafts.llama(1, hidden=128, middle=256)
    folders = {f"x/{i}": base.tuned(i + 2, 0.3).write(tmp_path / str(i)) for i in range(2)}
    others = {"x/base": base.write(tmp_path / "base")}
    known = dict.fromkeys(folders, (Forebear("x/base", 1, "finetune"),))
    full = judge_folders(folders, forebears=known, others=others, full=True).sampling
    assert full is not None
    part = statistics.compare(*_opened(folders, others), base="x/base", below=_opened(others)[0], budget=60_000)
    assert full.share == 1.0
    assert part.share < 0.2
    for attribute in ("weights", "tasks", "conflict"):
        assert getattr(part.pairs[0], attribute) == pytest.approx(getattr(full.pairs[0], attribute), abs=0.05)
    assert part.pairs[0].distance == pytest.approx(full.pairs[0].distance, rel=0.1)
    assert part.changes["x/0"] == pytest.approx(full.changes["x/0"], rel=0.1)
    assert Sampling.of(part.as_json()) == part


def _opened(*folders: dict[str, Path]) -> tuple[dict[str, Any]]:
    from workers.weights.opening import open_weights
    from workers.weights.reading import LocalSource

    return ({name: open_weights(LocalSource(path)) for name, path in folders[0].items()},)


def test_padding_is_recognised_and_sketches_estimate_what_is_shared() -> None:
    assert padding_of(152_064, 151_665) == 512
    assert padding_of(200, 200) is None
    assert shared((1, 2, 3, 4), (1, 2, 3, 4)) == 1.0
    assert shared((1, 2), (3, 4)) == 0.0
