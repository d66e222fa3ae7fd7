"""Crawls for the person in charge: start one, watch it, steer it, decide what it asks, plan the next."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hubapp.crawling import queries, schedules, services
from hubapp.crawling.forms import ScheduleForm, StartForm
from hubapp.crawling.models import Budget, Crawl, Watermark
from hubapp.crawling.schedules import Schedule, describe
from hubapp.jobs import audit
from hubapp.jobs.models import Job
from hubapp.jobs.queries import is_active, progress_of
from hubapp.jobs.readonly import ReadOnlyAdmin, moment, person
from hubapp.jobs.steering import JOB_WISHES, SteeringAdmin, progress_bar, state_mark
from workers.errors import RootstockError


def _approve(*, job_id: int, by: Any) -> None:
    services.approve(crawl_id=Crawl.objects.values_list("pk", flat=True).get(job_id=job_id), by=by)


def _refuse(*, job_id: int, by: Any) -> None:
    services.refuse(crawl_id=Crawl.objects.values_list("pk", flat=True).get(job_id=job_id), by=by)


class DecisionFilter(admin.SimpleListFilter):
    """By what was decided about repos that are no longer listed."""

    title = "decision"
    parameter_name = "decision"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The three answers."""
        return [("needed", "asks for one"), ("given", "marked"), ("refused", "left as they were")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Crawl]) -> QuerySet[Crawl]:
        """Crawls with that answer."""
        return queryset.filter(approval=self.value()) if self.value() else queryset


@admin.register(Crawl)
class CrawlAdmin(SteeringAdmin):
    """All crawls, the latest first."""

    wishes = {**JOB_WISHES, "approve": _approve, "refuse": _refuse}
    list_display = ("name", "state", "progress", "rate", "left", "errors", "started")
    list_filter = ("job__state", "scope", DecisionFilter, "job__created_at")
    list_select_related = ("job", "job__created_by")
    list_per_page = 50
    search_fields = ("argument", "endpoint", "job__error_code", "job__error")
    search_help_text = "An author, a model, a search; or words of an error."
    ordering = ("-id",)
    fields = ("endpoint", "scope", "argument", "started", "finished", "by", "attempts", "missing")
    readonly_fields = fields

    def label(self, obj: Crawl) -> str:
        """What is crawled, in words."""
        return describe(obj.scope, obj.argument)

    def job_of(self, obj: Crawl) -> Job:
        """The job that crawls."""
        return obj.job

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may add crawls may start them."""
        return request.user.has_perm("crawling.add_crawl")

    # --- starting ---------------------------------------------------------------------------------------------------
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Start a crawl."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        asked = (request.GET.get("scope", ""), request.GET.get("argument", ""))
        form = StartForm(
            request.POST if request.method == "POST" else None, initial={"what": asked} if asked[0] else None
        )
        if request.method == "POST" and form.is_valid():
            scope, argument = form.cleaned_data["what"]
            try:
                crawl = services.start(scope=scope, argument=argument, by=person(request))
            except RootstockError as error:
                form.add_error(None, str(error))
            else:
                audit.record(by=person(request), target=crawl, what="Started.", added=True)
                self.message_user(request, f"{describe(scope, argument)}: the crawl is queued.", messages.SUCCESS)
                return HttpResponseRedirect(self.address("change", crawl.pk))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Start a crawl",
            "form": form,
            "endpoint": settings.HUB_ENDPOINT,
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/crawling/crawl/start.html", context)

    # --- watching ---------------------------------------------------------------------------------------------------
    def live_context(self, request: HttpRequest, obj: Crawl) -> dict[str, Any]:
        """Beside the job's own, what the crawl asks."""
        context = super().live_context(request, obj)
        if obj.approval == "needed":
            context["question"] = "admin/crawling/crawl/question.html"
            context["missing_count"] = queries.missing_after(obj).count()
            context["may_steer"] = self.has_steer_permission(request)
        return context

    def wish(self, verb: str, obj: Crawl, request: HttpRequest) -> None:
        """As for any job, with an entry for the decisions that are a crawl's own."""
        super().wish(verb, obj, request)
        if verb in ("approve", "refuse"):
            audit.record(by=person(request), target=obj, what="Agreed." if verb == "approve" else "Refused.")

    # --- columns ----------------------------------------------------------------------------------------------------
    @admin.display(description="crawl", ordering="id")
    def name(self, crawl: Crawl) -> str:
        """What is crawled, in words."""
        return describe(crawl.scope, crawl.argument)

    @admin.display(description="state", ordering="job__state")
    def state(self, crawl: Crawl) -> SafeString | str:
        """The job's state, and what is wrong or asked."""
        problem = "asks for a decision" if crawl.approval == "needed" else crawl.job.error_code
        mark = state_mark(crawl.job)
        return format_html('{}<br><span class="quiet">{}</span>', mark, problem) if problem else mark

    @admin.display(description="progress")
    def progress(self, crawl: Crawl) -> SafeString:
        """How far it is."""
        return progress_bar(crawl.job)

    @admin.display(description="rate")
    def rate(self, crawl: Crawl) -> str:
        """Models per second."""
        progress = progress_of(crawl.job)
        return f"{progress.rate:,.0f}/s" if progress.rate and is_active(crawl.job) else ""

    @admin.display(description="time left")
    def left(self, crawl: Crawl) -> str:
        """Hours, minutes and seconds, where that can be told."""
        seconds = progress_of(crawl.job).left
        return "" if seconds is None else str(timedelta(seconds=round(seconds)))

    @admin.display(description="errors")
    def errors(self, crawl: Crawl) -> str:
        """How many rows could not be used, as its step counted them."""
        return f"{dict(progress_of(crawl.job).counts).get('errors', 0):,}"

    @admin.display(description="started (UTC)", ordering="job__started_at")
    def started(self, crawl: Crawl) -> str:
        """When its first step began."""
        return moment(crawl.job.started_at)

    @admin.display(description="finished (UTC)", ordering="job__finished_at")
    def finished(self, crawl: Crawl) -> str:
        """When it ended."""
        return moment(crawl.job.finished_at)

    @admin.display(description="by", ordering="job__created_by")
    def by(self, crawl: Crawl) -> str:
        """Who asked for it."""
        return str(crawl.job.created_by or "schedule or command")

    @admin.display(description="attempts")
    def attempts(self, crawl: Crawl) -> str:
        """Tries of the present step."""
        return f"{crawl.job.attempts} of {crawl.job.max_attempts}"

    @admin.display(description="no longer listed")
    def missing(self, crawl: Crawl) -> str:
        """The share of known repos that a complete listing did not show."""
        return "" if crawl.missing_share is None else f"{crawl.missing_share:.2%}"


@admin.register(Schedule)
class ScheduleAdmin(admin.ModelAdmin):
    """Crawls that start by themselves."""

    form = ScheduleForm
    fields = ("what", "rhythm", "enabled")
    list_display = ("what", "rhythm", "on", "last", "runs", "upcoming")
    list_display_links = ("what",)
    change_form_template = "admin/crawling/schedule/change_form.html"
    actions = ("run_now", "turn_on", "turn_off")
    show_facets = admin.ShowFacets.NEVER

    def get_queryset(self, request: HttpRequest) -> QuerySet[Schedule]:
        """Crawls only, not what keeps the house in order."""
        return schedules.ours().order_by("pk")

    def save_model(self, request: HttpRequest, obj: Schedule, form: Any, change: bool) -> None:
        """By the service, which also tells beat."""
        scope, argument = form.cleaned_data["what"]
        schedules.plan(
            scope=scope,
            argument=argument,
            rhythm=form.cleaned_data["rhythm"],
            enabled=form.cleaned_data["enabled"],
            schedule=obj,
        )

    def delete_model(self, request: HttpRequest, obj: Schedule) -> None:
        """And tell beat."""
        obj.delete()
        schedules.changed()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Schedule]) -> None:
        """And tell beat."""
        queryset.delete()
        schedules.changed()

    @admin.action(description="Run now", permissions=["change"])
    def run_now(self, request: HttpRequest, rows: QuerySet[Schedule]) -> None:
        """Start the crawls that are chosen, whatever their time."""
        for row in rows:
            try:
                crawl = services.start(scope=row.scope, argument=row.argument, by=person(request))
                audit.record(by=person(request), target=crawl, what="Started from its schedule.", added=True)
                self.message_user(request, f"{describe(row.scope, row.argument)}: the crawl is queued.")
            except RootstockError as error:
                self.message_user(request, str(error), messages.ERROR)

    @admin.action(description="Turn on", permissions=["change"])
    def turn_on(self, request: HttpRequest, rows: QuerySet[Schedule]) -> None:
        """Let them run."""
        for row in rows:
            schedules.switch(schedule=row, on=True, by=person(request))

    @admin.action(description="Turn off", permissions=["change"])
    def turn_off(self, request: HttpRequest, rows: QuerySet[Schedule]) -> None:
        """Keep them without running them."""
        for row in rows:
            schedules.switch(schedule=row, on=False, by=person(request))

    @admin.display(description="crawl")
    def what(self, row: Schedule) -> str:
        """What is crawled."""
        return describe(row.scope, row.argument)

    @admin.display(description="how often")
    def rhythm(self, row: Schedule) -> str:
        """The rhythm in words."""
        return str(row.rhythm)

    @admin.display(description="on", boolean=True, ordering="enabled")
    def on(self, row: Schedule) -> bool:
        """Whether it runs."""
        return row.enabled

    @admin.display(description="last run (UTC)", ordering="last_run_at")
    def last(self, row: Schedule) -> str:
        """When it ran last."""
        return moment(row.last_run_at)

    @admin.display(description="runs", ordering="total_run_count")
    def runs(self, row: Schedule) -> int:
        """How often it has run."""
        return row.total_run_count

    @admin.display(description="next run (UTC)")
    def upcoming(self, row: Schedule) -> str:
        """When it will run."""
        return moment(row.next_run())


@admin.register(Watermark)
class WatermarkAdmin(ReadOnlyAdmin):
    """Up to when each hub is known completely."""

    list_display = ("endpoint", "value")


@admin.register(Budget)
class BudgetAdmin(ReadOnlyAdmin):
    """What is left of each hub's rate limit."""

    list_display = ("endpoint", "bucket", "remaining", "quota", "window", "resets_at")
