"""``manage.py jobs`` and ``manage.py ensureadmin``, and the system check."""

from __future__ import annotations

import io
import json
import stat

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from hubapp.jobs import checks, services
from hubapp.jobs.models import Job, JobState
from tests.jobs.counting import COUNT

pytestmark = pytest.mark.django_db


def say(*arguments: str, **options) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=io.StringIO(), **options)
    return out.getvalue()


def test_jobs_are_listed_shown_and_steered():
    assert say("jobs", "list") == "No jobs.\n"
    job = services.enqueue(kind=COUNT.name, params={"to": 3})
    services.record_fault(job=job, subject="org/name", code="input.row", message="no id")
    assert "test-count" in say("jobs", "list", "--state", "queued")
    assert "test-count" not in say("jobs", "list", "--state", "done")
    assert json.loads(say("jobs", "list", "--json"))["params"] == {"to": 3}
    shown = say("jobs", "show", str(job.pk))
    assert "1 input.row" in shown
    assert "org/name: no id" in shown
    assert "paused" in say("jobs", "pause", str(job.pk))
    assert "queued" in say("jobs", "resume", str(job.pk))
    assert "cancelled" in say("jobs", "cancel", str(job.pk))
    with pytest.raises(CommandError, match="1 of 1"):
        say("jobs", "pause", str(job.pk))
    with pytest.raises(CommandError, match="Which jobs"):
        say("jobs", "cancel")
    with pytest.raises(CommandError, match="no job 77"):
        say("jobs", "show", "77")


def test_all_parked_jobs_are_tried_again_at_once():
    for number in range(3):
        services.enqueue(kind=COUNT.name, params={"n": number})
    Job.objects.update(state=JobState.PARKED, error_code="remote", error="x")
    assert "remote: x" in say("jobs", "list")
    assert say("jobs", "retry", "--parked").count("queued") == 3
    assert "3 sent" in say("jobs", "sweep")


def test_the_admin_is_made_once(settings, tmp_path, monkeypatch):
    monkeypatch.delenv("ROOTSTOCK_ADMIN_PASSWORD", raising=False)
    settings.VAR = tmp_path / "var"
    path = settings.VAR / "admin_password"
    assert str(path) in say("ensureadmin")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    password = path.read_text().strip()
    assert len(password) >= 20
    assert authenticate(username="admin", password=password).is_superuser
    assert "exists" in say("ensureadmin")
    assert path.read_text().strip() == password
    User.objects.all().delete()  # a new database, the old folder
    say("ensureadmin", verbosity=0)
    assert authenticate(username="admin", password=password)


def test_the_deploy_profile_has_no_password_of_its_own(settings, tmp_path, monkeypatch):
    settings.DEPLOY, settings.VAR = True, tmp_path
    monkeypatch.delenv("ROOTSTOCK_ADMIN_PASSWORD", raising=False)
    with pytest.raises(CommandError, match="ROOTSTOCK_ADMIN_PASSWORD"):
        say("ensureadmin")
    monkeypatch.setenv("ROOTSTOCK_ADMIN_PASSWORD", "password1234")
    with pytest.raises(CommandError, match="too common"):
        say("ensureadmin")
    assert not User.objects.exists()
    monkeypatch.setenv("ROOTSTOCK_ADMIN_PASSWORD", "graft the apple onto the quince")
    say("ensureadmin", "--name", "gardener")
    assert authenticate(username="gardener", password="graft the apple onto the quince").is_superuser
    assert not (tmp_path / "admin_password").exists()
    monkeypatch.delenv("ROOTSTOCK_ADMIN_PASSWORD")
    assert "in charge already" in say("ensureadmin")


def test_a_queue_for_many_machines_wants_a_database_for_many(settings, monkeypatch):
    assert checks.queue_and_database_go_together(None) == []
    settings.REDIS_URL = "redis://127.0.0.1:6379/0"
    assert [caution.id for caution in checks.queue_and_database_go_together(None)] == ["ROOT.W011"]
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "django.db.backends.postgresql")
    assert checks.queue_and_database_go_together(None) == []
