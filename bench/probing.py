"""Experts on grown trees: what adapters were trained on, told from their weights.

Three trees of single-concept adapters, one for each seed, grown (or taken from ``.bench/``) as samplehub does. Of each,
six adapters of 108 concepts are fitted to, one of each is for validation, four are the test; 36 concepts are seen by
nobody. Every adapter has pictures, initial tensors and a learning rate of its own, so nothing of a test model was in
training but its base. Each method is fitted to the same models with the same texts ("a photo of a …").
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bench import Bench
from workers.probing.calibration import calibration_error
from workers.probing.dense import Dense
from workers.probing.experts import Expert, route
from workers.probing.multiview import MultiView
from workers.probing.prober import Prober, top1
from workers.probing.probex import ProbeX
from workers.probing.records import ReadingState
from workers.probing.stacks import Floats, Layer, Stack, Update
from workers.probing.statnn import StatNN

SEEDS = (0, 1, 2)
CACHE = Path(__file__).resolve().parent.parent / ".bench"
COUNTS = {
    "full": {"train": 6, "val": 1, "test": 4, "unseen": 6},
    "small": {"train": 2, "val": 1, "test": 1, "unseen": 1},
}
FOREIGN = 200  # models of each other tree
ROUTED = 200  # models of each tree that the router is asked about


@dataclass
class Tree:
    """One zoo, split. ``labels`` index ``seen``; those of unseen concepts mean nothing."""

    stack: Stack
    concept: np.ndarray
    labels: np.ndarray
    parts: dict[str, np.ndarray]
    seen: np.ndarray
    unseen: np.ndarray
    texts: Floats
    scores: dict[str, tuple[float, float]] = field(default_factory=dict)

    def part(self, name: str) -> tuple[Stack, np.ndarray]:
        return self.stack.take(self.parts[name]), self.labels[self.parts[name]]


def main() -> int:
    bench = Bench("probing")
    parser = bench.parser(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=0, help="how many trees (default: 3; small: 2)")
    arguments = parser.parse_args()
    bench.begin(arguments)
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    count = arguments.seeds or (2 if bench.small else len(SEEDS))
    trees = [grown(seed, bench) for seed in SEEDS[:count]]
    experts, seconds = [], []
    for number, tree in enumerate(trees):
        for make in peers(bench.small):
            measure(tree, make(number), bench)
        expert, took = expert_of(tree, number, bench)
        experts.append(expert)
        seconds.append(round(took, 1))
    compare(trees, bench)
    refusals(trees, experts, bench)
    calibrated(trees, experts, bench)
    bench.figure(f"s, an expert on {len(trees[0].parts['train'])} models", max(seconds), "<= 90", all=seconds)
    return bench.close()


def peers(small: bool) -> list[Callable[[int], Prober]]:
    """ProbeX with its published settings for text; the small size only shows that everything runs."""
    if small:
        return [
            lambda seed: StatNN(epochs=10, seed=seed),
            lambda seed: Dense(epochs=5, search_epochs=2, seed=seed),
            lambda seed: ProbeX(probes=16, projection=16, dim=64, epochs=10, search_epochs=2, seed=seed),
        ]
    return [
        lambda seed: StatNN(seed=seed),
        lambda seed: Dense(seed=seed),
        lambda seed: ProbeX(seed=seed),
    ]


# --- trees ----------------------------------------------------------------------------------------------------------
def grown(seed: int, bench: Bench) -> Tree:
    """The tree of this seed, kept from the last time or grown now."""
    from samplehub.zoo.concepts import grow_concepts
    from workers.searching.encoding import encoder

    counts = COUNTS["small" if bench.small else "full"]
    concepts = range(0, 144, 6) if bench.small else range(144)
    path = CACHE / f"concepts-{seed}-{'-'.join(map(str, counts.values()))}-{len(concepts)}.npz"
    if not path.is_file():
        started = time.monotonic()
        zoo = grow_concepts(seed, **counts, concepts=concepts)
        CACHE.mkdir(exist_ok=True)
        zoo.save(path.with_suffix(".part.npz"))
        path.with_suffix(".part.npz").replace(path)
        bench.say(f"tree {seed}: {len(zoo):,} adapters grown in {time.monotonic() - started:.0f} s")
    with np.load(path) as kept:
        layers = tuple(Layer(str(n), b=kept[f"B.{n}"], a=kept[f"A.{n}"]) for n in kept["layers"])
        concept, split, words = kept["concept"], kept["split"], [str(text) for text in kept["texts"]]
    seen, unseen = np.unique(concept[split == "train"]), np.unique(concept[split == "unseen"])
    return Tree(
        stack=Stack(layers),
        concept=concept,
        labels=np.searchsorted(seen, concept),
        parts={str(name): np.flatnonzero(split == name) for name in np.unique(split)},
        seen=seen,
        unseen=unseen,
        texts=encoder().encode(words),
    )


# --- methods --------------------------------------------------------------------------------------------------------
def measure(tree: Tree, probe: Prober, bench: Bench) -> None:
    """Top-1 of seen concepts on other models, and of unseen ones by their texts."""
    started = time.monotonic()
    models, labels = tree.part("train")
    probe.fit(models, labels, texts=tree.texts[tree.seen], validation=tree.part("val"))
    judge(tree, probe, time.monotonic() - started, bench)


def judge(tree: Tree, probe: Prober, seconds: float, bench: Bench) -> None:
    """The same of a method that is fitted."""
    others, truth = tree.part("test")
    seen = top1(probe.scores(others), truth)
    strange = tree.parts["unseen"]
    said = probe.embed(tree.stack.take(strange)) @ probe.text_map_(tree.texts[tree.unseen]).T
    zero = float(np.mean(tree.unseen[said.argmax(1)] == tree.concept[strange]))
    tree.scores[probe.method] = (seen, zero)
    where = probe.layers_[0] if len(probe.layers_) == 1 else f"{len(probe.layers_)} layers"
    bench.say(f"  {probe.method:10} seen {seen:.3f}  zero-shot {zero:.3f}  {seconds:5.1f} s  {where}")


def expert_of(tree: Tree, seed: int, bench: Bench) -> tuple[Expert, float]:
    """Ours with its calibration, limits and router, as a job trains it; and the seconds that took."""
    started = time.monotonic()
    models, labels = tree.part("train")
    probe = MultiView(seed=seed, epochs=5) if bench.small else MultiView(seed=seed)
    expert = Expert(probe, tuple(map(str, tree.seen)), text_digest="bench")
    expert.fit(models, labels, validation=tree.part("val"), texts=tree.texts[tree.seen])
    seconds = time.monotonic() - started
    judge(tree, probe, seconds, bench)
    return expert, seconds


def compare(trees: list[Tree], bench: Bench) -> None:
    """Means over the trees, ours beside ProbeX."""
    table = {name: np.array([tree.scores[name] for tree in trees]) for name in trees[0].scores}
    for name, rows in table.items():
        mean, spread = rows.mean(0), rows.std(0, ddof=1) if len(rows) > 1 else rows[0] * 0
        bench.say(f"{name:10} seen {mean[0]:.3f} ± {spread[0]:.3f}   zero-shot {mean[1]:.3f} ± {spread[1]:.3f}")
    ours, peer = table["multiview"], table["probex"]
    more: dict[str, Any] = {name: rows.round(4).tolist() for name, rows in table.items()}
    bench.figure("ProbeX, seen", peer[:, 0].mean(), ">= 0.45", "below it the run is void", **more)
    bench.figure("ProbeX, zero-shot", peer[:, 1].mean(), ">= 0.55", "below it the run is void")
    bench.figure("ours over ProbeX, seen", (ours - peer)[:, 0].mean(), ">= 0.10", f"ours {ours[:, 0].mean():.3f}")
    bench.figure("ours over ProbeX, zero-shot", (ours - peer)[:, 1].mean(), ">= 0.10")
    bench.figure("ours, zero-shot", ours[:, 1].mean(), ">= 0.75", sd=float(ours[:, 1].std()))


# --- abstaining, routing, calibration -------------------------------------------------------------------------------
def refusals(trees: list[Tree], experts: list[Expert], bench: Bench) -> None:
    """Models of other trees, alike in every shape, are to be refused while the tree's own are answered; and each model
    is to be sent to its own tree's expert.
    """
    dice = np.random.default_rng(0)
    refused, answered, right = [], [], []
    for k, (tree, expert) in enumerate(zip(trees, experts, strict=True)):
        answered += [a.state == ReadingState.ANSWERED for a in expert.ask_stack(tree.part("test")[0])]
        for other in trees[:k] + trees[k + 1 :]:
            some = dice.permutation(len(other.stack))[:FOREIGN]
            refused += [a.state == ReadingState.ABSTAINED for a in expert.ask_stack(other.stack.take(some))]
        for place in dice.permutation(np.concatenate([tree.parts["test"], tree.parts["unseen"]]))[:ROUTED]:
            model = {la.name: Update(la.factors[0][place], la.factors[1][place]) for la in tree.stack.layers}
            right.append(route(experts, model) == k)
    bench.figure("router right", float(np.mean(right)), ">= 1.0", f"of {len(right):,} models, seen and unseen concepts")
    bench.figure("foreign models refused", float(np.mean(refused)), ">= 0.99", f"of {len(refused):,}")
    bench.figure("own models answered", float(np.mean(answered)), ">= 0.90", f"of {len(answered):,}")


def calibrated(trees: list[Tree], experts: list[Expert], bench: Bench) -> None:
    """The calibration error of first guesses on test models, all trees together, and how often they are right."""
    confidence, right = [], []
    for tree, expert in zip(trees, experts, strict=True):
        models, labels = tree.part("test")
        proba = expert.probabilities(models)
        confidence.append(proba.max(1))
        right.append(proba.argmax(1) == labels)
    sure, hits = np.concatenate(confidence), np.concatenate(right)
    error = calibration_error(sure, hits)
    bench.figure(
        "calibration error, 15 bins", error, "<= 0.05", f"accuracy {hits.mean():.3f}", accuracy=float(hits.mean())
    )


if __name__ == "__main__":
    sys.exit(main())
