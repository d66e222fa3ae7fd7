"""How values and names are put into sentences. Standard library only."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

Value = TypeVar("Value", bound=Hashable)
NAMED = 4  # tensors or tokens that a sentence names


def listed(items: Iterable[str], *, most: int = NAMED, joint: str = "and") -> str:
    """ "a", "a and b", "a, b and c", "a, b, c and 9 more"."""
    every = list(items)
    shown = every[:most]
    if len(every) > len(shown):
        return f"{', '.join(shown)} {joint} {len(every) - len(shown):,} more"
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} {joint} {shown[-1]}"


def short(name: str) -> str:
    """A model's name without its account, or the last part of a path."""
    return name.rstrip("/").rpartition("/")[2] or name


def shown(value: Any) -> str:
    """A value as a person reads it; nothing at all is "none"."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 and value == int(value) else f"{value:g}"
    if isinstance(value, tuple | list):
        return ", ".join(shown(each) for each in value) or "none"
    return str(value)


def by_value(values: Mapping[str, Value]) -> list[tuple[Value, list[str]]]:
    """(value, the models that have it), the most common first; of equals the one that comes first."""
    groups: dict[Value, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(value, []).append(name)
    return sorted(groups.items(), key=lambda item: -len(item[1]))


def differ(values: Mapping[str, Value]) -> bool:
    """Whether the models have more than one value."""
    return len(set(values.values())) > 1


def odd_ones(values: Mapping[str, Value]) -> tuple[str, ...]:
    """The models that are not of the most common value."""
    return tuple(name for _, names in by_value(values)[1:] for name in names)


def versus(values: Mapping[str, Value]) -> str:
    """ "1,000 (a and b) against 1,003 (c)"."""
    return " against ".join(f"{shown(value)} ({listed(map(short, names))})" for value, names in by_value(values))


def pairs(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """What was compared, for a fault: (model, its value)."""
    return tuple((name, shown(value)) for name, value in values.items())


def many(count: int, word: str, plural: str = "") -> str:
    """ "1 tensor", "1,200 tensors"."""
    return f"{count:,} {word if count == 1 else plural or word + 's'}"


def doing(models: Sequence[str], one: str, many_: str) -> str:
    """ "a has", "a and b have"."""
    return f"{names_of(models)} {one if len(models) == 1 else many_}"


def names_of(models: Sequence[str]) -> str:
    """The models of a sentence, without their accounts."""
    return listed(map(short, models), most=8)
