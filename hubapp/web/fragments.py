"""Whether a request wants a page, or a part of one: htmx asks for parts."""

from __future__ import annotations

from django.http import HttpRequest


def is_wanted(request: HttpRequest) -> bool:
    """Whether htmx asks, and so for a fragment."""
    return bool(getattr(request, "htmx", False))


def target(request: HttpRequest) -> str:
    """The id of the element that htmx will fill; "" when it does not ask."""
    htmx = getattr(request, "htmx", None)
    return str(htmx.target or "") if htmx else ""
