"""One job from wish to end, run in this process: what a step returns or raises, and what becomes of it."""

from __future__ import annotations

import dataclasses
import time
from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from hubapp.jobs import kinds, services
from hubapp.jobs.models import Job, JobState
from tests.jobs.counting import COUNT, RERUN, count, seen
from workers import steps, stopping, tasks
from workers.errors import BadInput, Interrupted, LeaseLost, RateLimited, RemoteUnavailable

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(tasks, "BACKOFF", 0.001)


@pytest.fixture
def raising(monkeypatch):
    """Errors that the next steps raise, the last first."""
    errors: list[BaseException] = []

    def step(job, cursor):
        if errors:
            raise errors.pop()
        return count(job, cursor)

    monkeypatch.setitem(steps._steps, COUNT.name, step)
    return errors


def enqueue(**params) -> Job:
    return services.enqueue(kind=COUNT.name, params={"to": 3, **params})


def test_runs_to_its_end_and_tells_of_each_step():
    job = enqueue()
    told = []
    done = tasks.run_here(job.pk, on_progress=lambda job: told.append(job.progress.get("done")))
    assert (done.state, done.cursor, done.attempts) == (JobState.DONE, 3, 0)
    assert done.lease_token is None
    assert done.finished_at is not None
    assert told[:3] == [1, 2, 3]
    assert seen(job) == [1, 2, 3]


def test_a_remote_error_is_tried_again_and_forgotten_once_a_step_lands(raising):
    raising[:] = [RemoteUnavailable("503")] * 2
    job = tasks.run_here(enqueue().pk)
    assert (job.state, job.error, job.error_code) == (JobState.DONE, "", "")
    assert seen(job) == [1, 2, 3]


def test_errors_at_different_steps_do_not_add_up(raising, monkeypatch):
    def stumbling(job, cursor):
        if len(raising) < 6 and len(raising) % 2 == (cursor or 0) % 2:
            raising.append(RemoteUnavailable("503"))
            raise raising[-1]
        return count(job, cursor)

    monkeypatch.setitem(steps._steps, COUNT.name, stumbling)
    assert tasks.run_here(enqueue(to=8).pk).state == JobState.DONE
    assert len(raising) == 6 > COUNT.max_attempts


def test_the_same_error_again_and_again_parks_the_job(raising):
    raising[:] = [RemoteUnavailable("503 from /api/models")] * 10
    job = tasks.run_here(enqueue().pk)
    assert (job.state, job.attempts) == (JobState.PARKED, COUNT.max_attempts)
    assert (job.error_code, job.error) == ("remote.unavailable", "503 from /api/models")
    raising.clear()
    services.retry(job_id=job.pk)
    assert tasks.run_here(job.pk).state == JobState.DONE
    assert seen(job) == [1, 2, 3]


def test_a_permanent_error_fails_at_once(raising):
    raising.append(BadInput("nonsense"))
    job = tasks.run_here(enqueue().pk)
    assert (job.state, job.error_code, job.error) == (JobState.FAILED, "input", "nonsense")
    assert seen(job) == []


def test_a_bug_is_logged_with_its_traceback_and_parks_in_the_end(raising, caplog):
    raising[:] = [ZeroDivisionError("boom")] * 10
    job = tasks.run_here(enqueue().pk)
    assert (job.state, job.error_code, job.error) == (JobState.PARKED, "bug", "ZeroDivisionError: boom")
    assert "Traceback" in caplog.text
    assert "raise errors.pop()" in caplog.text


def test_a_busy_database_is_tried_again(raising):
    raising.append(OperationalError("database is locked"))
    assert tasks.run_here(enqueue().pk).state == JobState.DONE


def test_rate_limits_count_no_attempt(raising):
    job = enqueue()
    for _ in range(10):
        raising.append(RateLimited("429", wait=60))
        tasks.run_job(job.pk)
        job.refresh_from_db()
        assert (job.state, job.attempts, job.error_code) == (JobState.QUEUED, 0, "remote.rate_limited")
        assert 55 < (job.not_before - timezone.now()).total_seconds() <= 60
        Job.objects.update(not_before=None)
    tasks.run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.error) == (JobState.DONE, "")


def test_a_short_rate_limit_is_slept_through(raising):
    raising.append(RateLimited("429", wait=0.05))
    job = enqueue()
    tasks.run_job(job.pk)
    job.refresh_from_db()
    assert job.state == JobState.DONE


def test_a_waiting_step_frees_the_worker():
    job = enqueue(wait=90)
    began = time.monotonic()
    tasks.run_job(job.pk)
    assert time.monotonic() - began < 5
    job.refresh_from_db()
    assert (job.state, job.cursor, job.lease_token, job.attempts) == (JobState.QUEUED, 1, None, 0)
    assert (job.not_before - timezone.now()).total_seconds() > 80
    tasks.run_job(job.pk)  # too early
    job.refresh_from_db()
    assert job.cursor == 1


def test_what_a_step_stores_is_rolled_back_when_its_lease_is_lost(monkeypatch):
    def robbed(job, cursor):
        outcome = count(job, cursor)
        if cursor == 1:
            Job.objects.filter(pk=job.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
            assert services.claim(job_id=job.pk) is not None
        return outcome

    monkeypatch.setitem(steps._steps, COUNT.name, robbed)
    job = enqueue()
    tasks.run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.cursor) == (JobState.RUNNING, 1)  # the robber's now
    assert seen(job) == [1]


def test_results_and_cursor_fall_together_when_storing_fails(raising, monkeypatch):
    def half(job, cursor):
        outcome = count(job, cursor)

        def store():
            outcome.store()
            if cursor == 1 and not raising:
                raising.append(RuntimeError())
                raise OperationalError("disk I/O error")

        return steps.Outcome(store=store, cursor=outcome.cursor, progress=outcome.progress, done=outcome.done)

    monkeypatch.setitem(steps._steps, COUNT.name, half)
    job = enqueue()
    assert tasks.run_here(job.pk).state == JobState.DONE
    assert seen(job) == [1, 2, 3]


@pytest.mark.parametrize(("wish", "state"), [(services.pause, JobState.PAUSED), (services.cancel, JobState.CANCELLED)])
def test_a_persons_wish_is_obeyed_between_steps(wish, state):
    job = enqueue(to=5)
    tasks.run_here(job.pk, on_progress=lambda now: now.cursor == 2 and wish(job_id=job.pk))
    job.refresh_from_db()
    assert (job.state, job.wanted, job.cursor) == (state, "", 2)
    if state == JobState.PAUSED:
        tasks.run_job(job.pk)
        job.refresh_from_db()
        assert job.cursor == 2
        services.resume(job_id=job.pk)
    else:
        services.retry(job_id=job.pk)
    assert tasks.run_here(job.pk).state == JobState.DONE
    assert seen(job) == [1, 2, 3, 4, 5]


def test_a_wish_interrupts_a_long_step_that_beats(monkeypatch):
    def endless(job, cursor):
        services.cancel(job_id=job.pk)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            steps.heartbeat()
        return count(job, cursor)

    monkeypatch.setitem(steps._steps, COUNT.name, endless)
    monkeypatch.setitem(kinds._kinds, COUNT.name, dataclasses.replace(COUNT, lease_seconds=1))
    job = enqueue()
    began = time.monotonic()
    tasks.run_job(job.pk)
    assert time.monotonic() - began < 5
    job.refresh_from_db()
    assert (job.state, seen(job)) == (JobState.CANCELLED, [])


def test_a_heartbeat_renews_the_lease_and_notices_its_loss():
    job = enqueue()
    lease = services.claim(job_id=job.pk)
    Job.objects.update(lease_until=timezone.now())
    assert services.renew(lease=lease) == ""
    job.refresh_from_db()
    assert (job.lease_until - timezone.now()).total_seconds() > 20
    services.pause(job_id=job.pk)
    assert services.renew(lease=lease) == "pause"
    Job.objects.update(lease_token=None)
    with pytest.raises(LeaseLost):
        services.renew(lease=lease)
    steps.heartbeat()  # outside a job: nothing happens


def test_a_worker_that_stops_gives_its_job_back(monkeypatch):
    job = enqueue(each=30)
    monkeypatch.setattr(stopping, "asked", lambda: True)
    tasks.run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempts, job.lease_token) == (JobState.QUEUED, 0, None)


def test_ctrl_c_gives_the_job_back_and_is_passed_on(raising):
    raising.append(KeyboardInterrupt())
    job = enqueue()
    with pytest.raises(KeyboardInterrupt):
        tasks.run_here(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)


def test_an_interrupted_step_counts_no_attempt(raising):
    raising.append(Interrupted("stop"))
    job = enqueue()
    tasks.run_job(job.pk)
    job.refresh_from_db()
    assert (job.state, job.attempts) == (JobState.QUEUED, 0)


def test_a_long_job_makes_room_when_others_wait(monkeypatch):
    monkeypatch.setattr(tasks, "SLICE", 0.0)
    long, short = enqueue(to=5), enqueue(to=1)
    tasks.run_job(long.pk)
    long.refresh_from_db()
    assert (long.state, long.cursor) == (JobState.QUEUED, 1)
    tasks.run_job(short.pk)
    assert Job.objects.get(pk=short.pk).state == JobState.DONE
    tasks.run_job(long.pk)
    long.refresh_from_db()
    assert (long.state, seen(long)) == (JobState.DONE, [1, 2, 3, 4, 5])


def test_asked_for_again_while_it_runs_it_runs_again():
    wish = {"kind": RERUN.name, "params": {"to": 2}}
    job = services.enqueue(**wish)
    asked = []

    def ask_once(now):
        if not asked:
            asked.append(services.enqueue(**wish))

    assert tasks.run_here(job.pk, on_progress=ask_once).state == JobState.DONE
    assert asked == [job]
    assert seen(job) == [1, 2, 1, 2]
    assert services.enqueue(**wish) != job  # finished: a new one


def test_looks_on_while_another_process_has_it(monkeypatch):
    monkeypatch.setattr(tasks, "POLL", 0.01)
    job = enqueue()
    lease = services.claim(job_id=job.pk)
    looks = []

    def look(now):
        looks.append(now.state)
        if len(looks) == 3:
            services.finish(lease=lease, cursor=9, progress={"done": 9})

    assert tasks.run_here(job.pk, on_progress=look).cursor == 9
    assert looks == [JobState.RUNNING] * 3 + [JobState.DONE]
