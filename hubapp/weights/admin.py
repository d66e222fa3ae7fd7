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
from hubapp.weights import services, sketches
from hubapp.weights.models import Inspection, Sketch
from workers.errors import RootstockError

CHOSEN = 100  # repos at once; more are asked for as a family, or all


class ReadsWeights(admin.ModelAdmin):
    """Actions of a list of repos: read the weights of those that are chosen, or of their families."""

    actions: Any = ("read_weights", "read_family_weights", "verify_descent", "verify_family_descent")

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

    @admin.action(description="Hold the descent of chosen models against their weights", permissions=["read_weights"])
    def verify_descent(self, request: HttpRequest, rows: QuerySet[Repo]) -> None:
        """One job for each."""
        self._ask(request, rows, "model", verify=True)

    @admin.action(description="Hold the descent of their families against the weights", permissions=["read_weights"])
    def verify_family_descent(self, request: HttpRequest, rows: QuerySet[Repo]) -> None:
        """One job for each family."""
        self._ask(request, rows, "family", verify=True)

    def _ask(self, request: HttpRequest, rows: QuerySet[Repo], scope: str, *, verify: bool = False) -> None:
        chosen = list(rows[: CHOSEN + 1])
        if len(chosen) > CHOSEN:
            self.message_user(request, f"Choose {CHOSEN} models at most; a family is one job.", messages.ERROR)
            return
        for repo in chosen:
            try:
                if verify:
                    job = sketches.ask_to_verify(scope=scope, repo=repo, by=person(request))
                else:
                    job = services.ask(scope=scope, repo=repo, onward=True, by=person(request))
            except RootstockError as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                what = "Descent against weights" if verify else "Weights"
                audit.record(by=person(request), target=job, what=f"{what} of {repo.name} ({scope}).", added=True)
        what = "Verifying the descent" if verify else "Reading the weights"
        self.message_user(request, f"{what} of {len(chosen):,} ({scope}) is queued.", messages.SUCCESS)


class OfRepoAdmin(LargeTableAdmin):
    """Rows of which each repo has one, with the repo's key: found by the repo's name."""

    list_select_related = ("repo",)
    search_fields = ("repo",)
    search_help_text = "A model's id, in full."
    ordering = ("-repo_id",)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """By a repo's name, an old one too."""
        if not search_term.strip():
            return queryset, False
        found = catalog.find(search_term)
        return queryset.filter(pk=found.repo.pk) if found is not None else queryset.none(), False

    @admin.display(description="model")
    def repo_(self, row: Inspection | Sketch) -> SafeString | str:
        """The repo."""
        return repo_link(row.repo)


@admin.register(Inspection)
class InspectionAdmin(OfRepoAdmin):
    """How far the weights of each repo could be read."""

    list_display = ("repo_", "state", "format", "parameters", "tensors", "size", "bytes_read", "read_at_", "reason")
    list_filter = ("state", "format")
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

    @admin.display(description="read (UTC)", ordering="read_at")
    def read_at_(self, row: Inspection) -> str:
        """When."""
        return moment(row.read_at)


@admin.register(Sketch)
class SketchAdmin(OfRepoAdmin):
    """What was sampled of the weights of each repo, and what it cost."""

    list_display = ("repo_", "kind", "body", "bytes_read", "requests", "drawn_at_", "code", "reason")
    list_filter = ("kind", "code")
    fields = readonly_fields = (
        "repo_", "revision", "version", "kind", "body", "bytes_read", "requests", "drawn_at_", "code", "reason",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Sketch]:
        """Without the rows themselves."""
        return super().get_queryset(request).defer("data", "print")

    @admin.display(description="read (UTC)", ordering="drawn_at")
    def drawn_at_(self, row: Sketch) -> str:
        """When."""
        return moment(row.drawn_at)
