"""Whether a text holds the words of a question: what keeps "purple striped circle" from answering "red striped circle".

A sentence encoder places the two next to each other. A word of the question that other texts do hold, and this one does
not, speaks against this one; a word that no text holds says nothing of any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from workers.searching.rewording import words_of
from workers.searching.thesaurus import Thesaurus, forms

NEAR = 0.75  # strength of kinship from which another word stands for the one that was asked
LEFT = 0.15  # what is left of a likeness where no word is there
SHARP = 3


class Texts:
    """The words of texts by id, and how many texts hold each. Written by one thread, read by many."""

    def __init__(self, thesaurus: Thesaurus) -> None:
        self.thesaurus = thesaurus
        self._words: dict[int, frozenset[str]] = {}
        self._held: Counter[str] = Counter()

    def put(self, texts: Mapping[int, str]) -> None:
        """Add texts, or replace those that are there; given as their words with blanks between."""
        for one, text in texts.items():
            self._forget(one)
            words = frozenset(form for word in text.split() for form in forms(word))
            self._words[one] = words
            self._held.update(words)

    def keep(self, ids: Collection[int]) -> None:
        """Take all others away."""
        for one in [one for one in self._words if one not in ids]:
            self._forget(one)

    def _forget(self, one: int) -> None:
        for word in self._words.pop(one, ()):
            self._held[word] -= 1

    def asked(self, question: str) -> list[dict[str, float]]:
        """For each word of the question that some text holds, in this or another word: these and their nearness."""
        found = []
        for word in words_of(question):
            stand_in = dict.fromkeys(forms(word), 1.0)
            for near, strength in self.thesaurus.synonyms(word, NEAR).items():
                for form in forms(near):
                    stand_in.setdefault(form, strength)
            known = {near: strength for near, strength in stand_in.items() if self._held[near] > 0}
            if known:
                found.append(known)
        return found

    def factor(self, one: int, asked: list[dict[str, float]]) -> float:
        """What a text's likeness to a question is to be multiplied by, LEFT to 1."""
        if not asked:
            return 1.0
        words = self._words.get(one, frozenset())
        held = [max((strength for near, strength in known.items() if near in words), default=0.0) for known in asked]
        return LEFT + (1.0 - LEFT) * (sum(held) / len(held)) ** SHARP
