"""Adapters among the models of a merge: their base, rank, targets and scale, and what they save beside their factors.

Averaging A and B apart gives (ΣB)(ΣA), which holds B₁·A₂: what no adapter learned. What can be averaged is B·A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workers.merging.records import Candidate, Fault, Level
from workers.merging.tensors import EMBEDDING, shapes_of
from workers.merging.wording import differ, doing, listed, names_of, odd_ones, pairs, short, versus
from workers.weights.records import AdapterFacts, factor_of

_OWN_BASE = (
    "Merge each adapter into its own base first, and judge those whole models: what an adapter learned is a difference "
    "to its base and means nothing on another."
)


def judge(candidates: Sequence[Candidate], anchor: Candidate | None = None) -> list[Fault]:
    """All faults of adapters, among themselves, beside whole models, and against their base where it was read."""
    found = {c.name: c.inspection.adapter for c in candidates if c.is_adapter}
    adapters = {name: each for name, each in found.items() if each is not None}
    if not adapters:
        return []
    faults = _alone(candidates, adapters)
    if len(adapters) < len(candidates):
        faults += _beside(candidates, adapters)
    if len(adapters) > 1:
        faults += _among(candidates, adapters)
    if anchor is not None and anchor.comparable and not any(fault.code == "adapter.shape" for fault in faults):
        faults += _against(candidates, adapters, anchor)
    return faults


def _against(candidates: Sequence[Candidate], adapters: Mapping[str, AdapterFacts], anchor: Candidate) -> list[Fault]:
    """Layers that the base doesn't have, or has in another size."""
    shapes = shapes_of(anchor)
    faults = []
    for each in candidates:
        facts = adapters.get(each.name)
        if facts is None or facts.base.lower() != anchor.name.lower():
            continue
        for layer, sides in _layers(each).items():
            theirs = shapes.get(f"{layer}.weight")
            if theirs is not None and sorted(theirs[:2]) == sorted(sides):
                continue
            told = "no such layer" if theirs is None else " by ".join(map(str, theirs))
            faults.append(
                Fault(
                    "adapter.shape",
                    Level.STOP,
                    f"{short(each.name)} does not fit the base it names: its update of {layer} is {sides[0]} by "
                    f"{sides[1]}, "
                    f"and {short(anchor.name)} has {told}.",
                    "Find the base that it was trained on: the card or the configuration names another.",
                    compared=((each.name, f"{sides[0]} by {sides[1]}"), (anchor.name, told)),
                    models=(each.name,),
                    mergekit="error",
                )
            )
            break
    return faults


# --- one by one -----------------------------------------------------------------------------------------------------
def _alone(candidates: Sequence[Candidate], adapters: Mapping[str, AdapterFacts]) -> list[Fault]:
    faults = []
    for each in candidates:
        facts = adapters.get(each.name)
        if facts is None:
            continue
        name = short(each.name)
        if not facts.declared:
            faults.append(
                Fault(
                    "adapter.undeclared",
                    Level.MEND,
                    f"{name} is an adapter without adapter_config.json: its scale (alpha) and its base are not told.",
                    "Find the configuration that it was trained with: without alpha its update has no size.",
                    compared=((each.name, "no adapter_config.json"),),
                    models=(each.name,),
                    mergekit="error",
                )
            )
        elif not facts.base:
            faults.append(
                Fault(
                    "adapter.base_unknown",
                    Level.MEND,
                    f"{name} names no base model.",
                    "Write base_model_name_or_path into adapter_config.json.",
                    compared=((each.name, "no base"),),
                    models=(each.name,),
                    mergekit="error",
                )
            )
        if facts.kind.lower() not in ("lora", ""):
            faults.append(
                Fault(
                    "adapter.kind",
                    Level.MEND,
                    f"{name} is an adapter of the kind {facts.kind}, which can't be written as an update of the base's "
                    "weights "
                    "by LoRA's formula.",
                    "Merge it into its base with PEFT where that can do it (merge_and_unload), and merge the whole "
                    "models.",
                    compared=((each.name, facts.kind),),
                    models=(each.name,),
                )
            )
        ranks = _ranks(each)
        declared = {facts.rank, *facts.rank_pattern.values()} - {0}
        if facts.declared and ranks and declared and not ranks <= declared:
            faults.append(
                Fault(
                    "adapter.contradicts",
                    Level.MEND,
                    f"The configuration of {name} gives rank {listed(map(str, sorted(declared)))}, its tensors have "
                    "rank "
                    f"{listed(map(str, sorted(ranks)))}.",
                    "Configuration and tensors are of different trainings: find those that belong together. The scale "
                    "is "
                    "alpha over rank, so that a wrong rank changes the update's size.",
                    compared=(
                        (f"{each.name}, adapter_config.json", str(facts.rank)),
                        (f"{each.name}, tensors", ", ".join(map(str, sorted(ranks)))),
                    ),
                    models=(each.name,),
                )
            )
    return faults


def _ranks(candidate: Candidate) -> set[int]:
    schema = candidate.inspection.schema
    ranks = set()
    for tensor in schema.tensors if schema else ():
        factor = factor_of(tensor.name)
        if factor is not None and factor[1] == "a" and tensor.shape:
            ranks.add(tensor.shape[0])
    return ranks


def _layers(candidate: Candidate) -> dict[str, tuple[int, int]]:
    """(out, in) of each layer that an adapter changes; 0 for a side that isn't there."""
    schema = candidate.inspection.schema
    sides: dict[str, list[int]] = {}
    for tensor in schema.tensors if schema else ():
        factor = factor_of(tensor.name)
        if factor is None or len(tensor.shape) < 2:
            continue
        layer = sides.setdefault(factor[0], [0, 0])
        if factor[1] == "a":
            layer[1] = tensor.shape[1]
        elif factor[1] == "b":
            layer[0] = tensor.shape[0]
    return {layer: (out, into) for layer, (out, into) in sides.items()}


# --- beside whole models --------------------------------------------------------------------------------------------
def _beside(candidates: Sequence[Candidate], adapters: Mapping[str, AdapterFacts]) -> list[Fault]:
    whole = [c for c in candidates if c.name not in adapters]
    faults = [
        Fault(
            "adapter.with_model",
            Level.MEND,
            f"{doing(list(adapters), 'is an adapter', 'are adapters')}, {names_of([c.name for c in whole])} "
            f"{'whole models' if len(whole) > 1 else 'a whole model'}.",
            "Write the adapter as `BASE+ADAPTER`: mergekit merges it into its base first; the recipe does.",
            compared=tuple((c.name, "adapter" if c.name in adapters else "whole model") for c in candidates),
            models=tuple(adapters),
            by_recipe=True,
            mergekit="error",
        )
    ]
    for name, facts in adapters.items():
        rows = _saved_rows(next(c for c in candidates if c.name == name))
        for model in whole:
            known = {model.name.lower(), *(f.name.lower() for f in model.forebears)}
            if facts.base and model.forebears and facts.base.lower() not in known:
                faults.append(
                    Fault(
                        "adapter.base",
                        Level.MEND,
                        f"{short(name)} was trained on {facts.base}, from which {short(model.name)} doesn't descend as "
                        "far as "
                        "is known.",
                        _OWN_BASE,
                        compared=((name, facts.base), (model.name, listed(f.name for f in model.forebears))),
                        models=(name,),
                    )
                )
            faults += _vocabulary(name, rows, model)
    return faults


def _saved_rows(candidate: Candidate) -> int:
    """Rows of an embedding that an adapter saves whole (modules_to_save); 0 where it saves none."""
    schema = candidate.inspection.schema
    for tensor in schema.tensors if schema else ():
        name = tensor.name.replace(".modules_to_save", "").replace(".default", "")
        if factor_of(tensor.name) is None and EMBEDDING.search(name) and len(tensor.shape) == 2:
            return tensor.shape[0]
    return 0


def _vocabulary(name: str, rows: int, model: Candidate) -> list[Fault]:
    schema = model.inspection.schema
    theirs = next(
        (t.shape[0] for t in (schema.tensors if schema else ()) if EMBEDDING.search(t.name) and len(t.shape) == 2), 0
    )
    if not rows or not theirs or rows == theirs:
        return []
    return [
        Fault(
            "adapter.vocabulary",
            Level.MEND,
            f"{short(name)} brings an embedding of {rows:,} tokens, {short(model.name)} has {theirs:,}.",
            "Enlarge the base's embedding to the adapter's tokenizer (resize_token_embeddings) before the adapter is "
            "merged into it, and lay the vocabularies beside each other by `tokenizer: {source: union}`.",
            compared=((name, f"{rows:,}"), (model.name, f"{theirs:,}")),
            models=(name,),
            mergekit="error",
        )
    ]


# --- among each other -----------------------------------------------------------------------------------------------
def _among(candidates: Sequence[Candidate], adapters: Mapping[str, AdapterFacts]) -> list[Fault]:
    faults = [
        Fault(
            "adapter.factors",
            Level.NOTE,
            f"{names_of(list(adapters))} are adapters: what can be averaged is the product B·A of each, not A and B "
            "apart.",
            "Merge B·A, not A and B: the recipe lets mergekit merge each adapter into the base first.",
            compared=tuple((name, f"rank {each.rank}, alpha {each.alpha:g}") for name, each in adapters.items()),
            models=tuple(adapters),
            by_recipe=True,
        )
    ]
    bases = {name: each.base.lower() for name, each in adapters.items() if each.base}
    if differ(bases):
        told = {name: each.base for name, each in adapters.items() if each.base}
        faults.append(
            Fault(
                "adapter.base",
                Level.MEND,
                f"The adapters were trained on different bases: {versus(told)}.",
                _OWN_BASE,
                compared=pairs(told),
                models=odd_ones(bases),
                mergekit="silent",
            )
        )
    else:
        revisions = {name: each.base_revision for name, each in adapters.items() if each.base_revision}
        if differ(revisions):
            faults.append(
                Fault(
                    "adapter.base_revision",
                    Level.MEND,
                    f"The adapters were trained on different revisions of their base: {versus(revisions)}.",
                    "Write the revision behind each base (`BASE@REVISION+ADAPTER`), so that each is merged into what "
                    "it was "
                    "trained on.",
                    compared=pairs(revisions),
                    models=odd_ones(revisions),
                    mergekit="silent",
                )
            )
    faults += _shapes([c for c in candidates if c.name in adapters])
    faults += _differences(adapters)
    return faults


def _shapes(candidates: Sequence[Candidate]) -> list[Fault]:
    """Layers of one name and different sizes: the adapters belong to models of different size."""
    layers = {c.name: _layers(c) for c in candidates}
    common = set.intersection(*(set(each) for each in layers.values())) if layers else set()
    for layer in sorted(common):
        sides = {name: each[layer] for name, each in layers.items() if all(each[layer])}
        if differ(sides):
            told = {name: f"{out} by {into}" for name, (out, into) in sides.items()}
            return [
                Fault(
                    "adapter.shape",
                    Level.STOP,
                    f"The adapters belong to models of different size: {layer} is {versus(told)}.",
                    "Take adapters of one base.",
                    compared=pairs(told),
                    models=odd_ones(told),
                    mergekit="error",
                )
            ]
    if not common and all(layers.values()):
        firsts = {name: next(iter(sorted(each))) for name, each in layers.items()}
        return [
            Fault(
                "adapter.targets",
                Level.NOTE,
                f"The adapters have no layer in common: {versus(firsts)}.",
                "Where their bases are one, both updates can be added without a conflict; where names differ, the "
                "bases do.",
                compared=pairs(firsts),
                models=odd_ones(firsts),
            )
        ]
    return []


def _differences(adapters: Mapping[str, AdapterFacts]) -> list[Fault]:
    """What differs and is no obstacle as long as products are merged."""
    faults = []
    rows: tuple[tuple[str, str, dict[str, str], str], ...] = (
        (
            "adapter.rank",
            "rank",
            {n: str(a.rank) for n, a in adapters.items() if a.rank},
            "Nothing has to be done where B·A is merged; A and B themselves have no common shape.",
        ),
        (
            "adapter.alpha",
            "scale (alpha over rank)",
            {n: f"{_scale(a):g}" for n, a in adapters.items() if a.rank and a.alpha},
            "Each product is taken with its own scale; weights of the merge come on top of it.",
        ),
        (
            "adapter.targets",
            "set of layers that are changed",
            {n: ", ".join(sorted(a.targets)) for n, a in adapters.items() if a.targets},
            "Layers that only one changes are taken over as they are; a mean with the others' nothing halves them.",
        ),
        (
            "adapter.variant",
            "variant",
            {n: "DoRA" if a.dora else "rank-stabilised LoRA" if a.rslora else "LoRA" for n, a in adapters.items()},
            "Each has to be merged into the base by its own formula; PEFT knows both, averaging factors doesn't.",
        ),
        (
            "adapter.modules",
            "set of modules saved whole",
            {n: ", ".join(sorted(a.modules_to_save)) or "none" for n, a in adapters.items()},
            "Modules saved whole replace the base's: see that their shapes agree.",
        ),
    )
    for code, words, values, mend in rows:
        if differ(values):
            faults.append(
                Fault(
                    code,
                    Level.NOTE,
                    f"The adapters' {words} differs: {versus(values)}.",
                    mend,
                    compared=pairs(values),
                    models=odd_ones(values),
                    by_recipe=True,
                )
            )
    return faults


def _scale(facts: AdapterFacts) -> float:
    return float(facts.alpha / (facts.rank**0.5 if facts.rslora else facts.rank))
