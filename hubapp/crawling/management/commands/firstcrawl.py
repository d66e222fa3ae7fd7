"""Asks for the crawl that a new folder begins with."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db.models import Q

from hubapp.crawling import services
from hubapp.crawling.models import Crawl, Scope
from hubapp.jobs.models import ACTIVE_STATES, JobState

TOP = "5000"  # enough for a first look; the rest is asked for in the admin


class Command(BaseCommand):
    help = (
        "Ask for the first crawl of this hub, unless one is under way or has been completed: everything of a hub on "
        f"this machine, the {TOP} most downloaded models with their ancestors of any other."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        known = Q(job__state__in=ACTIVE_STATES) | Q(job__state=JobState.DONE)
        if Crawl.objects.filter(known, endpoint=settings.HUB_ENDPOINT).exists():
            return
        if is_loopback(settings.HUB_ENDPOINT):
            crawl = services.start(scope=Scope.EVERYTHING)
        else:
            crawl = services.start(scope=Scope.TOP, argument=TOP)
        self.stdout.write(f"The first crawl of {crawl.endpoint} is queued ({crawl}).")


def is_loopback(url: str) -> bool:
    """Whether the address is one of this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
