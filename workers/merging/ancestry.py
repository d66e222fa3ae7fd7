"""What the models have in common, by the lineage and by the weights, and whether a base is the right one.

By the weights: matrices of models that were trained from one set of weights point in nearly the same direction (median
cosine above .9 in published families); those of models that were trained apart are as good as orthogonal, whatever
their shapes. Between the two lies hardly anything, and what lies there is said to lie there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workers.merging.records import Ancestor, Candidate, Fault, Forebear, Level, Sampling
from workers.merging.wording import listed, many, names_of, short

RELATED = 0.3  # median cosine of matrices from which on two models share an ancestor
UNRELATED = 0.1  # … and below which they don't
NEARER = 0.5  # a base is wrong where another leaves less than this share of the squared distances
LIKE_MINDED = 0.7  # cosine of task vectors above which they hold something that the base should have held


def by_lineage(candidates: Sequence[Candidate]) -> tuple[str, dict[str, int]]:
    """The nearest common ancestor that the lineage declares, and how far each model is from it; ("", {}) without one.

    A model counts as its own ancestor: of a base and its fine-tune it is the base. Edges that the weights contradict
    don't count.
    """
    ways = [_ways(each) for each in candidates]
    common = set.intersection(*(set(way) for way in ways)) if ways else set()
    if not common:
        return "", {}
    spelt = {f.name.lower(): f.name for c in candidates for f in (*c.forebears, Forebear(c.name, 0))}
    best = min(common, key=lambda name: (sum(way[name] for way in ways), max(way[name] for way in ways), name))
    return spelt[best], {c.name: way[best] for c, way in zip(candidates, ways, strict=True)}


def common_ancestors(candidates: Sequence[Candidate]) -> list[str]:
    """All common ancestors by the lineage, the nearest first."""
    ways = [_ways(each) for each in candidates]
    common = set.intersection(*(set(way) for way in ways)) if ways else set()
    spelt = {f.name.lower(): f.name for c in candidates for f in (*c.forebears, Forebear(c.name, 0))}
    return [spelt[name] for name in sorted(common, key=lambda name: (sum(way[name] for way in ways), name))]


def _ways(candidate: Candidate) -> dict[str, int]:
    found = {candidate.name.lower(): 0}
    for each in candidate.forebears:
        if each.standing != "contradicted":
            found.setdefault(each.name.lower(), each.distance)
    adapter = candidate.inspection.adapter
    if adapter is not None and adapter.base:
        found.setdefault(adapter.base.lower(), 1)
    return found


def judge(
    candidates: Sequence[Candidate], base: str, sampling: Sampling | None, *, asked: bool
) -> tuple[list[Fault], Ancestor]:
    """Faults of kinship, and what the models have in common. ``asked``: the base is the user's wish, not our choice."""
    faults: list[Fault] = []
    nearest, distances = by_lineage(candidates)
    if sampling is not None:
        faults += _odd(sampling)
        faults += _strangers(sampling, nearest)
        faults += _strays(sampling)
    torn = any(fault.code == "weights.unrelated" for fault in faults)
    if base and not torn:
        faults += _base(candidates, base, sampling, nearest, asked=asked)
    faults += _idle(sampling)
    ancestor = _ancestor(candidates, nearest, distances, sampling, torn=torn)
    adapters = all(c.is_adapter for c in candidates)
    if not ancestor.how and sampling is None and not adapters and all(c.read for c in candidates):
        faults.append(
            Fault(
                "ancestor.unknown",
                Level.UNKNOWN,
                "The lineage knows no ancestor that the models share, and their weights have not been compared: models "
                "of "
                "one shape may still be of different backbones, and merging those gives noise without an error.",
                "Have ranges of their weights compared; a member of staff can start that.",
                models=tuple(c.name for c in candidates),
                mergekit="silent",
            )
        )
    return faults, ancestor


# --- by the weights -------------------------------------------------------------------------------------------------
def _share(sampling: Sampling) -> str:
    if sampling.full or sampling.share >= 0.9995:
        return "all of their numbers were read"
    share = sampling.share * 100
    return f"{share:.{0 if share >= 10 else 1 if share >= 1 else 2}g}% of the numbers was read"


def _odd(sampling: Sampling) -> list[Fault]:
    """NaN, Inf and matrices of zeros in what was read."""
    faults = []
    rows = (
        ("weights.nan", "NaN (no number)", "nan"),
        ("weights.inf", "infinite numbers", "inf"),
        ("weights.zero", "nothing but zeros", "zero"),
    )
    for code, words, attribute in rows:
        by_model: dict[str, list[tuple[str, int]]] = {}
        for each in sampling.odd:
            count = int(getattr(each, attribute))
            if count:
                by_model.setdefault(each.model, []).append((each.tensor, count))
        for model, tensors in by_model.items():
            faults.append(_broken(code, words, model, tensors, sampling))
    return faults


def _broken(code: str, words: str, model: str, tensors: Sequence[tuple[str, int]], sampling: Sampling) -> Fault:
    zeros = code == "weights.zero"
    amount = "" if zeros else f"{sum(count for _, count in tensors):,} times "
    why = (
        "A layer that was lost looks like that."
        if zeros
        else "One is enough: every mean with it is broken as well, and mergekit writes it without a word."
    )
    where = listed(tensor for tensor, _ in tensors)
    return Fault(
        code,
        Level.MEND,
        f"{short(model)} holds {words}: {amount}in {where}; {_share(sampling)}. {why}",
        "Fetch the file again and compare its hash; where it is the same, the training broke: take an earlier "
        "checkpoint, or leave the model out.",
        compared=tuple((tensor, "all zero" if zeros else f"{count:,}") for tensor, count in tensors[:12]),
        models=(model,),
        mergekit="silent",
    )


def _strangers(sampling: Sampling, nearest: str) -> list[Fault]:
    """Models of one shape that were not trained from one set of weights."""
    apart = [pair for pair in sampling.pairs if pair.weights is not None and pair.weights < UNRELATED]
    if apart:
        told = tuple((f"{short(p.a)} and {short(p.b)}", f"cosine {p.weights:.2f}") for p in sampling.pairs)
        counts = {name: sum(name in (p.a, p.b) for p in apart) for name in sampling.models}
        most = max(counts.values())
        odd = tuple(name for name in sampling.models if counts[name] == most)
        claim = f" The cards claim the common ancestor {nearest}; the weights contradict that." if nearest else ""
        return [
            Fault(
                "weights.unrelated",
                Level.STOP,
                f"{names_of(odd)} {'are' if len(odd) > 1 else 'is'} of another backbone: the same shapes, but the "
                "matrices "
                f"of {short(apart[0].a)} and {short(apart[0].b)} have a median cosine of {apart[0].weights:.2f}, as "
                "models "
                f"have that were trained apart; {_share(sampling)}.{claim} mergekit merges them without a word, into "
                "noise.",
                "Take models of one ancestor. To unite these: align their neurons first (permutation matching), route "
                "between them, or distil both into one.",
                compared=told,
                models=odd,
                mergekit="silent",
            )
        ]
    distant = [pair for pair in sampling.pairs if pair.weights is not None and pair.weights < RELATED]
    if distant:
        return [
            Fault(
                "weights.distant",
                Level.MEND,
                f"{short(distant[0].a)} and {short(distant[0].b)} are hardly related: the median cosine of their "
                "matrices is "
                f"{distant[0].weights:.2f}, where models of one ancestor have far more.",
                "Look for the true ancestor of each; test the result against both before it is used.",
                compared=tuple((f"{short(p.a)} and {short(p.b)}", f"cosine {p.weights:.2f}") for p in sampling.pairs),
                models=(distant[0].a, distant[0].b),
                mergekit="silent",
            )
        ]
    return []


def _strays(sampling: Sampling) -> list[Fault]:
    """Single matrices that related models don't share."""
    faults = []
    broken = {(odd.model, odd.tensor) for odd in sampling.odd}
    strays = [s for s in sampling.strays if not broken & {(s.a, s.tensor), (s.b, s.tensor)}]
    for code, words, mend, chosen in (
        (
            "weights.replaced",
            "have nothing in common, though the models do",
            "Look whether a layer was learned anew or put in another order; a `filter` can leave it to one model.",
            [s for s in strays if s.cosine < UNRELATED],
        ),
        (
            "weights.scaled",
            "differ in size by a factor of two and more",
            "Look whether one of the files was scaled (by a wrong conversion, or an adapter merged twice).",
            [s for s in strays if s.cosine >= UNRELATED],
        ),
    ):
        by_pair: dict[tuple[str, str], list[str]] = {}
        for stray in chosen:
            by_pair.setdefault((stray.a, stray.b), []).append(stray.tensor)
        for (a, b), names in by_pair.items():
            faults.append(
                Fault(
                    code,
                    Level.MEND,
                    f"Single matrices of {short(a)} and {short(b)} {words}: {listed(names)}; {_share(sampling)}.",
                    mend,
                    compared=tuple(
                        (s.tensor, f"cosine {s.cosine:.2f}, norm times {s.ratio:.2f}")
                        for s in chosen
                        if (s.a, s.b) == (a, b)
                    )[:12],
                    models=(a, b),
                    mergekit="silent",
                )
            )
    return faults


def _idle(sampling: Sampling | None) -> list[Fault]:
    """Models that change nothing: the base itself, or the same weights twice."""
    if sampling is None:
        return []
    same = [pair for pair in sampling.pairs if pair.distance == 0.0]
    if same:
        return [
            Fault(
                "models.same",
                Level.NOTE,
                f"{same[0].a} and {same[0].b} have the same weights; {_share(sampling)}.",
                "Leave one of them out: in a mean it only counts twice.",
                compared=tuple((f"{short(p.a)} and {short(p.b)}", "no difference") for p in same),
                models=(same[0].a, same[0].b),
            )
        ]
    return []


# --- the base -------------------------------------------------------------------------------------------------------
def _base(
    candidates: Sequence[Candidate], base: str, sampling: Sampling | None, nearest: str, *, asked: bool
) -> list[Fault]:
    declared = asked and nearest and nearest.lower() != base.lower()
    if sampling is None or sampling.base.lower() != base.lower():
        return _declared(candidates, base, nearest) if declared else []
    better = better_base(sampling)
    strange = {name: value for name, value in sampling.base_cosines.items() if value < UNRELATED}
    if strange:
        right = better or (nearest if nearest.lower() != base.lower() else "")
        return [_unrelated_base(base, right, strange, sampling)]
    if better:
        return [_nearer_base(base, better, sampling, asked=asked)]
    if declared and nearest not in sampling.bases:
        return _declared(candidates, base, nearest)
    return _far_base(base, sampling)


def _unrelated_base(base: str, right: str, strange: Mapping[str, float], sampling: Sampling) -> Fault:
    return Fault(
        "base.unrelated",
        Level.MEND,
        f"{short(base)} is not the base of {names_of(list(strange))}: the same shapes, but a median cosine of "
        f"{min(strange.values()):.2f}; {_share(sampling)}. Differences to it hold the whole of the models.",
        f"Take {right} as base."
        if right
        else "Take the model that they were trained from as base, or a method without one (linear).",
        compared=tuple(
            (name, f"cosine {value:.2f} with {short(base)}") for name, value in sampling.base_cosines.items()
        ),
        models=(base, *([right] if right else [])),
        mergekit="silent",
    )


def _nearer_base(base: str, better: str, sampling: Sampling, *, asked: bool) -> Fault:
    theirs = _distances({name: values[1] for name, values in sampling.bases[better].items()})
    ours = _distances(sampling.changes)
    return Fault(
        "base.wrong",
        Level.MEND if asked else Level.NOTE,
        f"{short(base)} is not the nearest base: the models lie {theirs} from {better}, and {ours} from {short(base)} "
        "(relative distance).",
        f"Take {better} as base: differences to {short(base)} all hold the way between the two as well, which would be "
        "added once for each model.",
        compared=((base, ours), (better, theirs)),
        models=(base, better),
        mergekit="silent",
    )


def _far_base(base: str, sampling: Sampling) -> list[Fault]:
    """Nothing nearer is known, but the models have more in common than the base."""
    agreeing = [pair.tasks for pair in sampling.pairs if pair.tasks is not None]
    if not agreeing or min(agreeing) <= LIKE_MINDED or base in sampling.models:
        return []
    return [
        Fault(
            "base.far",
            Level.NOTE,
            f"What the models changed in {short(base)} points the same way (cosine {min(agreeing):.2f} and more): they "
            "share more than this base.",
            "See whether they have a nearer common ancestor; the weights of the recipe allow for it.",
            compared=tuple((f"{short(p.a)} and {short(p.b)}", f"{p.tasks:.2f}") for p in sampling.pairs if p.tasks),
            models=(base,),
        )
    ]


def _declared(candidates: Sequence[Candidate], base: str, nearest: str) -> list[Fault]:
    """The base that was asked for against what the lineage declares."""
    if base.lower() in {name.lower() for name in common_ancestors(candidates)}:
        return [
            Fault(
                "base.far",
                Level.NOTE,
                f"{short(base)} is an ancestor of all the models, but {nearest} is a nearer one.",
                f"Take {nearest} as base, unless what it learned is meant to be added once for each model.",
                compared=(("given", base), ("nearest common ancestor", nearest)),
                models=(base, nearest),
            )
        ]
    return [
        Fault(
            "base.wrong",
            Level.MEND,
            f"{short(base)} is not the common ancestor of the models: by their lineage that is {nearest}.",
            f"Take {nearest} as base.",
            compared=(("given", base), ("common ancestor", nearest)),
            models=(base, nearest),
            mergekit="silent",
        )
    ]


def better_base(sampling: Sampling) -> str:
    """Another model that was tried and leaves far smaller differences; "" where the base is as good as any."""
    here = sum(value * value for value in sampling.changes.values())
    best, least = "", here * NEARER
    for name, figures in sampling.bases.items():
        if name in sampling.models or set(figures) < set(sampling.changes):
            continue
        squares = sum(figures[model][1] ** 2 for model in sampling.changes)
        if squares < least:
            best, least = name, squares
    return best


def _distances(values: Mapping[str, float]) -> str:
    return listed((f"{value:.3f}" for value in values.values()), most=8)


def _confirmed(candidates: Sequence[Candidate], name: str) -> bool:
    """Whether the weights have confirmed the way from each model up to this ancestor."""
    return all(
        each.name.lower() == name.lower()
        or any(f.name.lower() == name.lower() and f.standing == "confirmed" for f in each.forebears)
        for each in candidates
    )


# --- in words -------------------------------------------------------------------------------------------------------
def _ancestor(
    candidates: Sequence[Candidate],
    nearest: str,
    distances: Mapping[str, int],
    sampling: Sampling | None,
    *,
    torn: bool,
) -> Ancestor:
    related = (
        sampling is not None
        and bool(sampling.pairs)
        and all(p.weights is not None and p.weights >= RELATED for p in sampling.pairs)
    )
    if torn:
        return Ancestor(nearest, "", "By their weights the models have no ancestor in common.", distances)
    if not nearest:
        if related and sampling is not None:
            least = min(pair.weights or 0.0 for pair in sampling.pairs)
            sentence = f"Their weights show one ancestor (median cosine {least:.2f}), which the lineage doesn't name."
            return Ancestor("", "weights", sentence)
        return Ancestor("", "", "No ancestor in common is known.")
    steps = listed((f"{many(count, 'step')} from {short(name)}" for name, count in distances.items()), most=8)
    if related:
        return Ancestor(nearest, "both", f"{nearest}: {steps}; the weights agree.", distances)
    if sampling is None and _confirmed(candidates, nearest):
        return Ancestor(nearest, "both", f"{nearest}: {steps}; the weights confirm each step.", distances)
    told = "the weights have not been compared" if sampling is None else "the weights leave it open"
    return Ancestor(nearest, "lineage", f"{nearest}: {steps}, by the lineage; {told}.", distances)
