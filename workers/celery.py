"""The Celery application: where messages go and how workers take them.

A message is a wake-up call that carries a job's number; the database holds the job. That decides most of what follows:
a message may be lost, doubled or late, and nothing comes of it but time.
"""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hubapp.settings")

import django
from celery import Celery
from celery.signals import setup_logging, worker_process_init, worker_ready, worker_shutting_down
from django.apps import apps
from django.conf import settings
from kombu import Exchange, Queue

from workers import filebroker, stopping

if not apps.ready:
    django.setup()

app = Celery("rootstock")


def _embedded() -> dict[str, Any]:
    """No server: messages are files under ``var/``."""
    return {
        "broker_url": f"{filebroker.SCHEME}://localhost",
        "broker_transport_options": {
            **filebroker.make_folders(settings.VAR / "broker"),
            "polling_interval": 0.1,  # at kombu's 1 s each job would begin a second late
        },
    }


def _redis() -> dict[str, Any]:
    return {
        "broker_url": settings.REDIS_URL,
        "broker_transport_options": {
            # What a killed worker had fetched and not begun comes back after this. Longer than any countdown
            # (messages.COUNTDOWN_MAX), for a message that waits longer would be delivered twice.
            "visibility_timeout": 600,
            # Look for such messages every 2 s; the default, each tenth time of every 10 s, adds a minute and a half.
            "unacked_restore_interval": 2,
            "unacked_restore_throttle": 1,
            # A web request must not wait for a broker that is down: the job's row is queued, the sweeper sends later.
            "max_retries": 1,
            "socket_connect_timeout": 2,
            # Longer than the 1 s that a worker's blocking read waits; a dead connection is noticed after this.
            "socket_timeout": 30,
            "socket_keepalive": True,
            "health_check_interval": 30,
        },
    }


app.conf.update(
    **(_redis() if settings.REDIS_URL else _embedded()),
    # -- messages
    # Nothing that could carry code, from whoever can write to the broker.
    task_serializer="json",
    accept_content=["json"],
    # Results are rows in the database; a result backend would be a second truth.
    task_ignore_result=True,
    # All names are known, so that a misspelt queue fails instead of making one that no worker reads.
    # Each has an exchange of its own: without one all would share the default exchange and its key, and every message
    # would go to all three.
    task_queues=[Queue(name, Exchange(name), routing_key=name) for name in ("crawl", "analyse", "gpu")],
    task_default_queue="crawl",
    task_create_missing_queues=False,
    # Times in messages are absolute and aware.
    timezone="UTC",
    enable_utc=True,
    # -- taking them
    # One message at a time: jobs are long, and what a process has fetched no other can begin.
    worker_prefetch_multiplier=1,
    # Acknowledged before the work (Celery's default): the lease, not the broker, decides whether a job runs again.
    # With late acknowledgement Redis would deliver each message a second time once the visibility time-out is over.
    task_acks_late=False,
    # A message whose worker was killed is not put back: a job that kills its worker (memory) would loop for ever.
    # The sweeper sees the dead holder within 15 s, counts the attempt in the database, and parks after the last.
    task_reject_on_worker_lost=False,
    # Losing the broker says nothing of the jobs under way: they finish their slice, the worker connects anew for ever.
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # -- bounds on a process (pool prefork; solo workers have a supervisor)
    # A run ends after at most tasks.SLICE_MAX plus one step. What is still there after an hour hangs.
    task_time_limit=3600,
    # kB, looked at between tasks. A crawl's children stay under 200 MB; one that has grown to this is replaced.
    worker_max_memory_per_child=600_000,
    # -- the rest
    # No one reads events here; with a broker of files they would be files.
    worker_send_task_events=False,
    # Logs go where the supervisor or the container sends them, as the process prints them.
    worker_redirect_stdouts=False,
    imports=["workers.tasks"],
    # -- periodic work; written to the database when beat starts, beside the schedules that the admin makes there
    beat_scheduler="django_celery_beat.schedulers:DatabaseScheduler",
    beat_schedule={
        "sweep": {
            "task": "workers.tasks.sweep",
            "schedule": 15.0,
            # One that waited longer has been overtaken by the next.
            "options": {"queue": "crawl", "expires": 15.0},
        },
        # Crawls ask for lineage and the index themselves; this is for what a crash kept them from asking.
        "wake": {"task": "workers.tasks.wake", "schedule": 60.0, "options": {"queue": "crawl", "expires": 60.0}},
    },
)


@setup_logging.connect
def _keep_the_log(**_: Any) -> None:
    """Django's LOGGING is in force; that somebody listens here keeps Celery from putting its own in its place."""


@worker_ready.connect
def _sweep_at_start(**_: Any) -> None:
    """After a start nobody knows which messages were lost: send again for each job that waits."""
    import structlog
    from django.db import DatabaseError, connections

    from hubapp.jobs import services

    try:
        services.sweep(everything=True)
    except DatabaseError as error:  # being migrated, say: beat sends a sweep every 15 s
        structlog.get_logger(__name__).warning("sweep.failed", error=str(error))
    finally:
        connections.close_all()  # this process only forks from here on: children must not share a connection


@worker_process_init.connect
def _adopt(**_: Any) -> None:
    stopping.adopt()


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    stopping.ask()
