"""One line in the log for each request, and a number that ties all lines of a request together."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse

log = structlog.get_logger("rootstock.requests")

GIVEN = re.compile(r"[A-Za-z0-9_-]{8,64}")
SLOW_SECONDS = 1.0


class RequestLogMiddleware:
    """Binds ``request`` to everything logged meanwhile; answers with it in X-Request-ID.

    A number that a proxy in front has given is kept. Addresses and query strings are not logged: what people look
    for is theirs.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        number = given if settings.PROXIES and GIVEN.fullmatch(given) else uuid.uuid4().hex[:16]
        started = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request=number):
            response = self.get_response(request)
            seconds = time.perf_counter() - started
            if not request.path_info.startswith(settings.STATIC_URL):
                level = "warning" if response.status_code >= 500 or seconds > SLOW_SECONDS else "info"
                getattr(log, level)(
                    "request",
                    method=request.method,
                    path=request.path_info[:200],
                    status=response.status_code,
                    ms=round(seconds * 1000, 1),
                )
        response.headers["X-Request-ID"] = number
        return response
