"""Who may do what through the API."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja.security import HttpBearer

from hubapp.api.services import owner_of


class StaffToken(HttpBearer):
    """``Authorization: Bearer root_…`` of a member of staff who may start crawls. No cookies: no forged requests."""

    openapi_description = "A token made with `manage.py apitoken USER NAME`."

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        user = owner_of(token=token)
        if user is None or not user.is_staff or not user.has_perm("crawling.add_crawl"):
            return None
        request.user = user
        return user
