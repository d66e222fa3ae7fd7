"""Models like one: a part of its page, fetched after it, so that the page never waits for the comparison."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from hubapp.catalog import queries as catalog
from hubapp.searching import meaning
from hubapp.web import fragments
from hubapp.web.model import moved, unknown
from workers.searching.records import Why

ALL = 40  # on a page of their own


@require_safe
def alike(request: HttpRequest, name: str) -> HttpResponse:
    """The models most like one, by weights where they were read, else by cards: a list for htmx, else a page."""
    found = catalog.find(name)
    if found is None:
        return unknown(request, name.strip("/"))
    repo = found.repo
    if repo.name != name:
        return moved(request, "alike", repo)
    part = fragments.is_wanted(request)
    meant = meaning.alike(repo.pk, **({} if part else {"limit": ALL}))
    by = next((reasons[0].why for reasons in meant.reasons.values() if reasons), None)
    context: dict[str, Any] = {"section": "models", "repo": repo, "meant": meant, "by_weights": by == Why.WEIGHTS}
    return render(request, "model/_alike.html" if part else "model/alike.html", context)
