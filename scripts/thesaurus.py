"""Makes workers/searching/thesaurus.txt.gz from the files of WordNet 3.1 (data.noun, data.adj, data.verb, data.adv).

Usage: ``python scripts/thesaurus.py DICT_FOLDER``. What is kept: words of letters (no names, no species), which of them
mean the same, which meanings are next to each other, and the words that each is defined by, without its examples. The
same input gives the same file.
"""

from __future__ import annotations

import gzip
import re
import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "workers" / "searching" / "thesaurus.txt.gz"
FILES = ("noun", "verb", "adj", "adv")
# WordNet's pointers that lead to a near meaning, and the letter that stands for each here; inverses are implied.
POINTERS = {"@": "h", "&": "s", "+": "d", "\\": "d", "<": "d", "=": "a"}
TOLD = 8  # words of a definition
_EMPTY = frozenset(
    """
    the and for with that this from are was were have has its not but all any can used usually especially often
    some something someone one two which who whom whose when where while into onto than then very more most other
    such being been having made make makes making consisting consists etc also about above below under over part
    kind type form genus family various several many much see only same each every both either their there them
    """.split()  # noqa: SIM905 - a list of quoted words would be four times as long
)
_LEMMA = re.compile(r"[a-z]+(?:[-_'][a-z]+){0,2}")


def main(folder: Path) -> None:
    synsets: dict[tuple[str, str], list[str]] = {}
    edges: dict[tuple[str, str], set[tuple[str, tuple[str, str]]]] = {}
    order: list[tuple[str, str]] = []
    told: dict[tuple[str, str], list[str]] = {}
    for name in FILES:
        for line in (folder / f"data.{name}").read_text("latin-1").splitlines():
            if line.startswith("  "):
                continue
            facts, _, definition = line.partition(" | ")
            parts = facts.split()
            kind = "a" if parts[2] == "s" else parts[2]
            key = (kind, parts[0])
            count = int(parts[3], 16)
            lemmas = [re.sub(r"\(\w+\)$", "", word) for word in parts[4 : 4 + 2 * count : 2]]
            synsets[key] = [word.replace("_", " ") for word in lemmas if _LEMMA.fullmatch(word)]
            order.append(key)
            told[key] = _told(definition, synsets[key])
            at = 4 + 2 * count
            found = edges.setdefault(key, set())
            for place in range(int(parts[at])):
                symbol, target, part, _ = parts[at + 1 + 4 * place : at + 5 + 4 * place]
                if symbol in POINTERS:
                    found.add((POINTERS[symbol], ("a" if part == "s" else part, target)))
    senses = _senses(folder)
    kept = [key for key in order if synsets[key]]
    number = {key: at for at, key in enumerate(kept)}
    lines = []
    for key in kept:
        words = ",".join(f"{word}{_rank(senses, key, word)}" for word in synsets[key])
        near = sorted({(kind, number[other]) for kind, other in edges[key] if other in number})
        # Symmetric ones are written once, at the later meaning.
        near = [(kind, other) for kind, other in near if kind == "h" or other < number[key]]
        lines.append("\t".join([words, *(f"{kind}{other}" for kind, other in near), f"={' '.join(told[key])}"]))
    text = "\n".join(lines) + "\n"
    with TARGET.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
        out.write(text.encode())
    sys.stdout.write(f"{len(kept):,} meanings, {TARGET.stat().st_size:,} bytes\n")


def _told(definition: str, words: list[str]) -> list[str]:
    """The first words of a definition that say something."""
    said = re.findall(r"[a-z]{3,}", definition.partition('; "')[0].partition(': "')[0].lower())
    own = {part for word in words for part in word.split()}
    return list(dict.fromkeys(word for word in said if word not in _EMPTY and word not in own))[:TOLD]


def _senses(folder: Path) -> dict[tuple[str, str, str], int]:
    """(part of speech, word, offset): the how-manieth sense of the word that is, from 0, the commonest first."""
    found = {}
    for name in FILES:
        for line in (folder / f"index.{name}").read_text("latin-1").splitlines():
            if line.startswith("  "):
                continue
            parts = line.split()
            offsets = parts[-int(parts[2]) :]
            for rank, offset in enumerate(offsets):
                found[parts[1], parts[0].replace("_", " "), offset] = rank
    return found


def _rank(senses: dict[tuple[str, str, str], int], key: tuple[str, str], word: str) -> str:
    rank = min(senses.get((key[0], word, key[1]), 0), 9)
    return str(rank) if rank else ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
