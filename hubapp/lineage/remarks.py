"""The words for each finding: one table for pages, API, terminal and exports."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hubapp.catalog import bulk
from hubapp.lineage.cases import decoded
from hubapp.lineage.shapes import Remark, Suggestion
from workers.lineage.records import Code
from workers.lineage.rules import is_repo_id

ERROR, WARNING, INFO = "error", "warning", "info"

Detail = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Words:
    """``sentence`` is filled with {subject}, {name} (the model's own name) and what ``facts`` reads from the detail;
    ``suggest`` names models that the reader may mean.
    """

    severity: str
    title: str
    sentence: str
    facts: Callable[[Detail], Detail] = dict
    suggest: Callable[[str, str, Detail], Iterable[str]] = lambda name, subject, detail: ()


_SOURCE_WORDS = {
    "weights": "its weights",
    "hub": "the Hub",
    "adapter_config": "adapter_config.json",
    "mergekit": "the mergekit configuration",
    "card": "the card",
    "tag": "the tags",
}


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _says(detail: Detail) -> Detail:
    return {"says": _and([f"{_SOURCE_WORDS.get(s, s)} says {r}" for s, r in dict(detail.get("says", {})).items()])}


def _listed(detail: Detail) -> Detail:
    return {"source": _SOURCE_WORDS.get(detail.get("source", ""), "a source"), "times": detail.get("times", 2)}


def _likely(detail: Detail) -> Detail:
    likely = list(detail.get("likely", ()))
    return {"likely": f"likely {_and(likely)}" if likely else "not clear from the name"}


def _kind(detail: Detail) -> Detail:
    kinds = {"url": "an address outside the Hub", "not_model": "a dataset or another page of the Hub"}
    return {"what": kinds.get(detail.get("kind", ""), "something else")}


def _days(detail: Detail) -> Detail:
    return {"parent": str(detail.get("parent", ""))[:10], "child": str(detail.get("child", ""))[:10]}


def _members(detail: Detail) -> Detail:
    members, size = list(detail.get("members", ())), int(detail.get("size", 0))
    shown = members[:6]
    return {"members": " → ".join([*shown, "…" if size > len(shown) else (shown[0] if shown else "")])}


def _state(detail: Detail) -> Detail:
    states = {"gone": "gone from the Hub", "private": "private now", "disabled": "disabled by the Hub"}
    return {"state": states.get(detail.get("state", ""), "not public")}


def _weighed(detail: Detail) -> Detail:
    how = {
        "unrelated": "they are no nearer to each other than strangers",
        "adapter_shapes": "its updates do not fit the shapes of that model",
        "other_base_fits": "its updates follow another model's directions",
        "branched_before": "it lacks what sets that model apart from an earlier one",
        "not_in_hull": "nothing of that model is in the mixture",
    }
    return {"how": how.get(detail.get("reason", ""), "they do not fit")}


def _own_author(name: str, subject: str, detail: Detail) -> Iterable[str]:
    author, slash, _ = name.partition("/")
    guess = f"{author}/{subject}"
    return (guess,) if slash and is_repo_id(guess) else ()


WORDS: dict[Code, Words] = {
    Code.MERGE_TYPED_FINETUNE: Words(
        WARNING, "Tagged merge, typed finetune", "Its own tags call it a merge; the Hub files it as a finetune."
    ),
    Code.RELATION_DISAGREES: Words(
        WARNING, "Sources disagree", "How it descends from {subject} is told in different ways: {says}.", _says
    ),
    Code.WRONG_CASE: Words(
        WARNING,
        "Wrong case",
        "The parent is written “{subject}”; the model of that name is {meant}.",
        suggest=lambda name, subject, detail: (detail.get("meant", ""),),
    ),
    Code.SELF_REFERENCE: Words(WARNING, "Names itself", "It declares itself (“{subject}”) as its own parent."),
    Code.DUPLICATE_ENTRY: Words(INFO, "Listed twice", "In {source}, {subject} is listed {times} times.", _listed),
    Code.NO_NAMESPACE: Words(
        WARNING,
        "No namespace",
        "The parent is written “{subject}”, without an account before it, and no model is called just that.",
        suggest=_own_author,
    ),
    Code.MIRROR: Words(
        INFO,
        "Parent is a re-upload",
        "{subject} is a copy of another's model; the original is {likely}.",
        _likely,
        lambda name, subject, detail: detail.get("likely", ()),
    ),
    Code.LOCAL_PATH: Words(WARNING, "Local path", "“{subject}” is a path on its author's disk; it names no model."),
    Code.NOT_A_MODEL: Words(WARNING, "Not a model", "“{subject}” is {what}, not a model of the Hub.", _kind),
    Code.PLACEHOLDER: Words(INFO, "Placeholder", "“{subject}” stands where a parent should be named."),
    Code.UNREADABLE: Words(WARNING, "Unreadable", "“{subject}” can't be a model's name on the Hub."),
    Code.UNCLEAN_TEXT: Words(
        INFO,
        "Read from other text",
        "The parent is written “{subject}”; it was read as {meant}.",
        suggest=lambda name, subject, detail: (detail.get("meant", ""),),
    ),
    Code.MISSING_PARENT: Words(
        WARNING, "Parent not known", "Its declared parent {subject} is not among the models that were read: {answer}."
    ),
    Code.PARENT_GONE: Words(WARNING, "Parent not public", "Its parent {subject} is {state}.", _state),
    Code.PARENT_YOUNGER: Words(
        WARNING, "Older than its parent", "It was created on {child}, before its parent {subject} ({parent}).", _days
    ),
    Code.PARENT_RENAMED: Words(
        INFO,
        "Parent renamed",
        "Its parent is written “{subject}”, which is called {now} today.",
        suggest=lambda name, subject, detail: (detail.get("now", ""),),
    ),
    Code.DROPPED_BY_HUB: Words(
        INFO, "Not resolved by the Hub", "Its card declares {subject}; the Hub's own resolution leaves it out."
    ),
    Code.CYCLE: Words(
        ERROR,
        "Descends from itself",
        "By what is declared it is its own ancestor: {members}. The oldest of them was made the root.",
        _members,
    ),
    Code.WEIGHTS_CONTRADICT: Words(
        ERROR,
        "Weights contradict the parent",
        "It is said to descend from {subject}; the weights show otherwise: {how}.",
        _weighed,
        lambda name, subject, detail: (detail.get("likelier", ""),),
    ),
    Code.TRAINING_DISAGREES: Words(
        WARNING,
        "Trained on something else",
        "Its card says that it was trained on {subject}; its weights look like {guess} ({percent} %).",
    ),
    Code.QUANTIZED_OF_QUANTIZED: Words(
        INFO, "Quantized twice", "Its parent is itself a quantized copy of another model."
    ),
}
QUIET = frozenset(code.value for code, words in WORDS.items() if words.severity == INFO)
"""Findings that are worth knowing, but nothing is wrong: not counted on a model's mark."""

_ANSWERS = {
    "": "it has not been looked up yet",
    "remote.repo_missing": "the Hub knows no public model of that name",
    "remote.repo_gated": "it is gated",
    "remote.repo_disabled": "the Hub has disabled it",
}


_CODES = frozenset(Code)  # of strings: membership by value works in every Python


class _Filled(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return "?"


def remark(*, code: str, name: str, subject: str, detail: Detail, answer: str = "") -> Remark:
    """A finding of the model ``name``, in words; ``answer`` is the Hub's to a look-up of the subject, if any."""
    words = WORDS.get(Code(code)) if code in _CODES else None
    if words is None:
        return Remark(code, INFO, code.replace("_", " ").capitalize(), subject, subject, detail)
    facts = _Filled(detail)
    facts.update(words.facts(detail))
    facts.update(subject=subject, name=name, answer=_ANSWERS.get(answer, f"the look-up failed ({answer})"))
    suggestions = tuple(Suggestion(each) for each in words.suggest(name, subject, detail) if each)
    return Remark(code, words.severity, words.title, words.sentence.format_map(facts), subject, detail, suggestions)


def remarks_of(ids: Iterable[int]) -> dict[int, tuple[Remark, ...]]:
    """The findings of these repos in words, the gravest first; suggestions that are stored carry their key."""
    asked = sorted(set(ids))
    if not asked:
        return {}
    where, param = bulk.among("f.repo_id", asked)
    rows = bulk.fetch(
        "SELECT f.repo_id, r.name, f.code, f.subject, f.detail FROM lineage_finding f "
        f"JOIN catalog_repo r ON r.id = f.repo_id WHERE {where} ORDER BY f.repo_id, f.code, f.subject",
        [param],
    )
    answers = _answers([row[3] for row in rows if row[2] == Code.MISSING_PARENT])
    found: dict[int, list[Remark]] = {}
    for repo_id, name, code, subject, detail in rows:
        found.setdefault(repo_id, []).append(
            remark(
                code=code,
                name=name,
                subject=subject,
                detail=decoded(detail),
                answer=answers.get(subject.lower(), ""),
            )
        )
    known = _known({s.name for many in found.values() for each in many for s in each.suggestions})
    order = {ERROR: 0, WARNING: 1, INFO: 2}
    return {
        repo_id: tuple(sorted((_linked(each, known) for each in many), key=lambda r: order[r.severity]))
        for repo_id, many in found.items()
    }


def _linked(each: Remark, known: Mapping[str, tuple[int, str]]) -> Remark:
    if not each.suggestions:
        return each
    suggestions = tuple(
        Suggestion(known[s.name.lower()][1], known[s.name.lower()][0]) if s.name.lower() in known else s
        for s in each.suggestions
    )
    return Remark(each.code, each.severity, each.title, each.sentence, each.subject, each.detail, suggestions)


def _answers(names: list[str]) -> dict[str, str]:
    if not names:
        return {}
    where, param = bulk.among("folded", sorted({name.lower() for name in names}), "text")
    return dict(bulk.fetch(f"SELECT folded, lookup_answer FROM catalog_repo WHERE state = 'stub' AND {where}", [param]))


def _known(names: set[str]) -> dict[str, tuple[int, str]]:
    if not names:
        return {}
    where, param = bulk.among("folded", sorted(name.lower() for name in names), "text")
    rows = bulk.fetch(
        f"SELECT folded, id, name FROM catalog_repo WHERE state NOT IN ('stub', 'renamed', 'gone') AND {where}",
        [param],
    )
    return {folded: (repo_id, name) for folded, repo_id, name in rows}
