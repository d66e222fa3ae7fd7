"""Reading of licences along a model's descent."""

from __future__ import annotations

from collections.abc import Iterable

from hubapp.catalog.models import Repo
from hubapp.licences.shapes import Ancestor, Condition, Conflict, Declared, Duty, Obligations
from hubapp.lineage import queries as lineage
from hubapp.lineage.shapes import Brief, Graph
from workers.licences import rules
from workers.licences.rules import Verdict

MAX_ANCESTORS = 500
"""Ancestors that are judged; the largest real merge has a few hundred."""


def declared(licence: str, licence_name: str = "") -> Declared:
    """A licence as declared, with what the table knows of it."""
    licence_id = rules.identify(licence, licence_name)
    label = licence_name or licence or "none given"
    row = rules.lookup(licence_id)
    if row is None:
        return Declared(licence_id, label)
    return Declared(licence_id, label, True, row.name, row.kind, row.source, row.reviewed)


def along(repo: Repo | int) -> Obligations:
    """The licences of all ancestors of ``repo``, what they oblige to, and where they conflict with its own."""
    graph = lineage.ancestors(repo, max_nodes=MAX_ANCESTORS)
    me, *above = graph.nodes
    own = declared(me.licence, me.licence_name)
    chains = _chains(graph, me)
    line = tuple(_judge(me, own, brief, graph.distances[brief.id], chains[brief.id]) for brief in above)
    return Obligations(
        declared=own,
        line=line,
        conflicts=_conflicts(own, line),
        conditions=_conditions(me, own, line),
        duties=_duties("duties", me, own, line),
        limits=_duties("limits", me, own, line),
        unjudged=tuple(each for each in line if each.verdict == Verdict.NOT_JUDGED),
        truncated=graph.truncated,
    )


def _judge(me: Brief, own: Declared, ancestor: Brief, distance: int, chain: tuple[str, ...]) -> Ancestor:
    theirs = declared(ancestor.licence, ancestor.licence_name)
    if not ancestor.known:
        judged = rules.Judged(Verdict.NOT_JUDGED, "the ancestor is only a name so far")
    else:
        judged = rules.judge(theirs.id, own.id)
    said = f"{me.name} declares {own.label}" if own.id else f"{me.name} declares no licence"
    link = "but its ancestor" if judged.verdict == Verdict.CONFLICT else "and its ancestor"
    sentence = f"{said}, {link} {ancestor.name} is {theirs.label if theirs.id else 'without one'}: {judged.reason}."
    return Ancestor(ancestor, theirs, distance, judged.verdict.value, sentence, chain)


def _chains(graph: Graph, me: Brief) -> dict[int, tuple[str, ...]]:
    """From each ancestor down to the model, by the fewest steps; of several, over the parent of the first place."""
    names = {brief.id: brief.name for brief in graph.nodes}
    chains: dict[int, tuple[str, ...]] = {me.id: (me.name,)}
    links = sorted(graph.links, key=lambda each: (graph.distances[each.child_id], not each.primary))
    for each in links:
        if each.child_id in chains and graph.distances[each.parent_id] == graph.distances[each.child_id] + 1:
            chains.setdefault(each.parent_id, (names[each.parent_id], *chains[each.child_id]))
    return chains


def _conflicts(own: Declared, line: Iterable[Ancestor]) -> tuple[Conflict, ...]:
    """One for each licence that is not honoured, named after the model it comes from."""
    found: dict[str, list[Ancestor]] = {}
    for each in line:
        if each.verdict == Verdict.CONFLICT:
            found.setdefault(each.licence.id, []).append(each)
    conflicts = []
    for many in found.values():
        origin = max(many, key=lambda each: each.distance)
        others = tuple(each.repo.name for each in many if each is not origin)
        conflicts.append(Conflict(origin.repo, origin.licence, own, origin.sentence, origin.chain, others))
    return tuple(conflicts)


def _conditions(me: Brief, own: Declared, line: Iterable[Ancestor]) -> tuple[Condition, ...]:
    """What ancestors' licences ask that can be checked: a name's beginning, a notice. One for each wording."""
    found: dict[str, Condition] = {}
    for each in line:
        row = rules.lookup(each.licence.id) if each.repo.known else None
        if row is None:
            continue
        if row.name_prefix:
            text = f"The name has to begin with “{row.name_prefix}”."
            met = rules.begins_as_asked(row.name_prefix, me.name)
            found.setdefault(text, Condition(text, met, each.repo.name, each.licence.id, each.chain))
        if row.notice:
            text = f"“{row.notice}” has to be stated where the model is published."
            found.setdefault(text, Condition(text, None, each.repo.name, each.licence.id, each.chain))
    if not own.id and found:
        text = "A licence has to be declared: the agreements upstream are passed on with it."
        first = next(iter(found.values()))
        found[text] = Condition(text, False, first.ancestor, first.licence, first.chain)
    return tuple(found.values())


def _duties(kind: str, me: Brief, own: Declared, line: Iterable[Ancestor]) -> tuple[Duty, ...]:
    words = getattr(rules.table(), kind)
    because: dict[str, list[tuple[str, str]]] = {}
    for name, licence_id in [(me.name, own.id), *((a.repo.name, a.licence.id) for a in line if a.repo.known)]:
        row = rules.lookup(licence_id)
        for code in getattr(row, kind) if row else ():
            because.setdefault(code, []).append((name, licence_id))
    return tuple(
        Duty(
            code,
            words[code],
            tuple(dict.fromkeys(name for name, _ in because[code])),
            tuple(dict.fromkeys(licence for _, licence in because[code])),
        )
        for code in words
        if code in because
    )
