"""Families: the largest of them, and one with its size, growth, relations, authors and licences."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from hubapp.catalog import queries as catalog
from hubapp.lineage import queries as lineage
from hubapp.lineage import weighed
from hubapp.lineage.shapes import Family
from hubapp.web import charts
from hubapp.web.errors import error_page
from hubapp.web.home import family_picture
from hubapp.web.memory import remembered
from hubapp.web.model import unknown
from hubapp.web.templatetags.marks import relation_name
from workers.lineage.records import Relation

LISTED = 60


@dataclass(frozen=True, slots=True)
class Row:
    """One family of the list: its bar is split by relation, in per cent of the largest."""

    family: Family
    relations: tuple[tuple[str, int, float, float], ...]  # relation, members, where its piece begins, how long it is


@remembered(30)
def _largest(limit: int) -> tuple[int, str]:
    """How many families there are to show, and their rows of the table as markup: the same for every visitor."""
    listed = lineage.largest_families(limit=limit)
    largest = max((family.size for family in listed), default=1)
    rows = [Row(family, _pieces(family, largest)) for family in listed]
    return len(listed), render_to_string("family/_rows.html", {"rows": rows})


@require_safe
def families(request: HttpRequest) -> HttpResponse:
    """The largest families."""
    shown, rows = _largest(LISTED)
    context = {"section": "families", "shown": shown, "rows": rows, "limit": LISTED}
    return render(request, "family/families.html", context)


def _pieces(family: Family, largest: int) -> tuple[tuple[str, int, float, float], ...]:
    """A bar of pieces. Its length follows the square root of the size, so that small families keep colours."""
    members = sum(family.relations.values()) or 1
    length = 100 * (family.size / largest) ** 0.5
    pieces, begin = [], 0.0
    for relation in Relation:
        number = family.relations.get(relation, 0)
        if number:
            part = length * number / members
            pieces.append((relation_name(relation), number, round(begin, 2), round(part, 2)))
            begin += part
    return tuple(pieces)


@require_safe
def family(request: HttpRequest, name: str) -> HttpResponse:
    """One family by its root; a member's name leads to its root's."""
    found = catalog.find(name)
    if found is None:
        return unknown(request, name.strip("/"))
    brief = lineage.briefs([found.repo.pk])[found.repo.pk]
    if brief.root_id and brief.root_id != found.repo.pk:
        return redirect("web:family", lineage.briefs([brief.root_id])[brief.root_id].name)
    if found.repo.name != name:
        return redirect("web:family", found.repo.name)
    kin = lineage.family(found.repo)
    if kin is None:
        return render(request, "family/alone.html", {"section": "families", "repo": found.repo, "brief": brief})
    chart = request.GET.get("table")
    if chart:
        return _table(request, kin, chart)
    relations = [(relation_name(relation), number) for relation, number in sorted(kin.relations.items()) if number]
    context = {
        "weighed": weighed.counts(found.repo.pk),
        "section": "families",
        "repo": found.repo,
        "family": kin,
        "growth": charts.growth(kin.growth, before=kin.undated),
        "relations": charts.bars(relations),
        "depths": charts.bars([(str(depth), number) for depth, number in enumerate(kin.by_depth)], whole=kin.size),
        "authors": charts.bars(kin.authors[:12], whole=kin.size),
        "licences": charts.bars([(licence, number) for licence, number in kin.licences[:12]], whole=kin.size),
        "picture": family_picture(found.repo.pk, width=720, height=300),
    }
    return render(request, "family/family.html", context)


def _table(request: HttpRequest, kin: Family, chart: str) -> HttpResponse:
    """The figures behind a chart as CSV."""
    head: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]
    match chart:
        case "growth":
            grown = charts.growth(kin.growth, before=kin.undated)
            head, rows = ("month", "new", "total"), grown.rows if grown else ()
        case "relations":
            head, rows = ("relation", "models"), [(relation_name(r), n) for r, n in kin.relations.items()]
        case "depths":
            head, rows = ("depth", "models"), list(enumerate(kin.by_depth))
        case "authors":
            head, rows = ("author", "models"), kin.authors
        case "licences":
            head, rows = ("licence", "models"), kin.licences
        case _:
            return error_page(request, 400, text=f"There is no table {chart[:40]!r}.", code="input.request")
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    response = HttpResponse(out.getvalue(), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{chart}.csv"'
    return response


def _cell(value: object) -> object:
    """A value that a spreadsheet won't run: text that begins like a formula gets a quote before it."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value
