"""Comparisons of weights, to look at."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from hubapp.jobs.readonly import LargeTableAdmin
from hubapp.merging.models import Comparison


@admin.register(Comparison)
class ComparisonAdmin(LargeTableAdmin):
    """What was compared, how much of it was read, and when."""

    list_display = ("models_", "full", "share_", "bytes_read", "compared_at")
    list_filter = ("full",)
    ordering = ("-compared_at",)
    fields = readonly_fields = (
        "models_", "base", "revisions", "full", "share_", "bytes_read", "version", "compared_at", "figures",
    )  # fmt: skip

    @admin.display(description="models")
    def models_(self, row: Comparison) -> SafeString:
        """The models, with the page of their merge."""
        names = ",".join(row.figures.get("models", ()))
        return format_html('<a href="{}?models={}">{}</a>', reverse("web:merge"), names, names.replace(",", ", "))

    @admin.display(description="read")
    def share_(self, row: Comparison) -> str:
        """The share of all numbers."""
        return f"{row.share:.2%}"

    def has_delete_permission(self, request: HttpRequest, obj: Comparison | None = None) -> bool:
        """Comparisons are renewed, not deleted."""
        return False
