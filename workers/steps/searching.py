"""The steps of the ``search`` job: names folded in, a batch at a time; then counts; then orders, a part at a time."""

from __future__ import annotations

from typing import Any

from hubapp.jobs.models import Job
from hubapp.searching import folding, upkeep
from workers.steps import Outcome, heartbeat, step


@step("search")
def keep(job: Job, cursor: Any) -> Outcome:
    """The next piece of upkeep. What is left to do is in the database: whoever takes the job over goes on there."""
    at = dict(cursor or {})
    done = int(at.get("done", 0))
    if "stand" in at:
        return _stand(done, int(at["stand"]))
    if folding.backlog():
        done += folding.BATCH  # about: how many there were is known once they are stored
        return Outcome(folding.fold_some, {"done": done}, _progress(done, "names"))
    if upkeep.counting_is_due():
        upkeep.vacuum()
        counts = upkeep.count(heartbeat)
        return Outcome(lambda: upkeep.store(counts), {"done": done, "stand": 0}, _progress(done, "words and terms"))
    if upkeep.standing_is_due():
        return _stand(done, 0)
    upkeep.vacuum()
    return Outcome(cursor={"done": done}, progress=_progress(done), done=True)


def _stand(done: int, after: int) -> Outcome:
    last = upkeep.standing_until(after)
    cursor = {"done": done} if last is None else {"done": done, "stand": last}
    return Outcome(lambda: upkeep.stand(after, last), cursor, _progress(done, "orders"))


def _progress(done: int, note: str = "") -> dict[str, Any]:
    return {"done": done, "unit": "names", "note": note}
