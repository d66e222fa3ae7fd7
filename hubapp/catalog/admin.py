"""Repos, their old names and their terms, to look at."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hubapp.catalog.models import Alias, Repo, Term
from hubapp.jobs.readonly import LargeTableAdmin


def repo_link(repo: Repo | None) -> SafeString | str:
    """A repo's name, leading to its page in the admin."""
    if repo is None:
        return ""
    return format_html(
        '<a class="code" href="{}">{}</a>', reverse("admin:catalog_repo_change", args=[repo.pk]), repo.name
    )


class RepoAdmin(LargeTableAdmin):
    """Facts as the Hub gave them. Registered by the searching room, through which it is searched."""

    list_display = ("name", "state", "task", "library", "licence", "downloads", "likes", "modified_at", "crawled_at")
    list_select_related = ("task", "library", "licence")
    ordering = ("-pk",)  # the newest first; no index leads along the rank, which lists of pages take from searching
    fieldsets = (
        (None, {"fields": ("name", "state", "moved_to_", "hub_id", "author", "sha", "created_at", "modified_at")}),
        ("Use", {"fields": ("downloads", "downloads_all", "likes", "trending", "gated")}),
        ("What it is", {"fields": ("task", "library", "architecture", "model_type", "parameters", "dtypes", "tags")}),
        ("Licence", {"fields": ("licence", "licence_name", "licence_link_")}),
        ("Card", {"fields": ("card_length", "card_sha", "card_excerpt_")}),
        (
            "How we know",
            {"fields": ("crawled_at", "listing", "looked_up_at", "lookup_answer", "rank", "digest", "also")},
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of them."""
        return [name for _, options in self.fieldsets for name in options["fields"]]

    def view_on_site(self, obj: Repo) -> str:
        """The model's page."""
        return f"/models/{quote(obj.name)}"

    @admin.display(description="moved to")
    def moved_to_(self, repo: Repo) -> SafeString | str:
        """The repo that this old name stands for."""
        return repo_link(repo.moved_to)

    @admin.display(description="licence link")
    def licence_link_(self, repo: Repo) -> str:
        """As text: whatever it is, it is not followed from here."""
        return repo.licence_link

    @admin.display(description="card excerpt")
    def card_excerpt_(self, repo: Repo) -> SafeString | str:
        """As text."""
        return format_html('<pre class="excerpt">{}</pre>', repo.card_excerpt) if repo.card_excerpt else ""

    @admin.display(description="see also")
    def also(self, repo: Repo) -> SafeString:
        """Its evidence, edges and findings."""
        links = [
            format_html('<a href="{}?q={}">{}</a>', reverse(f"admin:lineage_{model}_changelist"), repo.name, model)
            for model in ("evidence", "edge", "finding", "node")
        ]
        return format_html("{}, {}, {}, {}", *links)


@admin.register(Alias)
class AliasAdmin(LargeTableAdmin):
    """Old names."""

    list_display = ("name", "repo_")
    list_select_related = ("repo",)
    search_fields = ("=folded",)
    search_help_text = "An old name, in full."
    ordering = ("-id",)
    fields = readonly_fields = ("name", "repo_")

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """By the name, in any case."""
        return (queryset.filter(folded=search_term.strip().lower()) if search_term else queryset), False

    @admin.display(description="now")
    def repo_(self, alias: Alias) -> SafeString | str:
        """The repo."""
        return repo_link(alias.repo)


@admin.register(Term)
class TermAdmin(LargeTableAdmin):
    """Tasks, libraries, licences, languages, datasets, architectures."""

    list_display = ("value", "kind")
    list_filter = ("kind",)
    search_fields = ("value",)
    ordering = ("kind", "value")

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """Along the index."""
        return ("kind", "value")
