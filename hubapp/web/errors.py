"""The pages that say what went wrong: what happened, to what, and what now."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader

from hubapp.web import fragments


@dataclass(frozen=True)
class Wording:
    """``title`` says what happened, ``text`` to what and what to do now."""

    title: str
    text: str


WORDINGS = {
    400: Wording("This request can't be read", "Something in the address is not what the page expects."),
    403: Wording("This is for staff", "You are not signed in, or not as somebody who may do this."),
    404: Wording("Nothing lives at this address", "It may have been mistyped, or come from an older link."),
    405: Wording("This address does not work that way", "It expects another kind of request."),
    429: Wording("Too many requests", "Your address asked for more than its share. Wait a minute, then go on."),
    500: Wording("That went wrong on our side", "The error has been logged. Trying again may help; other pages work."),
    503: Wording("This takes too long just now", "The database is busy. Nothing is lost; try again in a moment."),
}


def error_page(request: HttpRequest, status: int, *, title: str = "", text: str = "", code: str = "") -> HttpResponse:
    """The page of an error. ``code`` is that of ``workers.errors``; an htmx request gets the message alone."""
    wording = WORDINGS.get(status, WORDINGS[500])
    context = {"status": status, "title": title or wording.title, "text": text or wording.text, "code": code}
    template = "errors/fragment.html" if fragments.is_wanted(request) else "errors/error.html"
    response = render(request, template, context, status=status)
    if status in {429, 503}:
        response.headers["Retry-After"] = "30"
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400."""
    return error_page(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    return error_page(request, 403)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    return error_page(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500. Rendered without context processors: whatever failed must not fail again here."""
    wording = WORDINGS[500]
    context = {"status": 500, "title": wording.title, "text": wording.text, "plain": True}
    return HttpResponse(loader.render_to_string("errors/error.html", context), status=500)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form sent without its token: cookies are off, or the page lay open for long."""
    return error_page(
        request,
        403,
        title="The form was not accepted",
        text="Its security token is missing or old. Reload the page and send it again; cookies must be allowed.",
    )
