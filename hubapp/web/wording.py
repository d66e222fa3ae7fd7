"""Numbers, sizes and times as a person says them. Pure functions: the template tags and the terminal use them."""

from __future__ import annotations

from datetime import UTC, datetime

THIN = "\u202f"  # narrow no-break space between a figure and its unit
DASH = "\u2013"  # stands for what is not known

_STEPS = ((1_000_000_000_000, "T"), (1_000_000_000, "B"), (1_000_000, "M"), (1_000, "k"))
_BYTES = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
_SPANS = (
    (365.25 * 86400, "year"),
    (30.44 * 86400, "month"),
    (86400.0, "day"),
    (3600.0, "hour"),
    (60.0, "minute"),
)


def _scaled(value: float, steps: tuple[tuple[int, str], ...]) -> str | None:
    """``value`` in the largest unit in which it is at least 1 once rounded; None if it is below them all."""
    for size, unit in steps:
        scaled = value / size
        if round(scaled, 1) >= 1 and round(value) >= size * 0.9995:
            figure = f"{scaled:.1f}" if scaled < 9.95 else f"{scaled:.0f}"
            return f"{figure.removesuffix('.0')}{THIN}{unit}"
    return None


def exact(value: int) -> str:
    """``1204`` → ``1,204``."""
    return f"{value:,}"


def number(value: int) -> str:
    """``1204`` → ``1,204``; ``12345`` → ``12 k``; ``1234567`` → ``1.2 M``. Below ten thousand nothing is rounded."""
    if abs(value) < 10_000:
        return exact(value)
    sign = "\u2212" if value < 0 else ""
    return sign + (_scaled(abs(value), _STEPS) or exact(abs(value)))


def size(value: int) -> str:
    """Bytes, in decimal units: ``3100000`` → ``3.1 MB``."""
    return _scaled(value, _BYTES) or f"{value}{THIN}B"


def share(part: float, whole: float) -> str:
    """``part`` of ``whole`` in per cent: ``37%``, ``0.4%``, ``<0.1%``; a dash where there is no whole."""
    if whole <= 0:
        return DASH
    percent = 100 * part / whole
    if percent == 0 or percent >= 9.95:
        return f"{percent:.0f}%"
    return "<0.1%" if percent < 0.1 else f"{percent:.1f}%"


def count(value: int, one: str, many: str | None = None) -> str:
    """``1 model``, ``1,204 models``: the figure with its noun."""
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """How long something takes: ``40 seconds``, ``3 minutes``, ``2 hours``."""
    for length, unit in _SPANS:
        if seconds >= length * 0.95:
            return count(max(1, round(seconds / length)), unit)
    return count(max(0, round(seconds)), "second")


def ago(moment: datetime, now: datetime | None = None) -> str:
    """How long since ``moment`` (aware): ``just now``, ``3 minutes ago``, ``in 2 hours``."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if abs(seconds) < 10:
        return "just now"
    return f"{duration(seconds)} ago" if seconds > 0 else f"in {duration(-seconds)}"


def listed(words: list[str]) -> str:
    """``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"
