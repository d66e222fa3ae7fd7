"""Repos in the admin, found the way visitors find them; and the words that mend misspelt searches."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from hubapp.catalog.admin import RepoAdmin as CatalogRepoAdmin
from hubapp.catalog.models import Repo
from hubapp.jobs.readonly import LargeTableAdmin
from hubapp.probing.admin import AsksExperts
from hubapp.searching import queries
from hubapp.searching.models import Word
from hubapp.searching.query import LIMIT_MAX, Query
from workers.errors import RootstockError

FOUND_MAX = 5 * LIMIT_MAX  # of a search's results in the admin, the most popular ones


@admin.register(Repo)
class RepoAdmin(AsksExperts, CatalogRepoAdmin):
    """Facts of each repo; the search is that of the pages."""

    search_fields = ("name",)
    search_help_text = "Fragments of a name, or an address on the Hub. Shows the 500 most popular that match."

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        """What was found, by popularity; otherwise the newest first."""
        return ("rank", "pk") if request.GET.get("q", "").strip() else ("-pk",)

    def get_search_results(self, request: HttpRequest, queryset: Any, search_term: str) -> tuple[Any, bool]:
        """What the searching room finds, whatever its state."""
        text = search_term.strip()
        if not text:
            return queryset, False
        located = queries.locate(text)
        ids = {located.repo_id} if located is not None else set()
        after = ""
        try:
            while len(ids) < FOUND_MAX:
                page = queries.search(Query(text=text[:200], state="any", after=after, limit=LIMIT_MAX))
                ids.update(hit.repo_id for hit in page.hits)
                after = page.next
                if not after:
                    break
        except RootstockError as error:
            self.message_user(request, str(error), "ERROR")
        return queryset.filter(pk__in=ids), False


@admin.register(Word)
class WordAdmin(LargeTableAdmin):
    """Words of names, and how many names hold each."""

    list_display = ("word", "count")
    search_fields = ("=word",)
    search_help_text = "A word, in full."
    ordering = ("word",)
