"""The admin site: Rootstock's name, and its rooms in the order in which a person in charge needs them."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.db.models import Model
from django.db.models.base import ModelBase
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from hubapp.crawling.queries import waiting_for_approval
from hubapp.crawling.schedules import describe
from hubapp.jobs import queries
from hubapp.jobs.models import Job

# The rooms, and in each its models; what is not named follows by name.
ORDER = {
    "crawling": ("Crawl", "Schedule", "Watermark", "Budget"),
    "jobs": ("Job", "Fault"),
    "catalog": ("Repo", "Alias", "Term"),
    "lineage": ("Finding", "Evidence", "Edge", "Node"),
    "searching": ("Entry", "Word"),
    "auth": ("User", "Group"),
}

# Beat's own pages ask for JSON and the names of Python functions; crawling's schedules say the same in words.
UNWANTED = {"django_celery_beat"}


class RootstockAdmin(AdminSite):
    """The site behind ``/admin/``."""

    site_header = "Rootstock"
    site_title = "Rootstock"
    index_title = "In charge"
    site_url = "/"
    enable_nav_sidebar = True

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """As Django's, without the pages of UNWANTED."""
        models: list[type[Model]] = (
            [model_or_iterable] if isinstance(model_or_iterable, ModelBase) else list(model_or_iterable)  # type: ignore[list-item]
        )
        wanted = [model for model in models if model._meta.app_label not in UNWANTED]  # noqa: SLF001 - Django's API
        super().register(wanted, admin_class, **options)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """The rooms this person may see, in ORDER."""
        rooms = super().get_app_list(request, app_label)
        places = list(ORDER)
        rooms.sort(key=lambda room: places.index(room["app_label"]) if room["app_label"] in ORDER else len(places))
        for room in rooms:
            models = list(ORDER.get(room["app_label"], ()))
            room["models"].sort(
                key=lambda model: models.index(model["object_name"]) if model["object_name"] in models else len(models)
            )
        return rooms

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The door. The part of a page that refreshes itself asks for the whole page, which is sent here in turn."""
        if request.headers.get("HX-Request"):
            return HttpResponse(status=204, headers={"HX-Refresh": "true"})
        return super().login(request, extra_context)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """The first page: what is at work and what waits for a person."""
        context: dict[str, Any] = {}
        if request.user.has_perm("jobs.view_job"):
            context = self._registry[Job].active_context(request)  # type: ignore[attr-defined]
            context["parked"] = [
                {
                    "url": reverse("admin:jobs_job_change", args=[job.pk]),
                    "label": queries.label_of(job),
                    "text": job.error,
                    "code": job.error_code,
                }
                for job in queries.parked()[:10]
            ]
        if request.user.has_perm("crawling.change_crawl"):
            context["decisions"] = [
                {
                    "url": reverse("admin:crawling_crawl_change", args=[crawl.pk]),
                    "label": describe(crawl.scope, crawl.argument),
                    "text": f"{crawl.missing_share or 0:.1%} of the known repos are no longer listed. Mark them?",
                }
                for crawl in waiting_for_approval()[:10]
            ]
        return super().index(request, {**context, **(extra_context or {})})
