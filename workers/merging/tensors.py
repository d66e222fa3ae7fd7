"""Tensors laid beside each other: names, prefixes, biases, tied embeddings, shapes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workers.merging.facts import Facts
from workers.merging.records import Candidate, Fault, Level
from workers.merging.wording import differ, doing, listed, many, names_of, odd_ones, pairs, short, versus

Shape = tuple[int, ...]

# What some versions save and others don't, and which holds nothing that was learned.
BUFFERS = re.compile(
    r"(rotary_emb\.(inv_freq|cos_cached|sin_cached)|\.attn\.(bias|masked_bias)|\.attention\.(bias|masked_bias)"
    r"|position_ids|rotary_pos_emb\.inv_freq|num_batches_tracked)$"
)
EMBEDDING = re.compile(
    r"(^|\.)(embed_tokens|wte|word_embeddings|tok_embeddings|embed_in|shared|token_embedding|wordEmbeddings)\.weight$"
)
HEAD = re.compile(r"(^|\.)(lm_head|embed_out|predictions\.decoder|decoder|output)\.(weight|bias)$")
POSITIONS = re.compile(r"(^|\.)(wpe|position_embeddings?|embed_positions|pos_embed|positional_embedding)(\.weight)?$")
LAYER = re.compile(r"(?:^|\.)(\d+)\.")
TASK_HEAD = re.compile(
    r"(^|\.)(score|classifier|classification_head|pooler|qa_outputs|cls|vocab_transform|lm_head|v_head|reward_head)\."
)
LORA = re.compile(r"\.lora_(A|B|magnitude|embedding)")

# Where sizes are the same in both configurations and a tensor is not: what it is called after where it stands.
PLACES = (
    (re.compile(r"\.(k_proj|v_proj|key|value|wk|wv|kv_proj)\."), "size.kv_heads", "keys and values"),
    (re.compile(r"\.(q_proj|query|wq|o_proj|qkv|c_attn|query_key_value)\."), "size.heads", "attention"),
    (
        re.compile(r"\.(mlp|feed_forward|ffn|intermediate|output|fc1|fc2|w1|w2|w3|experts)\."),
        "size.intermediate",
        "feed-forward layers",
    ),
)


def shapes_of(candidate: Candidate) -> dict[str, Shape]:
    """The learned tensors of a model by name."""
    schema = candidate.inspection.schema
    tensors = schema.tensors if schema is not None else ()
    return {tensor.name: tensor.shape for tensor in tensors if not BUFFERS.search(tensor.name)}


@dataclass(frozen=True, slots=True)
class Prefix:
    """What has to be put in place of what at the beginning of names for them to agree."""

    theirs: str
    ours: str
    renamed: dict[str, str]  # their name → ours


def judge(candidates: Sequence[Candidate], facts: Mapping[str, Facts], *, known: frozenset[str]) -> list[Fault]:
    """Faults of the tensors of whole, full-precision models of one architecture. ``known`` are the codes of sizes that
    the configurations already told apart: what follows from them is left out.
    """
    shapes = {c.name: shapes_of(c) for c in candidates}
    faults = _leftovers(shapes)
    reference = _reference(shapes)
    faults += _prefixes(shapes, reference)
    faults += _tied(shapes, facts)
    faults += _layers(shapes, known)
    if "size.layers" not in {fault.code for fault in faults} | known:
        faults += _missing(shapes)
    if not known & {"size.hidden", "size.heads"}:
        faults += _shapes(shapes, reference, known, {name: len(facts[name].labels) for name in shapes})
    faults += _contradictions(candidates, facts)
    return faults


def _reference(shapes: Mapping[str, Mapping[str, Shape]]) -> str:
    """The model whose names most others share; of equals the first."""
    prints = {name: frozenset(each) for name, each in shapes.items()}
    counts = Counter(prints.values())
    return max(shapes, key=lambda name: counts[prints[name]])


def _leftovers(shapes: dict[str, dict[str, Shape]]) -> list[Fault]:
    faults = []
    for name, each in shapes.items():
        left = [tensor for tensor in each if LORA.search(tensor)]
        if left:
            faults.append(
                Fault(
                    "adapter.left_over",
                    Level.MEND,
                    f"{short(name)} holds {many(len(left), 'tensor')} of an adapter beside its own, as {left[0]}.",
                    "Merge the adapter into the model first (merge_and_unload), and save it again.",
                    compared=((name, listed(left)),),
                    models=(name,),
                )
            )
            shapes[name] = {tensor: shape for tensor, shape in each.items() if tensor not in set(left)}
    return faults


# --- prefixes -------------------------------------------------------------------------------------------------------
def _prefixes(shapes: dict[str, dict[str, Shape]], reference: str) -> list[Fault]:
    """Models whose tensors are named alike behind another prefix; their names are put right for what follows."""
    faults = []
    for name, each in shapes.items():
        if name == reference:
            continue
        found = prefix_between(each, shapes[reference])
        if found is None:
            continue
        shapes[name] = {found.renamed.get(tensor, tensor): shape for tensor, shape in each.items()}
        theirs, ours = found.theirs or "no prefix", found.ours or "no prefix"
        faults.append(
            Fault(
                "tensors.prefix",
                Level.MEND,
                f"The tensors of {short(name)} begin with {_quoted(theirs)} where those of {short(reference)} begin "
                "with "
                f"{_quoted(ours)}: the same tensors under other names.",
                "Load it with transformers and save it again under the architecture of the others, or rename the "
                "tensors.",
                compared=((name, theirs), (reference, ours)),
                models=(name,),
                mergekit="error",
            )
        )
    return faults


def _quoted(prefix: str) -> str:
    return prefix if prefix == "no prefix" else f"“{prefix}”"


def prefix_between(theirs: Mapping[str, Shape], ours: Mapping[str, Shape]) -> Prefix | None:
    """The change of prefix under which most of the names that differ agree, shapes included; None where none does."""
    here = [name for name in theirs if name not in ours]
    there = [name for name in ours if name not in theirs]
    if len(here) < 2 or len(there) < 2:
        return None
    by_tail: dict[str, list[str]] = {}
    for name in there:
        parts = name.split(".")
        for at in range(len(parts) - 1):
            by_tail.setdefault(".".join(parts[at:]), []).append(name)
    votes: Counter[tuple[str, str]] = Counter()
    for name in here:
        parts = name.split(".")
        for at in range(min(5, len(parts) - 1)):
            tail = ".".join(parts[at:])
            if tail in by_tail:
                votes.update((name[: -len(tail)], other[: -len(tail)]) for other in by_tail[tail][:4])
                break
    if not votes:
        return None
    (mine, other), _ = votes.most_common(1)[0]
    targets = set(there)
    renamed = {
        name: other + name[len(mine) :]
        for name in here
        if name.startswith(mine) and other + name[len(mine) :] in targets
    }
    return Prefix(mine, other, renamed) if len(renamed) >= 0.6 * min(len(here), len(there)) else None


# --- embeddings -----------------------------------------------------------------------------------------------------
def has_head(shapes: Mapping[str, Shape]) -> bool:
    """Whether the output layer is stored: where it isn't, it is tied to the embedding."""
    return any(HEAD.search(name) and name.endswith(".weight") for name in shapes)


def _tied(shapes: dict[str, dict[str, Shape]], facts: Mapping[str, Facts]) -> list[Fault]:
    """Tied in one and free in another; the heads are then taken out of what follows."""
    declared = {name: facts[name].tied for name in shapes}
    stored = {name: has_head(each) for name, each in shapes.items()}
    if not any(EMBEDDING.search(tensor) for each in shapes.values() for tensor in each):
        return []
    known = {name: value for name, value in declared.items() if value is not None}
    if not differ(stored) and not differ(known):
        return []
    told = {
        name: f"{'tied' if tied else 'not tied' if tied is not None else 'not told'}, output layer "
        f"{'stored' if stored[name] else 'not stored'}"
        for name, tied in declared.items()
    }
    missing = [name for name in shapes if declared[name] is False and not stored[name]]
    for name, each in shapes.items():
        shapes[name] = {tensor: shape for tensor, shape in each.items() if not HEAD.search(tensor)}
    if not differ(known) and known and not missing:
        if all(known.values()):
            return [
                Fault(
                    "embeddings.stored",
                    Level.NOTE,
                    "All models tie the output layer to the embedding, but "
                    f"{names_of([n for n, s in stored.items() if s])} "
                    "store it as well.",
                    "Nothing has to be done: it is not used.",
                    compared=tuple(told.items()),
                    models=odd_ones(stored),
                )
            ]
        return []
    if missing and not differ(known):
        return [
            Fault(
                "tensors.missing",
                Level.MEND,
                f"{doing(missing, 'has', 'have')} no output layer (lm_head), though the configuration doesn't tie it "
                "to the "
                "embedding.",
                "Save the model again: the layer was lost, or tie_word_embeddings has to be true.",
                compared=tuple(told.items()),
                models=tuple(missing),
                mergekit="error",
            )
        ]
    return [
        Fault(
            "embeddings.tied",
            Level.MEND,
            "The output layer is tied to the embedding in some of the models and free in others: "
            f"{versus(told)}. mergekit lets it through, and the result has one or the other, by its base's "
            "configuration.",
            "Give the tied ones an output layer of their own: load the model, set tie_word_embeddings to false, copy "
            "the "
            "embedding into lm_head, save it.",
            compared=tuple(told.items()),
            models=odd_ones(told),
            mergekit="silent",
        )
    ]


# --- what is there --------------------------------------------------------------------------------------------------
def depth_of(shapes: Mapping[str, Shape]) -> int:
    """How many layers the tensors' names count: under the prefix that has the most tensors (a head counts as well)."""
    stacks: dict[str, list[int]] = {}
    for name in shapes:
        found = LAYER.search(name)
        if found:
            stacks.setdefault(name[: found.start(1)], []).append(int(found[1]))
    if not stacks:
        return 0
    return 1 + max(sorted(stacks.values(), key=len)[-1])


def _layers(shapes: Mapping[str, Mapping[str, Shape]], known: frozenset[str]) -> list[Fault]:
    depths = {name: depth_of(each) for name, each in shapes.items()}
    if "size.layers" in known or not differ(depths):
        return []
    return [
        Fault(
            "size.layers",
            Level.STOP,
            f"The tensors count different numbers of layers, whatever the configurations say: {versus(depths)}.",
            "Weights of models of different depth can't be averaged; where files are missing, fetch them again.",
            compared=pairs(depths),
            models=odd_ones(depths),
            mergekit="error",
        )
    ]


def _missing(shapes: Mapping[str, Mapping[str, Shape]]) -> list[Fault]:
    """Tensors that some of the models have and others haven't."""
    everywhere = set.intersection(*(set(each) for each in shapes.values()))
    loose = {name: [tensor for tensor in each if tensor not in everywhere] for name, each in shapes.items()}
    if not any(loose.values()):
        return []
    faults = []
    biases = {name: [tensor for tensor in each if tensor.endswith(".bias")] for name, each in loose.items()}
    if any(biases.values()):
        have = {name: many(len(each), "bias tensor", "bias tensors") for name, each in biases.items()}
        first = next(tensor for each in biases.values() for tensor in each)
        owners = tuple(name for name, each in biases.items() if each)
        faults.append(
            Fault(
                "tensors.bias",
                Level.MEND,
                f"{doing(owners, 'has', 'have')} bias tensors which others lack ({listed(biases[owners[0]])}). "
                "mergekit drops "
                "them "
                "without a word, and with them what they learned.",
                f"Give the others biases of zero under the same names (as {first}) and the setting of the "
                "configuration "
                "that goes with them, or leave the model out.",
                compared=tuple(have.items()),
                models=owners,
                mergekit="silent",
            )
        )
    rest = {name: [t for t in each if not t.endswith(".bias")] for name, each in loose.items()}
    if any(rest.values()):
        union = {tensor for each in rest.values() for tensor in each}
        lacking = {name: sorted(union - set(shapes[name])) for name in shapes}
        told = {name: f"{many(len(each), 'tensor')} missing" if each else "all there" for name, each in lacking.items()}
        some = min((each for each in lacking.values() if each), key=len)
        losers = tuple(name for name, each in lacking.items() if each)
        head = all(TASK_HEAD.search(tensor) for tensor in union)
        owners = tuple(name for name, each in rest.items() if each)
        faults.append(
            Fault(
                "tensors.head" if head else "tensors.missing",
                Level.MEND,
                f"{doing(losers, 'lacks', 'lack')} {'a head' if head else 'tensors'} that "
                f"{names_of([o for o in owners if o not in losers] or owners)} "
                f"has: {listed(some)}.",
                "Merge the bodies and keep the head of one model: save all under one class of transformers."
                if head
                else "Fetch or save the model again with all its tensors; where they belong to an addition, take it "
                "off the "
                "others first.",
                compared=tuple(told.items()),
                models=losers,
                mergekit="error",
            )
        )
    return faults


# --- shapes ---------------------------------------------------------------------------------------------------------
def _shapes(
    shapes: Mapping[str, Mapping[str, Shape]], reference: str, known: frozenset[str], classes: Mapping[str, int]
) -> list[Fault]:
    """Tensors of one name and different shapes; rows of the vocabulary are told elsewhere.

    ``classes`` are the numbers of classes that configurations name.
    """
    found: dict[str, dict[str, list[str]]] = {}  # code → model → tensors
    words: dict[str, str] = {}
    for name, each in shapes.items():
        for tensor, shape in each.items():
            other = shapes[reference].get(tensor)
            if other is None or other == shape:
                continue
            code, called = _place(tensor, shape, other)
            if classes[name] and classes[reference] and (shape[0], other[0]) == (classes[name], classes[reference]):
                code, called = "labels.number", "The number of classes differs"
            if code and code not in known:
                words[code] = called
                found.setdefault(code, {}).setdefault(name, []).append(tensor)
    faults = []
    for code, by_model in found.items():
        name, odd = next(iter(by_model.items()))
        first = odd[0]
        told = {model: " by ".join(map(str, each[first])) for model, each in shapes.items() if first in each}
        labels = code == "labels.number"
        faults.append(
            Fault(
                code,
                Level.MEND if labels else Level.STOP,
                f"{words[code]} in {first}: {versus(told)}"
                + (f", and in {len(odd) - 1:,} more of its tensors." if len(odd) > 1 else "."),
                "Merge the bodies and keep the head of one model: heads with other classes can't be averaged."
                if labels
                else "Averaging needs tensors of one shape: take models of one size and build.",
                compared=pairs(told),
                models=tuple(by_model),
                mergekit="error",
            )
        )
    return faults


def _place(tensor: str, shape: Shape, other: Shape) -> tuple[str, str]:
    """(code, words) for a tensor whose shapes differ; ("", "") where another room tells it."""
    if EMBEDDING.search(tensor) or HEAD.search(tensor) or tensor.endswith("predictions.bias"):
        if shape[1:] == other[1:]:
            return "", ""
        return "size.hidden", "The width of the embedding differs"
    if POSITIONS.search(tensor):
        return "positions.table", "The table of learned positions has another length"
    if re.search(r"(^|\.)(score|classifier|classification_head|out_proj)\.(weight|bias|out_proj\.\w+)$", tensor):
        return "labels.number", "The number of classes differs"
    for pattern, code, where in PLACES:
        if pattern.search(tensor):
            return code, f"The shape of the {where} differs"
    return "tensors.shape", "A tensor has different shapes"


def _contradictions(candidates: Sequence[Candidate], facts: Mapping[str, Facts]) -> list[Fault]:
    """Configurations that don't fit their own tensors."""
    faults = []
    for each in candidates:
        told = facts[each.name]
        shapes = shapes_of(each)
        embedding = next((shape for name, shape in shapes.items() if EMBEDDING.search(name) and len(shape) == 2), None)
        checks = [
            ("hidden size", told.sizes.get("hidden"), embedding[1] if embedding else None),
            ("vocabulary", told.sizes.get("vocabulary"), embedding[0] if embedding else None),
        ]
        depth = depth_of(shapes)
        # Encoder-decoders and models of several towers count layers in more than one place.
        if sum(1 for name in shapes if re.search(r"(^|\.)0\.", name)) and told.model_type not in ("t5", "whisper"):
            checks.append(("number of layers", told.sizes.get("layers"), depth))
        wrong = [(words, said, is_) for words, said, is_ in checks if said and is_ and said != is_]
        if told.given and wrong:
            words, said, real = wrong[0]
            faults.append(
                Fault(
                    "config.contradicts",
                    Level.MEND,
                    f"The configuration of {short(each.name)} gives {said:,} as its {words}, and its tensors have "
                    f"{real:,}.",
                    "Put config.json right, or save the model again: mergekit goes by the configuration.",
                    compared=((f"{each.name}, config.json", str(said)), (f"{each.name}, tensors", str(real))),
                    models=(each.name,),
                )
            )
    return faults
