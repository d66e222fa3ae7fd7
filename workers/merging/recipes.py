"""A method with its reasons, and a configuration that mergekit 0.1.5 accepts and runs.

Defaults: linear where no base is known, task arithmetic where one is: the dependable ones in the wild (others pay off
less surely). Task vectors are scaled by λ = 1 / √(n + n(n-1)c̄), c̄ the mean cosine between them: their sum is then as
long as one of them, whatever n (for n = 8 and c̄ = 0 it is .35, where Ilharco et al. 2023 found their best).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.merging.facts import Facts, facts_of
from workers.merging.records import Candidate, Fault, Level, Method, Recipe, Sampling
from workers.merging.settings import judge as settings_of
from workers.merging.tensors import shapes_of
from workers.merging.titles import after
from workers.merging.tokens import padding_of, rows_of
from workers.merging.wording import listed, short

OFFERED = ("linear", "task_arithmetic", "slerp", "ties")
DENSITY = 0.2  # what TIES keeps (Yadav et al. 2023)
CONFLICT = 0.35  # share of opposite signs from which on TIES has something to settle; two random signs give .5
_PLAIN = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_.@+-]+)+$")
_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}

_UNION = frozenset({"vocabulary.size", "tokens.added", "tokens.replaced", "tokens.differ"})
_ALIGN = frozenset({"tokens.permuted", "vocabulary.padding"})
_DONATE = frozenset({"chat_template.differs", "tokens.special"})


@dataclass(frozen=True)
class Plan:
    """What a recipe is written from. ``base`` is the common ancestor's name ("" for none); ``anchor`` its record, where
    it was read. ``substitutes`` are full-precision parents to be taken instead of quantized models.
    """

    candidates: tuple[Candidate, ...]
    facts: Mapping[str, Facts]
    faults: tuple[Fault, ...]
    base: str = ""
    anchor: Candidate | None = None
    sampling: Sampling | None = None
    substitutes: Mapping[str, str] = ()  # type: ignore[assignment]

    @property
    def others(self) -> list[Candidate]:
        """The models beside the base."""
        return [c for c in self.candidates if c.name.lower() != self.base.lower()]


def write(plan: Plan, wish: str = "") -> Recipe | None:
    """The recipe for a plan, by the method of the ``wish`` where that is offered; None where none can be written."""
    methods = weigh(plan)
    by_name = {method.name: method for method in methods}
    name = wish if wish in by_name else next(method.name for method in methods if method.fits)
    if not by_name[name].fits and name != wish:
        return None
    if name in ("task_arithmetic", "ties") and not plan.base:
        return None
    if name == "slerp" and len(plan.candidates) != 2:
        return None
    return Recipe(name, _yaml(plan, name), by_name[name].reasons, methods)


# --- which method ---------------------------------------------------------------------------------------------------
def weigh(plan: Plan) -> tuple[Method, ...]:
    """The four methods, the recommended one first."""
    others = plan.others
    why_not = _base_fails(plan)
    vectors = bool(plan.base) and len(others) > 1 and not why_not
    conflict = _conflict(plan.sampling)
    if vectors:
        task = Method(
            "task_arithmetic",
            True,
            (
                f"{short(plan.base)} is a common base, so that what each model learned can be added.",
                "It is the most dependable method where a base is known.",
            ),
        )
    else:
        reason = why_not or "No common base is known."
        if plan.base and not why_not:
            reason = "One of the models is the base of the other: adding a part of the one difference is a mean again."
        task = Method("task_arithmetic", False, (reason,))
    linear = Method("linear", True, _linear_reasons(plan, vectors))
    slerp = Method(
        "slerp",
        len(plan.candidates) == 2,
        ("It keeps the length of the weights between two models; for near relatives it gives nearly the mean.",)
        if len(plan.candidates) == 2
        else (f"It takes two models; these are {len(plan.candidates)}.",),
    )
    ties = _ties(plan, vectors, conflict)
    first = [task, linear] if vectors else [linear, task]
    return (*first, slerp, ties)


def _linear_reasons(plan: Plan, vectors: bool) -> tuple[str, ...]:
    if vectors:
        return ("The plain mean: what each model learned counts with its share only.",)
    if plan.base and any(c.name.lower() == plan.base.lower() for c in plan.candidates):
        between = "the mean goes half the way between the two, which also cuts regressions between old and new versions"
        return (f"{short(plan.base)} is the base of the other: {between}.",)
    return ("It asks for nothing but one shape and one ancestor, and is dependable.",)


def _ties(plan: Plan, vectors: bool, conflict: float | None) -> Method:
    if not vectors:
        return Method("ties", False, ("It works on differences to a common base.",))
    if conflict is None:
        return Method("ties", False, ("How far the models' changes oppose each other has not been measured.",))
    if conflict < CONFLICT:
        return Method(
            "ties",
            False,
            (f"Of the largest changes only {conflict:.0%} have opposite signs: there is little to settle.",),
        )
    return Method(
        "ties",
        True,
        (
            f"Of the largest changes {conflict:.0%} have opposite signs, which it settles by majority.",
            f"Its density has to be written: the default of 1.0 trims nothing; {DENSITY:g} keeps the largest fifth.",
            "In published comparisons it is less dependable than task arithmetic: compare both.",
        ),
    )


def _conflict(sampling: Sampling | None) -> float | None:
    found = [pair.conflict for pair in sampling.pairs if pair.conflict is not None] if sampling else []
    return sum(found) / len(found) if found else None


def _base_fails(plan: Plan) -> str:
    """Why the common ancestor can't be the base of a recipe, though it is one; "" where it can."""
    if not plan.base or any(c.name.lower() == plan.base.lower() for c in plan.candidates):
        return ""
    if any(fault.code in ("base.unrelated", "base.wrong") for fault in plan.faults):
        return f"By the weights {short(plan.base)} is not their base."
    if all(c.is_adapter for c in plan.candidates):
        return ""
    if plan.anchor is None or not plan.anchor.comparable:
        return f"The common ancestor {short(plan.base)} has not been read, or isn't in full precision."
    model = next((c for c in plan.candidates if c.comparable), None)
    return _unlike(plan, model, plan.anchor) if model is not None else ""


def _unlike(plan: Plan, model: Candidate, anchor: Candidate) -> str:
    """What an ancestor has otherwise than the models, which would break or win in a merge; "" for nothing."""
    ours, theirs = shapes_of(model), shapes_of(anchor)
    odd = [name for name, shape in ours.items() if theirs.get(name) != shape]
    if odd:
        return f"The common ancestor {short(plan.base)} has other tensors (as {odd[0]})."
    settings = settings_of([model, anchor], {model.name: plan.facts[model.name], anchor.name: facts_of(anchor)})
    serious = [f for f in settings if f.level in (Level.MEND, Level.STOP) and f.code != "labels.differ"]
    if serious:
        return f"The configuration of {short(plan.base)} would win, and differs: {serious[0].cause}"
    return ""


# --- the configuration ----------------------------------------------------------------------------------------------
def _yaml(plan: Plan, method: str) -> str:
    vectors = method in ("task_arithmetic", "ties")
    entries = plan.others if vectors else list(plan.candidates)
    # Where no ancestor is the base, one of the models is: its configuration and tokenizer are then taken, every time.
    base = plan.base if vectors else _spell(plan, _donor(plan, entries))
    lines = [f"# {line}" for line in _remarks(plan, method)]
    lines += [f"merge_method: {method}", f"base_model: {_quote(_anchor_name(plan) if vectors else base)}", "models:"]
    weight = _weight(plan, method, len(entries))
    for each in entries:
        lines.append(f"  - model: {_quote(_spell(plan, each))}")
        if method == "slerp":
            continue
        lines.append("    parameters:")
        lines.append(f"      weight: {weight}")
        if method == "ties":
            lines.append(f"      density: {DENSITY:g}")
    shared = {
        "slerp": ["  t: 0.5"],
        "linear": ["  normalize: true"],
        "ties": ["  normalize: true"],
        "task_arithmetic": ["  normalize: false"],
    }
    lines += ["parameters:", *shared[method]]
    lines += ["dtype: float32", f"out_dtype: {_out_dtype(plan)}"]
    lines += _tokenizer(plan, vectors)
    return "\n".join(lines) + "\n"


def _remarks(plan: Plan, method: str) -> list[str]:
    told = [f"{method} of {listed((short(c.name) for c in plan.candidates), most=8)}, for mergekit 0.1.5"]
    for name, full in dict(plan.substitutes).items():
        told.append(f"{short(name)} is quantized: {full} is taken instead")
    open_ = [
        f for f in plan.faults if f.level is Level.MEND and not f.by_recipe and not f.code.startswith("quantized.")
    ]
    if open_:
        told.append(f"first to be done: {listed(dict.fromkeys(after(f.code) for f in open_))}")
    if any(c.is_adapter for c in plan.candidates):
        told.append("adapters: give mergekit-yaml a folder by --lora-merge-cache, where it merges each into its base")
    return told


def _anchor_name(plan: Plan) -> str:
    """The base as it is spelt in a recipe: of adapters with its revision, where all name the same."""
    revisions = {c.inspection.adapter.base_revision for c in plan.candidates if c.inspection.adapter}
    revision = next(iter(revisions)) if len(revisions) == 1 else ""
    return f"{plan.base}@{revision}" if revision else plan.base


def _spell(plan: Plan, candidate: Candidate) -> str:
    adapter = candidate.inspection.adapter
    if adapter is not None and adapter.base:
        revision = f"@{adapter.base_revision}" if adapter.base_revision else ""
        return f"{adapter.base}{revision}+{candidate.name}"
    return dict(plan.substitutes).get(candidate.name, candidate.name)


def _donor(plan: Plan, entries: Sequence[Candidate]) -> Candidate:
    """Whose configuration and tokenizer are taken: the first whole model with a chat template, else the first."""
    whole = [c for c in entries if not c.is_adapter] or list(entries)
    spoken = [c for c in whole if c.inspection.tokenizer and c.inspection.tokenizer.chat_template_hash]
    return (spoken or whole)[0]


def _weight(plan: Plan, method: str, count: int) -> str:
    if method == "ties":
        return "1.0"
    if method == "task_arithmetic":
        cosines = [p.tasks for p in plan.sampling.pairs if p.tasks is not None] if plan.sampling else []
        mean = min(1.0, max(0.0, sum(cosines) / len(cosines))) if cosines else 0.0
        return f"{(count + count * (count - 1) * mean) ** -0.5:.2f}"
    return f"{1 / count:.4g}"


def _out_dtype(plan: Plan) -> str:
    counts: dict[str, int] = {}
    for each in plan.candidates:
        schema = each.inspection.schema
        if each.comparable and schema is not None:
            main = _DTYPES.get(next(iter(schema.dtypes), ""), "")
            if main:
                counts[main] = counts.get(main, 0) + 1
    if not counts and plan.anchor is not None and plan.anchor.inspection.schema is not None:
        return _DTYPES.get(next(iter(plan.anchor.inspection.schema.dtypes), ""), "bfloat16")
    return max(counts, key=lambda name: counts[name], default="bfloat16")


def _tokenizer(plan: Plan, vectors: bool) -> list[str]:
    """The lines for tokenizer and chat template; none where the base's can be copied as it is."""
    parties = [c for c in plan.candidates if not c.is_adapter]
    if vectors and plan.anchor is not None and plan.anchor not in parties:
        parties = [*parties, plan.anchor]
    spoken = [c for c in parties if c.inspection.tokenizer is not None]
    if len(spoken) < 2:
        return []
    codes = {fault.code for fault in plan.faults}
    base = plan.anchor if vectors and plan.anchor is not None else _donor(plan, plan.candidates)
    donor = _donor(plan, plan.others or plan.candidates)
    source = ""
    if codes & _UNION:
        source = "union"
    elif codes & _ALIGN:
        source = "base"
    elif codes & _DONATE and base is not donor:
        source = _quote(_spell(plan, donor))
    lines = []
    if source:
        lines += ["tokenizer:", f"  source: {source}"]
        pads = {
            multiple
            for c in spoken
            if c.comparable
            and c.inspection.tokenizer is not None
            and (multiple := padding_of(rows_of(c, plan.facts.get(c.name) or Facts()), c.inspection.tokenizer.size))
        }
        if pads:
            lines.append(f"  pad_to_multiple_of: {max(pads)}")
    templates = {t.chat_template_hash for c in spoken if (t := c.inspection.tokenizer) and t.chat_template_hash}
    silent = base.inspection.tokenizer is None or not base.inspection.tokenizer.chat_template_hash
    if templates and silent and source in ("", "union", "base"):
        lines.append("chat_template: auto")
    return lines


def _quote(name: str) -> str:
    """A name as YAML: plain where nothing in it can be read as something else."""
    return name if _PLAIN.match(name) else json.dumps(name, ensure_ascii=False)
