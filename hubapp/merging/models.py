"""What comparing the weights of some models told: kept, so that everybody may look at it."""

from __future__ import annotations

from django.db import models


class Comparison(models.Model):
    """The weights of two to eight models beside each other, and beside their base.

    ``key`` is a digest over the repos and the base, in whatever order they were named. ``revisions`` maps each repo
    that was read (by key, as text) to its revision then; ``figures`` is ``Sampling.as_json`` with repos' names of then.
    """

    key = models.CharField(max_length=64, unique=True)
    repos = models.JSONField()  # keys, in order
    base = models.BigIntegerField(null=True, blank=True)
    revisions = models.JSONField()
    figures = models.JSONField()
    full = models.BooleanField(default=False)
    share = models.FloatField(default=0.0)
    bytes_read = models.BigIntegerField(default=0)
    version = models.PositiveSmallIntegerField()
    compared_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{len(self.repos)} models, {self.share:.1%} read"
