"""No query of a page runs for ever: past the limit it is ended, and the page says so instead of hanging.

PostgreSQL ends statements itself (statement_timeout, set on the connections of web processes in the settings). SQLite
knows no such thing, but asks a function every so many steps whether to go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.db import OperationalError, connection
from django.http import HttpRequest, HttpResponse

from hubapp.web.errors import error_page

log = structlog.get_logger(__name__)

STEPS = 20_000  # of SQLite's machine between two looks at the clock: about a millisecond
CODE = "database.timeout"


class TimeLimitMiddleware:
    """Holds each statement of a request to STATEMENT_SECONDS, and answers 503 where one was ended."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if connection.vendor != "sqlite" or not settings.STATEMENT_SECONDS:
            return self.get_response(request)
        clock = _Clock(settings.STATEMENT_SECONDS)
        try:
            with connection.execute_wrapper(clock.time):
                return self.get_response(request)
        finally:
            if clock.is_set and connection.connection is not None:
                connection.connection.set_progress_handler(None, 0)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not is_timeout(exception):
            return None
        log.warning("database.timeout", path=request.path_info[:200])
        return error_page(request, 503, code=CODE)


class _Clock:
    """The deadline of the statement under way; each new one begins anew. Rows are read under the same deadline."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.deadline = 0.0
        self.is_set = False

    def time(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if not self.is_set:
            context["connection"].connection.set_progress_handler(self._is_over, STEPS)
            self.is_set = True
        self.deadline = time.monotonic() + self.seconds
        return execute(sql, params, many, context)

    def _is_over(self) -> bool:
        return time.monotonic() > self.deadline


def is_timeout(error: BaseException) -> bool:
    """Whether the database ended a statement because it took too long."""
    if not isinstance(error, OperationalError):
        return False
    cause = error.__cause__
    return type(cause).__name__ == "QueryCanceled" or str(error) == "interrupted"
