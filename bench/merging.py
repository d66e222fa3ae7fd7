"""Merge verdicts on tiny models of true architectures: planted faults, clean pairs, and mergekit run on the recipes.

Every fault of the table is planted in each architecture in which it exists, from three seeds, and has to be found under
its own cause. Clean pairs are fine-tunes of one base, near and far, of two generations, adapters of one base: none may
be refused or warned of. With ``ROOTSTOCK_MERGEKIT`` (the path of mergekit-yaml 0.1.5 in an environment of its own) the
recipes are run, and what comes out is held against what they say.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from bench import Bench, graft_faults, grafts
from bench.graft_faults import PLANTED, Case
from workers.merging import rules
from workers.merging.opened import judge_folders
from workers.merging.records import Forebear, Level, Report, Verdict

KINDS = ("llama", "qwen2", "gpt2", "bert", "mistral")
SEEDS = {"full": 3, "small": 1}
CLEAN = 40
METHODS = rules.OFFERED
CLOSE = 2e-3  # of a merged number: weights in a recipe are written with two digits, tensors in float32


def main() -> int:
    bench = Bench("merging")
    parser = bench.parser(__doc__ or "")
    parser.add_argument("--mergekit", default=os.environ.get("ROOTSTOCK_MERGEKIT", ""), help="path of mergekit-yaml")
    arguments = parser.parse_args()
    bench.begin(arguments)
    _faults(bench, SEEDS[arguments.size])
    _clean(bench, SEEDS[arguments.size])
    if arguments.mergekit:
        _recipes(bench, arguments.mergekit, KINDS[:2] if bench.small else KINDS)
    else:
        bench.say("  not run: recipes through mergekit (give --mergekit PATH or ROOTSTOCK_MERGEKIT)")
    return bench.close()


def judged(case: Case, kind: str, root: Path, seed: int) -> Report:
    """One planted fault, judged."""
    scene = graft_faults.scene(kind, root, seed)
    case.plant(scene)
    scene.write()
    config = rules.check(rules.read(scene.config)) if scene.config else None
    return judge_folders(scene.folders, forebears=scene.forebears, others=scene.others, config=config)


def _faults(bench: Bench, seeds: int) -> None:
    shares, missed, times = [], [], []
    kinds: set[str] = set()
    for seed in range(seeds):
        found = total = 0
        for case in PLANTED:
            for kind in case.kinds:
                kinds.add(kind)
                with tempfile.TemporaryDirectory() as folder:
                    began = time.perf_counter()
                    report = judged(case, kind, Path(folder), 10 * seed)
                    times.append(time.perf_counter() - began)
                total += 1
                if any(report.has(code) for code in case.codes):
                    found += 1
                else:
                    missed.append(f"{case.name} ({kind}): {[fault.code for fault in report.faults]}")
        shares.append(found / total)
    for each in missed[:20]:
        bench.say(f"    missed: {each}")
    bench.figure(
        "faults found by their cause",
        statistics.mean(shares),
        ">= 1",
        f"{len(PLANTED)} faults, {len(kinds)} architectures, {seeds} seeds",
        sd=statistics.pstdev(shares),
        cases=len(PLANTED),
        judgements=len(times),
        architectures=len(kinds),
        median_seconds=round(statistics.median(times), 4),
    )


# --- clean pairs ----------------------------------------------------------------------------------------------------
Pair = tuple[dict[str, Path], dict[str, tuple[Forebear, ...]], dict[str, Path]]


def clean_pairs(root: Path, seed: int) -> list[tuple[str, Pair]]:
    """Forty merges that nothing speaks against."""
    makers: list[tuple[str, Callable[[str, Path, int], Pair]]] = [
        ("near fine-tunes", lambda kind, at, s: _siblings(kind, at, s, 0.01)),
        ("fine-tunes", lambda kind, at, s: _siblings(kind, at, s, 0.1)),
        ("far fine-tunes", lambda kind, at, s: _siblings(kind, at, s, 0.6)),
        ("in bfloat16", lambda kind, at, s: _siblings(kind, at, s, 0.1, "BF16")),
        ("in float16", lambda kind, at, s: _siblings(kind, at, s, 0.1, "F16")),
        ("three of one base", lambda kind, at, s: _siblings(kind, at, s, 0.1, count=3)),
        ("a base and its fine-tune", _parent),
        ("two generations", _generations),
    ]
    found = []
    for i in range(CLEAN):
        name, maker = makers[i % len(makers)]
        kind = KINDS[(i // len(makers)) % len(KINDS)]
        found.append((f"{name}, {kind}", maker(kind, root / str(i), 1000 * seed + i)))
    return found


def _siblings(kind: str, at: Path, seed: int, size: float, dtype: str = "F32", count: int = 2) -> Pair:
    base = grafts.KINDS[kind](seed)
    folders = {}
    for i in range(count):
        model = base.tuned(seed * 10 + i + 1, size)
        model.dtype = dtype
        folders[f"x/{i}"] = model.write(at / str(i))
    base.dtype = dtype
    return folders, dict.fromkeys(folders, graft_faults.BASE), {"x/base": base.write(at / "base")}


def _parent(kind: str, at: Path, seed: int) -> Pair:
    base = grafts.KINDS[kind](seed)
    folders = {"x/base": base.write(at / "base"), "x/child": base.tuned(seed + 1, 0.2).write(at / "child")}
    return folders, {"x/child": graft_faults.BASE}, {}


def _generations(kind: str, at: Path, seed: int) -> Pair:
    base = grafts.KINDS[kind](seed)
    middle = base.tuned(seed + 1, 0.1)
    folders = {
        "x/a": base.tuned(seed + 2, 0.1).write(at / "a"),
        "x/b": middle.tuned(seed + 3, 0.1).write(at / "b"),
    }
    forebears = {
        "x/a": graft_faults.BASE,
        "x/b": (Forebear("x/middle", 1, "finetune"), Forebear("x/base", 2, "finetune")),
    }
    return folders, forebears, {"x/base": base.write(at / "base"), "x/middle": middle.write(at / "middle")}


def _clean(bench: Bench, seeds: int) -> None:
    wrong = []
    count = 0
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            for name, (folders, forebears, others) in clean_pairs(Path(folder), seed):
                report = judge_folders(folders, forebears=forebears, others=others)
                count += 1
                if report.verdict is not Verdict.MERGEABLE or report.of_level(Level.STOP, Level.MEND, Level.UNKNOWN):
                    wrong.append(f"{name}: {report.headline}")
    for each in wrong[:20]:
        bench.say(f"    refused or warned of: {each}")
    bench.figure(
        "clean merges refused or warned of", len(wrong), "== 0", f"{count} merges, {CLEAN} a seed", merges=count
    )


# --- mergekit -------------------------------------------------------------------------------------------------------
def _recipes(bench: Bench, mergekit: str, kinds: tuple[str, ...]) -> None:
    """Run the four methods' recipes in each architecture; and those that mend a vocabulary."""
    ran = total = 0
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds:
            jobs: list[tuple[str, str, Callable[[graft_faults.Scene], None]]] = [
                (method, method, lambda scene: None) for method in METHODS
            ]
            if kind != "bert":
                jobs += [
                    (f"linear, {case.name}", "linear", case.plant)
                    for case in PLANTED
                    if case.name
                    in ("token ids permuted at equal size", "added tokens", "chat templates", "special tokens")
                    and kind in (*case.kinds, "mistral")
                ]
            for name, method, plant in jobs:
                total += 1
                problem = run_recipe(mergekit, kind, method, plant, Path(folder) / f"{kind}-{total}")
                ran += not problem
                bench.say(f"    {'ok  ' if not problem else 'FAIL'} {kind}, {name}{': ' + problem if problem else ''}")
    bench.figure("recipes that mergekit runs", ran / total, ">= 1", f"{total} recipes", recipes=total)


def run_recipe(mergekit: str, kind: str, method: str, plant: Callable[[graft_faults.Scene], None], root: Path) -> str:
    """What is wrong with a recipe's result, "" for nothing."""
    scene = graft_faults.scene(kind, root, seed=7)
    plant(scene)
    scene.write()
    names = {key: str(path) for key, path in {**scene.folders, **scene.others}.items()}
    base = (Forebear(names["x/base"], 1, "finetune"),)
    folders = {names[key]: names[key] for key in scene.folders}
    report = judge_folders(
        folders, forebears=dict.fromkeys(folders, base), others={names["x/base"]: names["x/base"]}, method=method
    )
    if report.recipe is None or report.recipe.method != method:
        return f"no recipe ({report.headline})"
    again = rules.check(rules.read(report.recipe.yaml))
    if [fault for fault in again.faults if fault.level is not Level.NOTE]:
        return f"our own check refuses it: {again.faults[0].cause}"
    written, out = root / "merge.yml", root / "out"
    written.write_text(report.recipe.yaml)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [mergekit, str(written), str(out), "--quiet"], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        return done.stderr.strip().splitlines()[-1][:300]
    return _held(scene, yaml.safe_load(report.recipe.yaml), out)


def _held(scene: graft_faults.Scene, recipe: dict[str, Any], out: Path) -> str:
    """Whether the result's tensors are what the recipe says, for methods that are a weighted sum."""
    from safetensors.numpy import load_file

    made: dict[str, Any] = {}
    for file in sorted(out.glob("*.safetensors")):
        made |= load_file(file)
    wanted = {}
    missing = [name for name in scene.a.tensors if name not in made]
    if missing:
        return f"{missing[0]} is missing"
    if any(not np.isfinite(tensor).all() for tensor in made.values()):
        return "it holds broken numbers"
    if "tokenizer" in recipe:
        return ""  # rows of the vocabulary have moved: their order is mergekit's
    weights = [model["parameters"]["weight"] for model in recipe["models"]] if recipe["merge_method"] != "slerp" else []
    for name, a in scene.a.tensors.items():
        b, zero = scene.b.tensors[name], scene.base.tensors[name]
        if recipe["merge_method"] == "linear":
            wanted[name] = (weights[0] * a + weights[1] * b) / sum(weights)
        elif recipe["merge_method"] == "task_arithmetic":
            wanted[name] = zero + weights[0] * (a - zero) + weights[1] * (b - zero)
    for name, tensor in wanted.items():
        if float(np.abs(made[name] - tensor).max()) > CLOSE:
            return f"{name} is not what the recipe says"
    return ""


if __name__ == "__main__":
    raise SystemExit(main())
