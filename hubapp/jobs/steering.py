"""Admin pages of what is a job or has one: watch it live, pause, resume, cancel and retry it.

``change`` permission on the model is what steering asks for; looking asks for ``view``. Each wish goes to a service,
which also writes the audit entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString, mark_safe

from hubapp.jobs import queries, services
from hubapp.jobs.models import Job
from hubapp.jobs.readonly import ReadOnlyAdmin, person
from workers.errors import RootstockError

Wish = Callable[..., object]
JOB_WISHES: dict[str, Wish] = {
    "pause": services.pause,
    "resume": services.resume,
    "cancel": services.cancel,
    "retry": services.retry,
}
LATEST = 5  # faults shown beside a job; the rest is a list of its own


class SteeringAdmin(ReadOnlyAdmin):
    """Base of JobAdmin and of each admin whose model has a ``job``."""

    actions = ("pause", "resume", "cancel", "retry")
    change_form_template = "admin/steered.html"
    change_list_template = "admin/watched_list.html"
    wishes: dict[str, Wish] = JOB_WISHES

    def label(self, obj: Any) -> str:
        """A row in words."""
        return queries.label_of(self.job_of(obj))

    def job_of(self, obj: Any) -> Job:
        """The job behind a row."""
        return obj

    def has_steer_permission(self, request: HttpRequest) -> bool:
        """Whether this person may tell jobs what to do."""
        return request.user.has_perm(f"{self.opts.app_label}.change_{self.opts.model_name}")

    # --- addresses --------------------------------------------------------------------------------------------------
    def _name(self, of: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{of}"

    def get_urls(self) -> list[URLPattern]:
        """Django's, and those of the live part and the buttons."""
        view = self.admin_site.admin_view
        return [
            path("active/", view(self.active_view), name=self._name("active")),
            path("<int:pk>/live/", view(self.live_view), name=self._name("live")),
            path("<int:pk>/steer/", view(self.steer_view), name=self._name("steer")),
            *super().get_urls(),
        ]

    def address(self, of: str, *args: Any) -> str:
        """The address of one of this admin's pages."""
        return reverse(f"{self.admin_site.name}:{self._name(of)}", args=args)

    # --- watching ---------------------------------------------------------------------------------------------------
    def live_context(self, request: HttpRequest, obj: Any) -> dict[str, Any]:
        """What the live part of a page shows."""
        job = self.job_of(obj)
        faults = queries.faults_by_code(jobs=[job.pk])
        return {
            "subject": obj,
            "job": job,
            "title_of_kind": queries.title_of(job),
            "progress": queries.progress_of(job),
            "is_active": queries.is_active(job),
            "verbs": queries.verbs_for(job) if self.has_steer_permission(request) else (),
            "live_url": self.address("live", obj.pk),
            "steer_url": self.address("steer", obj.pk),
            "fault_counts": faults,
            "fault_total": sum(count for _, count in faults),
            "counts_errors": "errors" in job.progress,
            "latest_faults": list(job.faults.order_by("-id")[:LATEST]),
            "may_see_faults": request.user.has_perm("jobs.view_fault"),
        }

    def live_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The part of the page that changes while the job runs."""
        obj = get_object_or_404(self.get_queryset(request), pk=pk)
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        return render(request, "admin/parts/live.html", self.live_context(request, obj))

    def active_view(self, request: HttpRequest) -> HttpResponse:
        """All that is at work, above the list."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return render(request, "admin/parts/active.html", self.active_context(request))

    def active_context(self, request: HttpRequest) -> dict[str, Any]:
        """What the strip above the list shows: rows at work, the oldest first."""
        ids = list(queries.active().values_list("pk", flat=True)[:20])
        lookup = "pk__in" if self.model is Job else "job__in"
        rows = [
            {
                "label": self.label(obj),
                "job": self.job_of(obj),
                "progress": queries.progress_of(self.job_of(obj)),
                "url": self.address("change", obj.pk),
            }
            for obj in self.get_queryset(request).filter(**{lookup: ids}).order_by("pk")
        ]
        return {"active_rows": rows, "active_url": self.address("active")}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """The list, under what is at work."""
        context = self.active_context(request) if self.has_view_permission(request) else {}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One row, with its live part on top."""
        obj = self.get_object(request, object_id)
        context: dict[str, Any] = {}
        if obj is not None and self.has_view_permission(request, obj):
            context = {**self.live_context(request, obj), "title": self.label(obj), "subtitle": None}
        return super().change_view(request, object_id, form_url, {**context, **(extra_context or {})})

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Who did what to this row and to its job."""
        obj = self.get_object(request, object_id)
        if obj is not None and self.model is not Job:
            of_row = Q(content_type=ContentType.objects.get_for_model(obj), object_id=str(obj.pk))
            of_job = Q(content_type=ContentType.objects.get_for_model(Job), object_id=str(self.job_of(obj).pk))
            entries = LogEntry.objects.filter(of_row | of_job).select_related("user").order_by("action_time")
            page = self.get_paginator(request, entries, 100).get_page(request.GET.get("p"))
            extra_context = {"action_list": page, "page_range": [1], **(extra_context or {})}
        return super().history_view(request, object_id, extra_context)

    # --- steering ---------------------------------------------------------------------------------------------------
    def wish(self, verb: str, obj: Any, request: HttpRequest) -> None:
        """Have a wish done. Raises RootstockError."""
        self.wishes[verb](job_id=self.job_of(obj).pk, by=person(request))

    def steer_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A button was pressed."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        obj = get_object_or_404(self.get_queryset(request), pk=pk)
        verb = request.POST.get("verb", "")
        if not self.has_steer_permission(request) or verb not in self.wishes:
            raise PermissionDenied
        try:
            self.wish(verb, obj, request)
        except RootstockError as error:
            self.message_user(request, str(error), messages.ERROR)
        else:
            self.message_user(request, f"{queries.SAID[verb]}: {self.label(obj)}.", messages.SUCCESS)
        return HttpResponseRedirect(self.address("change", pk))

    def _steer_some(self, verb: str, request: HttpRequest, rows: QuerySet[Any]) -> None:
        done = 0
        for obj in rows:
            try:
                self.wish(verb, obj, request)
                done += 1
            except RootstockError as error:
                self.message_user(request, str(error), messages.ERROR)
        if done:
            self.message_user(request, f"{queries.SAID[verb]}: {done}.", messages.SUCCESS)

    @admin.action(description="Pause after the present step", permissions=["steer"])
    def pause(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Pause those that are chosen."""
        self._steer_some("pause", request, rows)

    @admin.action(description="Resume", permissions=["steer"])
    def resume(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Resume those that are chosen."""
        self._steer_some("resume", request, rows)

    @admin.action(description="Cancel after the present step", permissions=["steer"])
    def cancel(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Cancel those that are chosen."""
        self._steer_some("cancel", request, rows)

    @admin.action(description="Retry from where it stopped", permissions=["steer"])
    def retry(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        """Retry those that are chosen."""
        self._steer_some("retry", request, rows)


# --- columns --------------------------------------------------------------------------------------------------------
def state_mark(job: Job) -> SafeString:
    """The job's state as a word with its mark, and what a person wants of it."""
    return mark_safe(render_to_string("admin/parts/state.html", {"job": job}))  # noqa: S308 - a template escapes


def progress_bar(job: Job) -> SafeString:
    """A bar with the figure beside it."""
    context = {"job": job, "progress": queries.progress_of(job)}
    return mark_safe(render_to_string("admin/parts/bar.html", context))  # noqa: S308 - a template escapes
