"""Writing of experts and readings, and asking for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import transaction

from hubapp.catalog.models import Repo
from hubapp.jobs import audit
from hubapp.jobs import services as jobs
from hubapp.jobs.models import Job
from hubapp.lineage import probed
from hubapp.probing.models import Expert, ExpertFile, Reading
from hubapp.weights.services import SCOPES
from workers.errors import BadRequest
from workers.probing.records import Answer, ReadingState
from workers.probing.rules import agrees

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

CONFIDENT = 0.8  # probability from which a guess that differs from the card is a finding
MANY = 20  # labels from which the five likeliest are few


def ask(
    *,
    kind: str,
    scope: str,
    repo: Repo | None = None,
    onward: bool = False,
    again: bool = False,
    by: AbstractBaseUser | None = None,
    send: bool = True,
) -> Job:
    """Ask for experts to be trained ("train": of the tree of a model, or of all trees that have none) or to be asked
    ("probe": about a model, a family or everything). ``again``: train where there is one already.

    Raises BadRequest where scope and repo do not fit.
    """
    if kind not in ("train", "probe"):
        raise BadRequest(f"There is no kind {kind!r} here; there are train and probe.")
    if scope not in SCOPES:
        raise BadRequest(f"There is no scope {scope!r}; there are {', '.join(SCOPES)}.")
    if (repo is None) != (scope == "all"):
        raise BadRequest("Name a model for itself or its family, none for all.")
    params: dict[str, Any] = {"scope": scope, "repo": None, "onward": onward}
    if repo is not None:
        params |= {"repo": repo.pk, "name": repo.name}
    if again:
        params |= {"again": True}
    return jobs.enqueue(kind=kind, params=params, by=by, send=send)


@dataclass(frozen=True, slots=True)
class Trained:
    """An expert that came out of a job; its files lie in ``folder`` until it is kept."""

    root_id: int
    form: str
    method: str
    layers: list[list[Any]]
    labels: list[str]
    several: bool
    fitted: int
    quality: dict[str, Any]
    text_digest: str
    bytes_read: int
    folder: Path


def keep_expert(*, trained: Trained, job: Job, now: datetime) -> Expert:
    """Put it into service in the caller's transaction; the one that served the tree till now is retired, its readings
    go when the models are asked about again.
    """
    Expert.objects.filter(root_id=trained.root_id, form=trained.form, state=Expert.State.IN_SERVICE).update(
        state=Expert.State.RETIRED
    )
    expert = Expert.objects.create(
        root_id=trained.root_id,
        form=trained.form,
        method=trained.method,
        layers=trained.layers,
        labels=trained.labels,
        several=trained.several,
        fitted=trained.fitted,
        quality=trained.quality,
        text_digest=trained.text_digest,
        bytes_read=trained.bytes_read,
        job=job,
        trained_at=now,
    )
    files = [path for path in sorted(trained.folder.iterdir()) if path.suffix in (".json", ".safetensors")]
    ExpertFile.objects.bulk_create([ExpertFile(expert=expert, name=f.name, data=f.read_bytes()) for f in files])
    return expert


@dataclass(frozen=True, slots=True)
class Probed:
    """What came of asking about one repo. ``expert_id`` None: no expert in service can read it."""

    repo_id: int
    revision: str
    expert_id: int | None
    answer: Answer
    claims: tuple[str, ...] = ()
    learned: bool = False
    bytes_read: int = field(default=0)


_FIELDS = [f.name for f in Reading._meta.concrete_fields if f.name != "repo"]  # noqa: SLF001


def keep_readings(*, found: Sequence[Probed], now: datetime) -> None:
    """Keep readings in the caller's transaction, and the findings that follow: a guess of which the expert is confident
    and that the card contradicts.
    """
    here = set(Repo.objects.filter(pk__in=[each.repo_id for each in found]).values_list("pk", flat=True))
    kept = sorted((each for each in found if each.repo_id in here), key=lambda each: each.repo_id)
    Reading.objects.bulk_create(
        [
            Reading(
                repo_id=each.repo_id,
                expert_id=each.expert_id,
                revision=each.revision,
                state=each.answer.state.value,
                reason=each.answer.reason.value if each.answer.reason else "",
                guesses=[[guess.label, guess.probability] for guess in each.answer.guesses],
                claims=list(each.claims),
                learned=each.learned,
                distance=each.answer.distance,
                embedding=each.answer.embedding,
                bytes_read=each.bytes_read,
                read_at=now,
            )
            for each in kept
        ],
        update_conflicts=True,
        unique_fields=["repo"],
        update_fields=_FIELDS,
    )
    labels = {
        pk: len(known)
        for pk, known in Expert.objects.filter(pk__in={each.expert_id for each in kept}).values_list("pk", "labels")
    }
    found_out = {each.repo_id: _disagreement(each, labels.get(each.expert_id or 0, 0)) for each in kept}
    probed.state_disagreements(found=found_out, now=now)


def _disagreement(each: Probed, labels: int) -> tuple[str, dict[str, Any]] | None:
    answer = each.answer
    if answer.state is not ReadingState.ANSWERED or not each.claims or answer.guesses[0].probability < CONFIDENT:
        return None
    sure = [guess for guess in answer.guesses if guess.probability >= CONFIDENT]
    # Not one of the five (of few labels: not one it is sure of): an expert takes a square for a circle of the same
    # colour far oftener than a card lies. On the zoo one honest card of 396 is doubted so; 60 were by the first guess.
    near = answer.guesses if labels >= MANY else sure
    if agrees(each.claims, [guess.label for guess in near]):
        return None
    best = sure[0]
    detail = {"guess": best.label, "percent": round(100 * best.probability), "expert": each.expert_id}
    return ", ".join(each.claims), detail


def serve(*, expert_id: int, by: AbstractBaseUser | None = None) -> Expert:
    """Put an expert that is retired back into service in place of the other. Raises BadRequest where its files are
    gone, or it is unknown.
    """
    with transaction.atomic():
        expert = Expert.objects.select_for_update().filter(pk=expert_id).first()
        if expert is None:
            raise BadRequest(f"There is no expert {expert_id}.")
        if not expert.files.exists():
            raise BadRequest(f"The files of {expert} are gone: train it anew.")
        Expert.objects.filter(root=expert.root, form=expert.form, state=Expert.State.IN_SERVICE).exclude(
            pk=expert.pk
        ).update(state=Expert.State.RETIRED)
        expert.state = Expert.State.IN_SERVICE
        expert.save(update_fields=["state"])
        audit.record(by=by, target=expert, what="Put into service.")
    return expert


def retire(*, expert_id: int, by: AbstractBaseUser | None = None) -> Expert:
    """Take an expert out of service: it is asked no more, what it said stays. Raises BadRequest."""
    with transaction.atomic():
        expert = Expert.objects.select_for_update().filter(pk=expert_id).first()
        if expert is None:
            raise BadRequest(f"There is no expert {expert_id}.")
        expert.state = Expert.State.RETIRED
        expert.save(update_fields=["state"])
        audit.record(by=by, target=expert, what="Taken out of service.")
    return expert
