"""What the marks mean; what robots may read."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.views.decorators.http import require_safe


@require_safe
def about(request: HttpRequest) -> HttpResponse:
    """How Rootstock reads descent, and the legend of shapes, lines and verdicts."""
    return render(request, "about/about.html", {"section": "about"})


@require_safe
def robots(request: HttpRequest) -> HttpResponse:
    """Robots may read models and families; not lists by query, which never end."""
    lines = ["User-agent: *"]
    lines += [f"Disallow: {path}" for path in ("/admin/", "/search", "/compare", "/children/", "/fetch/", "/api/")]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain")


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Browsers ask for this address whatever the page says."""
    return redirect(static("icons/favicon.svg"))
