"""The licences over all that a merge would descend from: what they oblige to, and whether any licence fits them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hubapp.catalog.models import Repo
from hubapp.licences import queries as licences
from hubapp.licences.shapes import Conflict, Declared, Duty, Obligations
from workers.licences import rules
from workers.licences.rules import DISCLAIMER


@dataclass(frozen=True, slots=True)
class Source:
    """A licence that a merge has to honour, whose it is, and the chain from there down to a model of the merge."""

    model: str
    licence: Declared
    chain: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clash:
    """Why a licence doesn't do for the merge: whose licence it doesn't honour, by which chain."""

    licence: str
    source: Source
    sentence: str


@dataclass(frozen=True, slots=True)
class MergeObligations:
    """What a merge is obliged to.

    ``sources`` are the models and their ancestors with a licence, each licence once with the models under it. ``fits``
    are the licences among them under which the merge may stand; where there is none, ``clashes`` say why, for each.
    ``conflicts`` are those that the models have in themselves. ``unclear`` are models without a licence, or with one
    that the table can't judge.
    """

    sources: tuple[Source, ...] = ()
    fits: tuple[str, ...] = ()
    clashes: tuple[Clash, ...] = ()
    conflicts: tuple[tuple[str, Conflict], ...] = ()
    duties: tuple[Duty, ...] = ()
    limits: tuple[Duty, ...] = ()
    conditions: tuple[tuple[str, str], ...] = ()  # what has to be done, the model it comes from
    unclear: tuple[Source, ...] = ()
    truncated: bool = False
    disclaimer: str = DISCLAIMER


def of(repos: Sequence[Repo]) -> MergeObligations:
    """The obligations of a merge of these models."""
    lines = [(repo, licences.along(repo)) for repo in repos]
    sources: dict[str, Source] = {}
    for repo, line in lines:
        sources.setdefault(repo.name, Source(repo.name, line.declared, (repo.name,)))
        for each in line.line:
            sources.setdefault(each.repo.name, Source(each.repo.name, each.licence, each.chain))
    every = list(sources.values())
    judged = [source for source in every if rules.lookup(source.licence.id) is not None]
    wanted = list(dict.fromkeys(source.licence.id for source in judged))
    fits, clashes = _fitting(wanted, judged)
    return MergeObligations(
        sources=tuple(every),
        fits=tuple(fits),
        clashes=() if fits else tuple(clashes),
        conflicts=tuple((repo.name, conflict) for repo, line in lines for conflict in line.conflicts),
        duties=_together("duties", [line for _, line in lines]),
        limits=_together("limits", [line for _, line in lines]),
        conditions=_conditions(judged),
        unclear=tuple(source for source in every if rules.lookup(source.licence.id) is None),
        truncated=any(line.truncated for _, line in lines),
    )


def _fitting(wanted: Sequence[str], judged: Sequence[Source]) -> tuple[list[str], list[Clash]]:
    """The licences that honour all others; and for each that doesn't, the first it doesn't."""
    fits, clashes = [], []
    for licence in wanted:
        for source in judged:
            verdict = rules.judge(source.licence.id, licence)
            if verdict.verdict == rules.Verdict.CONFLICT:
                sentence = (
                    f"Under {licence} it can't stand: {source.model} is {source.licence.label}, and {verdict.reason}."
                )
                clashes.append(Clash(licence, source, sentence))
                break
        else:
            fits.append(licence)
    return fits, clashes


def _together(kind: str, lines: Sequence[Obligations]) -> tuple[Duty, ...]:
    found: dict[str, Duty] = {}
    for line in lines:
        for duty in getattr(line, kind):
            known = found.get(duty.code)
            if known is None:
                found[duty.code] = duty
                continue
            because = tuple(dict.fromkeys((*known.because, *duty.because)))
            under = tuple(dict.fromkeys((*known.licences, *duty.licences)))
            found[duty.code] = Duty(duty.code, duty.text, because, under)
    return tuple(found.values())


def _conditions(judged: Sequence[Source]) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for source in judged:
        row = rules.lookup(source.licence.id)
        if row is not None and row.name_prefix:
            found.setdefault(f"Its name has to begin with “{row.name_prefix}”.", source.model)
        if row is not None and row.notice:
            found.setdefault(f"“{row.notice}” has to be stated where it is published.", source.model)
    return tuple(found.items())
