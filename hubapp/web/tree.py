"""The tree of a model's descent: the page (a table that scripts turn into a picture), its data, its exports."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from django.http import HttpRequest, HttpResponse, HttpResponsePermanentRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from hubapp.catalog import queries as catalog
from hubapp.catalog.models import Repo
from hubapp.lineage import exports, queries, shelves, ties
from hubapp.lineage.shapes import Brief, Filters, Graph, Line, Link
from hubapp.searching import queries as searching
from hubapp.web import tree_data, tree_rows
from hubapp.web.errors import error_page
from hubapp.web.model import unknown
from workers.errors import BadRequest, RootstockError, UnknownModel
from workers.lineage.records import Relation, Source

ROWS = 12
"""Children of each relation in the page's own table."""
FOUND = 20
"""Matches of a search inside the tree."""
LARGE = 20_000
"""Descendants from which on a search asks the index of all names first: looking through a family takes longer with
every name in it.
"""
SUGGESTED = 100
MOST_EXPORTED = 5_000
"""Models in one exported file."""

MODULES = (
    "camera",
    "controls",
    "data",
    "deeds",
    "export",
    "forest",
    "interact",
    "labels",
    "layout",
    "links",
    "nodes",
    "panel",
    "picker",
    "picture",
    "relations",
    "state",
    "table",
    "text",
    "view",
)
"""What static/tree/main.js imports, directly or not: named in the page, they are fetched all at once."""

SOURCE_WORDS = {
    Source.WEIGHTS: "weights",
    Source.HUB: "the Hub",
    Source.ADAPTER_CONFIG: "adapter config",
    Source.MERGEKIT: "mergekit config",
    Source.CARD: "card",
    Source.TAG: "tag",
}


# --- the page -------------------------------------------------------------------------------------------------------
@require_safe
def tree(request: HttpRequest, name: str) -> HttpResponse:
    """A model's tree. Without scripts: its line to the root, its parents and its children as a table, with filters
    and pages; scripts draw the same as a picture.
    """
    found = catalog.find(name)
    if found is None:
        return unknown(request, name.strip("/"))
    repo = found.repo
    if repo.name != name:
        query = f"?{request.META['QUERY_STRING']}" if request.META.get("QUERY_STRING") else ""
        return HttpResponsePermanentRedirect(reverse("web:tree", args=[repo.name]) + query)
    filters = tree_data.read_filters(request.GET)
    try:
        after = tree_data.read_number(request.GET, "after")
        shelf = tree_data.read_relation(request.GET["shelf"]) if request.GET.get("shelf") else None
    except BadRequest as error:
        return error_page(request, 400, text=str(error), code=error.code)
    line = queries.line(repo, limit=tree_data.LONGEST_LINE)
    brief = line.members[-1]
    context = {
        "section": "models",
        "repo": repo,
        "brief": brief,
        "root": line.members[0],
        "children_total": brief.children.total,
        "rows": _upper_rows(brief, line),
        "groups": _groups(request, brief, filters, shelf, after),
        "filters": filters,
        "chosen": {relation.name.lower() for relation in filters.relations},
        "size": request.GET.get("size", ""),
        "until": request.GET.get("until", ""),
        "sizes": [(key, words) for key, (words, _, _) in tree_data.SIZES.items()],
        "relations": [relation.name.lower() for relation in Relation],
        "table_view": request.GET.get("view") == "table",
        "formats": list(exports.FORMATS),
        "limit": MOST_EXPORTED,
        "modules": MODULES,
    }
    return render(request, "tree/tree.html", context)


def _upper_rows(focus: Brief, line: Line) -> list[SafeString]:
    """The line from the root to the focus; for the focus one row for each parent, and what it names in vain."""
    above = {
        below.id: (member, link)
        for member, below, link in zip(line.members, line.members[1:], line.links, strict=False)
    }
    rows = [_row(member, *above.get(member.id, (None, None))) for member in line.members[:-1]]
    links = queries.links_to([focus.id])
    parents = queries.briefs([link.parent_id for link in links])
    doubts = ties.oddities([focus.id]).doubts
    rows += [
        _row(focus, parents[link.parent_id], link, doubts)
        for link in sorted(links, key=lambda link: not link.primary)
        if link.parent_id in parents
    ] or [_row(focus, None, None)]
    rows += [
        tree_rows.row(
            focus,
            relation=each.relation or Relation.UNKNOWN,
            loose=each.text,
            known=f"leads to no model: {_words(each.sources)}",
        )
        for each in ties.loose([focus.id])
    ]
    return rows


def _row(
    brief: Brief, parent: Brief | None, link: Link | None, doubts: Mapping[tuple[int, str], object] | None = None
) -> SafeString:
    """A row of the table, of a model and one of its parents; None where it has none."""
    if link is None or parent is None:
        return tree_rows.row(brief, relation="root")
    doubted = link.standing == "contradicted" or (brief.id, parent.name.lower()) in (doubts or {})
    if doubted:
        known = "contradicted"
    elif link.standing == "confirmed":
        known = "confirmed by weights"
    else:
        known = "declared only" if parent.known else "parent not resolved"
        known += ", weights can't tell" if link.verdict == "cannot_tell" else ""
    return tree_rows.row(
        brief, relation=link.relation, parent=parent, known=f"{known}: {_words(link.sources)}", doubted=doubted
    )


def _words(sources: Iterable[Source]) -> str:
    return ", ".join(SOURCE_WORDS[source] for source in sources)


def _groups(
    request: HttpRequest, focus: Brief, filters: Filters, shelf: Relation | None, after: int | None
) -> list[dict[str, Any]]:
    """The focus's children by relation, a page of each; with ``shelf``, the page after ``after`` of that one alone."""
    pages = {
        relation: shelves.page(
            focus.id, relation, after=after if shelf else None, limit=ROWS, filters=filters, stretches=shelves.GLANCE
        )
        for relation, total in focus.children.by_relation().items()
        if total and (not filters.relations or relation in filters.relations) and shelf in {None, relation}
    }
    ids = [pk for page in pages.values() for pk in page.child_ids]
    links = {link.child_id: link for link in queries.links_to(ids) if link.parent_id == focus.id}
    doubts = ties.oddities(ids).doubts
    briefs = queries.briefs(ids)
    groups = []
    for relation, page in pages.items():
        query = request.GET.copy()
        query["shelf"], query["after"], query["view"] = relation.name.lower(), str(page.after or ""), "table"
        groups.append(
            {
                "relation": relation,
                "total": focus.children.by_relation()[relation],
                "rows": [
                    _row(briefs[pk], focus, links[pk], doubts) for pk in page.child_ids if pk in briefs and pk in links
                ],
                "looked": page.looked if filters and not page.done else None,
                "next": "" if page.done else f"?{urlencode(sorted(query.items()))}",
            }
        )
    return groups


# --- data -----------------------------------------------------------------------------------------------------------
def _answers(view: Callable[..., dict[str, Any]]) -> Callable[..., HttpResponse]:
    """Turn what a view gathers into JSON, and our errors into JSON with their code."""

    @require_safe
    @wraps(view)
    def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        status = 200
        try:
            found = view(request, *args, **kwargs)
        except UnknownModel as error:
            found, status = {"error": {"code": error.code, "message": str(error)}}, 404
        except RootstockError as error:
            found, status = {"error": {"code": error.code, "message": str(error)}}, 400
        response = HttpResponse(orjson.dumps(found), content_type="application/json", status=status)
        response["Cache-Control"] = "private, max-age=30" if status == 200 else "no-store"
        return response

    return answer


def _named(name: str) -> Repo:
    found = catalog.find(name)
    if found is None:
        raise UnknownModel(f"No model called {name!r} is stored.")
    return found.repo


def _stored(pk: int) -> Brief:
    brief = queries.briefs([pk]).get(pk)
    if brief is None:
        raise UnknownModel("No such model is stored.")
    return brief


@_answers
def opened(request: HttpRequest, name: str) -> dict[str, Any]:
    """A model with its line to the root and its parents, and the lines of the models in ``also``."""
    focus = _named(name)
    others: list[int] = []
    missing: list[str] = []
    renamed: dict[str, str] = {}
    for also in request.GET.getlist("also")[: tree_data.MOST_NAMES]:
        found = catalog.find(also)
        if found is None:
            missing.append(also)
            continue
        others.append(found.repo.pk)
        if found.repo.name != also:
            renamed[also] = found.repo.name
    return tree_data.lines(focus.pk, others) | {"missing": missing, "renamed": renamed}


@_answers
def children(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Children of a model: a first look at each relation, or with ``shelf`` the next of one."""
    brief = _stored(pk)
    filters = tree_data.read_filters(request.GET)
    if not request.GET.get("shelf"):
        return tree_data.first_look(brief, filters)
    limit = tree_data.read_number(request.GET, "limit", default=tree_data.PREVIEW, most=tree_data.MOST_AT_ONCE)
    return tree_data.further(
        pk,
        tree_data.read_relation(request.GET["shelf"]),
        after=tree_data.read_number(request.GET, "after"),
        limit=max(1, limit or 1),
        author=request.GET.get("of", ""),
        filters=filters,
    )


@_answers
def parents(request: HttpRequest, pk: int) -> dict[str, Any]:
    """All parents of a model."""
    _stored(pk)
    return tree_data.gather([pk], whole=[pk])


@_answers
def find(request: HttpRequest, pk: int) -> dict[str, Any]:
    """Members of the family of root ``pk`` whose names hold ``q``, most popular first."""
    text = request.GET.get("q", "").strip()[:200]
    root = _stored(pk)
    found: Sequence[Brief] = ()
    all_seen = False
    if text and root.descendants > LARGE:
        # Of a very large family most that is sought is among the most popular of that name anywhere.
        hits = queries.briefs([hit.repo_id for hit in searching.suggest(text, limit=SUGGESTED)])
        found = sorted((brief for brief in hits.values() if brief.root_id == pk), key=lambda brief: brief.rank or 0)
        all_seen = len(hits) < SUGGESTED
    if text and not found and not all_seen:
        found = queries.search_in_family(pk, text, limit=FOUND)
    return {"found": [{"id": brief.id, "name": brief.name, "depth": brief.depth} for brief in found[:FOUND]]}


@_answers
def path(request: HttpRequest) -> dict[str, Any]:
    """The way from one model to another through their nearest common ancestor, with all that draws it."""
    start, goal = _named(request.GET.get("from", "")), _named(request.GET.get("to", ""))
    way = queries.path(start, goal)
    if way is None:
        return {"steps": [], "apex": None, **tree_data.lines(start.pk, [goal.pk])}
    steps = [member.id for member in way.members]
    return tree_data.lines(start.pk, steps) | {"steps": steps, "apex": steps[way.top]}


# --- exports --------------------------------------------------------------------------------------------------------
@require_safe
def export(request: HttpRequest, kind: str, name: str) -> HttpResponse | StreamingHttpResponse:
    """A model's surroundings as a file: its ancestors, and its descendants to ``depth`` generations."""
    found = catalog.find(name)
    if found is None:
        return unknown(request, name.strip("/"))
    if kind not in exports.FORMATS:
        return error_page(request, 404, text=f"There is no export as {kind}. There are {', '.join(exports.FORMATS)}.")
    try:
        depth = tree_data.read_number(request.GET, "depth", default=2, most=50) or 0
        graph = _surroundings(found.repo, depth)
    except RootstockError as error:
        return error_page(request, 400, text=str(error), code=error.code)
    content_type, extension = exports.FORMATS[kind]
    response = StreamingHttpResponse(exports.export(graph, kind), content_type=content_type)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", found.repo.name)[:120].strip("-.") or "tree"
    response["Content-Disposition"] = (
        f"attachment; filename=\"{stem}.{extension}\"; filename*=UTF-8''{quote(stem)}.{extension}"
    )
    return response


def _surroundings(repo: Repo, depth: int) -> Graph:
    up = queries.ancestors(repo, max_nodes=MOST_EXPORTED // 4)
    down = queries.descendants(repo, depth=depth, max_nodes=MOST_EXPORTED - len(up.nodes))
    return Graph(
        nodes=tuple({brief.id: brief for brief in (*up.nodes, *down.nodes)}.values()),
        links=tuple({(link.parent_id, link.child_id): link for link in (*up.links, *down.links)}.values()),
        distances={**up.distances, **down.distances},
        truncated=up.truncated or down.truncated,
    )
