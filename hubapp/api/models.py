"""Tokens with which staff's programs call the API."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Token(models.Model):
    """Stands for its owner in the API. Only a digest is kept: the token itself is shown once, when it is made."""

    digest = models.CharField(max_length=64, unique=True, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80, help_text="What it is for.")
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return self.name
