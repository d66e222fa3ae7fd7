"""Finding the one model that somebody means by an id, an address on the Hub, or an old name."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings

from hubapp.catalog import bulk
from hubapp.catalog import queries as catalog
from workers.lineage.rules import read

LONGEST = 500  # characters that are looked at


@dataclass(frozen=True, slots=True)
class Location:
    """A repo that a text names, and how it does: "exact", "case", "alias" or "renamed" (an old name), or "url"."""

    repo_id: int
    name: str
    how: str


def locate(text: str) -> Location | None:
    """The repo that a pasted Hub URL, an id in any case, or an old name stands for. None where it is none stored.

    Whatever follows the id in a URL (a revision, a file, a query) is left aside.
    """
    text = text.replace("\0", "").strip()[:LONGEST]
    if not text:
        return None
    found = catalog.find(text) if _is_name(text) else None
    if found is not None:
        return Location(found.repo.pk, found.repo.name, found.how)
    own = f"{settings.HUB_ENDPOINT}/"
    target = read(text.removeprefix(own)).target
    found = catalog.find(target) if target and target != text else None
    return Location(found.repo.pk, found.repo.name, "url") if found else None


def _is_name(text: str) -> bool:
    """Whether a repo goes or went by this name: asked before the repo is read, as most of what is typed is no name."""
    folded = text.strip("/").lower()
    rows = bulk.fetch(
        "SELECT 1 FROM catalog_repo WHERE folded = %s UNION ALL SELECT 1 FROM catalog_alias WHERE folded = %s LIMIT 1",
        [folded, folded],
    )
    return bool(rows)
