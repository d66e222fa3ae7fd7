"""Findings of what models were trained on: the card says one thing, the weights another."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hubapp.lineage.models import Finding
from workers.lineage.records import Code


def state_disagreements(*, found: Mapping[int, tuple[str, dict[str, Any]] | None], now: datetime) -> None:
    """For each repo (subject: what its card says, detail: what its weights do), or None where the two do not disagree.

    Call it in the caller's transaction; what no longer stands is taken away.
    """
    known = {row.repo_id: row for row in Finding.objects.filter(repo_id__in=found, code=Code.TRAINING_DISAGREES.value)}
    new = []
    for repo_id, told in sorted(found.items()):
        row = known.get(repo_id)
        if row is not None and (told is None or row.subject != told[0]):
            row.delete()
            row = None
        if told is None:
            continue
        subject, detail = told
        if row is None:
            code = Code.TRAINING_DISAGREES.value
            new.append(Finding(repo_id=repo_id, code=code, subject=subject[:500], detail=detail, first_seen=now))
        elif row.detail != detail:
            row.detail = detail
            row.save(update_fields=["detail"])
    Finding.objects.bulk_create(new)
