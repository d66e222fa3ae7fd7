"""Vocabularies, tokens and their ids, special tokens, chat templates.

mergekit averages row by row: a row that stands for one token in one model and for another token in the next gives
noise, and nothing says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workers.merging.facts import Facts
from workers.merging.records import Candidate, Fault, Level
from workers.merging.tensors import EMBEDDING
from workers.merging.wording import by_value, differ, doing, listed, many, odd_ones, pairs, short, versus
from workers.weights.records import TokenizerFacts

ALIKE = 0.9  # of a sketch's hashes, from which on two tokenizers are one with some tokens replaced
WEIGHTY = ("bos_token", "eos_token", "cls_token", "sep_token", "mask_token")

_UNION = (
    "Write `tokenizer: {source: union}`: mergekit then lays the rows of equal tokens beside each other and gives new "
    "ones their own; the recipe does."
)
_BASE = (
    "Write `tokenizer: {source: base}`: mergekit then lays the rows of equal tokens beside each other, whatever their "
    "ids; the recipe does."
)


def judge(candidates: Sequence[Candidate], facts: Mapping[str, Facts]) -> list[Fault]:
    """All faults of vocabularies and tokenizers, among whole models that read and write text."""
    whole = [c for c in candidates if c.comparable]
    rows = {c.name: rows_of(c, facts[c.name]) for c in whole}
    rows = {name: count for name, count in rows.items() if count}
    found = {c.name: c.inspection.tokenizer for c in candidates if not c.is_adapter and not c.is_quantized}
    tokenizers = {name: each for name, each in found.items() if each is not None and each.size}
    faults = _sizes(rows, tokenizers)
    ids = _ids(tokenizers, rows)
    faults += ids
    faults += _beyond(rows, tokenizers)
    if tokenizers:
        faults += _without(whole, rows, tokenizers)
    moved = any(fault.code in ("tokens.permuted", "tokens.differ") for fault in ids)
    faults += _special(tokenizers, facts, [c.name for c in whole], by_token=moved)
    faults += _templates(found)
    return faults


def rows_of(candidate: Candidate, facts: Facts) -> int:
    """Rows of the embedding of tokens: of the tensor, or as the configuration gives them; 0 where there is none."""
    schema = candidate.inspection.schema
    if schema is not None:
        for tensor in schema.tensors:
            if EMBEDDING.search(tensor.name) and len(tensor.shape) == 2:
                return tensor.shape[0]
    return facts.sizes.get("vocabulary", 0)


def padding_of(rows: int, size: int) -> int | None:
    """The multiple to which ``size`` tokens were padded to make ``rows``: the largest power of two that gives them.

    None where nothing was padded, or no multiple leads there.
    """
    if rows <= size:
        return None
    for power in range(12, 0, -1):
        multiple = 1 << power
        if -(-size // multiple) * multiple == rows:
            return multiple
    return None


# --- sizes ----------------------------------------------------------------------------------------------------------
def _sizes(rows: Mapping[str, int], tokenizers: Mapping[str, TokenizerFacts]) -> list[Fault]:
    if not differ(rows):
        return []
    prints = {name: tokenizers[name].vocabulary_hash for name in rows if name in tokenizers}
    told = {
        name: f"{count:,} rows" + (f", {tokenizers[name].size:,} tokens" if name in tokenizers else "")
        for name, count in rows.items()
    }
    if len(prints) == len(rows) and not differ(prints):
        size = next(iter(tokenizers.values())).size
        return [
            Fault(
                "vocabulary.padding",
                Level.MEND,
                f"The embeddings are padded to different sizes over the same {size:,} tokens: {versus(rows)}.",
                "Write `tokenizer: {source: base, pad_to_multiple_of: N}`: without the multiple mergekit cuts the "
                "padding "
                "off and writes a smaller vocabulary; the recipe does.",
                compared=tuple(told.items()),
                models=odd_ones(rows),
                by_recipe=True,
                mergekit="error",
            )
        ]
    return [
        Fault(
            "vocabulary.size",
            Level.MEND,
            f"The vocabularies are of different sizes: {versus(rows)}.",
            _UNION
            if len(prints) == len(rows)
            else "A tokenizer for each model is needed for mergekit to lay equal tokens beside each other "
            "(`tokenizer: {source: union}`): add those that are missing, or cut the embeddings to the common tokens.",
            compared=tuple(told.items()),
            models=odd_ones(rows),
            by_recipe=len(prints) == len(rows),
            mergekit="error",
        )
    ]


def _beyond(rows: Mapping[str, int], tokenizers: Mapping[str, TokenizerFacts]) -> list[Fault]:
    """Tokens that have no row: the model would fail on them."""
    over = {n: (t.largest_id, rows[n]) for n, t in tokenizers.items() if n in rows and t.largest_id >= rows[n]}
    if not over:
        return []
    name, (largest, count) = next(iter(over.items()))
    return [
        Fault(
            "tokens.beyond",
            Level.MEND,
            f"The tokenizer of {short(name)} has ids up to {largest:,}, and its embedding has {count:,} rows: the "
            "tokens "
            "beyond have nothing behind them.",
            "Enlarge the embedding (resize_token_embeddings), or take the tokenizer that belongs to the weights.",
            compared=tuple((n, f"id {i:,} of {c:,} rows") for n, (i, c) in over.items()),
            models=tuple(over),
        )
    ]


def _without(
    whole: Sequence[Candidate], rows: Mapping[str, int], tokenizers: Mapping[str, TokenizerFacts]
) -> list[Fault]:
    bare = [c.name for c in whole if c.name not in tokenizers and c.name in rows]
    if not bare:
        return []
    return [
        Fault(
            "tokenizer.missing",
            Level.NOTE,
            f"{doing(bare, 'comes', 'come')} without a tokenizer: mergekit takes it to be that of the base.",
            "Make sure that it was trained with the same tokenizer.",
            compared=tuple((c.name, "none" if c.name in bare else "has one") for c in whole),
            models=tuple(bare),
        )
    ]


# --- ids ------------------------------------------------------------------------------------------------------------
def _ids(tokenizers: Mapping[str, TokenizerFacts], rows: Mapping[str, int]) -> list[Fault]:
    """Which token has which id: one fault for each way in which the others differ from the most common tokenizer."""
    if len(tokenizers) < 2:
        return []
    prints = {name: each.vocabulary_hash for name, each in tokenizers.items()}
    faults: list[Fault] = []
    if differ(prints):
        usual = by_value(prints)[0][1][0]
        seen: set[str] = set()
        for name in tokenizers:
            if prints[name] != prints[usual] and prints[name] not in seen:
                seen.add(prints[name])
                faults.append(_between(usual, name, tokenizers[usual], tokenizers[name]))
        return faults
    for attribute, code, level, words, mend in _RULES:
        values = {name: getattr(each, attribute) for name, each in tokenizers.items() if getattr(each, attribute)}
        if differ(values):
            faults.append(
                Fault(
                    code,
                    level,
                    f"The tokenizers have the same tokens and {words}.",
                    mend,
                    compared=tuple((name, str(value)[:12]) for name, value in values.items()),
                    models=odd_ones(values),
                )
            )
    return faults


_RULES = (
    (
        "merges_hash",
        "tokens.merges",
        Level.MEND,
        "other rules of merging them: the same text is split differently",
        "Take the models' own tokenizer where there is one choice, and see that texts are split as in training.",
    ),
    (
        "pipeline_hash",
        "tokens.pipeline",
        Level.NOTE,
        "prepare text differently before or after (normalizer, pre-tokenizer, special tokens put around it)",
        "Nothing in the weights: the tokenizer that the merge takes over decides.",
    ),
)


def _between(usual: str, name: str, ours: TokenizerFacts, theirs: TokenizerFacts) -> Fault:
    told = ((usual, f"{ours.size:,} tokens"), (name, f"{theirs.size:,} tokens"))
    if ours.tokens_hash == theirs.tokens_hash:
        return Fault(
            "tokens.permuted",
            Level.MEND,
            f"{short(usual)} and {short(name)} have the same {ours.size:,} tokens under other ids: row by row, a merge "
            "would average the embeddings of different tokens.",
            _BASE,
            compared=(
                (usual, f"{ours.size:,} tokens, ids {ours.vocabulary_hash[:8]}"),
                (name, f"{theirs.size:,} tokens, ids {theirs.vocabulary_hash[:8]}"),
            ),
            models=(name,),
            by_recipe=True,
            mergekit="silent",
        )
    added = _added(ours, theirs)
    if added is not None:
        mine, other = added
        parts = [
            f"{short(model)} alone has {listed(map(repr, tokens))}"
            for model, tokens in ((usual, mine), (name, other))
            if tokens
        ]
        moved = [token for token in ours.added if token in theirs.added and ours.added[token] != theirs.added[token]]
        if moved:
            parts.append(f"{listed(map(repr, moved))} stand under other ids")
        return Fault(
            "tokens.added",
            Level.MEND,
            f"One vocabulary, with other tokens added: {'; '.join(parts)}.",
            _UNION,
            compared=((usual, many(len(ours.added), "added token")), (name, many(len(theirs.added), "added token"))),
            models=(name,),
            by_recipe=True,
            mergekit="silent" if ours.size == theirs.size else "error",
        )
    same_pairs, same_tokens = shared(ours.pairs, theirs.pairs), shared(ours.tokens, theirs.tokens)
    if same_tokens >= ALIKE and same_pairs < 0.5:
        return Fault(
            "tokens.permuted",
            Level.MEND,
            f"{short(usual)} and {short(name)} have mostly the same tokens (about {same_tokens:.0%}), but only "
            f"{same_pairs:.0%} of them under the same ids.",
            _UNION,
            compared=told,
            models=(name,),
            by_recipe=True,
            mergekit="silent",
        )
    if same_pairs >= ALIKE and ours.size != theirs.size:
        more = short(usual if ours.size > theirs.size else name)
        return Fault(
            "tokens.added",
            Level.MEND,
            f"One vocabulary, and {more} has {abs(ours.size - theirs.size):,} tokens more.",
            _UNION,
            compared=told,
            models=(name,),
            by_recipe=True,
            mergekit="error",
        )
    if same_pairs >= ALIKE:
        return Fault(
            "tokens.replaced",
            Level.MEND,
            f"Some tokens of {short(usual)} stand for others in {short(name)}: about {same_pairs:.0%} are the same.",
            _UNION,
            compared=told,
            models=(name,),
            by_recipe=True,
            mergekit="silent",
        )
    return Fault(
        "tokens.differ",
        Level.MEND,
        f"{short(usual)} and {short(name)} have different tokenizers: about {same_tokens:.0%} of the tokens are in "
        "both. "
        "Models that were trained with different tokenizers seldom have a common base.",
        _UNION + " Where the share of common tokens is small, expect little of the result.",
        compared=told,
        models=(name,),
        by_recipe=True,
        mergekit="silent",
    )


def _added(ours: TokenizerFacts, theirs: TokenizerFacts) -> tuple[list[str], list[str]] | None:
    """(tokens added to ours alone, to theirs alone) where the vocabulary below them is one; else None."""
    core = getattr(ours, "core_hash", "")
    if not core or core != getattr(theirs, "core_hash", ""):
        return None
    return [t for t in ours.added if t not in theirs.added], [t for t in theirs.added if t not in ours.added]


def shared(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """The share that two sets have in common over both (Jaccard), from their smallest hashes (bottom-k sketches)."""
    if not ours or not theirs:
        return 0.0
    k = min(len(ours), len(theirs))
    union = sorted(set(ours) | set(theirs))[:k]
    both = set(ours) & set(theirs)
    return sum(value in both for value in union) / len(union)


# --- special tokens, templates --------------------------------------------------------------------------------------
def _special(
    tokenizers: Mapping[str, TokenizerFacts], facts: Mapping[str, Facts], names: Sequence[str], *, by_token: bool
) -> list[Fault]:
    roles = sorted({role for each in tokenizers.values() for role in each.special})
    heavy: dict[str, dict[str, str]] = {}
    light: dict[str, dict[str, str]] = {}
    for role in roles:
        values = {}
        for name, each in tokenizers.items():
            if role in each.special:
                number = "" if by_token or role not in each.special_ids else f" ({each.special_ids[role]})"
                values[name] = f"{each.special[role]!r}{number}"
        if differ(values):
            (heavy if role in WEIGHTY else light)[role] = values
        elif len(values) < len(tokenizers) and role in WEIGHTY:
            light[role] = {name: values.get(name, "none") for name in tokenizers}
    for role, kept in (("bos", heavy), ("eos", heavy), ("pad", light)):
        ids = {name: facts[name].ids[role] for name in names if role in facts[name].ids}
        if differ(ids) and not by_token and f"{role}_token" not in kept:
            kept[f"{role}_token_id"] = {name: ", ".join(map(str, each)) for name, each in ids.items()}
    faults = []
    for found, level in ((heavy, Level.MEND), (light, Level.NOTE)):
        for role, values in found.items():
            faults.append(
                Fault(
                    "tokens.special",
                    level,
                    f"The {role.replace('_', ' ')} differs: {versus(values)}.",
                    "Decide whose tokens hold and take tokenizer and configuration from that model: with another end "
                    "token a model doesn't stop. The recipe takes them from the model that it names.",
                    compared=pairs(values),
                    models=odd_ones(values),
                    by_recipe=True,
                    mergekit="silent",
                )
            )
    return faults


def _templates(tokenizers: Mapping[str, TokenizerFacts | None]) -> list[Fault]:
    hashes = {name: each.chat_template_hash for name, each in tokenizers.items() if each is not None}
    spoken = {name: value for name, value in hashes.items() if value}
    told = tuple((name, f"template {value[:8]}" if value else "none") for name, value in hashes.items())
    if differ(spoken):
        groups = " against ".join(listed(map(short, names)) for _, names in by_value(spoken))
        return [
            Fault(
                "chat_template.differs",
                Level.MEND,
                f"The chat templates differ: {groups}. A merge answers in the form of one of them, or of neither.",
                "Take one, and talk to the result in it: the recipe takes tokenizer and template of one model; "
                "`chat_template` names another.",
                compared=told,
                models=odd_ones(spoken),
                by_recipe=True,
                mergekit="silent",
            )
        ]
    if spoken and len(spoken) < len(hashes):
        without = [name for name, value in hashes.items() if not value]
        return [
            Fault(
                "chat_template.missing",
                Level.NOTE,
                f"{doing(without, 'has', 'have')} no chat template, {doing(list(spoken), 'has', 'have')} one.",
                "The recipe takes the template over.",
                compared=told,
                models=tuple(without),
                by_recipe=True,
            )
        ]
    return []
