"""The kinds of work there are. A room registers its own in ``apps.py: ready()``."""

from __future__ import annotations

from dataclasses import dataclass

from workers.errors import BadRequest

QUEUES = ("crawl", "analyse", "gpu")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of work.

    ``title`` is how pages name it. ``lease_seconds`` is how long a run may be silent before its job is given to
    another: well above the longest step, as each step renews the lease. ``max_attempts`` is how often the same step
    may be tried before the job is parked. ``rerun`` is for work that empties a list which others fill: asked for while
    it runs, it starts over when it is done, so that what was added behind its back isn't left lying.
    """

    name: str
    queue: str
    title: str
    lease_seconds: int = 120
    max_attempts: int = 5
    rerun: bool = False


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Make ``kind`` known. Registering the same one again changes nothing; another of its name is a bug."""
    if kind.queue not in QUEUES:
        raise ValueError(f"Kind {kind.name!r} names the queue {kind.queue!r}; there are {', '.join(QUEUES)}.")
    if _kinds.setdefault(kind.name, kind) != kind:
        raise ValueError(f"Kind {kind.name!r} is registered twice, differently.")


def get(name: str) -> Kind:
    """The kind of that name. Raises BadRequest where no room has registered it."""
    try:
        return _kinds[name]
    except KeyError:
        raise BadRequest(f"There is no kind of work named {name!r}; known: {', '.join(sorted(_kinds))}.") from None


def registered() -> list[Kind]:
    """All kinds, by name."""
    return [_kinds[name] for name in sorted(_kinds)]
