"""Crawls that start by themselves, kept by django-celery-beat: its tasks, seen as what they mean."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from django.db import models, transaction
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask, PeriodicTasks

from hubapp.crawling.models import Scope
from hubapp.jobs import audit

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractBaseUser

TASK = "workers.tasks.start_crawl"
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")  # cron's numbers
HOURS_MAX = 720


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often: ``hours`` (every that many), ``daily`` or ``weekly`` (on ``day``, 0 is Sunday) at a time of day, UTC.

    Raises ValueError for anything else.
    """

    kind: str
    hours: int = 24
    day: int = 1
    at: time = field(default=time(3, 0))

    def __post_init__(self) -> None:
        if self.kind not in {"hours", "daily", "weekly"}:
            raise ValueError(f"{self.kind!r} is no rhythm.")
        if self.kind == "hours" and not 1 <= self.hours <= HOURS_MAX:
            raise ValueError(f"Every {self.hours} hours is not to be had.")
        if not 0 <= self.day < len(DAYS):
            raise ValueError(f"{self.day} is no day of the week.")

    def __str__(self) -> str:
        if self.kind == "hours":
            return "every hour" if self.hours == 1 else f"every {self.hours} hours"
        when = "each day" if self.kind == "daily" else f"each {DAYS[self.day]}"
        return f"{when} at {self.at:%H:%M} UTC"

    def as_dict(self) -> dict[str, str]:
        """As a form shows it."""
        return {"kind": self.kind, "hours": str(self.hours), "day": str(self.day), "at": f"{self.at:%H:%M}"}


class Schedule(PeriodicTask):
    """A crawl that is started again and again."""

    class Meta:
        proxy = True
        app_label = "crawling"
        verbose_name = "scheduled crawl"

    def __str__(self) -> str:
        return f"{describe(self.scope, self.argument)}, {self.rhythm}"

    def _wish(self) -> dict[str, Any]:
        try:
            wish = json.loads(self.kwargs or "{}")
        except ValueError:
            return {}
        return wish if isinstance(wish, dict) else {}

    @property
    def scope(self) -> str:
        """What is crawled."""
        return str(self._wish().get("scope", ""))

    @property
    def argument(self) -> str:
        """How many, whose, or which."""
        return str(self._wish().get("argument", ""))

    @property
    def rhythm(self) -> Rhythm:
        """How often."""
        if self.interval is not None:
            every = {"days": 24.0, "hours": 1.0, "minutes": 1 / 60}.get(self.interval.period, 0.0)
            return Rhythm("hours", hours=min(HOURS_MAX, max(1, round(self.interval.every * every))))
        cron = self.crontab
        if cron is None or not (cron.hour.isdecimal() and cron.minute.isdecimal()):
            return Rhythm("daily")
        at = time(int(cron.hour), int(cron.minute))
        if cron.day_of_week.isdecimal():
            return Rhythm("weekly", day=int(cron.day_of_week) % 7, at=at)
        return Rhythm("daily", at=at)

    def next_run(self) -> datetime | None:
        """When it will run, as far as can be said; None while it is off."""
        if not self.enabled:
            return None
        now = datetime.now(UTC)
        last = self.last_run_at or self.date_changed or now
        due = now + max(timedelta(), self.schedule.remaining_estimate(last)) + timedelta(seconds=30)
        return due.replace(second=0, microsecond=0)


def describe(scope: str, argument: str) -> str:
    """A scope in words: "The 5,000 most downloaded"."""
    if scope == Scope.TOP and argument.isdecimal():
        return f"The {int(argument):,} most downloaded"
    return {
        Scope.EVERYTHING: "Everything",
        Scope.CHANGED: "What changed",
        Scope.AUTHOR: f"All of {argument}",
        Scope.SEARCH: f"Models named “{argument}”",
        Scope.FAMILY: f"The family of {argument}",
    }.get(scope, f"{scope} {argument}".strip())  # type: ignore[call-overload]


def plan(
    *,
    scope: str,
    argument: str,
    rhythm: Rhythm,
    enabled: bool = True,
    schedule: Schedule | None = None,
    by: AbstractBaseUser | None = None,
) -> Schedule:
    """Make or change a schedule; beat sees it within five seconds."""
    with transaction.atomic():
        row = schedule or Schedule()
        row.task, row.queue, row.enabled = TASK, "crawl", enabled
        row.args, row.kwargs = "[]", json.dumps({"scope": scope, "argument": argument})
        row.interval = row.crontab = None
        if rhythm.kind == "hours":
            row.interval, _ = IntervalSchedule.objects.get_or_create(every=rhythm.hours, period=IntervalSchedule.HOURS)
        else:
            row.crontab, _ = CrontabSchedule.objects.get_or_create(
                minute=str(rhythm.at.minute),
                hour=str(rhythm.at.hour),
                day_of_week=str(rhythm.day) if rhythm.kind == "weekly" else "*",
                day_of_month="*",
                month_of_year="*",
                timezone="UTC",
            )
        row.name = _free_name(f"Crawl: {describe(scope, argument)}, {rhythm}", row.pk)
        row.save()
        changed()
        audit.record(by=by, target=row, what=str(row), added=schedule is None)
    return row


def switch(*, schedule: Schedule, on: bool, by: AbstractBaseUser | None = None) -> None:
    """Turn a schedule on or off."""
    with transaction.atomic():
        if Schedule.objects.filter(pk=schedule.pk).exclude(enabled=on).update(enabled=on, last_run_at=None):
            changed()
            audit.record(by=by, target=schedule, what="Turned on." if on else "Turned off.")


def changed() -> None:
    """Tell beat to read its schedules again: its own signals watch its own model, not this view of it."""
    PeriodicTasks.update_changed()


def _free_name(wanted: str, pk: int | None) -> str:
    """Beat wants names that differ; two schedules may well mean the same."""
    name, number = wanted[:190], 1
    while PeriodicTask.objects.filter(name=name).exclude(pk=pk).exists():
        number += 1
        name = f"{wanted[:190]} ({number})"
    return name


def ours() -> models.QuerySet[Schedule]:
    """All schedules of crawls, without beat's other tasks."""
    return Schedule.objects.filter(task=TASK).select_related("interval", "crontab")
