"""What a tensor is, by its name and shape: which layer of which stack, and whether it can tell models apart.

Two models of one architecture rarely spell their tensors alike: wrappers come and go (``model.``, ``bert.``,
``transformer.``, ``module.``, ``base_model.model.``). What follows depends on the end of a name alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

_POSITION = re.compile(
    r"position|pos_?emb|(^|[._])wpe([._]|$)|(^|[._])pos([._]|$)|rel_?pos|relative_attention|rotary|inv_freq|alibi"
    r"|token_type|(^|[._])freqs|sinusoid|masked_bias|attn\.bias$|attention\.bias$|causal|num_batches|time_emb|timestep",
    re.I,
)
_EMBEDDING = re.compile(
    r"(^|[._])(embed_tokens|wte|word_embeddings?|tok_embeddings|token_embd|tokens?_emb\w*|embed_in|shared|embeddings?)\."
    r"(weight|[^.]*embeddings?\.weight)$|(^|\.)(wte|emb|tok|embed|embedding|word_emb)\.weight$",
    re.I,
)
_HEAD = re.compile(
    r"(^|\.)(lm_head|embed_out|classifier|score|qa_outputs|cls|pooler|heads?|fc|logits|output|out|proj_out|fc_norm"
    r"|pre_classifier|vocab_\w+|predictions?|final_proj|classification_head)(\.|$)",
    re.I,
)
_NUMBER = re.compile(r"\d+")


class Role(StrEnum):
    """How far a tensor can be trusted to tell relatives from strangers."""

    MATRIX = "matrix"  # the body: what training fills with a model's own numbers
    EMBEDDING = "embedding"  # rows are tokens; their number may differ in a relative
    HEAD = "head"  # often begun anew by a fine-tune
    TABLE = "table"  # positions, masks, frequencies: alike in strangers
    VECTOR = "vector"  # norms and biases: near one or nought in strangers too


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor stands. ``stack`` is what the numbered layers hang on, "" outside of any; ``layer`` is -1 there.

    ``pattern`` is the rest of the name with numbers as "#": the same in each layer.
    """

    stack: str
    layer: int
    pattern: str
    role: Role


@lru_cache(maxsize=20_000)
def place(name: str, shape: tuple[int, ...]) -> Place:
    """Read a tensor's name; ``shape`` as stored."""
    parts = name.split(".")
    at = next((i for i, part in enumerate(parts) if part.isdigit()), -1)
    wide = sum(1 for n in shape if n > 1)
    stack, layer, rest = ("", -1, parts) if at < 0 else (".".join(parts[:at]), int(parts[at]), parts[at + 1 :])
    pattern = _NUMBER.sub("#", ".".join(rest if at >= 0 else parts[-2:]))
    outside = at < 0 or _HEAD.search(stack) is not None
    if _POSITION.search(name) or (len(shape) == 4 and shape[0] == shape[1] == 1):
        role = Role.TABLE
    elif wide < 2:
        role = Role.VECTOR
    elif outside and len(shape) == 2 and _EMBEDDING.search(name):
        role = Role.EMBEDDING
    elif outside and _HEAD.search(name):
        role = Role.HEAD
    else:
        role = Role.MATRIX
    return Place(stack, layer, pattern, role)


def endings(name: str) -> list[str]:
    """The name, then the name without its first component, and so on; the last has two components."""
    parts = name.split(".")
    return [".".join(parts[i:]) for i in range(max(1, len(parts) - 1))]


def matched(ours: dict[str, tuple[int, ...]], theirs: dict[str, tuple[int, ...]]) -> dict[str, str]:
    """Which of ``theirs`` each of ``ours`` is: names (with their shapes) that are equal once a prefix is dropped on
    either side, the same prefixes for all. Of several pairs of prefixes the one that joins most names wins.
    """
    exact = {name: name for name in ours if name in theirs}
    if len(exact) >= 0.9 * min(len(ours), len(theirs)):
        return exact
    best, most = exact, _worth(exact, ours, theirs)
    mine, other = prefixes(ours), prefixes(theirs)
    for a in mine:
        stripped = {name[len(a) :]: name for name in ours if name.startswith(a)}
        for b in other:
            if not a and not b:
                continue
            found = {stripped[rest]: b + rest for rest in stripped if b + rest in theirs}
            worth = _worth(found, ours, theirs)
            if worth > most:
                best, most = found, worth
    # What the wrapper does not cover (a head beside the body) keeps its own name.
    taken = set(best.values())
    return best | {name: name for name in exact if name not in best and name not in taken}


def prefixes(names: dict[str, tuple[int, ...]]) -> list[str]:
    """ "" and the first one, two and three components that many of the names share."""
    counts: dict[str, int] = {}
    for name in names:
        parts = name.split(".")
        for i in range(1, min(4, len(parts) - 1)):
            head = ".".join(parts[:i]) + "."
            counts[head] = counts.get(head, 0) + 1
    common = [head for head, count in counts.items() if count >= max(2, len(names) // 4)]
    return ["", *sorted(common, key=len)[:12]]


def _worth(pairs: dict[str, str], ours: dict[str, tuple[int, ...]], theirs: dict[str, tuple[int, ...]]) -> int:
    """Pairs of the same shape count; those whose rows alone differ do too (a vocabulary that grew)."""
    return sum(
        ours[a] == theirs[b] or ours[a][1:] == theirs[b][1:] or ours[a] == theirs[b][::-1] for a, b in pairs.items()
    )


_GGUF = {
    "token_embd": "model.embed_tokens", "output": "lm_head", "output_norm": "model.norm", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
_PERMUTED = frozenset({"attn_q", "attn_k"})


def spelt(name: str) -> str:
    """A GGUF tensor's name as transformers spells it in decoders of Llama's kind; its own name where it is of another.

    "" for queries and keys: their rows are written in another order there.
    """
    block = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    part, _, end = name.rpartition(".")
    if block:
        part, end = block[2], block[3]
    if part in _PERMUTED:
        return ""
    if part not in _GGUF:
        return name
    return f"model.layers.{block[1]}.{_GGUF[part]}.{end}" if block else f"{_GGUF[part]}.{end}"
