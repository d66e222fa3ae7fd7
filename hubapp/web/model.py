"""A model's page: where from, trained on what, mergeable with what; then all that is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from hubapp.catalog import queries as catalog
from hubapp.catalog.models import Repo
from hubapp.licences import queries as licences
from hubapp.lineage import queries as lineage
from hubapp.lineage.shapes import Counts, Parent
from hubapp.probing import queries as probing
from hubapp.searching import queries as searching
from hubapp.web import fragments
from hubapp.web.errors import error_page
from hubapp.web.strips import strip
from hubapp.web.templatetags.marks import relation_name
from hubapp.weights import queries as weights_queries
from hubapp.weights import services as weights
from workers.errors import BadRequest, RootstockError
from workers.lineage.records import Relation
from workers.lineage.rules import is_repo_id
from workers.weights.records import State

FIRST_PARENTS = 8  # with their evidence; a merge may have 65
FIRST_CHILDREN = 8  # of one relation on the model's page; more on demand
CHILDREN = 50  # on a page of their own
SIBLINGS = 8
TAGS = 60
WEIGHTS_WORDS = {
    State.NO_SAFE_WEIGHTS: "No safe weights",
    State.NO_WEIGHTS: "No weights",
    State.GATED: "Gated",
    State.REFUSED: "Refused",
    State.MISSING: "Missing",
}
EXPORTS = tuple(
    (f"tree-export/{kind}", word)
    for kind, word in (("graphml", "GraphML"), ("json", "JSON"), ("csv", "CSV"), ("mermaid", "Mermaid"), ("dot", "DOT"))
)


@require_safe
def model(request: HttpRequest, name: str) -> HttpResponse:
    """A model by its id. Another case, an old name or a slash at the end lead to its present name."""
    found = catalog.find(name)
    if found is None:
        return unknown(request, name.strip("/"))
    repo = found.repo
    if repo.name != name:
        return moved(request, "model", repo)
    with lineage.keeping():
        context = _context(request, repo)
    return render(request, "model/model.html", context)


def _context(request: HttpRequest, repo: Repo) -> dict[str, Any]:
    line = lineage.line(repo)
    brief = line.members[-1]
    relation = _relation_asked(request) or _commonest(brief.children)
    parents = lineage.parents(repo)
    read = weights_queries.summary(repo)
    shown, more = _divided(parents.items, whole=request.GET.get("parents") == "all")
    return {
        "section": "models",
        "repo": repo,
        "brief": brief,
        "line": line,
        "strip": strip(line, whole="line" in request.GET),
        "root": line.members[0],
        "family_size": line.members[0].descendants + 1,
        "parents": parents,
        "shown_parents": shown,
        "more_parents": more,
        "children": lineage.children(repo, relation=relation, limit=FIRST_CHILDREN) if relation else None,
        "relation": relation_name(relation) if relation else "",
        "counts": _tabs(brief.children),
        "siblings": lineage.siblings(repo, limit=SIBLINGS) if brief.parent_id else (),
        "obligations": licences.along(repo),
        "weights": read,
        "weights_word": WEIGHTS_WORDS.get(read.state, "") if read is not None else "",
        "terms": catalog.terms(repo),
        "training": probing.training(repo),
        "former_names": catalog.former_names(repo),
        "exports": EXPORTS,
        "tags": repo.tags[:TAGS],
        "more_tags": max(0, len(repo.tags) - TAGS),
        "dtypes": sorted(repo.dtypes.items(), key=lambda item: -item[1]),
    }


@require_safe
def children(request: HttpRequest, name: str) -> HttpResponse:
    """Direct children of a model by one relation, a page at a time; rows alone when htmx asks for more."""
    found = catalog.find(name)
    if found is None:
        return unknown(request, name.strip("/"))
    repo = found.repo
    if repo.name != name:
        return moved(request, "children", repo)
    counts = lineage.relation_counts(repo)
    relation = _relation_asked(request)
    try:
        page = lineage.children(
            repo,
            relation=relation,
            after=request.GET.get("after") or None,
            limit=CHILDREN if "after" in request.GET or not fragments.is_wanted(request) else FIRST_CHILDREN,
        )
    except BadRequest as error:
        return error_page(request, 400, text=str(error), code=error.code)
    context = {
        "section": "models",
        "repo": repo,
        "children": page,
        "relation": relation_name(relation) if relation else "",
        "counts": _tabs(counts),
        "total": counts.total,
    }
    if fragments.is_wanted(request):
        template = "model/_children_rows.html" if "after" in request.GET else "model/_descendants.html"
        return render(request, template, context)
    return render(request, "model/children.html", context)


@require_POST
@staff_member_required(login_url="admin:login")
def fetch(request: HttpRequest, name: str) -> HttpResponse:
    """Staff ask for a model with its whole family to be crawled."""
    from hubapp.crawling import services as crawling

    try:
        crawl = crawling.start(scope="family", argument=name.strip("/"), by=request.user)  # type: ignore[arg-type]
    except RootstockError as error:
        return error_page(request, 400, text=str(error), code=error.code)
    messages.success(request, f"Fetching {name} and its family.")
    return redirect("web:crawl", pk=crawl.pk)


@require_POST
@staff_member_required(login_url="admin:login")
def read_weights(request: HttpRequest, name: str) -> HttpResponse:
    """Staff ask for a model's weights to be read, with what builds on that."""
    found = catalog.find(name)
    if found is None:
        return unknown(request, name.strip("/"))
    weights.ask(scope="model", repo=found.repo, onward=True, by=request.user)  # type: ignore[arg-type]
    messages.success(request, f"Reading the weights of {found.repo.name}.")
    return redirect("web:model", found.repo.name)


def unknown(request: HttpRequest, name: str) -> HttpResponse:
    """404: nothing of that id is stored; models with a name like it, and for staff a way to fetch it."""
    near = searching.suggest(name.rpartition("/")[2] or name, limit=6) if name else ()
    context = {"name": name[:200], "near": near, "fetchable": is_repo_id(name), "status": 404}
    return render(request, "model/unknown.html", context, status=404)


def moved(request: HttpRequest, route: str, repo: Repo) -> HttpResponse:
    """Lead to the repo's present name. A name may be taken again, so browsers may not remember this for ever."""
    address = reverse(f"web:{route}", args=[repo.name])
    if request.META.get("QUERY_STRING"):
        address += "?" + request.META["QUERY_STRING"]
    response = HttpResponsePermanentRedirect(address)
    response.headers["Cache-Control"] = "max-age=3600"
    return response


def _divided(parents: Sequence[Parent], *, whole: bool) -> tuple[list[Parent], list[Parent]]:
    """The parents to show with their evidence, and those in short: of many the first, and some with warnings."""
    if whole or len(parents) <= FIRST_PARENTS + 1:
        return list(parents), []
    warned = [p for p in parents[FIRST_PARENTS:] if any(remark.severity != "info" for remark in p.remarks)]
    full = [*parents[:FIRST_PARENTS], *warned[: FIRST_PARENTS // 2]]
    return full, [parent for parent in parents if parent not in full]


def _relation_asked(request: HttpRequest) -> Relation | None:
    try:
        return Relation[request.GET.get("relation", "").upper()]
    except KeyError:
        return None


def _commonest(counts: Counts) -> Relation | None:
    relation, number = max(counts.by_relation().items(), key=lambda item: item[1])
    return relation if number else None


def _tabs(counts: Counts) -> list[tuple[str, int]]:
    """Relations that have children, with their counts."""
    return [(relation_name(relation), number) for relation, number in counts.by_relation().items() if number]
