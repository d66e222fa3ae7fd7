"""Asking for single repos by name, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from workers.crawling import rows
from workers.crawling.client import HubClient
from workers.crawling.records import RepoFacts
from workers.errors import BadRow, RateLimited, RepoDisabled, RepoGated, RepoMissing, RootstockError

AT_ONCE = 4  # requests under way: enough to hide the Hub's latency, few enough to be polite
_A = TypeVar("_A")
_B = TypeVar("_B")


@dataclass(frozen=True, slots=True)
class Looked:
    """What became of one name: its repo's facts (perhaps under a new name), or an error's code.

    ``error`` is set where the Hub could not answer at all: such a name is to be asked for again.
    """

    name: str
    facts: RepoFacts | None = None
    code: str = ""
    error: RootstockError | None = None


def look_up(client: HubClient, names: Sequence[str]) -> list[Looked]:
    """Ask for each name, in order; fewer answers than names when the allowance runs out (at least one).

    Raises RateLimited where not even the first can be paid for, and whatever the first name met that says nothing of
    the name itself.
    """
    answers = in_threads(lambda name: _look_up(client, name), paid(client, names, "api"))
    settled: list[Looked] = []
    for answer in answers:
        if answer.error is not None:
            if not settled:
                raise answer.error
            break
        settled.append(answer)
    return settled


def _look_up(client: HubClient, name: str) -> Looked:
    try:
        facts = rows.facts_of(client.model(name))
    except (RepoMissing, RepoGated, RepoDisabled, BadRow) as error:
        return Looked(name, code=error.code)
    except RootstockError as error:
        return Looked(name, error=error)
    return Looked(name, code="private") if facts.private else Looked(name, facts)


def paid(client: HubClient, items: Sequence[_A], bucket: str) -> list[_A]:
    """As many of ``items`` as requests can be paid for now. Raises RateLimited where not even one can."""
    for count in range(len(items)):
        try:
            if count:
                client.gate.take(bucket)
            else:
                client.pay(bucket)
        except RateLimited:
            if not count:
                raise
            return list(items[:count])
    return list(items)


def in_threads(function: Callable[[_A], _B], items: Iterable[_A]) -> list[_B]:
    """``function`` of each item, some at once, results in order."""
    items = list(items)
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(AT_ONCE, len(items)), thread_name_prefix="look-up") as pool:
        return list(pool.map(function, items))
