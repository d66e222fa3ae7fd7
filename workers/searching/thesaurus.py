"""Which words mean nearly the same: WordNet 3.1 (Miller, 1995), as the file beside this one keeps it (its licence too).

A sentence encoder places "a hoop" near "a ring" less surely than a dictionary knows it. From a word one walks to its
meanings, and from these along near ones: broader, narrower, similar, of the same root. Each step costs; the strength of
a kinship is that of the best walk.
"""

from __future__ import annotations

import gzip
import heapq
import re
from functools import cache, lru_cache
from pathlib import Path

import numpy as np

FILE = Path(__file__).with_name("thesaurus.txt.gz")
SAME = 0.95  # strength of two words with one meaning
RARER = 0.95  # for each commoner meaning that a word has
# What is left after a step to a broader meaning, to a narrower one, to a similar, related or attributed one.
STEPS = {"h": 0.80, "n": 0.75, "s": 0.65, "d": 0.90, "a": 0.60}
TOLD = 0.60  # strength of a word and one that it is defined by
SENSES = 4  # meanings of a word whose definitions are read: the commonest
WEAKEST = 0.30
WALK = 4_000  # meanings that are looked at from one word
_KINDS = "hnsda"
_ENTRY = re.compile(r"([^0-9]+)(\d?)")


class Thesaurus:
    """Words, meanings and the ways between them; 60 MB once loaded, in half a second."""

    def __init__(self, text: str) -> None:
        self.meanings: dict[str, list[tuple[int, int]]] = {}
        self._told: list[str] = []
        self._words: list[str] = []
        ends: list[tuple[int, int, int]] = []
        for at, line in enumerate(text.splitlines()):
            words, *near = line.split("\t")
            self._words.append(re.sub(r"\d", "", words))
            for word in words.split(","):
                found = _ENTRY.fullmatch(word)
                if found:
                    self.meanings.setdefault(found[1], []).append((at, int(found[2] or 0)))
            for link in near:
                if link[0] == "=":
                    self._told.append(link[1:])
                    continue
                kind, other = link[0], int(link[1:])
                ends.append((at, other, _KINDS.index(kind)))
                ends.append((other, at, _KINDS.index("n" if kind == "h" else kind)))
        links = np.array(sorted(ends), dtype=np.int32).reshape(-1, 3)
        count = int(max(links[:, 0].max(initial=0), len(text.splitlines()))) + 1
        self._start = np.searchsorted(links[:, 0], np.arange(count + 1))
        self._to, self._kind = links[:, 1], links[:, 2]

    def knows(self, word: str) -> bool:
        """Whether the word, as it stands or without its ending, is in it."""
        return any(form in self.meanings for form in forms(word))

    @lru_cache(maxsize=4_096)  # noqa: B019 - there is one for the life of the process
    def near(self, word: str) -> dict[int, float]:
        """The meanings within reach of a word, each with the strength of the best walk there."""
        reached: dict[int, float] = {}
        heap: list[tuple[float, int]] = []
        for form in forms(word):
            for meaning, rank in self.meanings.get(form, ()):
                heap.append((-SAME * RARER**rank, meaning))
            if heap:
                break  # a form that is a word itself needs no shorter one
        heapq.heapify(heap)
        costs = [STEPS[kind] for kind in _KINDS]
        while heap and len(reached) < WALK:
            strength, meaning = heapq.heappop(heap)
            if meaning in reached:
                continue
            reached[meaning] = -strength
            for at in range(int(self._start[meaning]), int(self._start[meaning + 1])):
                other, left = int(self._to[at]), -strength * costs[int(self._kind[at])]
                if left >= WEAKEST and other not in reached:
                    heapq.heappush(heap, (-left, other))
        return reached

    def kinship(self, word: str, other: str) -> float:
        """How near two words are: 1 for the same word, 0 where neither a short walk nor a definition joins them."""
        if set(forms(word)) & set(forms(other)):
            return 1.0
        reached = self.near(word)
        best = max((reached.get(meaning, 0.0) * RARER**rank for meaning, rank in self.senses(other)), default=0.0)
        return max(best, self._defines(word, other), self._defines(other, word))

    def synonyms(self, word: str, least: float) -> dict[str, float]:
        """The words of all meanings that are at least so near to a word."""
        found: dict[str, float] = {}
        for meaning, strength in self.near(word).items():
            if strength >= least:
                for each in self._words[meaning].split(","):
                    found[each] = max(found.get(each, 0.0), strength)
        return found

    def senses(self, word: str) -> list[tuple[int, int]]:
        """The meanings of a word with their rank, of the first of its forms that is a word."""
        return next((self.meanings[form] for form in forms(word) if form in self.meanings), [])

    def _defines(self, word: str, other: str) -> float:
        """Whether ``word`` is defined by ``other`` or by a word of its root."""
        told, root = self._told_of(word), self._root(other)
        return max((told[said] * root[said] for said in told.keys() & root.keys()), default=0.0)

    @lru_cache(maxsize=4_096)  # noqa: B019
    def _told_of(self, word: str) -> dict[str, float]:
        """The words, in all their forms, that a word's commonest meanings are defined by."""
        found: dict[str, float] = {}
        for meaning, rank in self.senses(word)[:SENSES]:
            for said in self._told[meaning].split():
                for each in forms(said):
                    found[each] = max(found.get(each, 0.0), TOLD * RARER**rank)
        return found

    @lru_cache(maxsize=4_096)  # noqa: B019
    def _root(self, word: str) -> dict[str, float]:
        """A word, its synonyms and the words of one root with it."""
        found = dict.fromkeys(forms(word), 1.0)
        for meaning, rank in self.senses(word)[:SENSES]:
            for each in self._words[meaning].split(","):
                found.setdefault(each, SAME * RARER**rank)
            for at in range(int(self._start[meaning]), int(self._start[meaning + 1])):
                if _KINDS[int(self._kind[at])] == "d":
                    for each in self._words[int(self._to[at])].split(","):
                        found.setdefault(each, SAME * STEPS["d"] * RARER**rank)
        return found


@lru_cache(maxsize=16_384)
def forms(word: str) -> tuple[str, ...]:
    """A word as it stands, then without the endings of English plurals and participles."""
    found = [word]
    for ending, instead in (
        ("ies", "y"),
        ("es", ""),
        ("s", ""),
        ("ed", ""),
        ("ed", "e"),
        ("ing", ""),
        ("ing", "e"),
        ("y", ""),
        ("y", "e"),
    ):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            found.append(word[: -len(ending)] + instead)
    if len(word) > 5 and word.endswith(("ed", "ing")):
        stem = word.removesuffix("ed").removesuffix("ing")
        if len(stem) > 2 and stem[-1] == stem[-2]:
            found.append(stem[:-1])
    return tuple(dict.fromkeys(found))


@cache
def thesaurus() -> Thesaurus:
    """The one that comes with Rootstock."""
    with gzip.open(FILE, "rt", encoding="utf-8") as file:
        return Thesaurus(file.read())
