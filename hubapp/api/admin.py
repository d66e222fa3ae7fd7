"""Tokens in the admin: to see and to withdraw. They are made with ``manage.py apitoken``, which shows them once."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from hubapp.api.models import Token


@admin.register(Token)
class TokenAdmin(admin.ModelAdmin):
    list_display = ("name", "owner", "created_at", "used_at")
    list_select_related = ("owner",)
    search_fields = ("name", "owner__username")
    readonly_fields = ("name", "owner", "created_at", "used_at")

    def has_add_permission(self, request: Any) -> bool:
        return False
