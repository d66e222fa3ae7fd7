"""Reading the catalog: one repo by whatever name it goes under, its terms, how many there are."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, Q

from hubapp.catalog import bulk
from hubapp.catalog.models import Alias, Repo, RepoState, Term, TermKind

_FACTS = ("task", "library", "licence", "architecture", "model_type")


@dataclass(frozen=True, slots=True)
class Found:
    """A repo that a name stands for, with its facts at hand, and how: "exact", "case" (in another case), "alias" (an
    old name), "renamed" (an old name that children still declare).
    """

    repo: Repo
    how: str


def find(name: str) -> Found | None:
    """The repo that ``name`` stands for. Exact names win over other cases, those over old names, the living over the
    gone. The terms of its facts come with it, in a second query. Every model page begins here, and the ORM takes
    longer to write these statements than the database to answer them: they are written out.
    """
    wanted = name.strip().strip("/")
    if not wanted or len(wanted) > 200:
        return None
    repos = list(Repo.objects.raw("SELECT * FROM catalog_repo WHERE folded = %s", [wanted.lower()]))
    if repos:
        repo = min(repos, key=lambda repo: (repo.name != wanted, repo.state == RepoState.GONE, repo.pk))
        if repo.state == RepoState.RENAMED and repo.moved_to is not None:
            return Found(repo=_with_facts(repo.moved_to), how="renamed")
        if repo.state != RepoState.GONE:
            return Found(repo=_with_facts(repo), how="exact" if repo.name == wanted else "case")
    alias = Alias.objects.filter(folded=wanted.lower()).first()
    if alias is not None:
        return Found(repo=_with_facts(alias.repo), how="alias")
    return Found(repo=_with_facts(repo), how="exact" if repo.name == wanted else "case") if repos else None


def _with_facts(repo: Repo) -> Repo:
    """The repo with its task, library, licence, architecture and model type read."""
    wanted = {name: getattr(repo, f"{name}_id") for name in _FACTS}
    where, param = bulk.among("id", {pk for pk in wanted.values() if pk is not None})
    rows = bulk.fetch(f"SELECT id, kind, value FROM catalog_term WHERE {where}", [param])  # noqa: S608
    found = {pk: Term(pk, kind, value) for pk, kind, value in rows}
    for name, pk in wanted.items():
        setattr(repo, name, found.get(pk))
    return repo


def terms(repo: Repo) -> dict[str, list[str]]:
    """The repo's languages and datasets, sorted: ``{"dataset": [...], "language": [...]}``."""
    found: dict[str, list[str]] = {TermKind.DATASET: [], TermKind.LANGUAGE: []}
    for kind, value in bulk.fetch(
        "SELECT t.kind, t.value FROM catalog_repoterm l JOIN catalog_term t ON t.id = l.term_id WHERE l.repo_id = %s",
        [repo.pk],
    ):
        found.setdefault(kind, []).append(value)
    return {kind: sorted(values, key=str.lower) for kind, values in found.items()}


def former_names(repo: Repo, *, limit: int = 5) -> list[str]:
    """Names the repo had before."""
    rows = bulk.fetch("SELECT name FROM catalog_alias WHERE repo_id = %s ORDER BY name LIMIT %s", [repo.pk, limit])
    return [name for (name,) in rows]


@dataclass(frozen=True, slots=True)
class Totals:
    """How much is in here: repos that were read, and names that are known only as a parent."""

    models: int
    stubs: int


def totals() -> Totals:
    """Counts the whole catalog: one scan of an index; not for every request at millions of repos."""
    known = Repo.objects.aggregate(
        all=Count("pk"), stubs=Count("pk", filter=Q(state__in=[RepoState.STUB, RepoState.RENAMED]))
    )
    return Totals(models=known["all"] - known["stubs"], stubs=known["stubs"])
