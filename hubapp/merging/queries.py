"""Reading of merges: the judgement of any models from what is stored. Nothing is fetched."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hubapp.catalog import queries as catalog
from hubapp.catalog.models import Repo
from hubapp.lineage import queries as lineage
from hubapp.lineage.shapes import Graph
from hubapp.merging import obligations
from hubapp.merging.models import Comparison
from hubapp.merging.obligations import MergeObligations
from hubapp.weights import queries as weights
from workers.errors import UnknownModel
from workers.merging import rules
from workers.merging.records import SAMPLING_VERSION, Candidate, Forebear, Report, Sampling
from workers.weights.records import Inspection, State

ANCESTORS = 500
BASES = 4  # other models that are tried as a base when weights are compared


@dataclass(frozen=True, slots=True)
class Judged:
    """A merge as pages, API and commands show it. ``stale``: the weights were compared at other revisions than are
    stored now. ``unread`` are models whose headers were not read yet.
    """

    report: Report
    repos: tuple[Repo, ...]
    obligations: MergeObligations
    compared_at: datetime | None = None
    stale: bool = False
    unread: tuple[str, ...] = ()
    revisions: Mapping[str, str] = field(default_factory=dict)


def find(names: Sequence[str]) -> list[Repo]:
    """The models of these names, old ones too, each once. Raises UnknownModel."""
    found: dict[int, Repo] = {}
    for name in names:
        repo = catalog.find(name)
        if repo is None:
            raise UnknownModel(f"No model {name[:200]!r} is stored here: it was not crawled, or there is none.")
        found.setdefault(repo.repo.pk, repo.repo)
    return list(found.values())


def key_of(repos: Sequence[Repo], base: Repo | None) -> str:
    """The digest under which a comparison is kept."""
    text = f"{','.join(map(str, sorted(repo.pk for repo in repos)))}|{base.pk if base else ''}"
    return hashlib.sha256(text.encode()).hexdigest()


def candidates(repos: Sequence[Repo]) -> list[Candidate]:
    """What is stored of these models, as what a merge is judged from."""
    found = weights.inspections([repo.pk for repo in repos])
    return [
        Candidate(
            repo.name,
            found.get(repo.pk) or Inspection(repo.name, "", State.NO_WEIGHTS),
            forebears(lineage.ancestors(repo, max_nodes=ANCESTORS)),
        )
        for repo in repos
    ]


def forebears(graph: Graph) -> tuple[Forebear, ...]:
    """The ancestors of a graph's first node, the nearest first. A way is confirmed where all its edges are, and
    contradicted where one of them is.
    """
    me, *above = graph.nodes
    standing: dict[int, str] = {me.id: "confirmed"}
    relation: dict[int, str] = {}
    links = sorted(graph.links, key=lambda each: (graph.distances[each.child_id], not each.primary))
    for link in links:
        nearer = graph.distances[link.parent_id] == graph.distances[link.child_id] + 1
        if link.child_id not in standing or not nearer or link.parent_id in standing:
            continue
        both = (standing[link.child_id], link.standing)
        standing[link.parent_id] = (
            "contradicted"
            if "contradicted" in both
            else "confirmed"
            if both == ("confirmed", "confirmed")
            else "declared"
        )
        relation[link.parent_id] = link.relation.name.lower()
    return tuple(
        Forebear(
            each.name, graph.distances[each.id], relation.get(each.id, "unknown"), standing.get(each.id, "declared")
        )
        for each in above
    )


def base_of(found: Sequence[Candidate], config: rules.Checked | None = None) -> Repo | None:
    """The base of a merge, where it is stored."""
    name = rules.base_for(found, config)
    known = catalog.find(name) if name else None
    return known.repo if known else None


def comparison(repos: Sequence[Repo], base: Repo | None) -> Comparison | None:
    """What comparing their weights told, where that was done with this base; else with another, or none."""
    rows = Comparison.objects.filter(version=SAMPLING_VERSION)
    return rows.filter(key=key_of(repos, base)).first()


def judged(
    repos: Sequence[Repo], *, config: rules.Checked | None = None, method: str = "", base: Repo | None = None
) -> Judged:
    """Judge a merge of these models from what is stored. Raises BadRequest for too few or too many."""
    if config is None:
        rules.check_names([repo.name for repo in repos])
    found = candidates(repos)
    base = base or base_of(found, config)
    anchor = None
    if base is not None:
        among = next((each for each in found if each.name == base.name), None)
        anchor = among or candidates([base])[0]
    row = comparison(repos, base)
    return told(repos, found, anchor=anchor, row=row, config=config, method=method)


def told(
    repos: Sequence[Repo],
    found: Sequence[Candidate],
    *,
    anchor: Candidate | None,
    row: Comparison | None,
    config: rules.Checked | None = None,
    method: str = "",
) -> Judged:
    """The judgement of candidates that were gathered, with the stored comparison of their weights."""
    sampling = sampling_of(row)
    report = rules.judge(found, anchor=anchor, sampling=sampling, config=config, method=method)
    now = {repo.name: each.inspection.revision for repo, each in zip(repos, found, strict=True)}
    then: dict[str, Any] = row.revisions if row is not None else {}
    return Judged(
        report=report,
        repos=tuple(repos),
        obligations=obligations.of(repos),
        compared_at=row.compared_at if row is not None else None,
        stale=any(then.get(str(repo.pk)) not in (None, now[repo.name]) for repo in repos),
        unread=tuple(each.name for each in found if not each.inspection.revision),
        revisions=now,
    )


def sampling_of(row: Comparison | None) -> Sampling | None:
    """A stored comparison as the record that it was made from."""
    return Sampling.of(row.figures) if row is not None else None


def bases_to_try(repos: Sequence[Repo], found: Sequence[Candidate], base: Repo | None) -> list[Repo]:
    """The base and other candidates for it: common ancestors, parents, popular models of the same tensors."""
    names: dict[str, None] = dict.fromkeys([base.name] if base else [])
    ways = [[forebear.name for forebear in each.forebears] for each in found]
    names |= dict.fromkeys(name for name in ways[0] if all(name in way for way in ways[1:]))
    names |= dict.fromkeys(way[0] for way in ways if way)
    signature = next(
        (each.inspection.schema.signature for each in found if each.comparable and each.inspection.schema), ""
    )
    stored = (
        Repo.objects.filter(pk__in=weights.same_architecture(signature, limit=200))
        if signature
        else Repo.objects.none()
    )
    popular = stored.exclude(rank=None).order_by("rank")[: BASES + len(repos)]
    names |= dict.fromkeys(popular.values_list("name", flat=True))
    mine = {repo.pk for repo in repos if base is None or repo.pk != base.pk}
    chosen: dict[int, Repo] = {}
    for name in names:
        known = catalog.find(name)
        if known is not None and known.repo.pk not in mine:
            chosen.setdefault(known.repo.pk, known.repo)
        if len(chosen) > BASES:
            break
    return list(chosen.values())


def recent(*, limit: int = 8) -> list[list[str]]:
    """The names of the models of the latest comparisons: examples to begin with."""
    rows = Comparison.objects.order_by("-compared_at")[:limit]
    return [list(row.figures["models"]) for row in rows]
