"""The texts by which a model is known: what its card and tags say, and the words of its name."""

from __future__ import annotations

import re
from collections.abc import Sequence

CARD = 1_500  # characters of a card's text: more than an encoder's window holds
TAGS = 12
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[A-Za-z]{3,}")
_MARKUP = re.compile(r"<[^>]{0,200}>|!?\[([^\]]{0,200})\]\([^)]{0,400}\)|[`*_#|>]+|https?://\S+")
_BLANKS = re.compile(r"\s+")
_VOWEL = re.compile(r"[aeiouy]", re.IGNORECASE)
# Tags that say how a file is kept or served, not what a model is about.
_MACHINERY = re.compile(
    r".*:.*|safetensors|pytorch|tf|jax|onnx|gguf|transformers|diffusers|peft|endpoints_compatible|autotrain_compatible"
    r"|custom_code|region|text-generation-inference|[\d.]+-?bit|mergekit|merge|lora|[a-z]{2}"
)


def name_text(name: str) -> str:
    """The words of a model's own name, "" where it has none: "ann/red-circlesLora-v2" gives "red circles Lora".

    Runs of letters without a vowel, and single letters, are left out: they are sizes, versions and hashes.
    """
    words = _WORD.findall(_CAMEL.sub(" ", name.rpartition("/")[2]))
    return " ".join(word for word in words if _VOWEL.search(word))


def card_text(
    *,
    excerpt: str,
    task: str = "",
    datasets: Sequence[str] = (),
    tags: Sequence[str] = (),
    languages: Sequence[str] = (),
) -> str:
    """What a card says, as one text: its own words first, then what it lists. "" where it says nothing."""
    said = _BLANKS.sub(" ", _MARKUP.sub(lambda found: f" {found[1] or ''} ", excerpt[: 2 * CARD])).strip()[:CARD]
    parts = [said] if said else []
    topics = [tag.replace("-", " ") for tag in tags if not _MACHINERY.fullmatch(tag.lower())][:TAGS]
    if topics:
        parts.append(f"Tags: {', '.join(topics)}.")
    if datasets:
        parts.append(f"Trained on {', '.join(name.rpartition('/')[2].replace('_', ' ') for name in datasets[:TAGS])}.")
    if task and parts:
        parts.append(f"Task: {task.replace('-', ' ')}.")
    if languages and parts:
        parts.append(f"Languages: {', '.join(languages[:TAGS])}.")
    return " ".join(parts)
