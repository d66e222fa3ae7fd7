"""What was read of the weights of each repo, at its present revision."""

from __future__ import annotations

from django.db import models

from hubapp.catalog.models import Repo
from workers.weights.records import State

STATES = [(state.value, state.value.replace("_", " ")) for state in State]


class Inspection(models.Model):
    """One repo's small files and headers, as they were at ``revision``.

    ``config``, ``tokenizer``, ``adapter`` and ``quantization`` are the records of workers/weights as JSON; ``schema``
    is ``Schema.pack``'s. ``tokenizer_print`` is a digest of the tokenizer's files: repos that share it share a
    tokenizer, which is read once. ``method`` is the version of the reading.
    """

    repo = models.OneToOneField(Repo, primary_key=True, on_delete=models.CASCADE, related_name="inspection")
    revision = models.CharField(max_length=64)
    method = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=16, choices=STATES)
    code = models.CharField(max_length=60, blank=True, default="")
    reason = models.CharField(max_length=500, blank=True, default="")
    config = models.JSONField(default=dict)
    tokenizer = models.JSONField(null=True, blank=True)
    tokenizer_print = models.CharField(max_length=64, blank=True, default="")
    adapter = models.JSONField(null=True, blank=True)
    quantization = models.JSONField(null=True, blank=True)
    oddities = models.JSONField(default=list)
    format = models.CharField(max_length=12, blank=True, default="")
    schema = models.BinaryField(null=True, blank=True)
    signature = models.CharField(max_length=32, blank=True, default="")
    dtypes = models.JSONField(default=dict)
    parameters = models.BigIntegerField(default=0)
    tensors = models.PositiveIntegerField(default=0)
    files = models.JSONField(default=list)  # [name, bytes, sha256], the first hundred
    file_count = models.PositiveIntegerField(default=0)
    size = models.BigIntegerField(default=0)  # bytes of all files of weights
    bytes_read = models.BigIntegerField(default=0)
    requests = models.PositiveIntegerField(default=0)
    read_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["signature"], name="inspection_signature", condition=~models.Q(signature="")),
            models.Index(
                fields=["tokenizer_print"], name="inspection_tokenizer", condition=~models.Q(tokenizer_print="")
            ),
            models.Index(fields=["state", "repo"], name="inspection_state"),
        ]

    def __str__(self) -> str:
        return f"{self.repo_id}: {self.state}"


class Sketch(models.Model):
    """Sampled rows of a repo's weights, kept so that they are compared with others' and not read again.

    ``data`` is ``workers.weights.sketches.Sketch.dumps``, null where none could be drawn (``code`` says why). ``body``
    is a digest of the architecture's layers, equal for all that can be compared row by row; ``print`` is 256 float16
    by which near ones are found among many.
    """

    repo = models.OneToOneField(Repo, primary_key=True, on_delete=models.CASCADE, related_name="sketch")
    revision = models.CharField(max_length=64)
    version = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=10, blank=True, default="")  # "model" or "adapter"
    body = models.CharField(max_length=32, blank=True, default="")
    print = models.BinaryField(null=True, blank=True)
    data = models.BinaryField(null=True, blank=True)
    code = models.CharField(max_length=60, blank=True, default="")
    reason = models.CharField(max_length=500, blank=True, default="")
    bytes_read = models.BigIntegerField(default=0)
    requests = models.PositiveIntegerField(default=0)
    drawn_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["body", "repo"], name="sketch_body", condition=~models.Q(body=""))]

    def __str__(self) -> str:
        return f"{self.repo_id}: {self.kind or self.code}"
