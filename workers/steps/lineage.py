"""The lineage job: judges dirty repos, places them in their families, counts the large ones.

Bounded steps, each one transaction. What is left to do is in the database (marks, a wanted whole pass): wherever the
job is stopped, it goes on from there.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction

from hubapp.lineage import cases, families, judged, placed, places, services
from hubapp.lineage.models import Wants
from hubapp.searching import services as searching
from workers.errors import TooLarge
from workers.lineage.judging import judge
from workers.steps import Outcome, heartbeat, placing, step

if TYPE_CHECKING:
    from hubapp.jobs.models import Job

JUDGE_BATCH = 2_000  # dirty repos of one transaction: about as many rows of edges and findings
PLACE_BATCH = 5_000
COUNT_BATCH = 20  # large families counted in one step
WHOLE_FACTOR = 15  # placing one node alone costs about as much as fifteen in a pass over everything (bench.lineage)
FEW = 200  # so few are never worth a whole pass

_passes: dict[int, placing.Pass] = {}
"""The whole pass that this process is storing, by job: lost with the process, computed again by the next one."""


@step("lineage")
def lineage(job: Job, cursor: dict[str, Any] | None) -> Outcome:
    """Judge, then place, then count; each call does the next piece."""
    at = cursor or {}
    done = int(at.get("done", 0))
    if at.get("phase") == "whole":
        return _whole(job, done, part=int(at.get("part", 0)))
    to_judge, to_place = cases.dirty_counts()
    if to_judge:
        return _judge(done, to_judge, start=cursor is None)
    if cases.whole_wanted() or _whole_is_cheaper(to_place):
        return _whole(job, done)
    if to_place:
        return _place(job, done, to_place)
    return _count(done)


def _progress(done: int, left: int, note: str) -> dict[str, Any]:
    return {"done": done, "total": done + left, "unit": "models", "note": note}


def _whole_is_cheaper(dirty: int) -> bool:
    """Whether so many are better placed in a pass over everything."""
    return dirty > FEW and dirty * WHOLE_FACTOR > places.size()


# --- judging --------------------------------------------------------------------------------------------------------
def _judge(done: int, left: int, *, start: bool) -> Outcome:
    batch = cases.cases(cases.dirty(wants=Wants.JUDGE, limit=JUDGE_BATCH))
    judgements = {repo_id: judge(child, batch.said[repo_id], batch.names) for repo_id, child in batch.children.items()}
    want_whole = start and _whole_is_cheaper(left)
    now = datetime.now(UTC)
    with transaction.atomic():
        searching.index(stored=judged.make_stubs(cases=batch, judgements=judgements))

    def store() -> None:
        if want_whole:
            services.want_whole()
        made = judged.store(
            cases=batch,
            judgements=judgements,
            now=now,
            mark_places=not (want_whole or cases.whole_wanted()),
        )
        searching.index(stored=made)

    done += len(batch.marks)
    return Outcome(store, {"done": done}, _progress(done, left - len(batch.marks), "reading evidence"))


@contextmanager
def _no_collection() -> Iterator[None]:
    """A batch is a hundred thousand small tuples and no cycle: looking for some again and again takes half the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


# --- placing --------------------------------------------------------------------------------------------------------
def _place(job: Job, done: int, left: int) -> Outcome:
    marks = cases.dirty(wants=Wants.PLACE | Wants.COUNT, limit=PLACE_BATCH)
    try:
        counted = [repo_id for repo_id, mark in marks.items() if not mark.wants & Wants.PLACE]
        moved = [repo_id for repo_id, mark in marks.items() if mark.wants & Wants.PLACE]
        change = placing.change_for(moved, counted)
    except TooLarge:
        return _whole(job, done)
    stored = places.placed_findings(change.findings)
    now = datetime.now(UTC)

    def store() -> None:
        _forget(placed.store_change(change=change, marks=marks, stored=stored, now=now))

    done += len(marks)
    return Outcome(store, {"done": done}, _progress(done, left - len(marks), "placing"))


def _whole(job: Job, done: int, part: int = 0) -> Outcome:
    """One piece of a pass over everything: computed once by each process that works on it, stored bit by bit.

    ``part`` is how many pieces were stored. Where this process knows of another number (it has just begun, or a piece
    could not be stored), it computes anew: what is stored already no longer differs.
    """
    current = _passes.get(job.pk)
    if current is None or not part or current.written != part:
        _passes.clear()
        current = _passes[job.pk] = placing.whole(heartbeat)
    write = next(current.writes, None)
    now = datetime.now(UTC)
    if write is None:
        del _passes[job.pk]
        return Outcome(lambda: placed.finish_whole(now=now), {"done": done}, _progress(done, 0, "placed everything"))
    current.written += 1
    progress = {"done": current.written, "total": None, "unit": "parts", "note": "placing everything"}
    cursor = {"phase": "whole", "part": current.written, "done": done}
    return Outcome(lambda: _forget(write()), cursor, progress)


def _forget(repo_ids: list[int] | None) -> None:
    """Take names that nobody writes any more out of the search index."""
    if repo_ids:
        searching.remove(repo_ids=repo_ids)


# --- counting -------------------------------------------------------------------------------------------------------
def _count(done: int) -> Outcome:
    """Count large families that have changed; then the totals, and the job is done."""
    now = datetime.now(UTC)
    due = families.due_summaries(COUNT_BATCH)
    if due:
        counted = {}
        for root in due:
            heartbeat()
            counted[root] = families.count(root)
        return Outcome(
            lambda: placed.store_summaries(counted=counted, now=now),
            {"done": done},
            _progress(done, 0, "counting families"),
        )
    stale = families.stale_summaries()
    totals = places.totals()

    def store() -> None:
        placed.drop_summaries(stale)
        placed.store_totals(totals=totals, now=now)

    return Outcome(store, {"done": done}, _progress(done, 0, ""), done=True)
