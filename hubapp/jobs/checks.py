"""What can be told of the queue before anything runs."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, register
from django.core.checks import Warning as Caution


@register()
def queue_and_database_go_together(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """ROOT.W011: messages reach other machines, but the jobs they speak of do not."""
    if not settings.REDIS_URL or not settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        return []
    return [
        Caution(
            "REDIS_URL is set, yet the database is a file of this machine: workers on others would see other jobs.",
            hint="Set DATABASE_URL as well, or unset REDIS_URL.",
            id="ROOT.W011",
        )
    ]
