"""Values that many repos share, each stored once: from (kind, text) to the term's id."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from hubapp.catalog import bulk
from hubapp.catalog.models import TermKind

Key = tuple[str, str]
Ids = dict[str, dict[str, int]]
"""Kind → value → id."""


def ids(keys: Iterable[Key]) -> dict[Key, int]:
    """The ids of all terms named, unknown ones made. Call it under the ingest lock."""
    wanted: dict[str, set[str]] = {}
    for kind, value in keys:
        wanted.setdefault(kind, set()).add(value)
    return {(kind, value): term_id for kind, found in by_kind(wanted).items() for value, term_id in found.items()}


def by_kind(wanted: Mapping[str, Collection[str]]) -> Ids:
    """The ids of all values of each kind, unknown ones made. Call it under the ingest lock.

    Read anew for every page: a thousand rows share a few hundred terms, and a cache would have to know of roll-backs.
    """
    found = _read(wanted)
    missing = sorted((kind, value) for kind, values in wanted.items() for value in set(values) - found[kind].keys())
    if missing:
        bulk.insert("catalog_term", {"kind": "text", "value": "text"}, missing, "ON CONFLICT DO NOTHING")
        fresh: dict[str, list[str]] = {}
        for kind, value in missing:
            fresh.setdefault(kind, []).append(value)
        for kind, values in _read(fresh).items():
            found[kind].update(values)
    return found


def _read(wanted: Mapping[str, Collection[str]]) -> Ids:
    found: Ids = {kind: {} for kind in wanted}
    for kind, values in sorted(wanted.items()):
        if values:
            where, param = bulk.among("value", values, "text")
            rows = bulk.fetch(
                f"SELECT value, id FROM catalog_term WHERE kind = %s AND {where}",  # noqa: S608 (no value in the text)
                [kind, param],
            )
            found[kind] = dict(rows)
    return found


TASK, LIBRARY, LICENCE = TermKind.TASK.value, TermKind.LIBRARY.value, TermKind.LICENCE.value
LANGUAGE, DATASET = TermKind.LANGUAGE.value, TermKind.DATASET.value
ARCHITECTURE, MODEL_TYPE = TermKind.ARCHITECTURE.value, TermKind.MODEL_TYPE.value
