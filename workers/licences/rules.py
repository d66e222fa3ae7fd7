"""The table of licences, and what it says of a licence, of a pair, of a name. Standard library only: both wings use it.

The rules are data (``rules.toml``). What the table does not cover is "not judged", never "fine". None of it is legal
advice.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("rules.toml")
DISCLAIMER = "Read from declared licences by a table of rules, for orientation. This is no legal advice."


class Verdict(StrEnum):
    """What the table says of a derivative under one licence of a model under another."""

    FINE = "fine"
    CONFLICT = "conflict"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Licence:
    """One row of the table; see the head of ``rules.toml`` for each field."""

    ids: tuple[str, ...]
    name: str
    kind: str
    derivative: str
    source: str
    reviewed: date
    duties: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    passes: tuple[str, ...] = ()
    compatible: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    family: str = ""
    name_prefix: str = ""
    notice: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """All rows by id, and the words of duties and limits."""

    licences: dict[str, Licence]
    names: dict[str, str]  # how license_name spells it → id
    duties: dict[str, str]
    limits: dict[str, str]
    unjudged: frozenset[str]


@dataclass(frozen=True, slots=True)
class Judged:
    """What the table says of a pair, with the reason as half a sentence."""

    verdict: Verdict
    reason: str
    rule: Licence | None = field(default=None, compare=False)


@lru_cache(maxsize=1)
def table() -> Table:
    """The table, read once. Raises ValueError where a row names a duty, limit or licence that isn't there."""
    return parse(tomllib.loads(TABLE.read_text(encoding="utf-8")))


def parse(data: dict[str, Any]) -> Table:
    """A table from its TOML. Raises ValueError (see ``table``)."""
    rows = [_row(row) for row in data["licence"]]
    licences: dict[str, Licence] = {}
    names: dict[str, str] = {}
    for row in rows:
        for licence_id in row.ids:
            if licence_id in licences:
                raise ValueError(f"The licence {licence_id!r} has two rows.")
            licences[licence_id] = row
        names.update(dict.fromkeys((*row.ids, *row.also), row.ids[0]))
    found = Table(licences, names, data["duties"], data["limits"], frozenset(data["unjudged"]["ids"]))
    for row in rows:
        lost = {*row.duties} - found.duties.keys() | {*row.limits, *row.passes} - found.limits.keys()
        lost |= {*row.compatible, *row.unsure} - licences.keys()
        if lost or row.derivative not in {"free", "carry", "same", "agreement", "forbidden"}:
            raise ValueError(f"The row of {row.ids[0]!r} names what isn't in the table: {sorted(lost)}.")
    return found


def _row(row: dict[str, Any]) -> Licence:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Licence(**fields)


def identify(licence: str, licence_name: str = "") -> str:
    """The id under which a declared licence is judged: its own, or that which ``license_name`` spells where it is
    "other". "" where none is declared.
    """
    own = licence.strip().lower()
    if own in {"", "other", "unknown"} and licence_name:
        spelt = re.sub(r"[\s_]+", " ", licence_name.strip().lower())
        for each in (spelt, spelt.replace(" ", "-"), spelt.removesuffix(" license"), spelt.removesuffix("-license")):
            if each in table().names:
                return table().names[each]
    return own


def lookup(licence_id: str) -> Licence | None:
    """The row of an id, None where the table has none."""
    return table().licences.get(licence_id)


def judge(above: str, below: str) -> Judged:
    """Whether a model under ``below`` may descend from one under ``above`` (ids; "" for none declared)."""
    rule = lookup(above)
    if rule is None:
        return Judged(Verdict.NOT_JUDGED, _why_not(above) if above else "the ancestor declares no licence")
    if rule.derivative == "forbidden":
        return Judged(Verdict.CONFLICT, f"{above} lets nobody distribute derivatives", rule)
    if rule.derivative == "free" or below in rule.ids:
        why = "it is the same licence" if below in rule.ids else f"{above} leaves a derivative's licence free"
        return Judged(Verdict.FINE, why, rule)
    own = lookup(below)
    if own is not None:
        return _judge_known(above, below, rule, own)
    if below:
        return Judged(Verdict.NOT_JUDGED, _why_not(below), rule)
    return Judged(Verdict.CONFLICT, f"it declares none, and {above} {_asks(rule)}", rule)


def _judge_known(above: str, below: str, rule: Licence, own: Licence) -> Judged:
    if below in rule.compatible:
        return Judged(Verdict.FINE, f"{above} allows derivatives under {below}", rule)
    if below in rule.unsure or (rule.family and rule.family == own.family):
        return Judged(Verdict.NOT_JUDGED, f"whether {below} may follow {above} depends on the texts", rule)
    if rule.derivative == "carry" and set(rule.passes) <= set(own.limits):
        return Judged(Verdict.FINE, f"{below} carries on the limits of {above}", rule)
    return Judged(Verdict.CONFLICT, f"{above} {_asks(rule)}", rule)


def _asks(rule: Licence) -> str:
    if rule.derivative == "agreement":
        return "has to be passed on with every derivative"
    if rule.derivative == "carry":
        limits = {"non-commercial": "stay non-commercial", "use-restrictions": "keep its use restrictions"}
        return "wants derivatives to " + " and ".join(limits.get(p, p) for p in rule.passes)
    return f"wants derivatives under {' or '.join(rule.compatible) or rule.ids[0]}"


def _why_not(licence_id: str) -> str:
    if licence_id in table().unjudged:
        return f"“{licence_id}” names no text: its file has to be read"
    return f"{licence_id} is not in the table"


def begins_as_asked(prefix: str, name: str) -> bool:
    """Whether a model's name ("account/model") begins as a licence asks: blanks, dashes and case don't count."""
    plain = re.sub(r"[\W_]+", "", name.rpartition("/")[2]).lower()
    return plain.startswith(re.sub(r"[\W_]+", "", prefix).lower())
