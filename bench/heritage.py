"""Declared descent against the weights: true edges, false ones, and independent pairs, over forests of known descent.

Of each forest (vision transformers, convolutional nets, decoders; several trees of one shape each): every true edge,
judged as the verify job does, with the sketches of the family's earlier members at hand; as many false ones, with a
parent from another tree; and roots and fine-tunes of two trees of one shape. Beside these, how often a relative that is
no ancestor (a sibling, an uncle, a cousin, often trained on the same) passes for the parent. An adapter holds none of
its base's weights: those of a single layer say too little and are counted apart.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench import Bench

if TYPE_CHECKING:
    from samplehub.zoo.forest import Forest
    from workers.lineage.records import Verdict
    from workers.weights.sketches import Sketch

KINDS = ("vit", "decoder", "conv")
SEEDS = {"full": (0, 1, 2), "small": (0,)}
OTHERS = 12
MIXED = {"finetune": 1, "adapter": 2, "quantized": 3, "merge": 4, "copy": 5}


@dataclass
class Counts:
    """What came of the edges of one seed, by kind of edge: (confirmed, contradicted, cannot tell)."""

    true: Counter[tuple[str, str]] = field(default_factory=Counter)
    false: Counter[tuple[str, str]] = field(default_factory=Counter)
    inside: Counter[tuple[str, str]] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)

    def share(self, which: Counter[tuple[str, str]], verdict: str, without: tuple[str, ...] = ()) -> float:
        of = {key: n for key, n in which.items() if key[0] not in without}
        return sum(n for (_, said), n in of.items() if said == verdict) / max(1, sum(of.values()))


@dataclass
class Grove:
    """A forest with the sketches of its members, in order of their making."""

    forest: Forest
    sketches: dict[str, Sketch]
    order: dict[str, int]
    above: dict[str, set[str]]

    @classmethod
    def of(cls, forest: Forest) -> Grove:
        from workers.weights.sketches import loads
        from workers.weights.sketching import Arrays, sketch

        drawn, above = {}, {}
        for name, member in forest.members.items():
            dtypes = {n: _DTYPES[str(t.dtype).removeprefix("torch.")] for n, t in member.tensors.items()}
            drawn[name] = loads(sketch(Arrays(member.arrays(), dtypes)).dumps())
            above[name] = set(member.parents).union(*(above[p] for p in member.parents))
        return cls(forest, drawn, {name: at for at, name in enumerate(forest.members)}, above)

    def judge(self, child: str, parents: dict[str, int], named: frozenset[str] | None = None) -> dict[str, Verdict]:
        """As the job does: held against ancestors and the nearest earlier members of the same architecture."""
        from workers.lineage.records import Relation
        from workers.lineage.verdicts import Known, judge

        ours = self.sketches[child]
        own = self.above[child].union(parents, *(self.above[p] for p in parents))
        others = [n for n, s in self.sketches.items() if n not in parents and n != child and s.kind == "model"]
        others = [n for n in others if child not in self.above[n] and (self.order[n] < self.order[child] or n in own)]
        if ours.kind == "model":
            mark = ours.fingerprint()
            near = sorted(others, key=lambda n: -float(self.sketches[n].fingerprint() @ mark))
        else:
            near = others
        chosen = [n for n in near if n in own] + [n for n in near if n not in own]
        known = [
            Known(
                n,
                self.sketches[n],
                before=frozenset(p for p in parents if n in self.above[p]),
                beside=frozenset(p for p in parents if self._beside(n, p)),
            )
            for n in chosen[:OTHERS]
        ]
        return judge(ours, {p: (self.sketches[p], Relation(r)) for p, r in parents.items()}, known, named=named)

    def _beside(self, other: str, parent: str) -> bool:
        """Neither descends from the other, as far as is declared: all but roots declare where they come from."""
        if parent in self.above[other] or other in self.above[parent]:
            return False
        return bool(self.above[other]) or self.order[other] < self.order[parent]


_DTYPES = {
    "float32": "F32", "float16": "F16", "bfloat16": "BF16", "int8": "I8", "uint8": "U8", "int64": "I64", "bool": "BOOL",
}  # fmt: skip


def measure(seed: int, kind: Any, counts: Counts, *, small: bool) -> None:
    """All edges of one forest."""
    from samplehub.zoo.forest import grow_forest

    grove = Grove.of(grow_forest(seed, kind, **({"generations": (3, 2), "steps": 30} if small else {})))
    dice = random.Random(seed)
    members = grove.forest.members
    for name, member in members.items():
        if member.parents:
            relation = MIXED[member.relation]
            for verdict in grove.judge(name, dict.fromkeys(member.parents, relation)).values():
                what = "lone adapter" if member.relation == "adapter" and len(member.tensors) < 4 else member.relation
                counts.true[what, verdict.verdict.value] += 1
                counts.reasons[f"{kind} {member.relation}", verdict.reason] += 1
    others = [(counts.false, edge) for edge in grove.forest.false_edges(seed, len(grove.forest.edges))]
    others += [(counts.inside, edge) for edge in inside(grove, dice)]
    for which, (parent, child) in others:
        verdict = grove.judge(child, {parent: 1}, frozenset(members[child].parents))[parent]
        which[members[child].relation, verdict.verdict.value] += 1
        if verdict.verdict.value == "confirmed":
            counts.reasons[f"{kind} FALSE {members[child].relation} of {members[parent].relation}", verdict.reason] += 1
    whole = [n for n, m in members.items() if m.relation in ("root", "finetune")]
    for _ in range(len(grove.forest.edges)):
        one, other = dice.sample(whole, 2)
        if members[one].root != members[other].root:
            counts.pairs[grove.judge(one, {other: 1})[other].verdict.value] += 1


def inside(grove: Grove, dice: random.Random) -> list[tuple[str, str]]:
    """(claimed parent, child) of one tree, neither of which descends from the other."""
    members = grove.forest.members
    found = []
    for root in {m.root for m in members.values()}:
        tree = [n for n, m in members.items() if m.root == root]
        whole = [n for n in tree if members[n].relation == "finetune"]
        children = [n for n in tree if members[n].relation in ("finetune", "quantized", "adapter")]
        able = [
            (p, c)
            for p in whole
            for c in children
            if p != c and p not in grove.above[c] and c not in grove.above[p] and grove.order[p] < grove.order[c]
        ]
        found += dice.sample(able, min(len(able), len(grove.forest.edges) // 4))
    return found


def on_a_site(bench: Bench) -> None:
    """The committed zoo, crawled and verified as a running site does it, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="rootstock-bench-") as folder:
        answer = subprocess.run(
            [sys.executable, "-m", "bench.heritage_site", f"{folder}/var"],
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    told = json.loads(answer.stdout.splitlines()[-1])
    counts = told["counts"]
    true = {key: counts.get(f"true {key}", 0) for key in ("confirmed", "contradicted", "cannot_tell")}
    bench.say(f"zoo on a site, {told['seconds']:.0f} s: {counts} {told['wrong'] or ''}")
    bench.figure(
        "zoo: true edges confirmed", true["confirmed"] / sum(true.values()), ">= 0.98", edges=sum(true.values())
    )
    bench.figure("zoo: wrong verdicts", len(told["wrong"]), "== 0", wrong=told["wrong"])


def main() -> int:
    from threadpoolctl import threadpool_limits

    bench = Bench("heritage")
    parser = bench.parser(__doc__ or "")
    parser.add_argument("--seeds", type=int, nargs="*", help="others than the usual ones")
    arguments: argparse.Namespace = parser.parse_args()
    bench.begin(arguments)
    seeds = arguments.seeds or SEEDS[arguments.size]
    by_seed = []
    for seed in seeds:
        counts = Counts()
        for kind in KINDS:
            with threadpool_limits(1):
                measure(seed, kind, counts, small=bench.small)
        by_seed.append(counts)
        bench.say(
            f"seed {seed}: {counts.true.total()} true edges, {counts.false.total()} false, {counts.pairs.total()} pairs"
        )
        for title, which in (("true", counts.true), ("false", counts.false), ("relatives", counts.inside)):
            bench.say(f"  {title}: " + ", ".join(f"{k[0]} {k[1]} {n}" for k, n in sorted(which.items())))
        bench.say(f"  pairs: {dict(counts.pairs)}")
        for (what, reason), n in sorted(counts.reasons.items()):
            if reason not in ("related", "in_hull", "fits"):
                bench.say(f"    {what}: {reason} {n}")
    _figures(bench, by_seed)
    if not arguments.seeds and not bench.small:
        on_a_site(bench)
    return bench.close()


def _figures(bench: Bench, by_seed: list[Counts]) -> None:
    def told(values: list[float]) -> dict[str, Any]:
        return {"sd": round(statistics.pstdev(values), 4), "by_seed": [round(v, 4) for v in values]}

    true = [c.share(c.true, "confirmed", without=("lone adapter",)) for c in by_seed]
    whole = [c.share(c.true, "confirmed", without=("lone adapter", "adapter")) for c in by_seed]
    every = [c.share(c.true, "confirmed") for c in by_seed]
    false = [float(sum(n for (_, said), n in c.false.items() if said == "confirmed")) for c in by_seed]
    linked = [float(c.pairs["confirmed"]) for c in by_seed]
    wrong = [float(sum(n for (_, said), n in c.true.items() if said == "contradicted")) for c in by_seed]
    passed = [c.share(c.inside, "confirmed") for c in by_seed]
    edges = {"edges": [c.true.total() for c in by_seed], "false_edges": [c.false.total() for c in by_seed]}
    bench.figure("true edges confirmed", statistics.mean(true), ">= 0.98", **told(true), **edges)
    bench.figure("... of whole models", statistics.mean(whole), ">= 0.98", **told(whole))
    bench.figure("... one-layer adapters too", statistics.mean(every), ">= 0.94", **told(every))
    bench.figure("true edges contradicted", sum(wrong), "== 0", **told(wrong))
    bench.figure("false edges confirmed", sum(false), "== 0", **told(false))
    bench.figure(
        "independent pairs linked", sum(linked), "== 0", pairs=[c.pairs.total() for c in by_seed], **told(linked)
    )
    bench.figure("relatives taken for parents", statistics.mean(passed), "<= 0.25", **told(passed))


if __name__ == "__main__":
    raise SystemExit(main())
