"""Sketches in the database: which are to be drawn, which children are to be judged, what may be held against them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from hubapp.catalog.models import Repo
from hubapp.jobs import services as jobs
from hubapp.jobs.models import Job
from hubapp.lineage.models import Edge, Node, Verdict
from hubapp.weights.models import Inspection, Sketch
from hubapp.weights.queries import READABLE, Scope, in_scope
from hubapp.weights.services import SCOPES
from workers.errors import BadRequest
from workers.weights.records import State

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

MOST_PARENTS = 16  # of one child that are read and judged together, the first ones
MOST_ANCESTORS = 400  # of a batch of models, looked at for who came first
CANDIDATES = 2_000  # sketches of one architecture among which near ones are looked for
MOST_OTHERS = 12  # that are held against one child
LONGEST_LINE = 60


def ask_to_verify(
    *,
    scope: str,
    repo: Repo | None = None,
    base: Repo | None = None,
    onward: bool = False,
    by: AbstractBaseUser | None = None,
    send: bool = True,
) -> Job:
    """Ask for declared edges to be held against the weights: of a model, a family or everything. With ``base`` the
    model is compared with that one alone, and the answer kept on the job.

    Raises BadRequest where scope and repo do not fit.
    """
    if scope not in SCOPES:
        raise BadRequest(f"There is no scope {scope!r}; there are {', '.join(SCOPES)}.")
    if (repo is None) != (scope == "all") or (base is not None and scope != "model"):
        raise BadRequest("Name a model for its own parents or its family's, none for all; a base goes with one model.")
    params: dict[str, Any] = {"scope": scope, "repo": None, "onward": onward}
    if repo is not None:
        params |= {"repo": repo.pk, "name": repo.name}
    if base is not None:
        params |= {"base": base.pk}
    return jobs.enqueue(kind="verify", params=params, by=by, send=send)


# --- what is to be drawn --------------------------------------------------------------------------------------------
def undrawn(scope: Scope, *, version: int, also: Collection[int] = (), after: int = 0, limit: int = 32) -> list[Repo]:
    """The next repos whose sketch is missing or of another revision or version: those of the scope that have a
    declared parent or child, their parents, and ``also``.
    """
    return list(_undrawn(scope, version, also).filter(pk__gt=after).order_by("pk")[:limit])


def undrawn_count(scope: Scope, *, version: int, also: Collection[int] = ()) -> int:
    """How many there are."""
    return _undrawn(scope, version, also).count()


def _undrawn(scope: Scope, version: int, also: Collection[int]) -> QuerySet[Repo]:
    # What could not be read at this revision is not tried again; what was not inspected yet is read all the same.
    unreadable = Q(inspection__revision=F("sha")) & ~Q(inspection__state=State.READ.value)
    drawn = Q(sketch__revision=F("sha"), sketch__version=version)
    return _ends(scope, also).filter(state__in=READABLE).exclude(sha="").exclude(drawn).exclude(unreadable)


def _ends(scope: Scope, also: Collection[int]) -> QuerySet[Repo]:
    if scope.kind == "model":
        ids = {*also, *([scope.repo_id] if scope.repo_id is not None else [])}
        parents = Edge.objects.filter(child_id__in=ids, place__lt=MOST_PARENTS).values_list("parent_id", flat=True)
        above = {key for found in ancestors([*ids, *parents]).values() for key in found}
        return Repo.objects.filter(pk__in={*ids, *above})
    tied = Exists(Edge.objects.filter(Q(child_id=OuterRef("pk")) | Q(parent_id=OuterRef("pk"))))
    if scope.kind == "all":
        return Repo.objects.filter(tied)
    members = in_scope(scope).values("pk")
    outside = Edge.objects.filter(child_id__in=members, place__lt=MOST_PARENTS).values("parent_id")
    return Repo.objects.filter(Q(pk__in=members) | Q(pk__in=outside)).filter(tied)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sketch to be kept: ``data`` is its stored form, None where it could not be drawn, for ``reason``."""

    repo_id: int
    revision: str
    version: int
    kind: str = ""
    body: str = ""
    fingerprint: bytes | None = None
    data: bytes | None = field(default=None, repr=False)
    code: str = ""
    reason: str = ""
    bytes_read: int = 0
    requests: int = 0


_FIELDS = [f.name for f in Sketch._meta.concrete_fields if f.name != "repo"]  # noqa: SLF001


def keep(*, drawn: Sequence[Drawn], now: datetime) -> None:
    """Keep sketches, in the caller's transaction; those of earlier revisions are replaced."""
    here = set(Repo.objects.filter(pk__in=[each.repo_id for each in drawn]).values_list("pk", flat=True))
    Sketch.objects.bulk_create(
        [
            Sketch(
                repo_id=each.repo_id,
                revision=each.revision,
                version=each.version,
                kind=each.kind,
                body=each.body,
                print=each.fingerprint,
                data=each.data,
                code=each.code[:60],
                reason=each.reason[:500],
                bytes_read=each.bytes_read,
                requests=each.requests,
                drawn_at=now,
            )
            for each in sorted(drawn, key=lambda each: each.repo_id)
            if each.repo_id in here
        ],
        update_conflicts=True,
        unique_fields=["repo"],
        update_fields=_FIELDS,
    )


# --- what is to be judged -------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class End:
    """One end of an edge, or a model that is held against it, without its sketch."""

    repo_id: int
    name: str
    created_at: datetime | None
    revision: str
    kind: str
    body: str
    bytes_read: int
    relation: int = 0


def children_to_judge(scope: Scope, *, after: int = 0, limit: int = 100) -> list[int]:
    """The next children of the scope with a declared parent, both of whose sketches are there."""
    return list(_judgeable(scope).filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)[:limit])


def children_count(scope: Scope) -> int:
    """How many there are."""
    return _judgeable(scope).count()


def _judgeable(scope: Scope) -> QuerySet[Repo]:
    plain = Scope(scope.kind, scope.repo_id)
    has_parent = Exists(
        Edge.objects.filter(child_id=OuterRef("pk"), parent__sketch__data__isnull=False, place__lt=MOST_PARENTS)
    )
    return in_scope(plain).filter(sketch__data__isnull=False).filter(has_parent)


def ends(ids: Iterable[int]) -> dict[int, End]:
    """Of these models those that have a sketch."""
    rows = Sketch.objects.filter(repo_id__in=set(ids), data__isnull=False).values_list(
        "repo_id", "repo__name", "repo__created_at", "revision", "kind", "body", "bytes_read"
    )
    return {row[0]: End(*row) for row in rows}


def parents_of(child_id: int) -> dict[int, int]:
    """Declared parents of a model, the first ones, each with its relation."""
    rows = Edge.objects.filter(child_id=child_id, place__lt=MOST_PARENTS).order_by("place")
    return dict(rows.values_list("parent_id", "relation"))


def data_of(repo_id: int) -> bytes:
    """A sketch's stored form. Raises BadRequest where there is none."""
    row = Sketch.objects.filter(pk=repo_id).first()
    if row is None or row.data is None:
        raise BadRequest(f"No sketch of the weights of repo {repo_id} is stored: verify it first.")
    return bytes(row.data)


def prints(body: str, *, without: Collection[int] = ()) -> dict[int, bytes]:
    """Fingerprints of the sketches of one architecture."""
    rows = Sketch.objects.filter(body=body, print__isnull=False).exclude(body="").exclude(pk__in=without)
    return {key: bytes(value or b"") for key, value in rows.values_list("repo_id", "print")[:CANDIDATES]}


def is_quantized(repo_id: int) -> bool:
    """Whether its configuration or its tensors say that it is quantized."""
    return Inspection.objects.filter(pk=repo_id, quantization__isnull=False).exists()


def ancestors(ids: Iterable[int]) -> dict[int, frozenset[int]]:
    """Of each model all that it declares to descend from, near and far, as far as a bounded walk leads."""
    asked = set(ids)
    above: dict[int, set[int]] = {}
    ask = set(asked)
    for _ in range(LONGEST_LINE):
        if not ask or len(above) > MOST_ANCESTORS + len(asked):
            break
        rows = Edge.objects.filter(child_id__in=ask).values_list("child_id", "parent_id")
        for key in ask:
            above.setdefault(key, set())
        for child, parent in rows:
            above[child].add(parent)
        ask = {parent for key in ask for parent in above[key]} - above.keys()
    return {key: frozenset(_climbed(key, above)) for key in asked}


def _climbed(key: int, above: dict[int, set[int]]) -> set[int]:
    found: set[int] = set()
    todo = list(above.get(key, ()))
    while todo:
        at = todo.pop()
        if at not in found and at != key:
            found.add(at)
            todo += above.get(at, ())
    return found


def standing(child_id: int) -> dict[int, tuple[str, str, int, str]]:
    """The verdicts on edges to a child: (its revision, the parent's, version, digest of what was held against)."""
    rows = Verdict.objects.filter(child_id=child_id)
    fields = ("parent_id", "child_revision", "parent_revision", "version", "others")
    return {row[0]: row[1:] for row in rows.values_list(*fields)}


def digest(others: Iterable[End]) -> str:
    """A digest of the models that were held against a child."""
    text = ";".join(sorted(f"{each.repo_id}@{each.revision}" for each in others))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def root_of(repo_id: int) -> int:
    """The root of a model's family: itself where it has none."""
    return Node.objects.filter(pk=repo_id).values_list("root_id", flat=True).first() or repo_id
