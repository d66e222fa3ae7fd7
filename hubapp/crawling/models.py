"""Crawls: what was asked for, how far it came, and what the next one may build on."""

from __future__ import annotations

from django.db import models

from hubapp.jobs.models import Job


class Scope(models.TextChoices):
    EVERYTHING = "everything"  # by createdAt
    CHANGED = "changed"  # since the last complete crawl
    TOP = "top"  # the N most downloaded
    AUTHOR = "author"
    SEARCH = "search"
    FAMILY = "family"  # one model with all its ancestors and descendants


class Crawl(models.Model):
    """One crawl of one endpoint. The job holds its state, cursor and progress."""

    job = models.OneToOneField(Job, on_delete=models.CASCADE, related_name="crawl")
    endpoint = models.CharField(max_length=300)
    scope = models.CharField(max_length=12, choices=Scope.choices)
    argument = models.CharField(max_length=200, blank=True, default="")
    listing = models.IntegerField(null=True, blank=True)  # the number of this complete listing, for reconciliation
    started_watermark = models.DateTimeField(null=True, blank=True)
    missing_share = models.FloatField(null=True, blank=True)  # of the repos that a complete listing no longer showed
    approval = models.CharField(max_length=10, blank=True, default="")  # "", "needed", "given", "refused"

    def __str__(self) -> str:
        return f"{self.scope} {self.argument}".strip()


class Watermark(models.Model):
    """Up to which lastModified an endpoint is known completely."""

    endpoint = models.CharField(max_length=300, primary_key=True)
    value = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.value:%Y-%m-%d %H:%M}"


class Budget(models.Model):
    """What is left of an endpoint's rate limit in its present window; all workers draw on this one row."""

    endpoint = models.CharField(max_length=300)
    bucket = models.CharField(max_length=40, default="api")
    quota = models.IntegerField(default=0)
    remaining = models.IntegerField(default=0)
    window = models.FloatField(default=300)  # seconds
    resets_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["endpoint", "bucket"], name="budget_once")]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.bucket}: {self.remaining} of {self.quota}"
