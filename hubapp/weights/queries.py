"""What is known of weights: for pages, API, and the rooms that work on them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import F, Q, QuerySet

from hubapp.catalog.models import Repo, RepoState
from hubapp.jobs.models import ACTIVE_STATES, Job
from hubapp.lineage.models import Dirty, Edge, Node
from hubapp.weights.models import Inspection
from workers.weights import records
from workers.weights.records import AdapterFacts, FileInfo, Quantization, Schema, State, TokenizerFacts

READABLE = (RepoState.LISTED.value, RepoState.GATED.value)


@dataclass(frozen=True, slots=True)
class Summary:
    """What pages show of one repo's weights. ``fresh``: of the revision that the last crawl saw."""

    repo_id: int
    state: State
    reason: str
    revision: str
    format: str
    dtypes: dict[str, int]
    parameters: int
    tensors: int
    file_count: int
    size: int
    bytes_read: int
    requests: int
    read_at: datetime
    signature: str = ""
    fresh: bool = True
    files: tuple[FileInfo, ...] = ()
    adapter: AdapterFacts | None = None
    quantization: Quantization | None = None
    oddities: tuple[str, ...] = ()
    tokenizer_size: int = 0
    tokenizer_kind: str = ""

    @property
    def read(self) -> bool:
        return self.state == State.READ

    @property
    def share(self) -> float:
        """The part of the weights' bytes that was read to know this."""
        return self.bytes_read / self.size if self.size else 0.0

    @property
    def more_files(self) -> int:
        return self.file_count - len(self.files)


def inspection(repo_id: int) -> records.Inspection | None:
    """All that was read of a repo's weights, its schema too; None where they were not read yet."""
    return inspections([repo_id]).get(repo_id)


def inspections(repo_ids: Collection[int]) -> dict[int, records.Inspection]:
    """The same for several repos."""
    rows = Inspection.objects.filter(repo_id__in=repo_ids).select_related("repo")
    return {row.repo_id: as_record(row) for row in rows}


def as_record(row: Inspection) -> records.Inspection:
    """A row as the record that it was made from."""
    return records.Inspection(
        row.repo.name,
        row.revision,
        State(row.state),
        row.reason,
        row.config,
        TokenizerFacts.of(row.tokenizer) if row.tokenizer else None,
        AdapterFacts.of(row.adapter) if row.adapter else None,
        Quantization(**row.quantization) if row.quantization else None,
        Schema.unpack(bytes(row.schema)) if row.schema else None,
        row.bytes_read,
        row.requests,
        row.code,
        tuple(row.oddities),
        row.tokenizer_print,
    )


def summary(repo: Repo) -> Summary | None:
    """What a page shows of a repo's weights; None where they were not read yet."""
    return summaries([repo.pk]).get(repo.pk)


def summaries(repo_ids: Collection[int]) -> dict[int, Summary]:
    """The same for several repos, without what is large."""
    rows = Inspection.objects.filter(repo_id__in=repo_ids).select_related("repo").defer("schema", "config")
    return {row.repo_id: _summary(row) for row in rows}


def weights_state(repo_ids: Collection[int]) -> dict[int, State]:
    """How far each repo's weights could be read; repos that were not read yet are left out."""
    rows = Inspection.objects.filter(repo_id__in=repo_ids).values_list("repo_id", "state")
    return {repo_id: State(state) for repo_id, state in rows}


def same_architecture(signature: str, *, limit: int = 1_000) -> list[int]:
    """Repos whose tensors have these names and shapes, by key."""
    rows = Inspection.objects.filter(signature=signature).exclude(signature="")
    return list(rows.order_by("repo_id").values_list("repo_id", flat=True)[:limit])


def tokenizer_by_print(fingerprint: str) -> TokenizerFacts | None:
    """The facts of a tokenizer that was read before, by the digest of its files."""
    found = (
        Inspection.objects.filter(tokenizer_print=fingerprint, tokenizer__isnull=False)
        .exclude(tokenizer_print="")
        .values_list("tokenizer", flat=True)
        .first()
    )
    return TokenizerFacts.of(found) if found else None


def _summary(row: Inspection) -> Summary:
    tokenizer: dict[str, Any] = row.tokenizer or {}
    return Summary(
        repo_id=row.repo_id,
        state=State(row.state),
        reason=row.reason,
        revision=row.revision,
        format=row.format,
        dtypes=dict(sorted(row.dtypes.items(), key=lambda item: -item[1])),
        parameters=row.parameters,
        tensors=row.tensors,
        file_count=row.file_count,
        size=row.size,
        bytes_read=row.bytes_read,
        requests=row.requests,
        read_at=row.read_at,
        signature=row.signature,
        fresh=not row.repo.sha or row.repo.sha == row.revision,
        files=tuple(FileInfo(*file) for file in row.files[:12]),
        adapter=AdapterFacts.of(row.adapter) if row.adapter else None,
        quantization=Quantization(**row.quantization) if row.quantization else None,
        oddities=tuple(row.oddities),
        tokenizer_size=int(tokenizer.get("size", 0)),
        tokenizer_kind=str(tokenizer.get("kind", "")),
    )


# --- what is to be read ---------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Due:
    """A repo whose weights are to be read at ``revision``."""

    repo_id: int
    name: str
    revision: str
    gated: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """Which repos a job works on: "model" (with its direct parents where ``parents``), "family", or "all"."""

    kind: str
    repo_id: int | None = None
    parents: bool = False
    method: int = field(default=0)


def due(scope: Scope, *, after: int = 0, limit: int = 32) -> list[Due]:
    """The next repos of the scope, by key, whose present revision was not read yet (or was by an older method)."""
    rows = _unread(scope).filter(pk__gt=after).order_by("pk")
    found = rows.values_list("pk", "name", "sha", "gated", "state")[:limit]
    return [Due(pk, name, sha, bool(gated) or state == RepoState.GATED) for pk, name, sha, gated, state in found]


def due_count(scope: Scope) -> int:
    """How many there are."""
    return _unread(scope).count()


def _unread(scope: Scope) -> QuerySet[Repo]:
    known = Q(inspection__revision=F("sha"), inspection__method=scope.method)
    if settings.GATED_WEIGHTS:  # what was left aside before is asked for now
        known &= ~Q(inspection__state=State.GATED.value)
    return in_scope(scope).filter(state__in=READABLE).exclude(sha="").exclude(known)


def in_scope(scope: Scope) -> QuerySet[Repo]:
    """The repos that a scope means, whatever their state."""
    if scope.kind == "all":
        return Repo.objects.all()
    if scope.kind == "family":
        root = Node.objects.filter(pk=scope.repo_id).values_list("root_id", flat=True).first() or scope.repo_id
        return Repo.objects.filter(Q(node__root_id=root) | Q(pk=scope.repo_id))
    ids = [scope.repo_id] if scope.repo_id is not None else []
    if scope.parents:
        ids = [*ids, *Edge.objects.filter(child_id=scope.repo_id).values_list("parent_id", flat=True)]
    return Repo.objects.filter(pk__in=ids)


def descent_unsettled() -> bool:
    """Whether cards or descent are still being worked out, so that edges may come."""
    return Dirty.objects.exists() or Job.objects.filter(kind__in=("cards", "lineage"), state__in=ACTIVE_STATES).exists()
