"""Names like a mistyped one, for commands."""

from __future__ import annotations

from difflib import get_close_matches

from hubapp.catalog import bulk
from workers.lineage.rules import fold

_CANDIDATES = 2_000


def near_names(name: str, *, limit: int = 3) -> list[str]:
    """The stored models whose names are most like ``name``: of the same account, or with the same beginning."""
    folded = fold(name.strip())
    author, _, model = folded.rpartition("/")
    rows: dict[str, str] = {}
    for low in {folded[:3], f"{author}/" if author else "", model[:4]}:
        if low:
            rows.update(
                bulk.fetch(
                    "SELECT folded, name FROM catalog_repo WHERE folded >= %s AND folded < %s AND state <> 'gone' "
                    "ORDER BY folded LIMIT %s",
                    [low, low + "\U0010ffff", _CANDIDATES],
                )
            )
    if model:
        pattern = "%/" + model.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%"
        rows.update(
            bulk.fetch(
                "SELECT folded, name FROM catalog_repo WHERE folded LIKE %s ESCAPE '!' AND state <> 'gone' LIMIT 20",
                [pattern],
            )
        )
    return [rows[match] for match in get_close_matches(folded, rows, n=limit, cutoff=0.6)]
