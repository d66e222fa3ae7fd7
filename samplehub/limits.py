"""Rate limits as the Hub keeps them: fixed windows, by bucket and by caller, told in every answer."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

#: Requests in a window of 300 seconds: (bucket, kind of caller) → allowance.
HUB_WINDOW_S = 300.0
HUB_ALLOWANCES = {
    ("api", "anonymous"): 500, ("api", "free"): 1000, ("api", "pro"): 2500,
    ("resolvers", "anonymous"): 3000, ("resolvers", "free"): 5000, ("resolvers", "pro"): 12000,
}  # fmt: skip
BUCKETS = ("api", "resolvers")


@dataclass
class Window:
    number: int = -1
    used: int = 0


@dataclass
class RateLimits:
    """Counts requests in fixed windows; off until it is given allowances.

    ``window`` is in seconds. Windows are aligned to the clock given, not to the first request,
    so a caller that arrives late in a window finds its whole allowance and little time.
    """

    allowances: dict[tuple[str, str], int] = field(default_factory=dict)
    window: float = HUB_WINDOW_S
    clock: Callable[[], float] = time.monotonic
    _used: dict[tuple[str, str], Window] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> RateLimits:
        """Reads ``off``, ``real``, ``real/100`` (window and allowance in proportion) or ``api=100/30[,resolvers=…]``.

        Raises ValueError saying what it could not read.
        """
        text = text.strip()
        if text in ("", "off", "none"):
            return cls()
        if text == "real" or text.startswith("real/"):
            scale = float(text[5:]) if text.startswith("real/") else 1.0
            if scale <= 0:
                raise ValueError(f"rate limit {text!r}: the scale must be above 0")
            allowances = {key: max(1, round(value / scale)) for key, value in HUB_ALLOWANCES.items()}
            return cls(allowances, HUB_WINDOW_S / scale)
        allowances, window = {}, None
        for part in text.split(","):
            try:
                bucket, rule = part.strip().split("=")
                quota, _, seconds = rule.partition("/")
                seconds_f = float(seconds or HUB_WINDOW_S)
                quota_n = int(quota)
            except ValueError:
                raise ValueError(
                    f"rate limit {part!r}: expected off, real, real/SCALE or BUCKET=REQUESTS/SECONDS"
                ) from None
            if bucket not in BUCKETS or quota_n < 1 or seconds_f <= 0:
                raise ValueError(f"rate limit {part!r}: the buckets are {', '.join(BUCKETS)}; figures must be above 0")
            if window not in (None, seconds_f):
                raise ValueError("rate limit: all buckets share one window")
            window = seconds_f
            for caller in ("anonymous", "free", "pro"):
                allowances[bucket, caller] = quota_n
        return cls(allowances, window or HUB_WINDOW_S)

    def take(self, bucket: str, tier: str, caller: str) -> tuple[bool, list[tuple[str, str]]]:
        """Counts one request: whether it may pass, and the two headers to send with the answer."""
        quota = self.allowances.get((bucket, tier))
        if quota is None:
            return True, []
        now = self.clock()
        number = int(now // self.window)
        slot = self._used.setdefault((bucket, caller), Window())
        if slot.number != number:
            slot.number, slot.used = number, 0
        allowed = slot.used < quota
        if allowed:
            slot.used += 1
        reset = max(1, math.ceil((number + 1) * self.window - now))
        return allowed, [
            ("RateLimit", f'"{bucket}";r={quota - slot.used};t={reset}'),
            ("RateLimit-Policy", f'"fixed window";"{bucket}";q={quota};w={max(1, round(self.window))}'),
        ]
