"""Whether a container's process is well: exit status 0 or 1, with one line that says what is wrong.

Usage: ``python ops/probe.py web [PORT] | worker QUEUE | search | beat``.
"""

from __future__ import annotations

import http.client
import os
import socket
import sys
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

PING_SECONDS = 5.0
BEAT_SILENCE = timedelta(minutes=10)  # beat writes down every three minutes what it has sent


def web(port: str = "8000") -> str:
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=4)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return "" if response.status == 200 else f"not ready: {response.read().decode('utf-8', 'replace')}"
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {error}"
    finally:
        connection.close()


def _django() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hubapp.settings")
    import django

    django.setup()


def worker(queue: str) -> str:
    """It answers a ping, or is at work: a solo worker hears nothing until its step is done."""
    _django()
    from django.utils import timezone

    from hubapp.jobs.models import Job, JobState
    from workers.celery import app

    host = socket.gethostname()
    if app.control.inspect(destination=[f"{queue}@{host}"], timeout=PING_SECONDS).ping():
        return ""
    at_work = Job.objects.filter(
        queue=queue, state=JobState.RUNNING, lease_until__gt=timezone.now(), holder__startswith=f"{host[:80]}/"
    )
    return "" if at_work.exists() else f"{queue}@{host} neither answers nor holds a job"


def search() -> str:
    """It listens and its encoder is loaded; before anything was crawled there may be none to load."""
    _django()
    from hubapp.searching import asking

    try:
        asking.health()
    except asking.Silent as silent:
        return f"search is {silent.state}" if silent.state == "down" else ""
    return ""


def beat() -> str:
    _django()
    from django.utils import timezone
    from django_celery_beat.models import PeriodicTask

    last = PeriodicTask.objects.filter(enabled=True).order_by("-last_run_at").values_list("last_run_at", flat=True)
    newest = next((moment for moment in last if moment is not None), None)
    if newest is not None and timezone.now() - newest < BEAT_SILENCE:
        return ""
    return f"nothing was sent since {newest}"


def main(arguments: list[str]) -> int:
    kinds = {"web": web, "worker": worker, "search": search, "beat": beat}
    if not arguments or arguments[0] not in kinds:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    wrong = kinds[arguments[0]](*arguments[1:])
    if wrong:
        sys.stderr.write(wrong + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
