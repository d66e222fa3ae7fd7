"""The probe job: asks the experts in service about models, and stores what they say or why they say nothing."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from hubapp.catalog.models import Repo
from hubapp.jobs import faults
from hubapp.jobs.models import Job
from hubapp.probing import queries, services
from hubapp.probing.models import Expert as ExpertRow
from hubapp.probing.services import Probed
from hubapp.weights import queries as weights_queries
from hubapp.weights.queries import Scope
from workers.errors import (
    HostRefused,
    Interrupted,
    LeaseLost,
    RateLimited,
    RootstockError,
)
from workers.probing import labels as reading_labels
from workers.probing.records import Abstention, Answer, ReadingState
from workers.steps import Outcome, heartbeat, step
from workers.steps.training import onward, weights_of
from workers.weights import records

if TYPE_CHECKING:
    from workers.probing.experts import Expert

BATCH = 48  # models read in one step at most …
SECONDS = 5.0  # … or as many as take so long
NEXT = "meanings"

State = dict[str, Any]


@step("probe")
def probe(job: Job, cursor: Any) -> Outcome:
    """Ask about the next models of the scope."""
    scope = Scope(job.params["scope"], job.params.get("repo"))
    state: State = dict(cursor or {"after": 0, "done": 0, "answered": 0, "abstained": 0, "errors": 0, "bytes": 0})
    if "total" not in state:
        state["total"] = queries.unprobed_count(scope)
    found = queries.unprobed(scope, after=state["after"], limit=BATCH)
    if not found:
        return Outcome(
            store=onward(job, NEXT),
            cursor=state,
            progress=_probe_progress(state),
            done=True,
        )
    probed, failed = _ask(job, state, found)

    def store() -> None:
        services.keep_readings(found=probed, now=timezone.now())
        if failed:
            faults.record_faults(job=job, faults=failed)

    return Outcome(store=store, cursor=state, progress=_probe_progress(state))


def _ask(job: Job, state: State, found: list[Repo]) -> tuple[list[Probed], list[tuple[str, str, str, str]]]:
    experts = queries.experts_in_service()
    inspections = weights_queries.inspections([repo.pk for repo in found])
    forms = queries.form_of([repo.pk for repo in found])
    cards = queries.cards([repo.pk for repo in found])
    probed: list[Probed] = []
    failed: list[tuple[str, str, str, str]] = []
    began = time.monotonic()
    for repo in found:
        heartbeat()
        try:
            told = _ask_one(job, repo, inspections[repo.pk], [e for e in experts if e.form == forms.get(repo.pk)])
        except (RateLimited, HostRefused, LeaseLost, Interrupted):
            raise
        except RootstockError as error:
            failed.append((repo.name, error.code, str(error), ""))
            state["errors"] += 1
        else:
            claims = _claims(cards[repo.pk], next((e for e in experts if e.pk == told.expert_id), None))
            probed.append(Probed(repo.pk, repo.sha, told.expert_id, told.answer, claims, False, told.bytes_read))
            state[told.answer.state.value] += 1
            state["bytes"] += told.bytes_read
        state |= {"after": repo.pk, "done": state["done"] + 1}
        if time.monotonic() - began > SECONDS:
            break
    return probed, failed


def _ask_one(job: Job, repo: Repo, inspection: records.Inspection, experts: list[ExpertRow]) -> Probed:
    """The answer of the expert whose tree the model lies in; of those that could read it, the nearest."""
    fit = [row for row in experts if _has_layers(row, inspection)]
    if not fit:
        answer = Answer(ReadingState.ABSTAINED, reason=Abstention.OTHER_LAYERS)
        return Probed(repo.pk, repo.sha, None, answer)
    layers = {name: (out, inner) for row in fit for name, out, inner in row.layers}
    weights, size = weights_of(job, repo, inspection, fit[0].form, layers)
    asked = [(row, _expert(row.pk).ask([weights])[0]) for row in fit]
    row, answer = min(asked, key=lambda each: _away(each[1]))
    return Probed(repo.pk, repo.sha, row.pk, answer, bytes_read=size)


def _away(answer: Answer) -> float:
    return answer.distance if answer.distance is not None else float("inf")


def _has_layers(row: ExpertRow, inspection: records.Inspection) -> bool:
    if inspection.schema is None:
        return False
    if row.form == ExpertRow.Form.ADAPTER.value:
        return inspection.adapter is not None
    there = inspection.schema.by_name
    return all(name in there and there[name].numel == out * inner for name, out, inner in row.layers)


@lru_cache(maxsize=8)
def _expert(expert_id: int) -> Expert:
    from workers.probing.experts import load

    return load(queries.folder_of(expert_id))


def _claims(card: Any, row: ExpertRow | None) -> tuple[str, ...]:
    """What the card says, in the expert's own labels; what it says besides is no claim that could be judged."""
    if row is None:
        return ()
    known = set(row.labels)
    return next((kept for s in reading_labels.said(card) if (kept := tuple(each for each in s if each in known))), ())


def _probe_progress(state: State) -> dict[str, Any]:
    counts = {key: state[key] for key in ("answered", "abstained", "errors", "bytes")}
    return {"done": state["done"], "total": max(state["total"], state["done"]), "unit": "models", **counts}
