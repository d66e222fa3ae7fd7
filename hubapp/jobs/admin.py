"""Jobs and what they could not use, for the person in charge."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hubapp.jobs import kinds, queries
from hubapp.jobs.models import Fault, Job
from hubapp.jobs.readonly import LargeTableAdmin, distinct, moment
from hubapp.jobs.steering import SteeringAdmin, progress_bar, state_mark


class KindFilter(admin.SimpleListFilter):
    """By kind of work, in words."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """All kinds that are registered."""
        return [(kind.name, kind.title) for kind in kinds.registered()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        """Jobs of that kind."""
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Job)
class JobAdmin(SteeringAdmin):
    """Every piece of work: at work, waiting, parked with its error, done."""

    list_display = ("name", "state_", "progress_", "queue", "attempts", "problem", "asked")
    list_filter = ("state", KindFilter, "queue", "created_at")
    list_select_related = ("created_by",)
    list_per_page = 50
    search_fields = ("=id", "error_code", "error", "kind")
    search_help_text = "A job's number, or words of its error."
    ordering = ("-id",)
    date_hierarchy = None
    fieldsets = (
        ("Asked for", {"fields": ("kind", "params", "created_by", "created_at", "not_before")}),
        ("Run", {"fields": ("started_at", "updated_at", "finished_at", "attempts", "max_attempts")}),
        (
            "Inside",
            {
                "classes": ("collapse",),
                "fields": ("cursor", "progress", "queue", "holder", "lease_until", "sends", "send_at", "again", "key"),
            },
        ),
    )

    @admin.display(description="job", ordering="id")
    def name(self, job: Job) -> str:
        """The kind in words, and the number."""
        return f"{job.pk} {queries.label_of(job)}"

    @admin.display(description="state", ordering="state")
    def state_(self, job: Job) -> SafeString:
        """The state, with what a person wants of it."""
        return state_mark(job)

    @admin.display(description="progress")
    def progress_(self, job: Job) -> SafeString:
        """How far it is."""
        return progress_bar(job)

    @admin.display(description="asked for (UTC)", ordering="created_at")
    def asked(self, job: Job) -> str:
        """When it was asked for."""
        return moment(job.created_at)

    @admin.display(description="problem")
    def problem(self, job: Job) -> str | SafeString:
        """The error's code, the message on hover."""
        if not job.error_code:
            return ""
        return format_html('<span class="code" title="{}">{}</span>', job.error, job.error_code)


class CodeFilter(admin.SimpleListFilter):
    """By code, those that occur."""

    title = "reason"
    parameter_name = "code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Each code that was ever recorded: a walk along an index."""
        return [(code, code) for code in distinct(Fault.objects.all(), "code")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Fault]) -> QuerySet[Fault]:
        """Faults of that code."""
        return queryset.filter(code=self.value()) if self.value() else queryset


class RecentJobFilter(admin.SimpleListFilter):
    """By job, the latest that had any."""

    title = "job"
    parameter_name = "job"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The latest twenty jobs with faults, and the one that is asked for."""
        latest = Job.objects.filter(Exists(Fault.objects.filter(job=OuterRef("pk")))).order_by("-id")[:20]
        rows = [(str(job.pk), f"{queries.title_of(job)} {job.pk}") for job in latest]
        asked = self.value()
        if asked and asked.isdecimal() and asked not in dict(rows):
            rows.append((asked, f"job {asked}"))
        return rows

    def queryset(self, request: HttpRequest, queryset: QuerySet[Fault]) -> QuerySet[Fault]:
        """Faults of that job."""
        asked = self.value()
        return queryset.filter(job=int(asked)) if asked and asked.isdecimal() else queryset


@admin.register(Fault)
class FaultAdmin(LargeTableAdmin):
    """Rows, pages and repos that a job could not use, with the reason and what was there."""

    list_display = ("subject", "code", "message", "job_", "when")
    list_filter = (CodeFilter, RecentJobFilter)
    list_select_related = ("job",)
    search_fields = ("subject", "message")
    search_help_text = "Part of a repo's name, or words of the reason."
    ordering = ("-id",)
    fields = ("subject", "code", "message", "excerpt_", "job", "at")

    @admin.display(description="job")
    def job_(self, fault: Fault) -> str:
        """Who could not use it."""
        return f"{fault.job_id} {queries.title_of(fault.job)}"

    @admin.display(description="when (UTC)")
    def when(self, fault: Fault) -> str:
        """When it was met."""
        return moment(fault.at)

    @admin.display(description="what was there")
    def excerpt_(self, fault: Fault) -> SafeString | str:
        """The row as it came, as text."""
        return format_html('<pre class="excerpt">{}</pre>', fault.excerpt) if fault.excerpt else "Nothing was kept."

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """All of them."""
        return self.fields
