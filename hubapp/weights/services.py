"""Writing of what was read of weights, and asking for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from hubapp.catalog.models import Repo
from hubapp.jobs import kinds
from hubapp.jobs import services as jobs
from hubapp.jobs.models import Job
from hubapp.weights.models import Inspection
from workers.errors import BadRequest
from workers.weights import records
from workers.weights.records import as_json

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

SCOPES = ("model", "family", "all")
FILES = 100  # files of one repo that are listed by name
_FIELDS = [field.name for field in Inspection._meta.concrete_fields if field.name != "repo"]  # noqa: SLF001


def ask(
    *,
    scope: str,
    repo: Repo | None = None,
    onward: bool = False,
    by: AbstractBaseUser | None = None,
    send: bool = True,
) -> Job:
    """Ask for the weights of a model, a family or everything to be read. ``onward``: then go on to what builds on it.

    Raises BadRequest where scope and repo do not fit.
    """
    if scope not in SCOPES:
        raise BadRequest(f"There is no scope {scope!r}; there are {', '.join(SCOPES)}.")
    if (repo is None) != (scope == "all"):
        raise BadRequest("Name a model for its own weights or its family's, none for all.")
    params: dict[str, Any] = {"scope": scope, "repo": None, "onward": onward}
    if repo is not None:
        params |= {"repo": repo.pk, "name": repo.name}
    return jobs.enqueue(kind="inspect", params=params, by=by, send=send)


def go_on(*, kind: str, params: dict[str, Any]) -> Job | None:
    """Ask for the next kind of work with the same scope, where a room has registered it."""
    if kind not in {known.name for known in kinds.registered()}:
        return None
    return jobs.enqueue(kind=kind, params={**params, "onward": True})


@dataclass(frozen=True, slots=True)
class Read:
    """What was read of one repo."""

    repo_id: int
    found: records.Inspection
    method: int


def store(*, read: Sequence[Read], now: datetime | None = None) -> None:
    """Keep what was read, in the caller's transaction; a repo's earlier revision is replaced."""
    if not read:
        return
    now = now or timezone.now()
    here = set(Repo.objects.filter(pk__in=[each.repo_id for each in read]).values_list("pk", flat=True))
    Inspection.objects.bulk_create(
        [_row(each, now) for each in sorted(read, key=lambda each: each.repo_id) if each.repo_id in here],
        update_conflicts=True,
        unique_fields=["repo"],
        update_fields=_FIELDS,
    )


def _row(read: Read, now: datetime) -> Inspection:
    found, schema = read.found, read.found.schema
    return Inspection(
        repo_id=read.repo_id,
        revision=found.revision,
        method=read.method,
        state=found.state.value,
        code=found.code,
        reason=found.reason[:500],
        config=found.config,
        tokenizer=as_json(found.tokenizer),
        tokenizer_print=found.tokenizer_print,
        adapter=as_json(found.adapter),
        quantization=as_json(found.quantization),
        oddities=list(found.oddities),
        format=schema.format if schema else "",
        schema=schema.pack() if schema else None,
        signature=schema.signature if schema else "",
        dtypes=schema.dtypes if schema else {},
        parameters=schema.parameters if schema else 0,
        tensors=len(schema.tensors) if schema else 0,
        files=[list(file) for file in schema.files[:FILES]] if schema else [],
        file_count=len(schema.files) if schema else 0,
        size=schema.size if schema else 0,
        bytes_read=found.bytes_read,
        requests=found.requests,
        read_at=now,
    )
