"""``/healthz``: this process answers. ``/readyz``: the database answers too, and no migration is missing.

Answered before host checks, redirects to https, sessions and logs: a health check comes from inside, over http.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse

log = structlog.get_logger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponse]


class HealthMiddleware:
    """Answers the two addresses itself."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self.is_migrated = False  # once true it stays so: this code does not grow migrations while it runs

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info == "/healthz":
            return _answer({"alive": True}, good=True)
        if request.path_info == "/readyz":
            found = self._readiness()
            return _answer(found, good=all(found.values()))
        return self.get_response(request)

    def _readiness(self) -> dict[str, bool]:
        found = {"database": False, "migrations": False}
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            found["database"] = True
            if not self.is_migrated:
                executor = MigrationExecutor(connection)
                self.is_migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
            found["migrations"] = self.is_migrated
        except DatabaseError as error:
            log.warning("health.database", error=type(error).__name__)
            connection.close()
        return found


def _answer(found: dict[str, bool], *, good: bool) -> HttpResponse:
    response = JsonResponse(found, status=200 if good else 503)
    response["Cache-Control"] = "no-store"
    return response
