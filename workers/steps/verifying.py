"""The verify job: draws the sketches that are missing, then holds every declared edge of its scope against the weights.

One repo that can't be read, one edge that can't be judged, is a fault with its reason, never the end of the job. What
is stored for the present revisions is not done again, so the job may be run as often as one likes.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import structlog

from hubapp.catalog.models import Repo
from hubapp.jobs import faults
from hubapp.jobs.models import Job
from hubapp.lineage import weighing
from hubapp.lineage.weighing import Judged
from hubapp.weights import queries, services, sketches
from hubapp.weights.queries import Scope
from hubapp.weights.sketches import Drawn, End
from workers.errors import BadRequest, HostRefused, Interrupted, LeaseLost, RateLimited, RemoteError, RootstockError
from workers.lineage.records import Relation, Standing, Verdict
from workers.steps import Outcome, heartbeat, step
from workers.steps.crawling import client_for
from workers.steps.weights import source_for
from workers.weights import records

if TYPE_CHECKING:
    from workers.lineage.verdicts import Known
    from workers.weights.sketches import Sketch

log = structlog.get_logger(__name__)

BATCH = 32  # repos read, or children judged, in one step at most …
SECONDS = 5.0  # … or as many as take so long
TRIES = 3  # of a repo that the Hub can't hand out just now
RETRY = 2.0  # seconds before it is tried again
ROW = 5  # repos that can't be handed out, one after another: then it is the Hub that can't be read
KEPT = 24  # sketches that are held in memory, of at most 4 MB each
NEXT = "train"
COUNTS = ("sketches", "confirmed", "contradicted", "cannot tell", "errors", "bytes")

State = dict[str, Any]


@step("verify")
def verify(job: Job, cursor: Any) -> Outcome:
    """Draw the next sketches; when all are there, judge the next children."""
    scope = Scope(job.params["scope"], job.params.get("repo"))
    state: State = dict(cursor or {"phase": "draw", "after": 0, "done": 0, "sketches": 0, "errors": 0, "bytes": 0})
    if state["phase"] == "draw":
        return _draw(job, scope, state)
    if job.params.get("base"):
        return _compare(job, state)
    return _judge(job, scope, state)


# --- drawing --------------------------------------------------------------------------------------------------------
def _draw(job: Job, scope: Scope, state: State) -> Outcome:  # noqa: PLR0912 - the ways in which reading one repo can end
    from workers.weights.sketches import VERSION

    also = [job.params["base"]] if job.params.get("base") else []
    if "total" not in state:
        state["total"] = sketches.undrawn_count(scope, version=VERSION, also=also)
    found = sketches.undrawn(scope, version=VERSION, also=also, after=state["after"], limit=BATCH)
    if not found:
        state |= {"phase": "judge", "after": 0, "done": 0, "total": sketches.children_count(scope)}
        return Outcome(cursor=state, progress=_progress(state))
    drawn: list[Drawn] = []
    failed: list[tuple[str, str, str, str]] = []
    wait = 0.0
    began = time.monotonic()
    for repo in found:
        heartbeat()
        try:
            drawn.append(_sketch(job, repo))
            state["row"] = 0
        except (LeaseLost, Interrupted):
            raise
        except RateLimited:
            client_for(job).gate.tell()
            if not drawn:
                raise
            break
        except RemoteError as error:
            if not isinstance(error, HostRefused) and error.retry and state.get("tries", 0) + 1 < TRIES:
                state["tries"] = state.get("tries", 0) + 1
                wait = RETRY
                break
            state["row"] = state.get("row", 0) + 1
            if state["row"] >= ROW and error.retry:
                if not drawn:
                    raise
                break
            failed.append((repo.name, error.code, str(error)[:500], ""))
        except RootstockError as error:
            drawn.append(Drawn(repo.pk, repo.sha, VERSION, code=error.code, reason=str(error)))
            failed.append((repo.name, error.code, str(error)[:500], ""))
        except Exception as error:
            log.exception("verify.bug", repo=repo.name)
            failed.append((repo.name, "bug", f"{type(error).__name__}: {error}"[:500], ""))
        state |= {"after": repo.pk, "done": state["done"] + 1, "tries": 0}
        if time.monotonic() - began > SECONDS:
            break
    state["errors"] += len(failed)
    state["sketches"] += sum(each.data is not None for each in drawn)
    state["bytes"] += sum(each.bytes_read for each in drawn)

    def store() -> None:
        sketches.keep(drawn=drawn, now=datetime.now(UTC))
        if failed:
            faults.record_faults(job=job, faults=failed)

    return Outcome(store=store, cursor=state, progress=_progress(state, "reading rows"), wait=wait)


def _sketch(job: Job, repo: Repo) -> Drawn:
    """Read the sampled rows of one repo, by its stored schema where it was inspected."""
    import numpy as np

    from workers.weights.opening import open_weights
    from workers.weights.sketches import VERSION
    from workers.weights.sketching import sketch

    known = queries.inspection(repo.pk)
    fresh = known is not None and known.revision == repo.sha and known.state == records.State.READ
    schema = known.schema if known is not None and fresh else None
    source = source_for(job, repo, schema=schema)
    weights = open_weights(source, schema=schema)
    found = sketch(weights)
    return Drawn(
        repo_id=repo.pk,
        revision=repo.sha,
        version=VERSION,
        kind=found.kind,
        body=found.body if found.kind == "model" else "",
        fingerprint=found.fingerprint().astype(np.float16).tobytes() if found.kind == "model" else None,
        data=found.dumps(),
        bytes_read=source.bytes_read,
        requests=source.requests,
    )


# --- judging --------------------------------------------------------------------------------------------------------
def _judge(job: Job, scope: Scope, state: State) -> Outcome:
    found = sketches.children_to_judge(scope, after=state["after"], limit=BATCH)
    if not found:
        return _last(job, state)
    from threadpoolctl import threadpool_limits

    judged: list[Judged] = []
    failed: list[tuple[str, str, str, str]] = []
    began = time.monotonic()
    for child in found:
        heartbeat()
        try:
            with threadpool_limits(1):  # matrices are small: threads would wait for each other
                judged += judge_child(child)
        except (LeaseLost, Interrupted):
            raise
        except Exception as error:
            code = error.code if isinstance(error, RootstockError) else "bug"
            if code == "bug":
                log.exception("verify.bug", repo=child)
            name = Repo.objects.filter(pk=child).values_list("name", flat=True).first() or str(child)
            failed.append((name, code, f"Not judged: {error}"[:500], ""))
        state |= {"after": child, "done": state["done"] + 1}
        if time.monotonic() - began > SECONDS:
            break
    state["errors"] += len(failed)
    for each in judged:
        word = each.verdict.verdict.value.replace("_", " ")
        state[word] = state.get(word, 0) + 1

    def store() -> None:
        weighing.store(judged=judged, now=datetime.now(UTC))
        if failed:
            faults.record_faults(job=job, faults=failed)

    return Outcome(store=store, cursor=state, progress=_progress(state, "judging"))


def judge_child(child_id: int, *, base: int | None = None) -> list[Judged]:
    """The verdicts on all declared edges to a model that are not stored already; with ``base`` the one on that model
    as its parent, declared or not.
    """
    from workers.lineage.verdicts import VERSION, judge

    declared = sketches.parents_of(child_id)
    relations = declared if base is None else {base: declared.get(base, int(Relation.UNKNOWN))}
    known = sketches.ends([child_id, *relations, *declared])
    if child_id not in known:
        raise BadRequest("The weights of the model could not be sampled: see what inspect says of it.")
    child = known[child_id]
    parents = [known[key] for key in relations if key in known]
    if not parents:
        raise BadRequest("The weights of the parent could not be sampled: see what inspect says of it.")
    others, flags = _others(child, parents, [known[key] for key in declared if key in known])
    told = sketches.digest(others)
    stands = sketches.standing(child_id)
    if base is None and all(stands.get(p.repo_id) == (child.revision, p.revision, VERSION, told) for p in parents):
        return []
    above = sketches.ancestors(relations)
    verdicts = judge(
        _loaded(child.repo_id, child.revision),
        {str(p.repo_id): (_loaded(p.repo_id, p.revision), Relation(relations[p.repo_id])) for p in parents},
        [_known(other, flags[other.repo_id]) for other in others],
        quantized=sketches.is_quantized(child_id),
        named=frozenset(str(key) for key in declared),
        bases=frozenset(str(key) for found in above.values() for key in found & set(relations)),
    )
    for p in parents:
        verdict = verdicts[str(p.repo_id)]
        if child_id in above[p.repo_id] and verdict.verdict is Standing.CONFIRMED:
            verdicts[str(p.repo_id)] = verdict.but(Standing.CANNOT_TELL, "circle", verdict.figures)
    return [
        Judged(
            child_id=child_id,
            parent_id=p.repo_id,
            verdict=verdicts[str(p.repo_id)],
            likelier_id=int(verdicts[str(p.repo_id)].likelier) if verdicts[str(p.repo_id)].likelier else None,
            child_revision=child.revision,
            parent_revision=p.revision,
            others=told,
            bytes_read=child.bytes_read,
            parent_bytes=p.bytes_read,
        )
        for p in parents
    ]


_Flags = tuple[bool, frozenset[str], frozenset[str]]


def _others(child: End, parents: list[End], declared: list[End]) -> tuple[list[End], dict[int, _Flags]]:
    """What is held against the parents: other declared parents, ancestors, and the nearest of the same architecture,
    each with whether it is surely older than the child, which parents descend from it, and which are on no line with
    it.
    """
    asked = {p.repo_id for p in parents}
    above = sketches.ancestors([child.repo_id, *asked])
    wanted = {key for found in above.values() for key in found} | {p.repo_id for p in declared}
    bodies = {p.body for p in parents if p.body} | ({child.body} if child.kind == "model" and child.body else set())
    near: list[int] = []
    for body in sorted(bodies):
        near += _near(child, body, without=wanted | asked | {child.repo_id})
    found = sketches.ends([*wanted, *near])
    candidates = [e for key, e in found.items() if key not in asked and key != child.repo_id and e.kind == "model"]
    lines = sketches.ancestors([e.repo_id for e in candidates])
    flags: dict[int, _Flags] = {}
    chosen: list[End] = []
    for other in sorted(candidates, key=lambda e: (e.repo_id not in wanted, _place(near, e.repo_id))):
        line = lines[other.repo_id]
        if child.repo_id in line:
            continue  # a descendant
        older = any(other.repo_id in found for found in above.values()) or _before(other, child)
        if not (older or child.kind == "adapter") or len(chosen) >= sketches.MOST_OTHERS:
            continue
        chosen.append(other)
        before = {p.repo_id for p in parents if other.repo_id in above[p.repo_id] and p.repo_id not in line}
        beside = {p.repo_id for p in parents if p.repo_id not in line and (line or _before(other, p))} - before
        flags[other.repo_id] = (older, frozenset(map(str, before)), frozenset(map(str, beside)))
    return chosen, flags


def _place(order: list[int], key: int) -> int:
    return order.index(key) if key in order else -1


def _before(one: End, other: End) -> bool:
    return one.created_at is not None and other.created_at is not None and one.created_at < other.created_at


def _near(child: End, body: str, *, without: Iterable[int]) -> list[int]:
    """Of the sketches of one architecture those nearest to the child by their fingerprints, the nearest first; for an
    adapter, whose own says nothing of that, any.
    """
    import numpy as np

    stored = sketches.prints(body, without=set(without))
    if not stored:
        return []
    keys = sorted(stored)
    if child.kind != "model" or child.body != body:
        return keys[: sketches.MOST_OTHERS]
    rows = np.stack([np.frombuffer(stored[key], np.float16).astype(np.float32) for key in keys])
    likeness = rows @ _loaded(child.repo_id, child.revision).fingerprint()
    return [keys[i] for i in np.argsort(-likeness, kind="stable")[: sketches.MOST_OTHERS]]


@lru_cache(maxsize=KEPT)
def _loaded(repo_id: int, revision: str) -> Sketch:
    """A stored sketch; ``revision`` is there so that a newer one is not taken for it."""
    from workers.weights.sketches import loads

    return loads(sketches.data_of(repo_id))


def _known(other: End, flags: _Flags) -> Known:
    from workers.lineage.verdicts import Known

    return Known(str(other.repo_id), _loaded(other.repo_id, other.revision), *flags)


# --- the end --------------------------------------------------------------------------------------------------------
def _compare(job: Job, state: State) -> Outcome:
    """One model against one other, whatever is declared: the answer is kept on the job."""
    found = judge_child(job.params["repo"], base=job.params["base"])[0]
    state |= {"done": 1, "total": 1}
    likelier = Repo.objects.filter(pk=found.likelier_id or 0).values_list("name", flat=True).first() or ""
    answer = as_answer(found.verdict) | {"likelier": likelier}
    answer |= {"bytes_read": found.bytes_read, "parent_bytes": found.parent_bytes}
    return Outcome(cursor=state, progress=_progress(state) | {"answer": answer}, done=True)


def as_answer(verdict: Verdict) -> dict[str, Any]:
    """A verdict as plain JSON."""
    plain = asdict(verdict)
    plain["verdict"] = verdict.verdict.value
    plain["kinship"] = verdict.kinship.value if verdict.kinship else ""
    plain["layers"] = [[layer.label, layer.similarity, layer.change] for layer in verdict.layers]
    return plain


def _last(job: Job, state: State) -> Outcome:
    def store() -> None:
        if job.params.get("onward"):
            services.go_on(kind=NEXT, params=job.params)

    return Outcome(store=store, cursor=state, progress=_progress(state), done=True)


def _progress(state: State, note: str = "") -> dict[str, Any]:
    counts = {key: state.get(key, 0) for key in COUNTS}
    total = max(state["total"], state["done"])
    return {"done": state["done"], "total": total, "unit": "models", "note": note, **counts}
