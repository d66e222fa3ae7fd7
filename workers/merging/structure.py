"""What is built differently: architecture, sizes, tensors, how the numbers are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workers.merging import tensors
from workers.merging.facts import Facts, facts_of
from workers.merging.records import Candidate, Fault, Level
from workers.merging.wording import by_value, differ, doing, listed, names_of, odd_ones, pairs, short, shown, versus
from workers.weights.records import State

# (size, code, what it is called); a merge averages numbers one by one, so that none of these may differ.
SIZES = (
    ("layers", "size.layers", "number of layers"),
    ("hidden", "size.hidden", "hidden size"),
    ("heads", "size.heads", "number of attention heads"),
    ("kv_heads", "size.kv_heads", "number of key and value heads"),
    ("head_dim", "size.head_dim", "width of an attention head"),
    ("intermediate", "size.intermediate", "width of the feed-forward layers"),
    ("experts", "size.experts", "number of experts"),
    ("image", "size.image", "size of the image"),
    ("patch", "size.image", "size of a patch"),
    ("channels", "size.image", "number of image channels"),
    ("types", "size.types", "number of token types"),
)
MENDING = {
    "size.layers": "Weights of models of different depth can't be averaged. Take models of one depth; mergekit's "
    "passthrough stacks layers of several instead, which is another kind of model and has to be trained on.",
    "size.kv_heads": "Take models with the same grouping of keys and values. Heads can be repeated to bring a model to "
    "more of them (as when grouped attention is undone), before the merge.",
}
_MEND_SIZE = "Averaging needs tensors of one shape: take models of the same size, usually of one family and release."

_STATES = {
    State.NO_SAFE_WEIGHTS: (
        "has only pickled weights, which are never opened here",
        "Convert it to safetensors first; the Hub's conversion bot does that in a pull request.",
    ),
    State.NO_WEIGHTS: ("has no weights in its repository", "Check the name: a merge needs the weights themselves."),
    State.GATED: (
        "is gated: its files need an accepted agreement",
        "Accept the agreement and set a token, and let the settings allow gated weights to be read.",
    ),
    State.REFUSED: (
        "has files that were refused",
        "Its files have to be whole and well formed before they are merged.",
    ),
    State.MISSING: ("is not on the Hub any more", "Take another model, or a copy of it."),
}


def unread(candidates: Sequence[Candidate]) -> list[Fault]:
    """Models of which nothing can be said, and why."""
    faults = []
    for each in candidates:
        state = each.inspection.state
        if each.read or state == State.READ:
            continue
        cause, mend = _STATES.get(State(state), ("has not been read yet", "Have its weights read (`inspect`)."))
        reason = each.inspection.reason
        if not each.inspection.revision and state == State.NO_WEIGHTS and not reason:
            cause, mend = "has not been read yet", "Have its weights read: a member of staff can start that."
        told = f"{short(each.name)} {cause}{': ' + reason if reason else ''}"
        faults.append(
            Fault(
                f"unread.{State(state).value}",
                Level.UNKNOWN,
                told if told.endswith(".") else told + ".",
                mend,
                compared=((each.name, State(state).value),),
                models=(each.name,),
            )
        )
    return faults


def quantized(candidates: Sequence[Candidate]) -> list[Fault]:
    """Models whose numbers were made smaller: mergekit reads full precision only."""
    faults = []
    for each in candidates:
        if not each.is_quantized:
            continue
        found = each.inspection.quantization
        method = found.method if found else "gguf"
        detail = found.detail if found else ""
        full = next((f.name for f in each.forebears if f.relation == "quantized"), "")
        what = f"{method.upper() if len(method) <= 4 else method}{' (' + detail + ')' if detail else ''}"
        mend = (
            f"Merge its full-precision parent {full} instead, and quantize the result."
            if full
            else "Merge the full-precision model that it was made from, and quantize the result; the lineage names no "
            "parent by quantization here."
        )
        faults.append(
            Fault(
                f"quantized.{method.lower()}",
                Level.MEND,
                f"{short(each.name)} is quantized: {what}. A merge needs numbers in full precision.",
                mend,
                compared=((each.name, what),),
                models=(each.name, *([full] if full else [])),
                mergekit="error",
            )
        )
    return faults


def architecture(candidates: Sequence[Candidate], facts: Mapping[str, Facts]) -> list[Fault]:
    """Models of different kinds. Adapters have no architecture of their own."""
    given = {c.name: facts[c.name] for c in candidates if not c.is_adapter and facts[c.name].given}
    bare = [c.name for c in candidates if c.comparable and not facts[c.name].architectures]
    faults = []
    if bare:
        faults.append(
            Fault(
                "config.architectures",
                Level.MEND,
                f"The configuration of {names_of(bare)} names no architecture, so that mergekit can't tell what it is.",
                "Write “architectures” and “model_type” into config.json, as transformers does when it saves a model.",
                compared=tuple((name, "no architectures") for name in bare),
                models=tuple(bare),
                mergekit="error",
            )
        )
    several = {n: f.architectures for n, f in given.items() if len(f.architectures) > 1}
    if several:
        faults.append(
            Fault(
                "config.architectures",
                Level.MEND,
                f"{doing(list(several), 'names', 'name')} several architectures; mergekit takes one.",
                "Leave the one that the weights are of in config.json.",
                compared=pairs(several),
                models=tuple(several),
                mergekit="error",
            )
        )
    classes = {n: f.architectures[0].lower() for n, f in given.items() if f.architectures}
    types = {n: f.model_type for n, f in given.items() if f.model_type}
    if not (differ(classes) or differ(types)):
        return faults
    spelt = {n: " ".join([*f.architectures[:1], f"({f.model_type})" if f.model_type else ""]) for n, f in given.items()}
    seeing = {n: f.vision for n, f in given.items()}
    if differ(seeing):
        code, cause = (
            "architecture.vision",
            f"{names_of([n for n, v in seeing.items() if v])} sees images, the rest don't",
        )
        mend = (
            "Only the language part can be merged: take the language model out of the one that sees (its text tower, "
            "with the prefix of its tensors removed), merge that, and put it back."
        )
    elif not differ(types) and types:
        code, cause = "architecture.head", "The models are of one type with different heads"
        mend = "Heads for different tasks can't be averaged. Merge models of one head, or the bodies and train a head."
    else:
        code, cause = "architecture.differs", "The models are of different architectures"
        mend = (
            "No averaging makes sense of that; mergekit's --allow-crimes lets it through and gives noise. Keep both "
            "and "
            "route between them, or distil one into the other."
        )
    faults.append(
        Fault(
            code,
            Level.STOP,
            f"{cause}: {versus({n: s.strip() for n, s in spelt.items()})}.",
            mend,
            compared=pairs(spelt),
            models=odd_ones(spelt),
            mergekit="error",
        )
    )
    return faults


def sizes(candidates: Sequence[Candidate], facts: Mapping[str, Facts]) -> list[Fault]:
    """Sizes that configurations give differently."""
    faults: list[Fault] = []
    whole = [c for c in candidates if not c.is_adapter and facts[c.name].given]
    found: set[str] = set()
    for key, code, words in SIZES:
        values = {c.name: facts[c.name].sizes[key] for c in whole if key in facts[c.name].sizes}
        if len(values) < 2 or not differ(values):
            continue
        if _follows(key, found):
            continue
        found.add(key)
        faults.append(
            Fault(
                code,
                Level.STOP,
                f"The {words} differs: {versus(values)}.",
                MENDING.get(code, _MEND_SIZE),
                compared=pairs(values),
                models=odd_ones(values),
                mergekit="error",
            )
        )
    return faults


def _follows(key: str, found: set[str]) -> bool:
    """Whether a difference is only the consequence of one that was named: a head's width follows the hidden size."""
    return (key == "head_dim" and bool(found & {"hidden", "heads"})) or (key == "kv_heads" and "heads" in found)


def stored_as(candidates: Sequence[Candidate]) -> list[Fault]:
    """Numbers stored in different types."""
    values = {}
    for each in candidates:
        schema = each.inspection.schema
        if each.comparable and schema is not None and schema.dtypes:
            values[each.name] = _main(schema.dtypes)
    if not differ(values):
        return []
    return [
        Fault(
            "dtype.mixed",
            Level.MEND,
            f"The numbers are stored in different types: {versus(values)}. mergekit mixes them without a word, and "
            "writes what it happens to end with.",
            "Write `dtype: float32`, in which to compute, and `out_dtype`, in which to store; the recipe does.",
            compared=pairs(values),
            models=odd_ones(values),
            by_recipe=True,
            mergekit="silent",
        )
    ]


def _main(dtypes: Mapping[str, int]) -> str:
    return next(iter(dtypes))


def the_same(candidates: Sequence[Candidate]) -> list[Fault]:
    """Models whose files are the same, byte for byte."""
    prints: dict[str, tuple[str, ...]] = {}
    for each in candidates:
        schema = each.inspection.schema
        hashes = tuple(sorted(file.sha256 for file in schema.files)) if schema else ()
        if hashes and all(hashes):
            prints[each.name] = hashes
    faults = []
    for _, names in by_value(prints):
        if len(names) > 1:
            faults.append(
                Fault(
                    "models.same",
                    Level.NOTE,
                    f"{listed(names)} have the same weights, byte for byte.",
                    "Leave one of them out: in a mean it only counts twice.",
                    compared=tuple((name, "the same files") for name in names),
                    models=tuple(names),
                )
            )
    return faults


def unreadable(candidates: Sequence[Candidate]) -> list[Fault]:
    """Small files that could not be read: what they would have told was not compared."""
    return [
        Fault(
            "files.unreadable",
            Level.MEND,
            f"Of {short(each.name)} not all files could be read: {listed(each.inspection.oddities, most=3)}",
            "Put the file right, or save it again with transformers: what it says was not compared.",
            compared=tuple((each.name, oddity) for oddity in each.inspection.oddities[:8]),
            models=(each.name,),
        )
        for each in candidates
        if each.read and each.inspection.oddities
    ]


def code_of_its_own(candidates: Sequence[Candidate], facts: Mapping[str, Facts]) -> list[Fault]:
    """Models that bring their own code."""
    own = [c.name for c in candidates if facts[c.name].remote_code]
    if not own:
        return []
    return [
        Fault(
            "config.code",
            Level.NOTE,
            f"{doing(own, 'brings its', 'bring their')} own code (auto_map).",
            "mergekit runs it only with --trust-remote-code: read it first.",
            compared=tuple((name, "auto_map") for name in own),
            models=tuple(own),
        )
    ]


def judge(candidates: Sequence[Candidate]) -> list[Fault]:
    """All faults of structure, the gravest causes first; what follows from one is not told again."""
    facts = {c.name: facts_of(c) for c in candidates}
    faults = [*unread(candidates), *quantized(candidates)]
    kinds = architecture(candidates, facts)
    faults += kinds
    other = any(fault.code in ("architecture.differs", "architecture.vision") for fault in kinds)
    measured = [] if other else sizes(candidates, facts)
    faults += measured
    whole = [c for c in candidates if c.comparable]
    if len(whole) > 1 and not any(fault.level is Level.STOP for fault in kinds):
        faults += tensors.judge(whole, facts, known=frozenset(fault.code for fault in measured))
    faults += stored_as(candidates)
    faults += the_same(candidates)
    faults += code_of_its_own(candidates, facts)
    faults += unreadable(candidates)
    return faults


__all__ = ["judge", "shown"]
