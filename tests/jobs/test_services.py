"""Asking, wishing, recording, sweeping: every change of state on its own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from hubapp.jobs import holders, kinds, messages, queries, services
from hubapp.jobs.models import Fault, Job, JobState
from tests.jobs.counting import COUNT, RERUN
from workers.errors import BadRequest, LeaseLost

pytestmark = [pytest.mark.both_databases, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def sent(monkeypatch):
    """The jobs that messages were sent for, in order."""
    numbers: list[int] = []

    def send(job):
        numbers.append(job.pk)
        Job.objects.filter(pk=job.pk).update(send_at=messages.later(now=timezone.now(), due=job.not_before, sends=0))
        return True

    monkeypatch.setattr(messages, "send", send)
    return numbers


def enqueue(**params) -> Job:
    return services.enqueue(kind=COUNT.name, params={"to": 3, **params})


def test_the_same_wish_is_one_job_while_it_is_active(sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        job = enqueue(a=1, b=2)
        assert enqueue(b=2, a=1) == job
        assert enqueue(a=1, b=3) != job
    assert len(sent) == 2
    services.cancel(job_id=job.pk)
    assert enqueue(a=1, b=2) != job


def test_unknown_kinds_are_refused():
    with pytest.raises(BadRequest, match="no kind of work named 'nonsense'"):
        services.enqueue(kind="nonsense", params={})
    with pytest.raises(ValueError, match="queue"):
        kinds.register(kinds.Kind("x", "nowhere", "X"))
    with pytest.raises(ValueError, match="registered twice"):
        kinds.register(kinds.Kind(COUNT.name, "gpu", "X"))


def test_no_message_before_commit_and_none_without_it(sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        with transaction.atomic():
            enqueue()
            transaction.set_rollback(True)
        services.enqueue(kind=COUNT.name, params={"to": 1}, send=False)
    assert (callbacks, sent) == ([], [])


def test_of_two_claims_one_wins():
    job = enqueue()
    lease = services.claim(job_id=job.pk)
    assert lease is not None
    assert lease.job.attempts == 1
    assert services.claim(job_id=job.pk) is None
    assert services.claim(job_id=10**9) is None


def test_a_job_is_not_claimed_before_its_time():
    job = services.enqueue(kind=COUNT.name, params={"to": 1}, not_before=timezone.now() + timedelta(seconds=60))
    assert services.claim(job_id=job.pk) is None
    services.retry(job_id=job.pk)  # "run now"
    assert services.claim(job_id=job.pk) is not None


def test_an_expired_lease_is_taken_over_and_its_first_holder_is_locked_out():
    job = enqueue()
    first = services.claim(job_id=job.pk)
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    second = services.claim(job_id=job.pk)
    services.advance(lease=second, cursor=1, progress={})
    for late in (
        lambda: services.advance(lease=first, cursor=7, progress={}),
        lambda: services.finish(lease=first, cursor=7, progress={}),
        lambda: services.fail(lease=first, code="x", message="x"),
        lambda: services.defer(lease=first, seconds=1),
        lambda: services.defer(lease=first, seconds=1, counts=True),
        lambda: services.renew(lease=first),
        lambda: services.obey(lease=first),
    ):
        with pytest.raises(LeaseLost):
            late()
    job.refresh_from_db()
    assert (job.cursor, job.lease_token) == (1, second.token)


def test_a_lease_that_ran_out_still_counts_while_nobody_else_came():
    job = enqueue()
    lease = services.claim(job_id=job.pk)
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    services.advance(lease=lease, cursor=1, progress={})
    job.refresh_from_db()
    assert job.lease_until > timezone.now()


def test_a_worker_lost_again_and_again_parks_the_job():
    job = enqueue()
    for number in range(COUNT.max_attempts):
        assert services.claim(job_id=job.pk).job.attempts == number + 1
        Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert services.claim(job_id=job.pk) is None
    job.refresh_from_db()
    assert (job.state, job.error_code) == (JobState.PARKED, "job.worker_lost")
    assert "lost 3 times" in job.error


# --- the sweeper ----------------------------------------------------------------------------------------------------
def test_the_sweeper_leaves_alone_what_is_well(sent):
    services.claim(job_id=enqueue(a=1).pk)
    enqueue(a=2)
    services.pause(job_id=enqueue(a=3).pk)
    services.cancel(job_id=enqueue(a=4).pk)
    assert services.sweep() == services.Swept()
    assert sent == []


def test_the_sweeper_sends_again_what_nobody_picked_up(sent):
    job = enqueue()
    Job.objects.update(send_at=timezone.now() - timedelta(seconds=1))
    assert services.sweep().sent == 1
    assert services.sweep().sent == 0
    assert services.sweep(everything=True).sent == 1
    assert sent == [job.pk, job.pk]


def test_the_sweeper_waits_for_what_is_due_later(sent):
    services.enqueue(kind=COUNT.name, params={"to": 1}, not_before=timezone.now() + timedelta(hours=1))
    assert services.sweep(everything=True).sent == 0


@pytest.mark.parametrize(
    ("wanted", "attempts", "state"),
    [
        ("", 1, JobState.QUEUED),
        ("", COUNT.max_attempts, JobState.PARKED),
        ("cancel", 1, JobState.CANCELLED),
        ("pause", 1, JobState.PAUSED),
    ],
)
def test_the_sweeper_takes_back_what_a_lost_worker_held(wanted, attempts, state, sent):
    job = enqueue()
    services.claim(job_id=job.pk)
    Job.objects.update(lease_until=timezone.now() - timedelta(seconds=1), wanted=wanted, attempts=attempts)
    services.sweep()
    job.refresh_from_db()
    assert (job.state, job.lease_token, job.wanted) == (state, None, "")
    assert sent == ([job.pk] if state == JobState.QUEUED else [])


def test_the_sweeper_sees_that_a_holder_on_this_machine_is_dead(sent):
    job = enqueue()
    services.claim(job_id=job.pk)
    here = holders.here()
    if not here:
        pytest.skip("this system has no /proc: leases run out by time alone (optional)")
    place, _, started = here.rpartition("/")
    assert not holders.is_dead(here)
    assert holders.is_dead(f"{place}/{int(started) + 1}")  # the same number, another process
    assert holders.is_dead(f"{place.rpartition('/')[0]}/4194304/1")  # beyond the largest number of a process
    assert not holders.is_dead("elsewhere/boot/pid:[1]/4194304/1")
    assert not holders.is_dead("")
    assert services.sweep().recovered == 0
    Job.objects.update(holder=f"{place.rpartition('/')[0]}/4194304/1")
    assert services.sweep().recovered == 1
    assert sent == [job.pk]


def test_a_broker_that_is_down_stops_the_sweep_and_loses_nothing(monkeypatch):
    jobs = [enqueue(a=number) for number in range(3)]
    Job.objects.update(send_at=None)
    tried = []
    monkeypatch.setattr(messages, "send", lambda job: tried.append(job.pk))
    assert services.sweep().sent == 0
    assert tried == [jobs[0].pk]
    assert Job.objects.filter(state=JobState.QUEUED).count() == 3


def test_messages_are_sent_again_ever_more_rarely():
    now = timezone.now()
    waits = [(messages.later(now=now, due=None, sends=sends) - now).total_seconds() for sends in range(12)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (messages.RESEND, messages.RESEND_MAX)


# --- a person's wishes ----------------------------------------------------------------------------------------------
FINAL = (JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.PARKED)


@pytest.mark.parametrize("state", FINAL)
def test_what_is_finished_can_be_neither_paused_nor_resumed(state):
    job = enqueue()
    Job.objects.update(state=state)
    for wish in (services.pause, services.resume):
        with pytest.raises(BadRequest, match=f"is {state}"):
            wish(job_id=job.pk)
    if state == JobState.CANCELLED:
        assert services.cancel(job_id=job.pk).state == JobState.CANCELLED
    else:
        with pytest.raises(BadRequest):
            services.cancel(job_id=job.pk)
    if state == JobState.DONE:
        with pytest.raises(BadRequest):
            services.retry(job_id=job.pk)


def test_unknown_jobs_are_refused():
    for wish in (services.pause, services.resume, services.cancel, services.retry):
        with pytest.raises(BadRequest, match="no job 77"):
            wish(job_id=77)


def test_a_wish_can_be_taken_back_while_the_step_runs():
    job = enqueue()
    lease = services.claim(job_id=job.pk)
    assert services.pause(job_id=job.pk).wanted == "pause"
    assert services.cancel(job_id=job.pk).wanted == "cancel"
    assert services.resume(job_id=job.pk).wanted == ""
    assert not services.obey(lease=lease)


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize(("wish", "state"), [(services.pause, JobState.PAUSED), (services.cancel, JobState.CANCELLED)])
def test_a_wish_goes_before_another_attempt(wish, state, counts, sent):
    job = enqueue()
    lease = services.claim(job_id=job.pk)
    Job.objects.update(attempts=COUNT.max_attempts)
    wish(job_id=job.pk)
    services.defer(lease=lease, seconds=60, code="e", message="e", counts=counts)
    job.refresh_from_db()
    assert (job.state, job.wanted, job.lease_token) == (state, "", None)
    assert sent == []


def test_a_wish_goes_before_a_rerun(sent):
    job = services.enqueue(kind=RERUN.name, params={"to": 1})
    lease = services.claim(job_id=job.pk)
    services.enqueue(kind=RERUN.name, params={"to": 1})
    services.cancel(job_id=job.pk)
    services.finish(lease=lease, cursor=1, progress={})
    job.refresh_from_db()
    assert (job.state, job.again) == (JobState.CANCELLED, False)


def test_retry_gives_the_newer_job_when_the_same_was_asked_for_meanwhile():
    old = enqueue()
    services.cancel(job_id=old.pk)
    new = enqueue()
    assert services.retry(job_id=old.pk) == new
    old.refresh_from_db()
    assert old.state == JobState.CANCELLED


def test_retry_goes_on_from_the_cursor(sent, django_capture_on_commit_callbacks):
    job = enqueue()
    Job.objects.update(
        state=JobState.PARKED, cursor=2, attempts=3, error="x", error_code="x", finished_at=timezone.now()
    )
    with django_capture_on_commit_callbacks(execute=True):
        job = services.retry(job_id=job.pk)
    assert (job.state, job.cursor, job.attempts, job.error, job.finished_at) == (JobState.QUEUED, 2, 0, "", None)
    assert sent == [job.pk]


def test_each_wish_of_a_person_leaves_an_entry():
    person = User.objects.create_user("gardener")
    job = enqueue()
    for wish in (services.pause, services.resume, services.cancel, services.retry):
        wish(job_id=job.pk, by=person)
    with pytest.raises(BadRequest):
        services.resume(job_id=77, by=person)
    entries = LogEntry.objects.order_by("id")
    assert [entry.change_message.split(";")[0] for entry in entries] == ["Paused", "Resumed", "Cancelled", "Retried"]
    assert {(entry.user_id, entry.object_id) for entry in entries} == {(person.pk, str(job.pk))}
    services.cancel(job_id=job.pk)  # by no one: a command
    assert LogEntry.objects.count() == 4


# --- faults and progress --------------------------------------------------------------------------------------------
def test_faults_keep_any_text_and_are_noted_once():
    job = enqueue()
    for _ in range(2):
        services.record_fault(
            job=job, subject="org/na\x00me" + "x" * 400, code="input.row", message="bad \ud800", excerpt="y" * 5000
        )
    services.record_fault(job=services.claim(job_id=job.pk), subject="b", code="input.card", message="m")
    fault = Fault.objects.get(code="input.row")
    assert len(fault.subject) == 300
    assert "\x00" not in fault.subject
    assert len(fault.excerpt) == 2000
    assert queries.faults_by_code(jobs=[job.pk]) == [("input.card", 1), ("input.row", 1)]


def test_progress_is_told_whatever_a_step_reports():
    job = enqueue()
    for told in ({}, {"done": None}, {"done": "7", "rate": "fast", "total": []}, [], {"done": True, "errors": 2.0}):
        job.progress = told
        progress = queries.progress_of(job)
        assert progress.done == 0
        assert progress.left is None
    job.state, job.started_at = JobState.RUNNING, timezone.now() - timedelta(seconds=10)
    job.progress = {"done": 500, "total": 1000, "unit": "models", "rate": 50, "pages": 1, "weird": 3, "note": "n"}
    progress = queries.progress_of(job)
    assert (progress.share, progress.rate, progress.left) == (0.5, 50, 10)
    assert progress.counts == (("pages", 1), ("weird", 3))
    job.progress = {"done": 500, "total": 400}
    assert queries.progress_of(job).share == 1.0
    assert queries.progress_of(job).left is None
