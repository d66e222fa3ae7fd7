"""Experts for trees of models, and what they say of each model."""

from __future__ import annotations

from django.db import models

from hubapp.catalog.models import Repo
from workers.probing.records import Abstention, ReadingState


class Expert(models.Model):
    """One trained expert; what it learned are its ``files``, safetensors and JSON.

    ``root`` is the root of its tree and ``form`` what it reads: adapters (their updates) or full weights. ``quality``
    is what each method that was compared did on held-out models ({method: records.Quality as JSON}): the one that does
    best serves. ``text_digest`` names the text encoder whose space its map starts from ("": not to be asked in words).
    """

    class State(models.TextChoices):
        IN_SERVICE = "in_service", "in service"
        RETIRED = "retired", "retired"

    class Form(models.TextChoices):
        ADAPTER = "adapter", "adapters"
        FULL = "full", "full weights"

    root = models.ForeignKey(Repo, on_delete=models.CASCADE, related_name="experts")
    form = models.CharField(max_length=8, choices=Form.choices)
    method = models.CharField(max_length=20)
    state = models.CharField(max_length=12, choices=State.choices, default=State.IN_SERVICE)
    layers = models.JSONField(default=list)  # [name, out, in]
    labels = models.JSONField(default=list)
    several = models.BooleanField(default=False)  # whether a model may have several labels
    fitted = models.PositiveIntegerField()  # models that it was fitted to
    quality = models.JSONField(default=dict)
    text_digest = models.CharField(max_length=128, blank=True, default="")
    job = models.ForeignKey("jobs.Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    bytes_read = models.BigIntegerField(default=0)
    trained_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["state", "root"], name="expert_in_service")]
        constraints = [
            models.UniqueConstraint(
                fields=["root", "form"], condition=models.Q(state="in_service"), name="expert_one_in_service"
            )
        ]

    def __str__(self) -> str:
        return f"{self.method} for {self.root_id} ({self.form})"


class ExpertFile(models.Model):
    """One file of an expert: kept here, where every worker and the search process reach it; ``var/experts/<id>/`` is a
    copy for reading.
    """

    expert = models.ForeignKey(Expert, on_delete=models.CASCADE, related_name="files", db_index=False)
    name = models.CharField(max_length=40)
    data = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["expert", "name"], name="expert_file_once")]

    def __str__(self) -> str:
        return f"{self.expert_id}: {self.name}"


class Reading(models.Model):
    """What an expert says of a repo's weights at ``revision``.

    ``guesses`` are [label, calibrated probability], the likeliest first. ``claims`` are the labels that its card gave
    when it was read. ``embedding`` is float16, little-endian, of length one: b"" where there is none. ``learned``: the
    expert was fitted to this very model, by what its card says.
    """

    repo = models.OneToOneField(Repo, primary_key=True, on_delete=models.CASCADE, related_name="reading")
    expert = models.ForeignKey(Expert, null=True, on_delete=models.CASCADE, related_name="readings")
    revision = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in ReadingState])
    reason = models.CharField(max_length=16, blank=True, default="", choices=[(a.value, a.value) for a in Abstention])
    guesses = models.JSONField(default=list)
    claims = models.JSONField(default=list)
    learned = models.BooleanField(default=False)
    distance = models.FloatField(null=True, blank=True)
    embedding = models.BinaryField(default=b"")
    bytes_read = models.BigIntegerField(default=0)
    read_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["expert", "state"], name="reading_expert")]

    def __str__(self) -> str:
        return f"{self.repo_id}: {self.state}"
