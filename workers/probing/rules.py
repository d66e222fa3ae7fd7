"""When two labels mean the same. Standard library only."""

from __future__ import annotations

import re
from collections.abc import Collection

FILLER = re.compile(
    r"^(?:(?:a|an|the|some|many|several|my|our|its|own|small|large|set|of|only|just|\d[\d,.]*k?)\s+)+", re.I
)
_TOKEN = re.compile(r"\b(?:sks|xyz|ohwx|zwx|tok)\b\s*|<[^>]{1,30}>\s*", re.I)  # what DreamBooth calls its subject
_NOT_WORD = re.compile(r"[^\w]+|_+", re.U)


def folded(text: str) -> str:
    """A label as it is compared: lower case, words apart by one space, no articles before it."""
    words = " ".join(_NOT_WORD.sub(" ", _TOKEN.sub("", text)).lower().split())
    return FILLER.sub("", words + " ").strip()


def agrees(claimed: Collection[str], guesses: Collection[str]) -> bool:
    """Whether a claim and a guess may mean the same: all words of one are in the other."""
    for claim in claimed:
        words = set(folded(claim).split())
        for guess in guesses:
            others = set(folded(guess).split())
            if words and others and (words <= others or others <= words):
                return True
    return False
