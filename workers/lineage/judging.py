"""From the standing evidence of one child, and what is known of the names in it, to edges and findings.

The answer depends on nothing else: neither on the order in which statements or models arrived, nor on what was judged
before. That is what makes crawls repeatable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from workers.lineage.mirrors import likely_original
from workers.lineage.records import (
    ChildFacts,
    Code,
    JudgedEdge,
    JudgedFinding,
    Judgement,
    Named,
    Relation,
    Said,
    Source,
    TextKind,
)
from workers.lineage.rules import fold, is_tagged, primary_key, read

MAX_SUBJECT = 500
HIDDEN_STATES = frozenset({"gone", "private", "disabled"})

_UNREADABLE = {
    TextKind.LOCAL: Code.LOCAL_PATH,
    TextKind.URL: Code.NOT_A_MODEL,
    TextKind.NOT_MODEL: Code.NOT_A_MODEL,
    TextKind.PLACEHOLDER: Code.PLACEHOLDER,
    TextKind.JUNK: Code.UNREADABLE,
}
_PUBLIC = frozenset({"listed", "gated"})
_Findings = dict[tuple[str, str], JudgedFinding]
_HUBS_OWN = (1 << Source.HUB) | (1 << Source.TAG)


class _Claim:
    """All statements of one child that lead to one parent."""

    __slots__ = ("bare", "cleaned", "exact", "folded", "named", "relations", "sources", "spelling", "texts")

    def __init__(self, folded: str, named: Named | None) -> None:
        self.folded = folded
        self.named = named
        self.sources = 0
        self.relations: dict[int, int] = {}  # source → relation
        self.texts: dict[int, dict[str, int]] = {}  # source → text → times
        self.spelling = ""
        self.exact = False  # whether a statement names the parent exactly as it is called
        self.cleaned = False  # whether every statement had to be cleaned to be read
        self.bare = False

    @property
    def is_stub(self) -> bool:
        return self.named is None or self.named.state == "stub"


def judge(child: ChildFacts, said: Iterable[Said], names: Mapping[str, Named]) -> Judgement:
    """Edges and findings of ``child``.

    ``names`` maps a folded name to the repo that it stands for now; a name that is missing there stands for a repo
    that nobody has listed. Edges come in the order of their places.
    """
    said = sorted(said)
    plain = _judge_plain(child, said, names)
    if plain is not None:
        return plain
    claims: dict[object, _Claim] = {}
    findings: _Findings = {}
    for s in said:
        _take(child, s, names, claims, findings)
    if not claims:
        return Judgement((), tuple(findings.values()), {})
    hub = _relation_by_hub(claims.values())
    merge_declared = hub == Relation.FINETUNE and is_tagged(child.tags, Relation.MERGE)
    repaired_merge = merge_declared and len(claims) > 1
    if merge_declared:
        _add(findings, Code.MERGE_TYPED_FINETUNE, "", {"parents": len(claims)})
    fallback = hub or _fallback(child, claims)
    edges = []
    for claim in claims.values():
        relation, why = _relation(claim, fallback)
        if repaired_merge and relation == Relation.FINETUNE:
            relation, why = Relation.MERGE, "relation"
        edges.append((claim, relation, _repair(claim) or why))
        _remark(child, claim, findings, judged_by_hub=hub is not None)
    edges.sort(
        key=lambda e: primary_key(
            _trust(e[0].sources), e[1], e[0].named.created_at if e[0].named else None, _folded(e[0])
        )
    )
    return Judgement(
        tuple(
            JudgedEdge(c.named.id if c.named else None, _folded(c), int(relation), c.sources, repaired, place)
            for place, (c, relation, repaired) in enumerate(edges)
        ),
        tuple(findings.values()),
        {c.folded: c.spelling for c, _, _ in edges if c.is_stub},
    )


def _judge_plain(child: ChildFacts, said: list[Said], names: Mapping[str, Named]) -> Judgement | None:
    """The same answer for what nearly all models declare: one parent, by the Hub and all others, letter by letter.

    None for all else.
    """
    first = said[0] if said else None
    if first is None or first.source != Source.HUB or not first.relation or first.target not in names:
        return None
    named = names[first.target]
    relation = first.relation
    if named.state not in _PUBLIC or named.via_alias or named.id == child.id or first.text != named.name:
        return None
    mask = 0
    for source, text, target, called, times in said:
        bit = 1 << source
        if text != first.text or target != first.target or times != 1 or called not in (0, relation) or mask & bit:
            return None
        mask |= bit
    findings: _Findings = {}
    if relation == Relation.FINETUNE and is_tagged(child.tags, Relation.MERGE):
        _add(findings, Code.MERGE_TYPED_FINETUNE, "", {"parents": 1})
    _remark_parent(child, named.name, named, findings)
    return Judgement((JudgedEdge(named.id, first.target, relation, mask, "", 0),), tuple(findings.values()), {})


# --- statements to claims -------------------------------------------------------------------------------------------
def _take(
    child: ChildFacts,
    said: Said,
    names: Mapping[str, Named],
    claims: dict[object, _Claim],
    findings: _Findings,
) -> None:
    if not said.target:
        reading = read(said.text)
        code = _UNREADABLE.get(reading.kind, Code.UNREADABLE)
        _add(findings, code, said.text, {"kind": reading.kind.name.lower()})
        return
    named = names.get(said.target)
    own = fold(child.name)
    bare = "/" not in said.target
    if said.target == own or (named and named.id == child.id) or _own_name_alone(own, said.target, named):
        _add(findings, Code.SELF_REFERENCE, said.text, {})
        return
    key: object = named.id if named else said.target
    claim = claims.get(key)
    if claim is None:
        claim = claims[key] = _Claim(said.target, named)
        claim.cleaned = True
        claim.bare = bare
    claim.sources |= 1 << said.source
    if said.relation:
        # of one source that says two things, the first in the order of relations counts
        claim.relations[said.source] = min(said.relation, claim.relations.get(said.source, said.relation))
    texts = claim.texts.setdefault(said.source, {})
    texts[said.text] = texts.get(said.text, 0) + said.times
    _spell(said, named, claim, findings)


def _own_name_alone(own: str, target: str, named: Named | None) -> bool:
    """ "josie-3b" in the card of someone/josie-3b, where no model is called just that."""
    return "/" not in target and (named is None or named.is_stub) and own.rpartition("/")[2] == target


def _spell(said: Said, named: Named | None, claim: _Claim, findings: _Findings) -> None:
    if named is not None and said.text == named.name:  # nearly all
        claim.exact, claim.cleaned = True, False
        claim.spelling = claim.spelling or said.text
        return
    reading = read(said.text)
    claim.cleaned = claim.cleaned and reading.cleaned
    claim.spelling = claim.spelling or reading.target or said.text  # the most trusted source comes first
    if reading.cleaned:
        _add(findings, Code.UNCLEAN_TEXT, said.text, {"meant": reading.target})
    if named is None or named.is_stub:
        return
    if named.via_alias:
        _add(findings, Code.PARENT_RENAMED, said.text, {"now": named.name})
    elif (reading.target or said.text) == named.name:
        claim.exact = True
    else:
        _add(findings, Code.WRONG_CASE, said.text, {"meant": named.name})


# --- relations ------------------------------------------------------------------------------------------------------
def _relation_by_hub(claims: Iterable[_Claim]) -> Relation | None:
    """The Hub gives one relation to a model, whatever the number of its parents."""
    said = [c.relations[s] for c in claims for s in (Source.HUB, Source.TAG) if s in c.relations]
    return Relation(min(said)) if said else None


def _fallback(child: ChildFacts, claims: Mapping[object, _Claim]) -> Relation:
    """The relation of a parent of whom no source says how: as the Hub would have it, but for "finetune"."""
    if len(claims) > 1:
        return Relation.MERGE
    for relation in (Relation.MERGE, Relation.ADAPTER, Relation.QUANTIZED):
        if is_tagged(child.tags, relation):
            return relation
    return Relation.UNKNOWN


def _relation(claim: _Claim, fallback: Relation) -> tuple[Relation, str]:
    for source in sorted(claim.relations):
        return Relation(claim.relations[source]), ""
    return fallback, ""


def _trust(sources: int) -> int:
    """The number of the most trusted source in a bit mask."""
    return (sources & -sources).bit_length() - 1


def _folded(claim: _Claim) -> str:
    return fold(claim.named.name) if claim.named else claim.folded


# --- repairs and remarks --------------------------------------------------------------------------------------------
def _repair(claim: _Claim) -> str:
    """Why the edge's parent is not, letter by letter, what was declared."""
    if claim.exact and not claim.cleaned:
        return ""
    if not claim.is_stub and not claim.exact:
        return "renamed" if claim.named is not None and claim.named.via_alias else "case"
    return "text" if claim.cleaned else ""


def _remark(child: ChildFacts, claim: _Claim, findings: _Findings, *, judged_by_hub: bool) -> None:
    named = claim.named
    name = named.name if named and not claim.is_stub else claim.spelling
    for source, texts in sorted(claim.texts.items()):
        times = sum(texts.values())
        if times > 1:
            _add(findings, Code.DUPLICATE_ENTRY, name, {"source": Source(source).name.lower(), "times": times})
    if len(set(claim.relations.values())) > 1:
        says = {Source(s).name.lower(): Relation(r).name.lower() for s, r in sorted(claim.relations.items())}
        _add(findings, Code.RELATION_DISAGREES, name, {"says": says})
    if claim.sources & (1 << Source.CARD) and not claim.sources & _HUBS_OWN:
        _add(findings, Code.DROPPED_BY_HUB, name, {"all": not judged_by_hub})
    if named is None or claim.is_stub:
        _add(findings, Code.NO_NAMESPACE if claim.bare else Code.MISSING_PARENT, name, {})
    _remark_parent(child, name, named, findings)


def _remark_parent(child: ChildFacts, name: str, named: Named | None, findings: _Findings) -> None:
    """What is odd about a parent itself, however it was declared."""
    originals = likely_original(name)
    if originals is not None and fold(child.name) not in map(fold, originals):
        _add(findings, Code.MIRROR, name, {"likely": list(originals)})
    if named is None or named.is_stub:
        return
    if named.state in HIDDEN_STATES:
        _add(findings, Code.PARENT_GONE, name, {"state": named.state})
    if named.created_at and child.created_at and named.created_at > child.created_at:
        _add(
            findings,
            Code.PARENT_YOUNGER,
            name,
            {"parent": named.created_at.isoformat(), "child": child.created_at.isoformat()},
        )


def _add(findings: _Findings, code: Code, subject: str, detail: dict[str, object]) -> None:
    subject = subject[:MAX_SUBJECT]
    findings.setdefault((code.value, subject), JudgedFinding(code.value, subject, detail))
