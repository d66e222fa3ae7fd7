"""Declared edges against the weights: is the child made from this parent?

First the kinship of the two, then, among relatives, whether another that is known stands nearer; merges by the affine
hull of all parents at once. ``workers.lineage.adapters`` judges adapters, which hold none of their base's weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workers.lineage.adapters import judge_adapter
from workers.lineage.descending import Case, Known, merged, nearest_of, with_likelier
from workers.lineage.kinship import VERSION, kinship_of
from workers.lineage.records import Relation, Standing, Verdict
from workers.weights.sketches import Sketch

__all__ = ["VERSION", "Known", "judge", "judge_edge"]


def judge(
    child: Sketch,
    parents: Mapping[str, tuple[Sketch, Relation]],
    others: Sequence[Known] = (),
    *,
    quantized: bool = False,
    named: frozenset[str] | None = None,
    bases: frozenset[str] = frozenset(),
) -> dict[str, Verdict]:
    """A verdict for each parent. ``parents`` maps a key to its sketch and the declared relation; ``others`` are models
    that may be nearer. ``quantized``: the child's config says that it is. ``named``: the parents that the child itself
    declares (None: all). ``bases``: those parents that another of the parents is declared to descend from.
    """
    if child.kind == "adapter":
        return {
            key: judge_adapter(child, sketch, {o.key: o.sketch for o in others}, named=named is None or key in named)
            for key, (sketch, _) in parents.items()
        }
    case = Case(child, parents, others, bases)
    verdicts = {
        key: kinship_of(child, sketch, relation, quantized=quantized) for key, (sketch, relation) in parents.items()
    }
    kin = [key for key, verdict in verdicts.items() if verdict.verdict is Standing.CONFIRMED]
    if kin and (len(parents) > 1 or any(relation is Relation.MERGE for _, relation in parents.values())):
        verdicts |= merged(case, verdicts, kin)
    else:
        verdicts |= {key: nearest_of(case, key, verdicts[key]) for key in kin}
    for key, verdict in verdicts.items():
        if verdict.verdict is Standing.CONTRADICTED and not verdict.likelier:
            verdicts[key] = with_likelier(case, verdict, exclude=key)
    return verdicts


def judge_edge(
    child: Sketch,
    parent: Sketch,
    relation: Relation = Relation.UNKNOWN,
    others: Sequence[Known] = (),
    *,
    quantized: bool = False,
) -> Verdict:
    """The verdict on one edge."""
    return judge(child, {"": (parent, relation)}, others, quantized=quantized)[""]
