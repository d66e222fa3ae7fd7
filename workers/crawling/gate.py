"""How a worker keeps to the Hub's rate limit, which it shares with all other workers.

What is left of a window stands in one shared row (the *ledger*). A gate draws a few requests at a time from it, hands
them out one by one, and tells the ledger what the Hub's headers said. Windows are fixed: nothing is gained by pacing
within one, so requests go out as fast as they are wanted until the window's allowance is used.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from huggingface_hub.utils import parse_ratelimit_headers

from workers.crawling.records import Drawn, Heard
from workers.errors import RateLimited

DRAW = 10  # requests drawn at once: one write to the ledger for ten requests
LOST_WAIT = 10.0  # seconds to keep off after a 429 that names no time


class Ledger(Protocol):
    """The shared row. Each call is one short transaction."""

    def draw(self, *, bucket: str, wanted: int, heard: Heard | None) -> Drawn:
        """Note what was heard and grant up to ``wanted`` requests."""

    def give_back(self, *, bucket: str, count: int) -> None:
        """Return requests that were drawn and not made."""


class Unlimited:
    """A ledger for hubs without limits, and for tools that are alone."""

    def draw(self, *, bucket: str, wanted: int, heard: Heard | None) -> Drawn:
        return Drawn(wanted, time.time() + 60.0)

    def give_back(self, *, bucket: str, count: int) -> None:
        """Nothing to return to."""


def heard_in(headers: Mapping[str, str], status: int) -> tuple[str, Heard] | None:
    """(bucket, what was heard) of an answer's headers; None where they say nothing and no 429 came."""
    info = parse_ratelimit_headers(headers)
    refused = status == 429
    wait = _retry_after(headers) if refused else None
    if info is None:
        if not refused:
            return None
        return "", Heard(0, LOST_WAIT if wait is None else wait, at=time.time(), refused=True)
    reset = float(info.reset_in_seconds)
    if wait is not None:
        reset = max(reset, wait) if info.remaining == 0 else wait
    remaining = 0 if refused else info.remaining
    heard = Heard(remaining, reset, info.limit or 0, float(info.window_seconds or 0), time.time(), refused)
    return info.resource_type, heard


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After header asks for, given as a number or as a date."""
    value = headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(min(int(value), 86_400))
    try:
        return min(max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()), 86_400.0)
    except (ValueError, TypeError):
        return None


@dataclass
class _Purse:
    """What a gate holds of one bucket."""

    left: int = 0  # paid for and not asked yet; below 0: asked and not paid for
    until: float = 0.0
    flying: int = 0  # asked, answer not seen yet
    heard: Heard | None = None  # what the ledger has not been told yet
    known: bool = False  # the ledger was told of this bucket's quota
    silent: bool = False  # the Hub answers and says nothing of limits


@dataclass
class Gate:
    """One process's share. ``take`` before each request, ``hear`` after each answer; safe from several threads.

    Only ``take`` and ``close`` touch the ledger, so only their caller needs a database connection.
    """

    ledger: Ledger
    _purses: dict[str, _Purse] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, bucket: str) -> None:
        """Pay for one request. Raises RateLimited with the seconds until the window resets."""
        with self._lock:
            purse = self._purses.setdefault(bucket, _Purse())
            if purse.until < time.time():
                purse.left = min(purse.left, 0)  # drawn in a window that is over
            urgent = purse.heard is not None and (purse.heard.refused or not purse.known)
            if purse.left <= 0 or urgent:
                self._draw(bucket, purse)
            purse.left -= 1
            purse.flying += 1

    def _draw(self, bucket: str, purse: _Purse) -> None:
        heard, purse.heard = purse.heard, None
        if heard is not None:
            purse.known = True
            purse.left = min(purse.left, max(0, heard.remaining - purse.flying))
            heard = replace(heard, spare=max(0, purse.left) + purse.flying)
        # Until the limit is known, one at a time: the first answer tells.
        wanted = max(0, (DRAW if purse.known or purse.silent else 1) - purse.left)
        drawn = self.ledger.draw(bucket=bucket, wanted=wanted, heard=heard)
        purse.left += drawn.count
        purse.until = drawn.until
        if purse.left <= 0:
            raise RateLimited(
                f"The Hub's allowance of {bucket} requests is used up; it is renewed in {drawn.wait:.0f} s.",
                wait=drawn.wait,
            )

    def hear(self, bucket: str, headers: Mapping[str, str] | None, status: int = 0) -> None:
        """Note an answer (or, without headers, that none came)."""
        found = heard_in(headers, status) if headers is not None else None
        with self._lock:
            purse = self._purses.setdefault(bucket, _Purse())
            purse.flying = max(0, purse.flying - 1)
            if found is None:
                purse.silent = headers is not None and not purse.known
                return
            purse.silent = False
            named, heard = found
            if named and named != bucket:
                purse = self._purses.setdefault(named, _Purse())
            if heard.refused:
                purse.left = min(purse.left, 0)
            purse.heard = heard

    def owe(self, bucket: str) -> None:
        """A request goes out that nobody paid for (a redirect): the next draw asks for one more."""
        with self._lock:
            purse = self._purses.setdefault(bucket, _Purse())
            purse.left -= 1
            purse.flying += 1

    def borrow(self, bucket: str) -> bool:
        """Take one request from what was drawn already, without asking the ledger; False where nothing is left."""
        with self._lock:
            purse = self._purses.setdefault(bucket, _Purse())
            if purse.left <= 0 and not purse.silent:
                return False
            purse.left -= 1
            purse.flying += 1
            return True

    def can_lend(self, bucket: str, count: int) -> bool:
        """Whether ``count`` further requests could be made without asking the ledger."""
        with self._lock:
            purse = self._purses.setdefault(bucket, _Purse())
            return purse.silent or purse.left >= count

    def unspend(self, bucket: str, count: int) -> None:
        """Take back ``count`` requests that were paid for and not made."""
        with self._lock:
            purse = self._purses.setdefault(bucket, _Purse())
            purse.left += count
            purse.flying = max(0, purse.flying - count)

    def tell(self) -> None:
        """Tell the ledger what was heard, now: after a 429 all other workers must know."""
        with self._lock:
            for bucket, purse in self._purses.items():
                if purse.heard is not None:
                    heard = replace(purse.heard, spare=max(0, purse.left) + purse.flying)
                    purse.heard, purse.known = None, True
                    self.ledger.draw(bucket=bucket, wanted=0, heard=heard)

    def close(self) -> None:
        """Return what was drawn and not used."""
        with self._lock:
            for bucket, purse in self._purses.items():
                if purse.left > 0 and purse.until > time.time():
                    self.ledger.give_back(bucket=bucket, count=purse.left)
                purse.left = 0
