"""Throttling of sign-ins: after a few wrong passwords from one address the next ones are not even looked at.

There is no limit by name alone: it would let anybody lock the person in charge out. With the passwords that the
validators demand, guessing from many addresses at FAILURES_OF_ADDRESS each does not come far.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from typing import Any

import structlog
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from hubapp import counters
from hubapp.middleware.address import client_address
from hubapp.web.errors import error_page

log = structlog.get_logger(__name__)

WINDOW = 900.0  # seconds
FAILURES_OF_NAME = 5  # for one name from one address
FAILURES_OF_ADDRESS = 30  # for all names from one address: an office may share one


class ThrottledBackend(ModelBackend):
    """Django's accounts, with failures counted for every way in (forms, API) that passes the request along."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        """The user, or None. Raises PermissionDenied, unseen, while there were too many failures."""
        if request is None or username is None:
            return super().authenticate(request, username, password, **kwargs)
        address = client_address(request)
        name = hashlib.sha256(username.casefold().encode("utf-8", "replace")).hexdigest()[:16]
        limits = {f"login:{address}:{name}": FAILURES_OF_NAME, f"login:{address}": FAILURES_OF_ADDRESS}
        waits = [found.seconds for key, limit in limits.items() if (found := counters.look(key)).number >= limit]
        if waits:
            request.login_wait = max(waits)  # type: ignore[attr-defined]
            log.warning("login.throttled", address=address, seconds=round(max(waits)))
            raise PermissionDenied
        user = super().authenticate(request, username, password, **kwargs)
        if user is None:
            for key in limits:
                counters.hit(key, window=WINDOW)
            log.warning("login.failed", address=address)
        else:
            counters.forget(f"login:{address}:{name}")
        return user


class LoginThrottleMiddleware:
    """Says so, with 429, where a sign-in was not looked at."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        seconds = getattr(request, "login_wait", None)
        if seconds is None:
            return response
        minutes = math.ceil(seconds / 60)
        page = error_page(
            request,
            429,
            title="Too many failed sign-ins",
            text=f"Sign-in from your address is closed for {minutes} minute{'s' if minutes > 1 else ''}.",
            code="login.throttled",
        )
        page.headers["Retry-After"] = str(math.ceil(seconds))
        return page
