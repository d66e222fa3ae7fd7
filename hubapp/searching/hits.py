"""The facts that a row of results shows, for many repos in a handful of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hubapp.catalog import bulk
from hubapp.searching.conditions import TOLD
from workers.lineage.records import Relation

EXCERPT = 240  # characters of a card

_FACTS = """
SELECT r.id, r.name, r.author, r.state, r.rank, r.parameters, r.gated, r.downloads, r.likes,
       r.created_at, r.modified_at, substr(r.card_excerpt, 1, %s), r.task_id, r.library_id, r.licence_id,
       COALESCE(n.descendants, 0), (SELECT count(*) FROM lineage_finding f WHERE f.repo_id = r.id AND {})
FROM catalog_repo r LEFT JOIN lineage_node n ON n.repo_id = r.id
WHERE {}
"""


@dataclass(frozen=True, slots=True)
class Hit:
    """One result, with the facts that its row shows. Relations are those to its parents, each once."""

    repo_id: int
    name: str
    author: str
    state: str
    rank: int
    relations: tuple[Relation, ...]
    task: str
    library: str
    licence: str
    parameters: int | None
    gated: str
    downloads: int
    likes: int
    created_at: datetime | None
    modified_at: datetime | None
    descendants: int
    findings: int
    excerpt: str


def of(repo_ids: Sequence[int]) -> tuple[Hit, ...]:
    """The hits of some repos, in the order given; repos that have gone meanwhile are left out."""
    if not repo_ids:
        return ()
    where, param = bulk.among("r.id", repo_ids)
    rows = {row[0]: row for row in bulk.fetch(_FACTS.format(TOLD, where), [EXCERPT, param])}
    terms = _terms({number for row in rows.values() for number in row[12:15] if number is not None})
    relations = _relations(repo_ids)
    return tuple(
        _hit(rows[repo_id], terms, tuple(relations.get(repo_id, ()))) for repo_id in repo_ids if repo_id in rows
    )


def _hit(row: tuple[Any, ...], terms: dict[int, str], relations: tuple[Relation, ...]) -> Hit:
    return Hit(
        repo_id=row[0],
        name=row[1],
        author=row[2],
        state=row[3],
        rank=row[4],
        relations=relations,
        task=terms.get(row[12], ""),
        library=terms.get(row[13], ""),
        licence=terms.get(row[14], ""),
        parameters=row[5],
        gated=row[6],
        downloads=row[7],
        likes=row[8],
        created_at=_utc(row[9]),
        modified_at=_utc(row[10]),
        descendants=row[15],
        findings=row[16],
        excerpt=row[11],
    )


def _utc(moment: Any) -> datetime | None:
    """A time as the driver gives it: SQLite's are text or naive, and always UTC."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _terms(ids: set[int]) -> dict[int, str]:
    if not ids:
        return {}
    where, param = bulk.among("id", sorted(ids))
    return dict(bulk.fetch(f"SELECT id, value FROM catalog_term WHERE {where}", [param]))  # noqa: S608


def _relations(repo_ids: Sequence[int]) -> dict[int, list[Relation]]:
    where, param = bulk.among("child_id", repo_ids)
    found: dict[int, list[Relation]] = {}
    for child, relation in bulk.fetch(
        f"SELECT DISTINCT child_id, relation FROM lineage_edge WHERE {where} ORDER BY child_id, relation",  # noqa: S608
        [param],
    ):
        found.setdefault(child, []).append(Relation(relation))
    return found
