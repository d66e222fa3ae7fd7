"""What was read of weights, to look at; and the action that asks for reading."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from hubapp.catalog import queries as catalog
from hubapp.catalog.admin import repo_link
from hubapp.catalog.models import Repo
from hubapp.jobs import audit
from hubapp.jobs.readonly import LargeTableAdmin, moment, person
from hubapp.weights import services
from hubapp.weights.models import Inspection
from workers.errors import RootstockError

CHOSEN = 100  # repos at once; more are asked for as a family, or all


class ReadsWeights(admin.ModelAdmin):
    """Actions of a list of repos: read the weights of those that are chosen, or of their families."""

    actions: Any = ("read_weights", "read_family_weights")

    def has_read_weights_permission(self, request: HttpRequest) -> bool:
        """Who may add jobs may ask for reading."""
        return request.user.has_perm("jobs.add_job")

    @admin.action(description="Read weights of chosen models", permissions=["read_weights"])
    def read_weights(self, request: HttpRequest, rows: QuerySet[Repo]) -> None:
        """One job for each."""
        self._ask(request, rows, "model")

    @admin.action(description="Read weights of their families", permissions=["read_weights"])
    def read_family_weights(self, request: HttpRequest, rows: QuerySet[Repo]) -> None:
        """One job for each family."""
        self._ask(request, rows, "family")

    def _ask(self, request: HttpRequest, rows: QuerySet[Repo], scope: str) -> None:
        chosen = list(rows[: CHOSEN + 1])
        if len(chosen) > CHOSEN:
            self.message_user(request, f"Choose {CHOSEN} models at most; a family is one job.", messages.ERROR)
            return
        for repo in chosen:
            try:
                job = services.ask(scope=scope, repo=repo, onward=True, by=person(request))
            except RootstockError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                audit.record(by=person(request), target=job, what=f"Weights of {repo.name} ({scope}).", added=True)
        self.message_user(request, f"Reading the weights of {len(chosen):,} ({scope}) is queued.", messages.SUCCESS)


@admin.register(Inspection)
class InspectionAdmin(LargeTableAdmin):
    """How far the weights of each repo could be read."""

    list_display = ("repo_", "state", "format", "parameters", "tensors", "size", "bytes_read", "read_at_", "reason")
    list_filter = ("state", "format")
    list_select_related = ("repo",)
    search_fields = ("repo",)
    search_help_text = "A model's id, in full."
    ordering = ("-repo_id",)
    fields = readonly_fields = (
        "repo_",
        "revision",
        "state",
        "code",
        "reason",
        "format",
        "parameters",
        "dtypes",
        "tensors",
        "files",
        "size",
        "signature",
        "quantization",
        "adapter",
        "tokenizer",
        "config",
        "oddities",
        "bytes_read",
        "requests",
        "read_at_",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Inspection]:
        """Without the schemas."""
        return super().get_queryset(request).defer("schema")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """By a repo's name, an old one too."""
        if not search_term.strip():
            return queryset, False
        found = catalog.find(search_term)
        return queryset.filter(pk=found.repo.pk) if found is not None else queryset.none(), False

    @admin.display(description="model")
    def repo_(self, row: Inspection) -> SafeString | str:
        """The repo."""
        return repo_link(row.repo)

    @admin.display(description="read (UTC)", ordering="read_at")
    def read_at_(self, row: Inspection) -> str:
        """When."""
        return moment(row.read_at)
