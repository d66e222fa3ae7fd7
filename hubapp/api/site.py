"""The API: its description, its routes, and how errors are told."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from hubapp.api.middleware import error
from hubapp.api.routes import crawls, families, licences, lineage, merges, models, probing, search
from workers.errors import BadInput, BadRequest, RemoteError, RootstockError, TooLarge, UnknownModel

DESCRIPTION = """
Where models come from, as Rootstock knows it. Everything here reads what is stored; nothing is fetched from the Hub in
a request. Model ids are taken in any case and by old names; `found_by` says how the asked name led to the model.
Lists are paged: give a page's `after` for the next one. Errors all have one shape.
"""
_STATUS: tuple[tuple[type[RootstockError], int], ...] = (
    (UnknownModel, 404),
    (TooLarge, 413),
    (BadRequest, 400),
    (BadInput, 400),
    (RemoteError, 502),
)

api = NinjaAPI(title="Rootstock", version="1", description=DESCRIPTION, urls_namespace="api", docs_url="/docs")
api.add_router("/models", models.router)
api.add_router("/search", search.router)
api.add_router("/lineage", lineage.router)
api.add_router("/families", families.router)
api.add_router("/licences", licences.router)
api.add_router("/merges", merges.router)
api.add_router("/crawls", crawls.router)
api.add_router("/probing", probing.router)


@api.exception_handler(RootstockError)
def _ours(request: HttpRequest, exc: RootstockError) -> HttpResponse:
    status = next((status for kind, status in _STATUS if isinstance(exc, kind)), 500)
    return error(status, exc.code, str(exc))


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, exc: ValidationError) -> HttpResponse:
    return error(422, "input.invalid", "; ".join(_sentence(each) for each in exc.errors[:5]))


@api.exception_handler(AuthenticationError)
def _stranger(request: HttpRequest, exc: AuthenticationError) -> HttpResponse:
    response = error(401, "unauthorized", "This needs a token of staff: Authorization: Bearer root_…")
    response["WWW-Authenticate"] = "Bearer"
    return response


@api.exception_handler(HttpError)
def _http(request: HttpRequest, exc: HttpError) -> HttpResponse:
    return error(exc.status_code, "request", str(exc))


def _sentence(problem: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in problem.get("loc", ())[1:])
    return f"{place}: {problem.get('msg', 'invalid')}"
