"""The judgement of a whole merge: all rules together, a verdict, a recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from workers.errors import BadRequest
from workers.merging import adapters, ancestry, recipes, settings, structure, tokens
from workers.merging.facts import Facts, facts_of
from workers.merging.methods import FROM_BASE
from workers.merging.records import (
    FEWEST,
    MOST,
    Ancestor,
    Candidate,
    Fault,
    Level,
    Recipe,
    Report,
    Sampling,
    Verdict,
    worst,
)
from workers.merging.shapes import Checked, Reference
from workers.merging.tensors import depth_of, shapes_of
from workers.merging.titles import after
from workers.merging.tokens import padding_of, rows_of
from workers.merging.wording import doing, listed, names_of, short, versus

_ORDER = (Level.STOP, Level.UNKNOWN, Level.MEND, Level.NOTE)


def judge(
    candidates: Sequence[Candidate],
    *,
    anchor: Candidate | None = None,
    sampling: Sampling | None = None,
    config: Checked | None = None,
    method: str = "",
) -> Report:
    """Judge a merge of two to eight models.

    ``anchor`` is the base: that of a configuration, or the common ancestor that ``base_for`` named, as far as it was
    read. ``sampling`` is what reading the weights told, where they were read. ``method`` is the user's wish for the
    recipe. Raises BadRequest where there are too few or too many models, or one twice.
    """
    names = [c.name for c in candidates]
    if config is None:
        check_names(names)
    elif len(names) > MOST:
        raise BadRequest(f"The configuration merges {len(names)} models; at most {MOST} are judged at once.")
    base = base_for(candidates, config)
    parties = _parties(candidates, anchor, config)
    facts = {c.name: facts_of(c) for c in parties}
    faults = list(config.faults) if config is not None else []
    faults += structure.judge(parties)
    stopped = any(
        f.code.startswith(("architecture.", "size.", "adapter.shape")) and f.level is Level.STOP for f in faults
    )
    faults += adapters.judge(candidates, anchor)
    if not any(f.code.startswith("architecture.") for f in faults):
        faults += tokens.judge(parties, facts)
        faults += settings.judge(parties, facts)
    ancestor = Ancestor()
    asked = config is not None and config.base is not None and config.method in FROM_BASE
    if not stopped and len(candidates) > 1:
        kin, ancestor = ancestry.judge(candidates, base, sampling, asked=asked)
        faults += kin
    if config is not None:
        faults = _seen_to(faults, config)
        faults += _with_config(config, parties, facts, faults)
    faults = sorted(_once(faults), key=lambda fault: _ORDER.index(fault.level))
    verdict = worst(faults)
    recipe = _recipe(
        candidates,
        facts=facts,
        faults=faults,
        verdict=verdict,
        ancestor=ancestor,
        anchor=anchor,
        sampling=sampling,
        method=method,
    )
    return Report(
        models=tuple(names),
        base=base,
        verdict=verdict,
        headline=headline(verdict, faults, ancestor, sampling),
        faults=tuple(faults),
        ancestor=ancestor,
        sampling=sampling,
        recipe=recipe,
        instead=_instead(faults) if verdict is Verdict.NOT else (),
        config=config is not None,
    )


def check_names(names: Sequence[str]) -> None:
    """Raises BadRequest where these are no two to eight different models."""
    if not FEWEST <= len(names) <= MOST:
        raise BadRequest(
            f"A merge takes {FEWEST} to {MOST} models; {len(names)} {'was' if len(names) == 1 else 'were'} named."
        )
    twice = [name for i, name in enumerate(names) if name.lower() in {other.lower() for other in names[:i]}]
    if twice:
        raise BadRequest(f"{twice[0]} is named twice: a merge takes different models.")


def base_for(candidates: Sequence[Candidate], config: Checked | None = None) -> str:
    """Which base the merge has: the configuration's, else the nearest common ancestor by the lineage; "" for none."""
    if config is not None and config.base is not None and config.method in FROM_BASE:
        return config.base.model
    return ancestry.by_lineage(candidates)[0]


def _parties(candidates: Sequence[Candidate], anchor: Candidate | None, config: Checked | None) -> list[Candidate]:
    """All whose tensors meet: with a configuration the base as well. A base of our own choice that doesn't fit is no
    fault of the models; the recipe then does without it.
    """
    names = {c.name.lower() for c in candidates}
    joins = config is not None and config.base is not None and config.method not in ("linear", "karcher", "passthrough")
    if joins and anchor is not None and anchor.name.lower() not in names:
        return [*candidates, anchor]
    return list(candidates)


_FOLLOWS = {"positions.max": "positions.table", "labels.differ": "labels.number"}  # what is the same, told twice


def _once(faults: Sequence[Fault]) -> list[Fault]:
    codes = {fault.code for fault in faults}
    return [fault for fault in dict.fromkeys(faults) if _FOLLOWS.get(fault.code) not in codes]


# --- with a configuration -------------------------------------------------------------------------------------------
_BY_TOKENIZER = ("vocabulary.size", "vocabulary.padding", "tokens.")


def _seen_to(faults: Sequence[Fault], config: Checked) -> list[Fault]:
    """Faults that the user's configuration sees to become notes."""
    found = []
    for fault in faults:
        seen = (
            (fault.by_recipe and fault.code.startswith(_BY_TOKENIZER) and bool(config.tokenizer))
            or (fault.code == "chat_template.differs" and bool(config.chat_template or _is_model(config.tokenizer)))
            or (fault.code == "dtype.mixed" and bool(config.dtype))
            or (fault.code == "adapter.with_model" and any(model.adapter for model in config.inputs))
        )
        found.append(replace(fault, level=Level.NOTE, mend="The configuration sees to it.") if seen else fault)
    return found


def _is_model(tokenizer: str) -> bool:
    return tokenizer not in ("", "union", "base")


def _with_config(
    config: Checked, parties: Sequence[Candidate], facts: Mapping[str, Facts], faults: Sequence[Fault]
) -> list[Fault]:
    """What only configuration and models together tell."""
    found = []
    if config.base is None and config.method and len(config.inputs) > 1:
        telling = ("rope.", "positions.", "settings.", "tokens.", "chat_template.", "vocabulary.", "experts.")
        differing = [f for f in faults if f.code.startswith(telling)]
        if differing:
            found.append(
                Fault(
                    "config.no_base",
                    Level.MEND,
                    f"No `base_model` is given, and the models' configurations or tokenizers differ "
                    f"({listed(f.code for f in differing)}): mergekit takes those of one of them, another from run to "
                    "run.",
                    "Name the model whose configuration and tokenizer are to hold as `base_model`.",
                    (("base_model", "none"),),
                    mergekit="silent",
                )
            )
    if config.tokenizer and not config.pads:
        found += _cut(parties, facts)
    found += _layers(config, parties)
    found += _filters(config, parties)
    found += _narrow(config, parties)
    known = {c.name.lower() for c in parties}
    base = config.base
    if base is not None and base.model.lower() not in known and config.method in FROM_BASE and not base.adapter:
        found.append(
            Fault(
                "base.unread",
                Level.UNKNOWN,
                f"The base {base.model} is not stored here, or was not read: whether it fits can't be told.",
                "Check its name; have it crawled and read.",
                ((base.model, "not read"),),
                (base.model,),
            )
        )
    return found


def _filters(config: Checked, parties: Sequence[Candidate]) -> list[Fault]:
    """Filters of parameters that match no tensor."""
    names = {name for c in parties if c.comparable for name in shapes_of(c)}
    if not names:
        return []
    lost = [each for each in config.filters if each != "*" and not any(each in name for name in names)]
    if not lost:
        return []
    some = sorted(names)[len(names) // 2]
    return [
        Fault(
            "config.filter",
            Level.MEND,
            f"The filter {listed(map(repr, lost))} is in no tensor's name: its values are never used, and nothing says "
            "so.",
            f"Write a part of a tensor's name, as of {some}.",
            tuple((each, "matches nothing") for each in lost),
            mergekit="silent",
        )
    ]


def _narrow(config: Checked, parties: Sequence[Candidate]) -> list[Fault]:
    """bfloat16 into float16: the range is smaller."""
    wide = [c.name for c in parties if c.comparable and c.inspection.schema and "BF16" in c.inspection.schema.dtypes]
    if not wide or "float16" not in (config.dtype, config.out_dtype):
        return []
    return [
        Fault(
            "config.dtype_narrow",
            Level.NOTE,
            f"{doing(wide, 'is', 'are')} stored in bfloat16, and the merge in float16: numbers above 65,504 become "
            "infinite.",
            "Write bfloat16 or float32.",
            tuple((name, "BF16") for name in wide),
            tuple(wide),
            mergekit="silent",
        )
    ]


def _cut(parties: Sequence[Candidate], facts: Mapping[str, Facts]) -> list[Fault]:
    """A tokenizer is written and the embeddings are padded: mergekit cuts the padding."""
    padded = {}
    for each in parties:
        tokenizer = each.inspection.tokenizer
        rows = rows_of(each, facts[each.name]) if each.comparable else 0
        if tokenizer is not None and tokenizer.size and rows > tokenizer.size:
            padded[each.name] = (rows, tokenizer.size)
    if not padded:
        return []
    rows, size = next(iter(padded.values()))
    multiple = padding_of(rows, size)
    return [
        Fault(
            "vocabulary.cut",
            Level.MEND,
            "The embeddings are padded "
            f"({versus({n: f'{r:,} rows for {s:,} tokens' for n, (r, s) in padded.items()})}), and with "
            f"`tokenizer` given mergekit cuts them to the tokens.",
            f"Write `pad_to_multiple_of: {multiple or 64}` under `tokenizer`.",
            tuple((n, f"{r:,} rows, {s:,} tokens") for n, (r, s) in padded.items()),
            tuple(padded),
            mergekit="silent",
        )
    ]


def _layers(config: Checked, parties: Sequence[Candidate]) -> list[Fault]:
    """Slices that reach beyond a model's layers."""
    depths = {c.name.lower(): depth_of(shapes_of(c)) for c in parties if c.comparable}
    found = []
    if config.slices and config.method != "passthrough" and depths:
        total = sum(group[0].layers[1] - group[0].layers[0] for group in config.groups if group and group[0].layers)
        whole = max(depths.values())
        if total and total != whole:
            found.append(
                Fault(
                    "config.depth",
                    Level.MEND,
                    f"The slices make {total} layers, and the models have {whole}: layers are left out or stand twice.",
                    "Let the slices cover each layer once.",
                    (("slices", f"{total} layers"), ("models", f"{whole} layers")),
                    mergekit="silent",
                )
            )
    for source in (source for group in config.groups for source in group if source.layers):
        depth = depths.get(source.model.model.lower())
        if depth and source.layers and source.layers[1] > depth:
            found.append(
                Fault(
                    "config.slices",
                    Level.MEND,
                    f"{source.place} asks for layers {source.layers[0]} to {source.layers[1]} of "
                    f"{short(source.model.model)}, "
                    f"which has {depth}.",
                    f"Let the range end at {depth} or before.",
                    (
                        (source.model.model, f"{depth} layers"),
                        ("layer_range", f"{source.layers[0]} to {source.layers[1]}"),
                    ),
                    mergekit="error",
                )
            )
    return found


def wanted(config: Checked) -> list[Reference]:
    """The models of a configuration that are to be judged: its inputs, but a base that stands among them."""
    base = config.base.text.lower() if config.base else ""
    inputs = config.inputs
    if config.method in FROM_BASE:
        inputs = [model for model in inputs if model.text.lower() != base]
    return inputs


# --- the answer -----------------------------------------------------------------------------------------------------
def _recipe(
    candidates: Sequence[Candidate],
    *,
    facts: Mapping[str, Facts],
    faults: Sequence[Fault],
    verdict: Verdict,
    ancestor: Ancestor,
    anchor: Candidate | None,
    sampling: Sampling | None,
    method: str,
) -> Recipe | None:
    """None where nothing can be merged, or a model would first have to be another."""
    if verdict is Verdict.NOT or len(candidates) < FEWEST or any(f.code.startswith("unread.") for f in faults):
        return None
    substitutes = {}
    for each in candidates:
        if each.is_quantized:
            full = next((f.name for f in each.forebears if f.relation == "quantized"), "")
            if not full or full.lower() in {c.name.lower() for c in candidates}:
                return None
            substitutes[each.name] = full
        if each.inspection.adapter is not None and not each.inspection.adapter.base:
            return None
    base = ancestor.name
    if sampling is not None:
        better = ancestry.better_base(sampling)
        base = better or base
        if better and (anchor is None or anchor.name.lower() != better.lower()):
            anchor = None
    if anchor is not None and anchor.name.lower() != base.lower():
        anchor = next((c for c in candidates if c.name.lower() == base.lower()), None)
    kept = tuple(
        f
        for f in faults
        if f.code not in ("base.unrelated", "base.wrong") or base.lower() in (m.lower() for m in f.models[:1])
    )
    plan = recipes.Plan(tuple(candidates), facts, kept, base, anchor, sampling, substitutes)
    return recipes.write(plan, method)


def headline(verdict: Verdict, faults: Sequence[Fault], ancestor: Ancestor, sampling: Sampling | None) -> str:
    """The verdict in one sentence."""
    if verdict is Verdict.NOT:
        return f"Not mergeable by weights. {next(f.cause for f in faults if f.level is Level.STOP)}"
    if verdict is Verdict.UNKNOWN:
        return f"That can't be told yet. {next(f.cause for f in faults if f.level is Level.UNKNOWN)}"
    if verdict is Verdict.AFTER:
        steps = dict.fromkeys(after(fault.code) for fault in faults if fault.level is Level.MEND)
        mends = [fault for fault in faults if fault.level is Level.MEND]
        tail = " The recipe below does that." if all(fault.by_recipe for fault in mends) else ""
        return f"Mergeable after {listed(steps, most=4)}.{tail}"
    one = "one architecture, one vocabulary"
    told = "" if sampling else "; their weights have not been compared"
    return {
        "both": f"Mergeable: {one}, and one ancestor by lineage and by weights ({ancestor.name}).",
        "weights": f"Mergeable: {one}, and by their weights one ancestor.",
        "lineage": f"Mergeable as far as is known: {one}, one declared ancestor ({ancestor.name}){told}.",
    }.get(ancestor.how, "Mergeable as far as is known.")


def _instead(faults: Sequence[Fault]) -> tuple[str, ...]:
    """What else can be done where the weights can't be merged."""
    codes = {fault.code for fault in faults if fault.level is Level.STOP}
    ways = []
    if "weights.unrelated" in codes:
        ways.append(
            "Align the neurons of one model to the other's (permutation matching), as their shapes agree, and merge "
            "then."
        )
    if codes == {"size.layers"}:
        ways.append("Stack layers of several models (mergekit's passthrough), and train the result on.")
    ways.append("Route between the models: a small classifier sends each question to the one that answers it best.")
    ways.append("Distil: let a student learn from the answers of all of them.")
    return tuple(ways)


__all__ = ["base_for", "check_names", "headline", "judge", "names_of", "wanted"]
