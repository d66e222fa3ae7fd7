"""Which stored repo a row speaks of. The Hub's ``_id`` decides; a name may be given up, taken anew, or swapped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hubapp.catalog import bulk
from hubapp.catalog.models import RepoState
from hubapp.catalog.stored import Stored
from workers.crawling.records import RepoFacts
from workers.lineage.rules import fold


class Present(NamedTuple):
    """A stored repo, as much of it as storing needs."""

    id: int
    hub_id: str | None
    name: str
    folded: str
    state: str
    rank: int
    digest: str
    listing: int


_SELECT = "SELECT id, hub_id, name, folded, state, rank, digest, listing FROM catalog_repo"
_GONE = RepoState.GONE.value
_NAMELESS = (
    RepoState.STUB.value,
    RepoState.RENAMED.value,
)  # names known by hearsay: whoever has the name takes them over


@dataclass
class Known:
    """The stored repos that a page may speak of, by ``_id`` and by name."""

    by_hub_id: dict[str, Present] = field(default_factory=dict)
    by_name: dict[str, Present] = field(default_factory=dict)
    hearsay: dict[str, Present] = field(default_factory=dict)  # stubs and old names, by folded name


@dataclass
class Plan:
    """What a page does: its facts with their repos (None: new), and the repos whose names went to others.

    ``swapped`` are repos whose old name another repo of the same page takes.
    """

    pairs: list[tuple[RepoFacts, Present | None]]
    lost: list[Present]
    swapped: list[Present]


def look_up(facts: Sequence[RepoFacts]) -> Known:
    """The stored repos of a page, in two queries."""
    known = Known()
    hub_ids = [fact.hub_id for fact in facts if fact.hub_id]
    rows: dict[int, Present] = {}
    for column, values in (("hub_id", hub_ids), ("folded", [fold(fact.name) for fact in facts])):
        if values:
            where, param = bulk.among(column, values, "text")
            for row in bulk.fetch(f"{_SELECT} WHERE {where}", [param]):
                rows[row[0]] = Present(*row)
    for row in rows.values():
        if row.hub_id:
            known.by_hub_id[row.hub_id] = row
        if row.state in _NAMELESS:
            known.hearsay[row.folded] = row
        elif row.state != _GONE:
            known.by_name[row.name] = row
    return known


def by_id(ids: Iterable[int]) -> list[Present]:
    """Stored repos by key, in order."""
    where, param = bulk.among("id", sorted(ids))
    return [Present(*row) for row in bulk.fetch(f"{_SELECT} WHERE {where} ORDER BY id", [param])]


def plan(facts: Sequence[RepoFacts], known: Known) -> Plan:
    """Decide for each row. Of rows that share an ``_id`` or a name the one modified last stands."""
    facts = _unique(facts)
    if not (known.by_hub_id or known.by_name or known.hearsay):
        return Plan([(fact, None) for fact in facts], [], [])
    pairs: list[tuple[RepoFacts, Present | None]] = []
    taken: set[int] = set()
    for fact in facts:
        repo = known.by_hub_id.get(fact.hub_id) if fact.hub_id else None
        if repo is None:
            repo = known.hearsay.get(fold(fact.name))
            same = known.by_name.get(fact.name)
            if same is not None and (not fact.hub_id or same.hub_id is None):
                repo = same  # one of the two was told without an _id
        if repo is not None and repo.id in taken:
            repo = None
        if repo is not None:
            taken.add(repo.id)
        pairs.append((fact, repo))
    # Whoever else holds one of these names has lost it: deleted, or renamed to what a later page shows. Hearsay of a
    # name that a known repo took by renaming is superfluous.
    in_use = {fact.name for fact, _ in pairs}
    lost = [row for name, row in known.by_name.items() if row.id not in taken and name in in_use]
    folded = {fold(name) for name in in_use}
    lost += [row for row in known.hearsay.values() if row.id not in taken and row.folded in folded]
    swapped = [repo for fact, repo in pairs if repo is not None and repo.name != fact.name and repo.name in in_use]
    return Plan(pairs, lost, swapped)


def free(plan: Plan) -> None:
    """Let go of names that change hands within the page: written in any order they then offend no constraint."""
    bulk.update("catalog_repo", {"id": "id"}, {"name": "text"}, [(row.id, f"~{row.id}") for row in plan.swapped])


def remember(stored: Sequence[Stored]) -> None:
    """Keep the old names of renamed repos as aliases; names in use are no aliases any more."""
    used = [s.folded for s in stored if s.is_new or s.folded != s.old_folded or s.state != s.old_state]
    if used:
        where, param = bulk.among("folded", used, "text")
        bulk.run(f"DELETE FROM catalog_alias WHERE {where}", [param])  # noqa: S608
    in_use = {s.folded for s in stored}
    add_aliases(
        [
            (s.old_folded, s.old_name, s.repo_id)
            for s in stored
            if s.old_name and s.old_folded and s.old_folded != s.folded and s.old_folded not in in_use
            if s.old_state != _GONE  # its name had gone to another repo before
        ]
    )


def add_aliases(aliases: Sequence[tuple[str, str, int]]) -> None:
    """(folded name, name, repo id) each; of several repos that had a name the last one keeps it."""
    bulk.insert(
        "catalog_alias",
        {"folded": "text", "name": "text", "repo_id": "id"},
        sorted(set(aliases)),
        "ON CONFLICT (folded) DO UPDATE SET name = excluded.name, repo_id = excluded.repo_id",
    )


def _unique(facts: Sequence[RepoFacts]) -> Sequence[RepoFacts]:
    """Each ``_id`` and each name once."""
    size = len(facts)
    if len({fact.name for fact in facts}) == size == len({fact.hub_id or fact.name for fact in facts}):
        return facts
    by_id: dict[str, RepoFacts] = {}
    for fact in facts:
        key = fact.hub_id or f"name {fact.name}"
        other = by_id.get(key)
        if other is None or _later(fact, other):
            by_id[key] = fact
    by_name: dict[str, RepoFacts] = {}
    for fact in by_id.values():
        other = by_name.get(fact.name)
        if other is None or _later(fact, other):
            by_name[fact.name] = fact
    return list(by_name.values())


def _later(fact: RepoFacts, other: RepoFacts) -> bool:
    if fact.modified_at is None or other.modified_at is None:
        return other.modified_at is None
    return fact.modified_at >= other.modified_at
