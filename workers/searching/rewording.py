"""A question in the words of a tree: "crimson disc with stripes" asks a tree that knows "red striped circle" for that.

An expert's map from words to weights has met the tree's labels alone: on other words for the same things it is lost.
So the labels' words are put into places (words that never stand together, but with the same others, fill the same
place: colours, shapes, …), and each word of a question goes to the word of a place that it is nearest to, by the
thesaurus and by the text encoder. What is near to nothing stays as it is.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workers.searching.encoding import Encoder
from workers.searching.thesaurus import Thesaurus

SURE_ALONE = (0.55, 0.85)  # nearness from which a word begins to be, and is, taken for a label's …
SURE_TOGETHER = (0.25, 0.45)  # … and where several stand together as labels' words do: their mean
LIKELY = 0.35  # nearness from which a place that all labels fill is held to be filled here, too
ALWAYS = 0.95  # share of labels from which it is all
WEAKEST = 0.20  # below this a word is not thought of at all
IDLE = 0.50  # what a word must gain to be said
ITSELF = 1.5  # nearness of a word to itself
ENCODER, ENCODER_FROM = 1.0, 0.40  # what the encoder adds: so much for each of cosine, from there on
SENTENCE = 1.0  # weight of the likeness of whole sentences
SOFT = 0.15  # how sharply the best way is preferred
CHOICES = 4  # words of one place that are thought of
PLACES_MAX = 4
WAYS = 24  # that are compared as whole sentences
REWORDINGS = 8
REMEMBERED = 2_000  # rows of 1.5 kB
WORDS_MAX = 600  # of the labels together: a tree with more has no such places
_WORD = re.compile(r"[a-z]+|\d+")
_EMPTY = frozenset(
    {"a", "an", "and", "at", "by", "for", "from", "has", "have", "having", "in", "is", "it", "its", "of", "on", "or"}
    | {"some", "something", "that", "the", "thing", "things", "to", "which", "with", "coloured", "colored", "very"}
    | {"photo", "photos", "picture", "pictures", "image", "images", "like", "looking", "whose", "made"}
)


@dataclass(frozen=True, slots=True)
class Rewording:
    """A text to ask with, and its part in the whole: all parts together make 1."""

    text: str
    part: float


class Vocabulary:
    """The words of a tree's labels and their places."""

    def __init__(self, labels: Sequence[str], encoder: Encoder, thesaurus: Thesaurus) -> None:
        self.encoder, self.thesaurus = encoder, thesaurus
        split = [words_of(label) for label in labels]
        self.words = sorted({word for words in split for word in words})
        if len(self.words) > WORDS_MAX:
            self.words = []
        self.places = [[self.words.index(word) for word in place] for place in _places(self.words, split)]
        # Whether labels may do without a word in that place.
        self.free = [
            sum(any(self.words[at] in label for at in place) for label in split) < ALWAYS * len(split)
            for place in self.places
        ]
        self.order = _order(self.words, split)
        self._remembered: dict[str, np.ndarray] = {}
        self.rows = encoder.encode(self.words) if self.words else np.zeros((0, encoder.dim), dtype=np.float32)

    def reword(self, text: str) -> list[Rewording]:
        """Ways to say ``text`` in the tree's words, the likeliest first; ``text`` itself with what is left."""
        words = words_of(text)
        if not self.words or not words or len(words) > 24:
            return [Rewording(text, 1.0)]
        near = self._near(words)
        ways = self._ways(near)
        if not ways:
            return [Rewording(text, 1.0)]
        said = [" ".join(sorted((self.words[at] for at in way), key=lambda w: self.order[w])) for way, _ in ways]
        whole = self._encoded([text, *said])
        scores = np.array([score for _, score in ways]) + SENTENCE * (whole[1:] @ whole[0])
        parts = np.exp((scores - scores.max()) / SOFT)
        best = np.argsort(-parts, kind="stable")[:REWORDINGS]
        parts = parts[best] / parts[best].sum()
        sure = self._sure(near, ways[int(best[0])][0])
        if not sure:
            return [Rewording(text, 1.0)]
        found = [Rewording(said[int(at)], sure * float(part)) for at, part in zip(best, parts, strict=True)]
        return [*found, Rewording(text, 1.0 - sure)] if sure < 1.0 else found

    def _near(self, words: list[str]) -> np.ndarray:
        """[words, label words]: how near each word of a question, alone or with the next, is to each of the labels."""
        spans = [(at, at) for at in range(len(words))]
        spans += [(at, at + 1) for at in range(len(words) - 1) if self.thesaurus.knows(f"{words[at]} {words[at + 1]}")]
        texts = [" ".join(words[first : last + 1]) for first, last in spans]
        by_encoder = ENCODER * np.clip(self._encoded(texts) @ self.rows.T - ENCODER_FROM, 0.0, None)
        near = np.zeros((len(words), len(self.words)), dtype=np.float64)
        for at, (first, last) in enumerate(spans):
            known = np.array([self.thesaurus.kinship(texts[at], word) for word in self.words])
            both = np.where([texts[at] == word for word in self.words], ITSELF, known + by_encoder[at])
            near[first : last + 1] = np.maximum(near[first : last + 1], both)
        return near

    def _ways(self, near: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
        """Choices of at most one word for each place, with their scores: each word of the question should be near to
        one that was chosen, and each that was chosen to one of the question."""
        options: list[list[int | None]] = []
        for place, is_free in zip(self.places, self.free, strict=True):
            best = sorted(place, key=lambda at: (-near[:, at].max(), at))[:CHOICES]
            best = [at for at in best if near[:, at].max() >= WEAKEST]
            if best:
                strongest = near[:, best[0]].max()
                options.append([None, *best] if is_free or strongest < LIKELY else [*best])
        options = sorted(options, key=lambda some: -near[:, [at for at in some if at is not None]].max())[:PLACES_MAX]
        found = []
        for chosen in itertools.product(*options):
            way = tuple(at for at in chosen if at is not None)
            if way:
                part = near[:, way]
                found.append((way, float(part.max(axis=1).sum() + part.max(axis=0).sum() - IDLE * len(way))))
        found.sort(key=lambda one: (-one[1], one[0]))
        return found[:WAYS]

    def _encoded(self, texts: Sequence[str]) -> np.ndarray:
        """Their rows [texts, dim]; the tree's own words come again and again."""
        known = dict(self._remembered)
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known |= zip(new, self.encoder.encode(new), strict=True)
            self._remembered = dict(list(known.items())[-REMEMBERED:])  # a new one: others are reading the old one
        return np.stack([known[text] for text in texts])

    def _sure(self, near: np.ndarray, way: tuple[int, ...]) -> float:
        """How surely this is what was said, 0 to 1. A single word may be a new one, and is left alone if in doubt."""
        mean = float(np.minimum(1.0, near[:, way].max(axis=0)).mean())
        low, high = SURE_ALONE if len(way) == 1 else SURE_TOGETHER
        return float(np.clip((mean - low) / (high - low), 0.0, 1.0))


def words_of(text: str) -> list[str]:
    """The words of a text that say something, in lower case."""
    return [word for word in _WORD.findall(text.lower()) if word not in _EMPTY]


def _places(words: Sequence[str], labels: Sequence[Sequence[str]]) -> list[list[str]]:
    """Words that fill the same place of labels: never together, and with the same others."""
    beside: dict[str, set[str]] = {word: set() for word in words}
    count: Counter[str] = Counter()
    for label in labels:
        for word in set(label) & beside.keys():
            beside[word] |= set(label) - {word}
            count[word] += 1
    places: list[list[str]] = []
    for word in sorted(words, key=lambda one: (-count[one], one)):
        for place in places:
            if all(_are_alike(word, other, beside) for other in place):
                place.append(word)
                break
        else:
            places.append([word])
    return places


def _are_alike(one: str, other: str, beside: dict[str, set[str]]) -> bool:
    if other in beside[one]:
        return False
    either = beside[one] | beside[other]
    return not either or len(beside[one] & beside[other]) / len(either) >= 0.5


def _order(words: Sequence[str], labels: Sequence[Sequence[str]]) -> dict[str, float]:
    """Where each word stands in labels, on average."""
    at: dict[str, list[int]] = {word: [] for word in words}
    for label in labels:
        for place, word in enumerate(label):
            if word in at:
                at[word].append(place)
    return {word: float(np.mean(found)) if found else 0.0 for word, found in at.items()}
