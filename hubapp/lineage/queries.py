"""Reading of descent, for pages, API, commands and licences.

Each query takes a ``Repo`` or its key and answers with the shapes of ``shapes.py``. All are bounded: a page, a line,
or ``shapes.MAX_NODES`` nodes; what was cut says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from hubapp.lineage.briefs import briefs, keeping
from hubapp.lineage.cases import utc
from hubapp.lineage.families import family, has_family, largest_families, search_in_family
from hubapp.lineage.models import Placement
from hubapp.lineage.neighbourhoods import neighbourhood
from hubapp.lineage.relatives import children, evidence, findings, line, links_to, parents, relation_counts, siblings
from hubapp.lineage.remarks import remarks_of
from hubapp.lineage.walks import ancestors, around, common_ancestor, descendants, path
from hubapp.lineage.weighed import weighed as verdicts

__all__ = [
    "Totals",
    "ancestors",
    "around",
    "briefs",
    "children",
    "common_ancestor",
    "descendants",
    "evidence",
    "family",
    "findings",
    "has_family",
    "keeping",
    "largest_families",
    "line",
    "links_to",
    "neighbourhood",
    "parents",
    "path",
    "relation_counts",
    "remarks_of",
    "search_in_family",
    "siblings",
    "totals",
    "verdicts",
]


@dataclass(frozen=True, slots=True)
class Totals:
    """What there was when the lineage job last ended (``counted_at``, None: never)."""

    listed: int = 0
    stubs: int = 0
    edges: int = 0
    families: int = 0
    findings: int = 0
    counted_at: datetime | None = None


def totals() -> Totals:
    """The figures of the first page, from one row."""
    row = Placement.objects.filter(pk=1).first()
    if row is None:
        return Totals()
    return Totals(row.listed, row.stubs, row.edges, row.families, row.findings, utc(row.counted_at))
