"""The rate limit's shared row: what is left of a window, for all workers of an endpoint."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import IntegrityError, transaction

from hubapp.crawling.models import Budget
from workers.crawling.records import Drawn, Heard

SLACK = 1.0  # seconds: the Hub tells whole ones, and not whether it rounded up or down
UNSURE = 5.0  # seconds for which a grant holds while the window's end is not known
FINE = 20  # near the end of a window requests are granted by a twentieth of what is left, so that none lies idle


@dataclass(frozen=True, slots=True)
class SharedBudget:
    """The rows of one endpoint, one for each bucket. Every call is one short transaction of its own."""

    endpoint: str

    def draw(self, *, bucket: str, wanted: int, heard: Heard | None) -> Drawn:
        """Note what was heard, then grant up to ``wanted`` requests."""
        row = Budget.objects.filter(endpoint=self.endpoint, bucket=bucket).first()
        now = time.time()
        if heard is None and (row is None or _is_free(row, now)):
            return Drawn(wanted, now + UNSURE)
        with transaction.atomic():
            row = self._locked(bucket)
            if heard is not None:
                _learn(row, heard)
            grant = _grant(row, wanted, time.time())
            row.save()
        return grant

    def give_back(self, *, bucket: str, count: int) -> None:
        """Return requests that were drawn and not made."""
        with transaction.atomic():
            row = self._locked(bucket)
            if row.quota and row.resets_at is not None and row.resets_at.timestamp() > time.time():
                row.remaining = min(row.quota, row.remaining + count)
                row.save()

    def _locked(self, bucket: str) -> Budget:
        rows = Budget.objects.select_for_update()
        try:
            with transaction.atomic():
                return rows.get_or_create(endpoint=self.endpoint, bucket=bucket)[0]
        except IntegrityError:  # another worker made it in this moment
            return rows.get(endpoint=self.endpoint, bucket=bucket)


def _is_free(row: Budget, now: float) -> bool:
    """No limit is known, and no wait was asked for."""
    return row.quota == 0 and (row.resets_at is None or row.resets_at.timestamp() <= now)


def _grant(row: Budget, wanted: int, now: float) -> Drawn:
    if _is_free(row, now):
        return Drawn(wanted, now + UNSURE)
    if row.resets_at is not None and row.resets_at.timestamp() <= now:
        # A new window has begun. When it ends is not known before its first answer: windows follow the Hub's clock.
        row.remaining, row.resets_at = row.quota, None
    if row.remaining <= 0:
        if row.resets_at is None:  # no answer told: at the latest a whole window from now
            row.resets_at = _at(now + row.window)
        return Drawn(0, now, max(0.0, row.resets_at.timestamp() - now))
    count = max(0, min(wanted, max(1, row.remaining // FINE)))
    row.remaining -= count
    return Drawn(count, row.resets_at.timestamp() if row.resets_at is not None else now + UNSURE)


def _learn(row: Budget, heard: Heard) -> None:
    row.quota = heard.quota or row.quota
    row.window = heard.window or row.window
    # All that is drawn and not counted by the Hub yet is still to come off.
    left = max(0, heard.remaining - heard.spare)
    if heard.refused:
        left = 0
    ends = heard.at + heard.reset + SLACK
    known = None if row.resets_at is None else row.resets_at.timestamp()
    if known is None or ends > known + row.window / 2:  # the first that is heard of this window
        row.remaining = min(row.remaining, left) if known is None and row.remaining > 0 else left
        row.resets_at = _at(ends)
    else:
        row.remaining = min(row.remaining, left)
        row.resets_at = _at(ends if heard.refused else min(known, ends))


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
