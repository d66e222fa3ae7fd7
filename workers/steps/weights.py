"""The inspect job: reads headers and small files of one repo after the other, and stores what they tell.

One repo that can't be read is a fault with its reason, never the end of the job. A repo whose revision was read is
passed over, so the job may be run as often as one likes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import structlog
from django.conf import settings

from hubapp.jobs import faults
from hubapp.jobs.models import Job
from hubapp.weights import queries, services
from hubapp.weights.queries import Due, Scope
from workers.errors import HostRefused, Interrupted, LeaseLost, RateLimited, RemoteError, RepoGated
from workers.steps import Outcome, heartbeat, step
from workers.steps.crawling import client_for
from workers.weights import inspecting
from workers.weights.reading import HubSource
from workers.weights.records import Inspection, Schema, State, TokenizerFacts

if TYPE_CHECKING:
    from hubapp.catalog.models import Repo

log = structlog.get_logger(__name__)

BATCH = 32  # repos of one step at most …
SECONDS = 5.0  # … or as many as take so long
TRIES = 3  # of a repo that the Hub can't hand out just now, before it is left for a later job
ROW = 5  # repos left aside one after another: then it is the Hub that can't be read
RETRY = 2.0  # seconds before a repo is tried again
SETTLING = 3.0  # seconds between looks whether cards and descent are done, before the work goes on to the next kind
PATIENCE = 200  # such looks
NEXT = "verify"

State_ = dict[str, Any]


def source_for(job: Job, repo: Repo, *, schema: Schema | None = None, revision: str = "") -> HubSource:
    """The files of a repo at the revision that was crawled (or another), for steps. With its stored ``schema`` the list
    of files is not asked for again.

    Raises RepoGated where the repo is gated and the settings do not say to read such, BadRequest for another hub's job.
    """
    if repo.gated and not settings.GATED_WEIGHTS:
        raise RepoGated(f"{repo.name} is gated; ROOTSTOCK_GATED_WEIGHTS says that such weights are not read.")
    sizes = {file.name: file.size for file in schema.files} if schema is not None else None
    return HubSource(client_for(job), repo.name, revision or repo.sha or "main", sizes=sizes)


@step("inspect")
def inspect(job: Job, cursor: Any) -> Outcome:  # noqa: PLR0912 - the ways in which reading one repo can end
    """Read the next repos of the scope."""
    scope = Scope(
        job.params["scope"], job.params.get("repo"), parents=bool(job.params.get("onward")), method=inspecting.METHOD
    )
    state: State_ = dict(cursor or {"after": 0, "done": 0, "read": 0, "without": 0, "errors": 0, "bytes": 0})
    if "total" not in state:
        state["total"] = queries.due_count(scope)
    found = queries.due(scope, after=state["after"], limit=BATCH)
    if not found:
        return _last(job, state)
    read: list[services.Read] = []
    failed: list[tuple[str, str, str, str]] = []
    wait = 0.0
    began = time.monotonic()
    for repo in found:
        try:
            heartbeat()
            inspection = _inspect(job, repo, read)
        except (LeaseLost, Interrupted):
            raise
        except RateLimited:
            client_for(job).gate.tell()
            if not read:
                raise
            break
        except RemoteError as error:
            if not isinstance(error, HostRefused) and state.get("tries", 0) + 1 < TRIES:
                state["tries"] = state.get("tries", 0) + 1
                wait = RETRY
                break
            if state.get("row", 0) + 1 >= ROW and error.retry:
                if not read:
                    raise
                break
            failed.append((repo.name, error.code, str(error)[:500], ""))
            state["row"] = state.get("row", 0) + 1
        except Exception as error:
            log.exception("inspect.bug", repo=repo.name)
            failed.append((repo.name, "bug", f"{type(error).__name__}: {error}"[:500], ""))
        else:
            read.append(services.Read(repo.repo_id, inspection, inspecting.METHOD))
            state["row"] = 0
            _count(state, inspection)
            if inspection.state == State.REFUSED:
                failed.append((repo.name, inspection.code, inspection.reason, ""))
        state |= {"after": repo.repo_id, "done": state["done"] + 1, "tries": 0}
        if time.monotonic() - began > SECONDS:
            break
    state["errors"] += len(failed)

    def store() -> None:
        services.store(read=read)
        if failed:
            faults.record_faults(job=job, faults=failed)

    return Outcome(store=store, cursor=state, progress=_progress(state), wait=wait)


def _inspect(job: Job, repo: Due, read: list[services.Read]) -> Inspection:
    """Read one repo. ``read`` is what this step has read already and not stored yet."""

    def known(fingerprint: str) -> TokenizerFacts | None:
        met = (each.found for each in read if each.found.tokenizer_print == fingerprint)
        return next((found.tokenizer for found in met), None) or queries.tokenizer_by_print(fingerprint)

    if repo.gated and not settings.GATED_WEIGHTS:
        reason = "Its files need an agreement on the Hub; gated weights are not read here (ROOTSTOCK_GATED_WEIGHTS)."
        return Inspection(repo.name, repo.revision, State.GATED, reason, code=RepoGated.code)
    source = HubSource(client_for(job), repo.name, repo.revision)
    return inspecting.inspect(source, name=repo.name, revision=repo.revision, known=known)


def _last(job: Job, state: State_) -> Outcome:
    """Nothing is left to read: go on to what builds on it, once descent has settled."""
    if not job.params.get("onward"):
        return Outcome(cursor=state, progress=_progress(state), done=True)
    looks = state.get("looks", 0)
    if looks < PATIENCE and queries.descent_unsettled():
        state["looks"] = looks + 1
        return Outcome(cursor=state, progress=_progress(state, "waiting for families"), wait=SETTLING)
    return Outcome(
        store=lambda: services.go_on(kind=NEXT, params=job.params), cursor=state, progress=_progress(state), done=True
    )


def _count(state: State_, inspection: Inspection) -> None:
    state["read" if inspection.state == State.READ else "without"] += 1
    state["bytes"] += inspection.bytes_read


def _progress(state: State_, note: str = "") -> dict[str, Any]:
    total = max(state["total"], state["done"])
    counts = {key: state[key] for key in ("read", "without", "errors", "bytes")}
    return {"done": state["done"], "total": total, "unit": "models", "note": note, **counts}


__all__ = ["inspect", "source_for"]
