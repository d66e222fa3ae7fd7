"""The first page: search, what is in here, the largest families as pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from hubapp.catalog import queries as catalog
from hubapp.crawling import queries as crawling
from hubapp.lineage import queries as lineage
from hubapp.lineage.shapes import Family
from hubapp.web.crawls import under_way
from hubapp.web.memory import remembered
from hubapp.web.pictures import Picture, phylogeny
from hubapp.web.work import Work

PICTURES = 6
LABEL = "Part of the family, drawn from left to right by date"


@remembered(2)
def _totals() -> lineage.Totals:
    totals = lineage.totals()
    if totals.counted_at is None:  # no tree was grown yet: there is little to count
        known = catalog.totals()
        totals = replace(totals, listed=known.models, stubs=known.stubs)
    return totals


@dataclass(frozen=True, slots=True)
class Sketch:
    """A family with its picture, already put into markup: six of them are most of the page."""

    family: Family
    picture: Picture
    svg: str


@remembered(15)
def _largest() -> list[Sketch]:
    return [_sketch(family) for family in lineage.largest_families(limit=PICTURES)]


def _sketch(family: Family) -> Sketch:
    picture = family_picture(family.root.id)
    return Sketch(family, picture, render_to_string("partials/picture.html", {"picture": picture, "label": LABEL}))


def family_picture(root_id: int, *, width: int = 360, height: int = 200) -> Picture:
    """The drawing of a family, from its root's most popular descendants."""
    near = lineage.neighbourhood(root_id, up=0, down=4, per_parent=10, max_nodes=160)
    return phylogeny(root_id, near.nodes, near.links, width=width, height=height)


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The first page."""
    return render(request, "home/home.html", {"section": "home", **_state(under_way())})


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The part of the first page that renews itself while something is under way.

    ``seen`` is the mark of the families that the browser shows: when others are the largest, or have grown, their
    section comes along.
    """
    working = under_way()
    if not working:  # the last answer of this kind: it must not be an old one
        _totals.forget()  # type: ignore[attr-defined]
        _largest.forget()  # type: ignore[attr-defined]
    state = _state(working)
    return render(request, "home/_live.html", {**state, "renewed": request.GET.get("seen", "") != state["seen"]})


def _state(working: list[Work]) -> dict[str, object]:
    largest = _largest()
    return {
        "totals": _totals(),
        "largest": largest,
        "seen": "-".join(f"{sketch.family.root.id}.{sketch.family.size}" for sketch in largest),
        "working": working,
        "last": crawling.last_complete(),
    }
