"""From several likenesses to one list: each source's likeness becomes a share (how sure it makes by itself), and the
shares of one model are joined as independent reasons (noisy or: J. Pearl, 1988), so that what two sources say stands
above what one says, and a source that knows nothing takes nothing away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import exp, prod

from workers.searching.records import Found, Reason, Why

FLOOR = 0.05  # a reason below this is none
SHOWN = 3  # reasons of one result
_ORDER = {why: at for at, why in enumerate(Why)}


def share_of_text(cosine: float, middle: float, width: float) -> float:
    """The share that a cosine between two texts stands for: one half at ``middle``, logistic around it."""
    return 1.0 / (1.0 + exp(-(cosine - middle) / width))


def fuse(by_source: Iterable[Mapping[int, Reason]], limit: int) -> tuple[Found, ...]:
    """The best ``limit`` models over all sources, each with its reasons; ties in the order of their ids.

    ``by_source``: for each source, the reason it gives for a repo. A repo that it does not name has share 0 there.
    """
    reasons: dict[int, list[Reason]] = {}
    for source in by_source:
        for repo_id, reason in source.items():
            if reason.share >= FLOOR:
                reasons.setdefault(repo_id, []).append(reason)
    found = []
    for repo_id, each in reasons.items():
        each.sort(key=lambda reason: (-reason.share, _ORDER[reason.why]))
        score = 1.0 - prod(1.0 - min(reason.share, 0.999) for reason in each)
        found.append(Found(repo_id, score, tuple(each[:SHOWN])))
    found.sort(key=lambda one: (-one.score, -one.reasons[0].share, one.repo_id))
    return tuple(found[:limit])


def best(*sources: Mapping[int, Reason]) -> dict[int, Reason]:
    """For each repo the strongest of the reasons that several sources of one kind give."""
    chosen: dict[int, Reason] = {}
    for source in sources:
        for repo_id, reason in source.items():
            if repo_id not in chosen or chosen[repo_id].share < reason.share:
                chosen[repo_id] = reason
    return chosen


__all__ = ["FLOOR", "Found", "Reason", "Why", "best", "fuse", "share_of_text"]
