"""Every fault that is planted is found, with its cause; each in one architecture here, in all of them in the bench."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import graft_faults
from bench.graft_faults import PLANTED, Case
from workers.merging import rules
from workers.merging.opened import judge_folders
from workers.merging.records import Level, Report, Verdict


def judged(case: Case, kind: str, root: Path) -> Report:
    scene = graft_faults.scene(kind, root, seed=3)
    case.plant(scene)
    scene.write()
    config = rules.check(rules.read(scene.config)) if scene.config else None
    return judge_folders(scene.folders, forebears=scene.forebears, others=scene.others, config=config)


@pytest.mark.parametrize(
    ("case", "kind"),
    [
        pytest.param(c, c.kinds[i % len(c.kinds)], id=f"{c.name}, {c.kinds[i % len(c.kinds)]}")
        for i, c in enumerate(PLANTED)
    ],
)
def test_a_planted_fault_is_found_with_its_cause(case: Case, kind: str, tmp_path: Path) -> None:
    report = judged(case, kind, tmp_path)
    found = [fault for fault in report.faults if fault.code in case.codes]
    assert found, [(fault.code, fault.cause) for fault in report.faults]
    assert found[0].cause
    assert found[0].mend
    assert found[0].compared
    if found[0].level is not Level.NOTE:
        assert report.verdict is not Verdict.MERGEABLE
        assert report.headline


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "gpt2", "bert"])
def test_two_fine_tunes_of_one_base_are_mergeable_without_a_warning(kind: str, tmp_path: Path) -> None:
    scene = graft_faults.scene(kind, tmp_path)
    scene.write()
    report = judge_folders(scene.folders, forebears=scene.forebears, others=scene.others)
    assert (report.verdict, report.faults) == (Verdict.MERGEABLE, ())
    assert report.ancestor.how == "both"
    assert report.ancestor.name == "x/base"
    assert report.recipe is not None
    assert report.recipe.method == "task_arithmetic"
