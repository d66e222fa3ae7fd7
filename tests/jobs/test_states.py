"""Any order of events: workers that die, messages that are lost, persons who change their mind, time that passes.

Whatever happens, results and cursor agree, at most one run holds a job, and in the end no job has been lost.
"""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.db.models import Count
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from hubapp.jobs import messages, services
from hubapp.jobs.models import ACTIVE_STATES, FINAL_STATES, Job, JobState
from tests.jobs.counting import COUNT, RERUN
from workers.errors import BadRequest, LeaseLost

GOAL = 3


class Jobs(RuleBasedStateMachine):
    """The services, with a broker that forgets and a clock of our own."""

    jobs = Bundle("jobs")
    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.inbox: list[int] = []
        self.broker_is_up = True
        self.rounds: dict[int, int] = {}
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(timezone, "now", lambda: self.now)
        self.patch.setattr(messages, "send", self._send)
        self.patch.setattr(messages, "send_on_commit", self._send)

    def _send(self, job: Job) -> bool:
        if not self.broker_is_up:
            Job.objects.filter(pk=job.pk).update(send_at=None)
            return False
        self.inbox.append(job.pk)
        later = messages.later(now=self.now, due=job.not_before, sends=job.sends)
        Job.objects.filter(pk=job.pk).update(sends=job.sends + 1, send_at=later)
        return True

    # --- events -----------------------------------------------------------------------------------------------------
    @rule(target=jobs, number=st.integers(0, 2), kind=st.sampled_from([COUNT, RERUN]))
    def ask(self, number, kind):
        return services.enqueue(kind=kind.name, params={"to": GOAL, "n": number}).pk

    @rule(target=leases, at=st.integers(0, 5))
    def deliver(self, at):
        if not self.inbox:
            return None
        return services.claim(job_id=self.inbox.pop(at % len(self.inbox)))

    @rule(target=leases, job=jobs)
    def deliver_twice(self, job):
        return services.claim(job_id=job)

    @rule()
    def lose_all_messages(self):
        self.inbox.clear()

    @rule(up=st.booleans())
    def broker(self, up):
        self.broker_is_up = up

    @rule(lease=leases)
    def step(self, lease):
        self._take(lease)

    def _take(self, lease) -> None:
        if lease is None:
            return
        try:
            if services.obey(lease=lease):
                return
            with transaction.atomic():
                cursor = (Job.objects.values_list("cursor", flat=True).get(pk=lease.job_id) or 0) + 1
                rounds = self.rounds.get(lease.job_id, 0)
                services.record_fault(job=lease, subject=f"{rounds}.{cursor}", code="seen", message="")
                if cursor >= GOAL:
                    services.finish(lease=lease, cursor=cursor, progress={})
                    if Job.objects.get(pk=lease.job_id).cursor is None:
                        self.rounds[lease.job_id] = rounds + 1
                else:
                    services.advance(lease=lease, cursor=cursor, progress={})
        except LeaseLost:
            pass

    @rule(lease=leases, seconds=st.integers(0, 400), counts=st.booleans())
    def stumble(self, lease, seconds, counts):
        if lease is not None:
            self._try(lambda: services.defer(lease=lease, seconds=seconds, code="e", message="e", counts=counts))

    @rule(lease=leases)
    def give_up(self, lease):
        if lease is not None:
            self._try(lambda: services.fail(lease=lease, code="e", message="e"))

    @rule(lease=leases)
    def beat(self, lease):
        if lease is not None:
            self._try(lambda: services.renew(lease=lease))

    @rule(lease=consumes(leases))
    def die(self, lease):
        """The worker is gone, with all it knew."""

    @rule(seconds=st.sampled_from([1, 20, 40, 700]))
    def pass_time(self, seconds):
        self.now += timedelta(seconds=seconds)

    @rule(everything=st.booleans())
    def sweep(self, everything):
        services.sweep(everything=everything)

    @rule(job=jobs, wish=st.sampled_from([services.pause, services.resume, services.cancel, services.retry]))
    def wish(self, job, wish):
        with contextlib.suppress(BadRequest):
            wish(job_id=job)

    def _try(self, action) -> None:
        with contextlib.suppress(LeaseLost):
            action()

    # --- what always holds ------------------------------------------------------------------------------------------
    @invariant()
    def all_is_well(self):
        jobs = list(Job.objects.annotate(stored=Count("faults")))
        active = [job.key for job in jobs if job.state in ACTIVE_STATES]
        assert len(active) == len(set(active)), "one wish, one active job"
        for job in jobs:
            expected = self.rounds.get(job.pk, 0) * GOAL + (job.cursor or 0)
            assert job.stored == expected, "results and cursor move together"
            assert (job.lease_token is not None) == (job.state == JobState.RUNNING), "held exactly while it runs"
            assert (job.finished_at is not None) == (job.state in FINAL_STATES)
            assert job.attempts <= job.max_attempts

    def teardown(self):
        """All workers die, all messages are lost; then there is a broker again, and a healthy worker."""
        try:
            self.inbox.clear()
            self.broker_is_up = True
            for _ in range(60):
                for job in Job.objects.filter(state=JobState.PAUSED):
                    services.resume(job_id=job.pk)
                if not Job.objects.filter(state__in=ACTIVE_STATES).exists():
                    break
                self.now += timedelta(seconds=messages.RESEND_MAX + 1)
                services.sweep()
                while self.inbox:
                    lease = services.claim(job_id=self.inbox.pop(0))
                    for _ in range(GOAL):
                        self._take(lease)
            assert not Job.objects.filter(state__in=ACTIVE_STATES).exists()
            self.all_is_well()
        finally:
            self.patch.undo()
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)


@pytest.mark.django_db
def test_whatever_happens_nothing_is_lost_or_doubled():
    run_state_machine_as_test(
        Jobs,
        settings=settings(
            max_examples=int(os.environ.get("ROOTSTOCK_TEST_EXAMPLES", "20")),
            stateful_step_count=30,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
