"""Repos as trees and lists show them, many at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from hubapp.catalog import bulk
from hubapp.catalog.models import Repo
from hubapp.lineage.cases import utc
from hubapp.lineage.remarks import QUIET
from hubapp.lineage.shapes import Brief, Counts, Link
from workers.lineage.records import Relation, Source, Standing

_SELECT = (
    "SELECT r.id, r.name, r.state, r.author, r.created_at, r.downloads, r.likes, r.task_id, r.library_id, "
    "r.licence_id, r.licence_name, r.parameters, r.rank, n.root_id, n.parent_id, n.depth, n.descendants, "
    "n.finetunes, n.adapters, n.quantized, n.merges, n.unknown "
    "FROM catalog_repo r LEFT JOIN lineage_node n ON n.repo_id = r.id WHERE "
)
LINK = (
    'e.parent_id, e.child_id, e.relation, e.sources, e.repaired, e."primary", e.closes, '
    "(SELECT v.verdict FROM lineage_verdict v WHERE v.child_id = e.child_id AND v.parent_id = e.parent_id)"
)
"""The columns of ``link``, of an edge ``e``."""

_SOURCES = tuple(Source)


def key_of(repo: Repo | int) -> int:
    """The key of a repo that is given as such or by its key."""
    return repo if isinstance(repo, int) else repo.pk


_kept: ContextVar[dict[int, Brief] | None] = ContextVar("briefs", default=None)


@contextmanager
def keeping() -> Iterator[None]:
    """Within this block no repo is read twice: for a page whose line, parents and ancestors are much the same repos."""
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def briefs(ids: Iterable[int]) -> dict[int, Brief]:
    """The repos of these keys; keys that are not stored are missing. Three statements, however many."""
    kept = _kept.get()
    if kept is None:
        return _read(sorted(set(ids)))
    asked = sorted(set(ids))
    kept.update(_read([key for key in asked if key not in kept]))
    return {key: kept[key] for key in asked if key in kept}


def _read(asked: list[int]) -> dict[int, Brief]:
    if not asked:
        return {}
    where, param = bulk.among("r.id", asked)
    rows = bulk.fetch(_SELECT + where, [param])
    terms = _terms({row[i] for row in rows for i in (7, 8, 9) if row[i] is not None})
    findings = _findings(asked)
    found = {}
    for row in rows:
        placed = row[13] is not None
        found[row[0]] = Brief(
            id=row[0],
            name=row[1],
            state=row[2],
            author=row[3],
            created_at=utc(row[4]),
            downloads=row[5],
            likes=row[6],
            task=terms.get(row[7], ""),
            library=terms.get(row[8], ""),
            licence=terms.get(row[9], ""),
            licence_name=row[10],
            parameters=row[11],
            rank=row[12],
            root_id=row[13] if placed else row[0],
            parent_id=row[14],
            depth=row[15] if placed else 0,
            descendants=row[16] if placed else 0,
            children=Counts(*row[17:22]) if placed else Counts(),
            findings=findings.get(row[0], 0),
        )
    return found


def _terms(ids: Collection[int]) -> dict[int, str]:
    if not ids:
        return {}
    where, param = bulk.among("id", sorted(ids))
    return dict(bulk.fetch(f"SELECT id, value FROM catalog_term WHERE {where}", [param]))


def _findings(ids: list[int]) -> dict[int, int]:
    """The numbers of findings that are more than notes."""
    where, param = bulk.among("repo_id", ids)
    quiet = ", ".join(f"'{code}'" for code in sorted(QUIET))
    return dict(
        bulk.fetch(
            f"SELECT repo_id, count(*) FROM lineage_finding WHERE {where} AND code NOT IN ({quiet}) GROUP BY repo_id",
            [param],
        )
    )


def link(row: tuple[Any, ...], stubs: Collection[int]) -> Link:
    """An edge from its columns (``LINK``); ``stubs`` are those of the parents that are only names."""
    parent, child, relation, sources, repaired, primary, closes, verdict = row
    return Link(
        parent_id=parent,
        child_id=child,
        relation=Relation(relation),
        sources=sources_of(sources),
        repaired=repaired,
        primary=bool(primary),
        standing=_standing(closes=bool(closes), verdict=verdict or "", is_stub=parent in stubs),
        verdict=verdict or "",
    )


def _standing(*, closes: bool, verdict: str, is_stub: bool) -> str:
    if closes or verdict == Standing.CONTRADICTED:
        return "contradicted"
    if is_stub:
        return "unresolved"
    return "confirmed" if verdict == Standing.CONFIRMED else "declared"


def sources_of(mask: int) -> tuple[Source, ...]:
    """The sources in an edge's bit mask, the most trusted first."""
    return tuple(source for source in _SOURCES if mask >> source & 1)


def stubs_among(known: dict[int, Brief]) -> set[int]:
    """Which of these are only names."""
    return {brief.id for brief in known.values() if not brief.known}
