"""How names and queries are folded for search, how far two words are apart, and what a question is about.

Standard library only.
"""

from __future__ import annotations

import re
import unicodedata

TEXT = 300  # characters of a folded name that are indexed
PHRASES = 12  # of a query that are looked for: more say nothing about a name of 96 characters
SHORTEST_MENDED = 4  # letters: of shorter words too many are one letter apart
LONGEST = 40  # letters of a word that is remembered

# How people begin a question; taken away one after another until what it is about is left.
_FRAMES = re.compile(
    r"(?:please|can you|could you|find|show|give|get|search(?: for)?|look(?:ing)?(?: for)?|list|recommend|suggest"
    r"|i(?:'m| am| want| need|'d like| would like)|is there|are there|what|which|where|me|us|to|some|any|all|an?|the"
    r"|(?:good |best |small |open )?(?:models?|loras?|adapters?|checkpoints?|networks?|classifiers?|generators?)"
    r"|finetunes?|fine-?tunes?|(?:was|were|is|are|been|has|have|had)(?= \w)|that|who|trained|finetuned|fine-?tuned"
    r"|specialis(?:ed|ing)|specializ(?:ed|ing)|made|built|learned|learnt|know(?:s|ing)?|good at|capable of"
    r"|can|could|will|does|do|draws?|drawing|paints?|painting|generates?|generating|makes?|making|recogni[sz]es?"
    r"|on|in|with|for|of|about|from|at|by"
    r"|photos?|pictures?|images?|drawings?|renderings?|datasets?|data|examples?|showing|depicting)\b[\s,:]*",
    re.IGNORECASE,
)
_END = re.compile(r"[\s?.!,;:]+$")
_PLAIN_RUNS = re.compile(r"[a-z]+|[0-9]+")
_RUNS = re.compile(r"[a-z]+|[0-9]+|[^\W\d_]+|\d+")


def fold(name: str) -> str:
    """``name`` as it is searched: lower case, one blank around each run of letters or of digits.

    >>> fold("meta-llama/Llama-3.1-8B-Instruct")
    ' meta llama llama 3 1 8 b instruct '

    So "llama3", "llama-3" and "Llama 3" fold alike, and every word begins and ends at a blank. Accents are dropped.
    What holds no letter and no digit folds to "". Folding what is folded changes nothing.
    """
    if name.isascii():
        words = " ".join(_PLAIN_RUNS.findall(name.lower()))
    else:
        plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", name).casefold())
        plain = "".join(char for char in plain if not unicodedata.combining(char)).lower()
        words = " ".join(_RUNS.findall(plain))
    if len(words) > TEXT - 2:
        words = words[: TEXT - 2].rstrip()
    return f" {words} " if words else ""


def phrases(query: str) -> tuple[str, ...]:
    """What must occur in a folded name for the name to match ``query``; () where the query holds nothing to look for.

    Each word of the query gives one phrase. Letters match anywhere ("coder" in "starcoder"), but one or two of them
    only where a word begins; figures match as a whole ("8b" is not in "18b"), save the very last ones, which are
    perhaps still being typed.

    >>> phrases("Llama-3.1 instr 8b")
    ('llama 3 1 ', 'instr', ' 8 b ')
    """
    words = [folded for word in query.split() if (folded := fold(word))][:PHRASES]
    found = [_phrase(word.split(), is_last=at == len(words)) for at, word in enumerate(words, 1)]
    # What another phrase holds anyway says nothing more.
    unique = dict.fromkeys(found)
    return tuple(p for p in unique if not any(p in other for other in unique if other is not p))


def _phrase(runs: list[str], *, is_last: bool) -> str:
    first, last = runs[0], runs[-1]
    left = " " if first[0].isdigit() or (len(first) <= 2 and first.isascii()) else ""
    is_whole = not is_last if last[0].isdigit() else len(last) == 1 and len(runs) > 1  # the b of 8b
    return f"{left}{' '.join(runs)}{' ' if is_whole else ''}"


def matches(text: str, wanted: tuple[str, ...]) -> bool:
    """Whether a folded name holds all phrases."""
    return all(phrase in text for phrase in wanted)


def words(text: str) -> list[str]:
    """The words of a folded name that a misspelt one may have meant."""
    return [word for word in text.split() if SHORTEST_MENDED <= len(word) <= LONGEST and not word[0].isdigit()]


def deletions(word: str) -> set[str]:
    """``word`` and all that it becomes when one letter is left out.

    Two words share one of these if they are one edit apart, and often if they are two apart; so equality, which any
    index answers, finds the candidates for a misspelt word (the idea of W. Garbe's SymSpell, 2012).
    """
    return {word} | {word[:at] + word[at + 1 :] for at in range(len(word))}


def distance(one: str, other: str, most: int = 2) -> int:
    """Edits (insert, delete, replace, swap neighbours) that turn ``one`` into ``other``; ``most`` + 1 stands for more.

    The restricted Damerau-Levenshtein distance: no part is edited twice.
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    above = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before, above = above, row
    return min(above[-1], most + 1)


def subject(text: str) -> str:
    """What a question is about: "find me models trained on photos of red circles" asks for "red circles".

    A text that is nothing but such a beginning stays as it is.
    """
    words = _END.sub("", " ".join(text.split()))
    rest = words
    while rest and (found := _FRAMES.match(rest)) and found.end():
        rest = rest[found.end() :]
    return rest or words
