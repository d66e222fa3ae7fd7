"""Around every call of the API: how many one visitor may make, and one shape for all that goes wrong."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse

from hubapp import counters
from hubapp.middleware.address import client_address

PREFIX = "/api/"
UNLIMITED = ("/api/v1/docs", "/api/v1/openapi.json")
WINDOW = 60.0  # seconds
MAX_BODY = 64 * 1024  # a hundred ids of two hundred characters, in any encoding
_CODES = {
    400: ("request", "The request could not be read."),
    403: ("forbidden", "That is not allowed."),
    404: ("not_found", "There is nothing at this address; /api/v1/docs lists what there is."),
    405: ("method_not_allowed", "This address does not take that method; see the Allow header."),
    413: ("too_large", "The request's body is too large."),
    500: ("internal", "Something went wrong on our side; it has been recorded."),
    503: ("busy", "The answer took too long; ask for less, or try again later."),
}


class ApiMiddleware:
    """Counts calls by visitor, and turns answers that are no JSON into the API's error shape."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(PREFIX):
            return self.get_response(request)
        if request.path_info.startswith(UNLIMITED):
            return _shaped(self.get_response(request))
        limit = settings.API_CALLS_PER_MINUTE
        count = counters.hit(f"api:{_visitor(request)}", window=WINDOW) if limit else None
        if count and count.number > limit:
            response: HttpResponse = error(
                429, "rate_limited", f"More than {limit} calls in a minute: wait {math.ceil(count.seconds)} s."
            )
            response["Retry-After"] = str(math.ceil(count.seconds))
        elif int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY:
            response = error(413, *_CODES[413])
        else:
            response = _shaped(self.get_response(request))
        if count:
            left = max(0, limit - count.number)
            response["RateLimit"] = f'"api";r={left};t={math.ceil(count.seconds)}'
            response["RateLimit-Policy"] = f'"api";q={limit};w={WINDOW:.0f}'
        return response


def error(status: int, code: str, message: str) -> JsonResponse:
    """An answer in the API's error shape."""
    return JsonResponse({"error": {"code": code, "message": message}}, status=status)


def _visitor(request: HttpRequest) -> str:
    token = request.headers.get("Authorization", "")
    return hashlib.sha256(token.encode()).hexdigest()[:16] if token else client_address(request)


def _shaped(response: HttpResponse) -> HttpResponse:
    if response.status_code < 400 or response.headers.get("Content-Type", "").startswith("application/json"):
        return response
    code, message = _CODES.get(response.status_code, ("error", response.reason_phrase))
    shaped = error(response.status_code, code, message)
    for header in ("Allow", "Retry-After"):
        if header in response.headers:
            shaped[header] = response[header]
    return shaped
