"""Evidence and what follows from it, to look at: nothing here can be changed by hand."""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from hubapp.catalog import queries as catalog
from hubapp.catalog.admin import repo_link
from hubapp.catalog.models import Repo
from hubapp.jobs.readonly import LargeTableAdmin, distinct
from hubapp.lineage.models import Edge, Evidence, Finding, Node, Verdict
from workers.lineage.records import Source


class ByRepoAdmin(LargeTableAdmin):
    """Searched by one repo's name, in any case, an old one too: two look-ups in an index instead of a scan."""

    search_fields = ("repo",)
    search_help_text = "A model's id, in full."
    ordering: ClassVar[tuple[str, ...]] = ("-id",)

    def of_repo(self, rows: QuerySet[Any], repo: Repo) -> QuerySet[Any]:
        """The rows that concern the repo."""
        return rows.filter(repo=repo)

    def of_name(self, rows: QuerySet[Any], folded: str) -> QuerySet[Any]:
        """The rows that concern a name no repo has."""
        return rows.none()

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Rows of the one repo that the words name."""
        if not search_term.strip():
            return queryset, False
        found = catalog.find(search_term)
        if found is None:
            return self.of_name(queryset, search_term.strip().lower()), False
        return self.of_repo(queryset, found.repo), False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[Any, ...]:
        """All of them."""
        return tuple(self.fields or ())


class StandingFilter(admin.SimpleListFilter):
    """Whether the statement still stands."""

    title = "standing"
    parameter_name = "standing"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Yes or no."""
        return [("yes", "stands"), ("no", "withdrawn")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Evidence]) -> QuerySet[Evidence]:
        """Those."""
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(withdrawn_at__isnull=self.value() == "yes")


@admin.register(Evidence)
class EvidenceAdmin(ByRepoAdmin):
    """Who says what, verbatim."""

    list_display = ("child_", "source", "text", "relation", "target", "times", "first_seen", "withdrawn_at")
    list_display_links = ("text",)
    list_filter = ("source", "relation", StandingFilter)
    list_select_related = ("child",)
    search_help_text = "A model's id, in full: what is said of it, and what names it as a parent."
    fields = (
        "child_", "source", "text", "relation", "target", "hub_id", "times", "first_seen", "last_seen", "withdrawn_at",
    )  # fmt: skip

    def of_repo(self, rows: QuerySet[Any], repo: Repo) -> QuerySet[Any]:
        """As the child, and as the declared parent."""
        return rows.filter(Q(child=repo) | Q(target=repo.folded))

    def of_name(self, rows: QuerySet[Any], folded: str) -> QuerySet[Any]:
        """As the declared parent."""
        return rows.filter(target=folded).exclude(target="")

    @admin.display(description="of")
    def child_(self, evidence: Evidence) -> SafeString | str:
        """Whose descent it is about."""
        return repo_link(evidence.child)


@admin.register(Edge)
class EdgeAdmin(ByRepoAdmin):
    """Parent and child, as judged from the standing evidence."""

    list_display = ("number", "child_", "parent_", "relation", "said_by", "primary", "closes", "repaired")
    list_filter = ("relation", "primary", "closes")
    list_select_related = ("parent", "child")
    search_help_text = "A model's id, in full: its parents and its children."
    fields = ("child_", "parent_", "relation", "said_by", "place", "primary", "closes", "repaired")

    def of_repo(self, rows: QuerySet[Any], repo: Repo) -> QuerySet[Any]:
        """Its parents and its children."""
        return rows.filter(Q(child=repo) | Q(parent=repo))

    @admin.display(description="edge")
    def number(self, edge: Edge) -> int:
        """Its key."""
        return edge.pk

    @admin.display(description="child")
    def child_(self, edge: Edge) -> SafeString | str:
        """Who descends."""
        return repo_link(edge.child)

    @admin.display(description="parent")
    def parent_(self, edge: Edge) -> SafeString | str:
        """From whom."""
        return repo_link(edge.parent)

    @admin.display(description="said by")
    def said_by(self, edge: Edge) -> str:
        """The sources, the most trusted first."""
        names = [source.name.lower().replace("_", " ") for source in Source if edge.sources & (1 << source)]
        return ", ".join(names)


@admin.register(Verdict)
class VerdictAdmin(ByRepoAdmin):
    """What the weights say of declared edges."""

    list_display = ("verdict", "child_", "parent_", "kinship", "reason", "likelier_", "bytes_read", "judged_at")
    list_filter = ("verdict", "kinship")
    list_select_related = ("parent", "child", "likelier")
    search_help_text = "A model's id, in full: its parents and its children."
    fields = (
        "verdict", "child_", "parent_", "kinship", "reason", "likelier_", "figures", "layers", "child_revision",
        "parent_revision", "version", "bytes_read", "parent_bytes", "judged_at",
    )  # fmt: skip

    def of_repo(self, rows: QuerySet[Any], repo: Repo) -> QuerySet[Any]:
        """Its parents and its children."""
        return rows.filter(Q(child=repo) | Q(parent=repo))

    @admin.display(description="child")
    def child_(self, row: Verdict) -> SafeString | str:
        """Who is said to descend."""
        return repo_link(row.child)

    @admin.display(description="parent")
    def parent_(self, row: Verdict) -> SafeString | str:
        """From whom."""
        return repo_link(row.parent)

    @admin.display(description="nearer")
    def likelier_(self, row: Verdict) -> SafeString | str:
        """Who stands nearer to the child."""
        return repo_link(row.likelier) if row.likelier else "-"


@admin.register(Finding)
class FindingAdmin(ByRepoAdmin):
    """What does not fit."""

    list_display = ("code", "repo_", "subject", "first_seen")
    list_select_related = ("repo",)
    fields = ("code", "repo_", "subject", "detail", "first_seen")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """The latest first; of one code, as the index runs."""
        return ("-repo_id", "-pk") if request.GET.get("code") else ("-pk",)

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        """By code, those that occur."""
        return [FindingCodeFilter]

    @admin.display(description="of")
    def repo_(self, finding: Finding) -> SafeString | str:
        """Whom it concerns."""
        return repo_link(finding.repo)


class FindingCodeFilter(admin.SimpleListFilter):
    """By code, along the index."""

    title = "code"
    parameter_name = "code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Each code that occurs."""
        codes = distinct(Finding.objects.all(), "code")
        return [(code, code.replace("_", " ")) for code in codes]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Finding]) -> QuerySet[Finding]:
        """Findings of that code."""
        return queryset.filter(code=self.value()) if self.value() else queryset


@admin.register(Node)
class NodeAdmin(ByRepoAdmin):
    """Places in families: the largest families, or where one model stands."""

    list_display = ("repo_", "root_", "depth", "descendants", "finetunes", "adapters", "quantized", "merges", "unknown")
    list_display_links = None
    list_select_related = ("repo", "root")
    ordering = ("-descendants", "pk")  # as the index runs
    fields = (
        "repo_", "root_", "parent_", "depth", "descendants", "finetunes", "adapters", "quantized", "merges", "unknown",
    )  # fmt: skip

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """Without words: the roots, the largest family first."""
        if not search_term.strip():
            return queryset.filter(parent=None), False
        return super().get_search_results(request, queryset, search_term)

    @admin.display(description="model")
    def repo_(self, node: Node) -> SafeString | str:
        """Whose place it is."""
        return repo_link(node.repo)

    @admin.display(description="root of its family")
    def root_(self, node: Node) -> SafeString | str:
        """The root."""
        return repo_link(node.root)

    @admin.display(description="primary parent")
    def parent_(self, node: Node) -> SafeString | str:
        """The primary parent."""
        return repo_link(node.parent)
