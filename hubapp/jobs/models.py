"""Work to be done, and what came of it. The database is the truth and the queue."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class JobState(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"  # a permanent error: asking again would give the same
    CANCELLED = "cancelled"
    PARKED = "parked"  # tried max_attempts times; waits for a person


ACTIVE_STATES = (JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)
FINAL_STATES = (JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.PARKED)


class Job(models.Model):
    """One piece of work: its wish, its progress, where it stands, who holds it.

    ``key`` is a digest of kind and parameters, unique while the job is active: asking twice gives the same job.
    ``cursor`` is where the next step begins; it is written in the transaction that stores the step's results.
    ``lease_token`` names the run that holds the job; ``wanted`` is what a person asked of a running job
    ("pause", "cancel"), obeyed between steps.
    ``attempts`` counts the tries of the present step, the one under way included; a step that lands sets it back.
    ``send_at`` is when the sweeper sends the job's message again, should nobody have claimed it by then.
    ``progress`` holds counts that the pages show: {"done": int, "total": int | null, "unit": str, …}.
    """

    kind = models.CharField(max_length=40)
    queue = models.CharField(max_length=20, default="crawl")
    params = models.JSONField(default=dict)
    key = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=JobState.choices, default=JobState.QUEUED)
    wanted = models.CharField(max_length=10, blank=True, default="")
    progress = models.JSONField(default=dict)
    cursor = models.JSONField(null=True, blank=True)
    lease_token = models.UUIDField(null=True, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    holder = models.CharField(max_length=200, blank=True, default="")  # the process that holds the lease
    again = models.BooleanField(default=False)  # asked for once more while it ran: it starts over when it is done
    not_before = models.DateTimeField(null=True, blank=True)
    send_at = models.DateTimeField(null=True, blank=True)
    sends = models.PositiveSmallIntegerField(default=0)  # messages since the job was last queued
    attempts = models.PositiveSmallIntegerField(default=0)
    max_attempts = models.PositiveSmallIntegerField(default=5)
    error_code = models.CharField(max_length=60, blank=True, default="")
    error = models.TextField(blank=True, default="")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key"], condition=models.Q(state__in=ACTIVE_STATES), name="job_active_once")
        ]
        indexes = [
            models.Index(fields=["state", "queue", "id"], name="job_state_queue"),
            models.Index(fields=["kind", "-id"], name="job_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} #{self.pk}"


class Fault(models.Model):
    """One row, page or repo that a job could not use, with the reason: the job went on without it."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="faults")
    subject = models.CharField(max_length=300)
    code = models.CharField(max_length=60)
    message = models.TextField()
    excerpt = models.TextField(blank=True, default="")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "subject", "code"], name="fault_once")]
        indexes = [models.Index(fields=["code", "-id"], name="fault_code")]

    def __str__(self) -> str:
        return f"{self.code}: {self.subject}"
