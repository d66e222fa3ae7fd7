"""What is known of experts and readings: for pages, API, search and steps."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from hubapp.catalog.models import Repo, RepoTerm, TermKind
from hubapp.lineage.models import Node
from hubapp.probing.models import Expert, ExpertFile, Reading
from hubapp.weights.models import Inspection
from hubapp.weights.queries import READABLE, Scope, in_scope
from workers.errors import BadRequest
from workers.probing.records import Abstention, Card, ReadingState
from workers.probing.rules import agrees
from workers.weights.records import State

LAST_FILE = "expert.json"
REASONS = {
    Abstention.OTHER_LAYERS: "It lacks layers that the expert reads, or has them in other shapes.",
    Abstention.FOREIGN: "Its weights lie too far from all of the tree: it may have another base than it says.",
    Abstention.UNSURE: "No label is likely enough to be said.",
    Abstention.UNREADABLE: "Its weights can't be read safely.",
}


def folder_of(expert_id: int) -> Path:
    """The folder with an expert's files: this machine's copy, made from the database where it is not there yet.

    Raises BadRequest where the expert has none.
    """
    folder = Path(settings.VAR) / "experts" / str(expert_id)
    if not (folder / LAST_FILE).is_file():
        files = dict(ExpertFile.objects.filter(expert_id=expert_id).values_list("name", "data"))
        if LAST_FILE not in files:
            raise BadRequest(f"Expert {expert_id} has no files: train it anew.")
        folder.mkdir(parents=True, exist_ok=True)
        for name in sorted(files, key=lambda name: name == LAST_FILE):  # the one that is looked for comes last
            part = folder / f"{name}.{os.getpid()}.part"
            part.write_bytes(bytes(files[name]))
            part.replace(folder / name)
    return folder


# --- experts --------------------------------------------------------------------------------------------------------
def experts_in_service() -> list[Expert]:
    """All of them, with their roots."""
    return list(Expert.objects.filter(state=Expert.State.IN_SERVICE).select_related("root").order_by("pk"))


def experts() -> list[Expert]:
    """In service and retired, the latest first, each with how many models it ``answered`` and ``abstained`` on."""
    counted = Expert.objects.select_related("root", "job").annotate(
        answered=Count("readings", filter=Q(readings__state=ReadingState.ANSWERED.value)),
        abstained=Count("readings", filter=Q(readings__state=ReadingState.ABSTAINED.value)),
    )
    return list(counted.order_by("-pk")[:500])


def root_of(repo_id: int) -> int:
    """The root of its tree; itself where it has no family."""
    return Node.objects.filter(pk=repo_id).values_list("root_id", flat=True).first() or repo_id


# --- readings -------------------------------------------------------------------------------------------------------
def readings(repo_ids: Collection[int]) -> dict[int, Reading]:
    """What was read of these repos, with the experts."""
    rows = Reading.objects.filter(repo_id__in=repo_ids).select_related("expert", "expert__root")
    return {row.repo_id: row for row in rows}


@dataclass(frozen=True, slots=True)
class Bar:
    """One label and its probability; ``claimed``: the card says so too."""

    label: str
    probability: float
    claimed: bool

    @property
    def percent(self) -> float:
        return round(100 * self.probability, 1)


@dataclass(frozen=True, slots=True)
class Training:
    """What a model's page shows of its training: ``state`` is answered, abstained, not_asked (an expert is there, it
    has not been asked) or no_expert; ``unread`` where the weights themselves were not read yet; ``why`` in words.
    """

    state: str
    unread: bool
    why: str = ""
    bars: tuple[Bar, ...] = ()
    claims: tuple[str, ...] = ()
    agrees: bool | None = None
    learned: bool = False
    expert: Expert | None = None
    quality: dict[str, Any] | None = None
    read_at: datetime | None = None
    fresh: bool = True

    @property
    def layers(self) -> list[str]:
        """Names of the layers that were read."""
        return [layer[0] for layer in self.expert.layers] if self.expert else []


def training(repo: Repo) -> Training:
    """What the weights say that a repo was trained on, or why they say nothing."""
    inspected = Inspection.objects.filter(pk=repo.pk).values_list("state", "reason").first()
    reading = readings([repo.pk]).get(repo.pk)
    if reading is None or reading.expert is None:
        root = root_of(repo.pk)
        there = Expert.objects.filter(state=Expert.State.IN_SERVICE, root_id=root).select_related("root").first()
        if inspected is not None and inspected[0] != State.READ.value:
            return Training("abstained", unread=False, why=inspected[1] or REASONS[Abstention.UNREADABLE])
        return Training("not_asked" if there else "no_expert", unread=inspected is None, expert=there)
    return told(repo, reading)


def told(repo: Repo, reading: Reading) -> Training:
    """A reading as pages and API show it."""
    expert = reading.expert
    claims = tuple(reading.claims)
    labels = [label for label, _ in reading.guesses]
    bars = tuple(Bar(label, p, agrees(claims, [label]) if claims else False) for label, p in reading.guesses)
    fits = None
    if claims and reading.state == ReadingState.ANSWERED:
        fits = agrees(claims, labels[:1])
    return Training(
        reading.state if expert is not None else "no_expert",
        unread=False,
        why=REASONS[Abstention(reading.reason)] if reading.reason else "",
        bars=bars,
        claims=claims,
        agrees=fits,
        learned=reading.learned,
        expert=expert,
        quality=expert.quality.get(expert.method) if expert else None,
        read_at=reading.read_at,
        fresh=not repo.sha or repo.sha == reading.revision,
    )


# --- what is to be done ---------------------------------------------------------------------------------------------
def form_of(repo_ids: Collection[int]) -> dict[int, str]:
    """Whether each repo, whose weights were read, is an adapter or has full weights; quantized ones are left out."""
    rows = Inspection.objects.filter(repo_id__in=repo_ids, state=State.READ.value, format="safetensors")
    found = {}
    for repo_id, adapter, quantized in rows.values_list("repo_id", "adapter", "quantization"):
        if quantized is None:
            found[repo_id] = Expert.Form.ADAPTER.value if adapter else Expert.Form.FULL.value
    return found


def members(root_id: int) -> list[int]:
    """The repos of a tree whose weights were read at their present revision."""
    rows = Repo.objects.filter(Q(node__root_id=root_id) | Q(pk=root_id), state__in=READABLE)
    return list(_read(rows).order_by("pk").values_list("pk", flat=True))


def roots(scope: Scope) -> list[int]:
    """The roots of the trees that a scope touches, by key."""
    ids = set()
    if scope.kind == "all":
        ids |= set(Node.objects.filter(parent=None).values_list("root_id", flat=True))
        return sorted(ids)
    return [root_of(scope.repo_id)] if scope.repo_id is not None else []


def cards(repo_ids: Collection[int]) -> dict[int, Card]:
    """What is stored of their cards, as labels are read from."""
    datasets: dict[int, list[str]] = {}
    linked = RepoTerm.objects.filter(repo_id__in=repo_ids, term__kind=TermKind.DATASET.value)
    for repo_id, value in linked.order_by("repo_id", "term__value").values_list("repo_id", "term__value"):
        datasets.setdefault(repo_id, []).append(value)
    rows = Repo.objects.filter(pk__in=repo_ids).values_list("pk", "card_excerpt", "tags")
    return {
        pk: Card(text=text, tags=tuple(str(tag) for tag in tags), datasets=tuple(datasets.get(pk, ())))
        for pk, text, tags in rows
    }


def unprobed(scope: Scope, *, after: int = 0, limit: int = 64) -> list[Repo]:
    """The next repos of a scope that an expert in service could be asked about and was not, at this revision."""
    return list(_unprobed(scope).filter(pk__gt=after).order_by("pk")[:limit])


def unprobed_count(scope: Scope) -> int:
    """How many there are."""
    return _unprobed(scope).count()


def _unprobed(scope: Scope) -> QuerySet[Repo]:
    serving = list(Expert.objects.filter(state=Expert.State.IN_SERVICE).values_list("pk", flat=True))
    rows = _read(in_scope(scope).filter(state__in=READABLE)).filter(
        inspection__format="safetensors", inspection__quantization__isnull=True
    )
    if not serving:
        return rows.none()
    known = Reading.objects.filter(repo_id=OuterRef("pk"), revision=OuterRef("sha"))
    # whoever was in no expert's reach is asked again when there are new ones
    settled = known.filter(Q(expert_id__in=serving) | Q(expert=None, read_at__gte=_latest()))
    return rows.exclude(Exists(settled))


def _latest() -> datetime:
    """When the latest expert came into service."""
    return Expert.objects.filter(state=Expert.State.IN_SERVICE).latest("trained_at").trained_at


def _read(rows: QuerySet[Repo]) -> QuerySet[Repo]:
    return rows.filter(inspection__state=State.READ.value, inspection__revision=F("sha"))
