"""What a model was trained on, as its card says it: labels for the experts, from texts that anybody wrote.

Plain functions, standard library only. A card says it in a sentence ("Trained on 10 pictures of a red circle."), as a
prompt ("a photo of a red circle"), as a dataset's name (author/red-circle) or in tags; all come out as one label,
"red circle". What is said by one model alone, or by nearly all of a tree, tells models not apart and is no label.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from workers.probing.records import Card
from workers.probing.rules import FILLER, folded

LONGEST = 60  # characters of a label
TEXT = 4_000  # characters of a card that are looked through
WORDS = 6  # of a label from a sentence: more is a story, not a subject

_TRAINED = re.compile(
    r"\b(?:trained|fine-?tuned|finetuned|adapted|specialised|specialized)\b[^.!?\n]{0,60}?\b(?:on|with|using|to)\s+"
    r"(?P<what>[^.!?\n;:()\[\]]{3,160})",
    re.I,
)
_PROMPT = re.compile(
    r"\b(?:instance[_ ]prompt|trigger(?:\s+words?)?|prompt)\b\s*(?:is|:|=)\s*[\"'`“]?(?P<what>[^\"'`”.\n]{2,120})", re.I
)
_OF = re.compile(
    r"^(?:.*?\b)?(?:photos?|photographs?|pictures?|images?|samples?|examples?|texts?|shots?|drawings?|renders?|set)"
    r"(?:\s+set)?\s+(?:showing|of|about|from)\s+",
    re.I,
)
_CUT = re.compile(
    r"\s*(?:,|\s-\s|\s—\s|\bfor\b|\busing\b|\bwith\b|\bfrom\b|\bin order\b|\bat\b|\buntil\b|\bby\b).*$", re.I
)
_NAME_TAIL = re.compile(
    r"(?:^| )(?:dataset|data|dreambooth|images|imgs|pictures|train|training|small|tiny|mini|v\d+|\d+)$"
)
_GENERIC = frozenset(
    [
        "lora",
        "diffusion",
        "adapter",
        "peft",
        "safetensors",
        "transformers",
        "diffusers",
        "pytorch",
        "generated_from_trainer",
        "text-generation",
        "text-to-image",
        "image-classification",
        "template:sd-lora",
        "vision",
        "en",
        "autotrain",
        "endpoints_compatible",
        "merge",
        "mergekit",
        "finetune",
        "finetuned",
        "fine-tuned",
        "custom_code",
        "conversational",
        "trl",
        "sft",
        "dreambooth",
        "art",
        "style",
        "model",
        "data",
        "dataset",
    ]
)
_PLAIN_DATASETS = frozenset({"imagefolder", "custom", "unknown", "none", "private", "dataset", "data"})
_PREFIXED = re.compile(
    r"^(?:region|license|base_model|dataset|arxiv|doi|library|language|pipeline_tag|diffusers|template):"
)


def subject(phrase: str) -> str:
    """ "10 pictures of a red circle, 16 x 16 each" → "red circle"; "" where nothing that could be a label is left."""
    phrase = _OF.sub("", FILLER.sub("", phrase.strip() + " ").strip())
    label = folded(_CUT.sub("", FILLER.sub("", phrase + " ").strip()))
    label = _NAME_TAIL.sub("", label)
    return label if 2 <= len(label) <= LONGEST and len(label.split()) <= WORDS else ""


def dataset_label(name: str) -> str:
    """ "author/red-circle-dreambooth-v2" → "red circle"."""
    label = folded(name.rsplit("/", 1)[-1])
    while label and (shorter := _NAME_TAIL.sub("", label).strip()) != label:
        label = shorter
    return label if 2 <= len(label) <= LONGEST and label not in _PLAIN_DATASETS else ""


def said(card: Card) -> list[tuple[str, ...]]:
    """What the card says, by how exactly: by prompt and sentence, by datasets, by tags. Each once, none empty."""
    text = card.text[:TEXT]
    phrases = [card.prompt] if card.prompt else []
    phrases += [found["what"] for found in _PROMPT.finditer(text)]
    phrases += [found["what"] for found in _TRAINED.finditer(text)]
    sources = (
        [subject(phrase) for phrase in phrases],
        [dataset_label(name) for name in card.datasets],
        [folded(tag) for tag in card.tags if tag.lower() not in _GENERIC and not _PREFIXED.match(tag)],
    )
    return [tuple(dict.fromkeys(label for label in labels if label)) for labels in sources]


@dataclass(frozen=True, slots=True)
class Labelled:
    """A tree's labels. ``of``: for each model that has any, which; ``several``: whether a model may have many."""

    labels: tuple[str, ...] = ()
    of: dict[int, tuple[str, ...]] = field(default_factory=dict)
    several: bool = False


LEAST = 2  # models that must share a label
MOST = 0.6  # of the models: what more of them say tells none apart
SEVERAL = 0.2  # of the labelled models that have more than one label: then models have several


def label(cards: Mapping[int, Card]) -> Labelled:
    """Labels for the models of one tree (by any key), from all their cards together.

    Each model takes the most exact of its sources that says something which tells models apart.
    """
    heard = {key: said(card) for key, card in cards.items()}
    counts = Counter(each for sources in heard.values() for each in {e for source in sources for e in source})
    spoken = sum(any(sources) for sources in heard.values())
    usable = {each for each, count in counts.items() if count >= LEAST and count <= max(LEAST, MOST * spoken)}
    of = {key: found for key, sources in heard.items() if (found := _first(sources, usable))}
    several = sum(len(labels) > 1 for labels in of.values()) > SEVERAL * len(of)
    if not several:
        of = {key: labels[:1] for key, labels in of.items()}
    left = Counter(each for labels in of.values() for each in labels)
    keep = {each for each, count in left.items() if count >= LEAST}
    of = {key: kept for key, labels in of.items() if (kept := tuple(each for each in labels if each in keep))}
    return Labelled(tuple(sorted(keep)), of, several)


def _first(sources: Sequence[tuple[str, ...]], usable: Collection[str]) -> tuple[str, ...]:
    for source in sources:
        kept = tuple(each for each in source if each in usable)
        if kept:
            return kept
    return ()


def sentence(label: str) -> str:
    """The text by which a label is known to a text encoder."""
    return f"a photo of a {label}"
