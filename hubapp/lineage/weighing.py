"""Writing of what the weights say: verdicts, with the evidence and the findings that follow from them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from hubapp.catalog.models import Repo
from hubapp.lineage.models import Edge, Evidence, Finding, Verdict
from workers.lineage import records
from workers.lineage.records import Code, Kinship, Relation, Source, Standing
from workers.lineage.rules import fold

_KIN = {
    Kinship.SAME_WEIGHTS: Relation.UNKNOWN,
    Kinship.QUANTIZED: Relation.QUANTIZED,
    Kinship.ADAPTER: Relation.ADAPTER,
    Kinship.FINETUNE: Relation.FINETUNE,
    Kinship.MERGE: Relation.MERGE,
}
_FIELDS = [
    "verdict", "kinship", "reason", "figures", "layers", "likelier", "child_revision", "parent_revision", "version",
    "others", "bytes_read", "parent_bytes", "judged_at",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict on one edge, and what it stands for."""

    child_id: int
    parent_id: int
    verdict: records.Verdict
    likelier_id: int | None
    child_revision: str
    parent_revision: str
    others: str
    bytes_read: int
    parent_bytes: int


def store(*, judged: Sequence[Judged], now: datetime) -> None:
    """Keep verdicts on declared edges, in the caller's transaction; call it with all verdicts on one child together.

    A verdict on what is no edge (any more) is not kept. The same verdict twice changes nothing.
    """
    ids = {each.child_id for each in judged}
    edges = set(Edge.objects.filter(child_id__in=ids).values_list("child_id", "parent_id"))
    kept = sorted((e for e in judged if (e.child_id, e.parent_id) in edges), key=lambda e: (e.child_id, e.parent_id))
    names = dict(
        Repo.objects.filter(pk__in={k for e in kept for k in (e.parent_id, e.likelier_id) if k}).values_list(
            "pk", "name"
        )
    )
    Verdict.objects.bulk_create(
        [_row(each, now) for each in kept],
        update_conflicts=True,
        unique_fields=["child", "parent"],
        update_fields=_FIELDS,
    )
    _state_evidence(kept, names, now)
    _state_findings(kept, names, now)


def _row(each: Judged, now: datetime) -> Verdict:
    found = each.verdict
    return Verdict(
        child_id=each.child_id,
        parent_id=each.parent_id,
        verdict=found.verdict.value,
        kinship=found.kinship.value if found.kinship else "",
        reason=found.reason,
        figures=dict(found.figures),
        layers=[[layer.label, layer.similarity, layer.change] for layer in found.layers],
        likelier_id=each.likelier_id,
        child_revision=each.child_revision,
        parent_revision=each.parent_revision,
        version=found.version,
        others=each.others,
        bytes_read=each.bytes_read,
        parent_bytes=each.parent_bytes,
        judged_at=now,
    )


def _state_evidence(kept: Sequence[Judged], names: dict[int, str], now: datetime) -> None:
    """The weights say so: a statement beside the others, which judging leaves aside (edges do not follow from it)."""
    wanted = {
        (each.child_id, names[each.parent_id], _KIN.get(each.verdict.kinship or Kinship.FINETUNE, Relation.UNKNOWN))
        for each in kept
        if each.verdict.verdict is Standing.CONFIRMED and each.parent_id in names
    }
    told = {(each.child_id, names[each.parent_id]) for each in kept if each.parent_id in names}
    stored = Evidence.objects.filter(source=Source.WEIGHTS, child_id__in={child for child, _ in told})
    new = dict.fromkeys(wanted)
    for row in stored:
        key = (row.child_id, row.text, Relation(row.relation))
        if (row.child_id, row.text) not in told:
            continue
        stands = key in wanted
        new.pop(key, None)
        if stands != (row.withdrawn_at is None):
            row.withdrawn_at, row.last_seen = (None if stands else now), now
            row.save(update_fields=["withdrawn_at", "last_seen"])
    Evidence.objects.bulk_create(
        [
            Evidence(
                child_id=child, source=Source.WEIGHTS, text=name, target=fold(name), relation=relation,
                first_seen=now, last_seen=now,
            )
            for child, name, relation in sorted(new)
        ]
    )  # fmt: skip


def _state_findings(kept: Sequence[Judged], names: dict[int, str], now: datetime) -> None:
    wanted = {
        (each.child_id, names[each.parent_id]): {
            "reason": each.verdict.reason,
            "likelier": names.get(each.likelier_id or 0, ""),
        }
        for each in kept
        if each.verdict.verdict is Standing.CONTRADICTED and each.parent_id in names
    }
    told = Q()
    for each in kept:
        if each.parent_id in names:
            told |= Q(repo_id=each.child_id, subject=names[each.parent_id])
    if not told:
        return
    for row in Finding.objects.filter(told, code=Code.WEIGHTS_CONTRADICT.value):
        detail = wanted.pop((row.repo_id, row.subject), None)
        if detail is None:
            row.delete()
        elif detail != row.detail:
            row.detail = detail
            row.save(update_fields=["detail"])
    Finding.objects.bulk_create(
        [
            Finding(repo_id=child, code=Code.WEIGHTS_CONTRADICT.value, subject=subject, detail=detail, first_seen=now)
            for (child, subject), detail in sorted(wanted.items())
        ]
    )


def forget(*, gone: Collection[tuple[int, int]]) -> None:
    """Take away what was said of edges (child, parent) that are no more, in the caller's transaction."""
    pairs = sorted(gone)
    for at in range(0, len(pairs), 200):
        some = Q()
        for child, parent in pairs[at : at + 200]:
            some |= Q(child_id=child, parent_id=parent)
        rows = list(Verdict.objects.filter(some).select_related("parent"))
        if not rows:
            continue
        for row in rows:
            named = Q(child_id=row.child_id, source=Source.WEIGHTS, text=row.parent.name)
            Evidence.objects.filter(named).delete()
            Finding.objects.filter(
                repo_id=row.child_id, code=Code.WEIGHTS_CONTRADICT.value, subject=row.parent.name
            ).delete()
        Verdict.objects.filter(pk__in=[row.pk for row in rows]).delete()
