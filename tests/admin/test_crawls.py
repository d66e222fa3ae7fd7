"""The person in charge starts crawls, watches and steers them, decides, and plans more."""

from __future__ import annotations

import re
from datetime import time, timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask, PeriodicTasks

from hubapp.crawling import schedules
from hubapp.crawling.models import Crawl, Watermark
from hubapp.crawling.schedules import Rhythm, Schedule
from hubapp.jobs import services as jobs
from hubapp.jobs.models import Job, JobState
from workers import tasks
from workers.celery import app


def text(answer) -> str:
    """What a person reads of a page."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


# --- starting -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("data", "scope", "argument"),
    [
        ({"what": "everything"}, "everything", ""),
        ({"what": "top", "what_top": "5,000"}, "top", "5000"),
        ({"what": "author", "what_author": " mistralai "}, "author", "mistralai"),
        ({"what": "search", "what_search": "llama 3"}, "search", "llama 3"),
        ({"what": "family", "what_family": "gpt2"}, "family", "gpt2"),
        ({"what": "changed", "what_top": "7"}, "changed", ""),
    ],
)
def test_a_crawl_of_each_scope(data, scope, argument, admin, settings):
    Watermark.objects.create(endpoint=settings.HUB_ENDPOINT, value=timezone.now())
    answer = admin.post("/admin/crawling/crawl/add/", data)
    crawl = Crawl.objects.select_related("job__created_by").get()
    assert answer.url == f"/admin/crawling/crawl/{crawl.pk}/change/"
    assert (crawl.scope, crawl.argument, crawl.endpoint) == (scope, argument, settings.HUB_ENDPOINT)
    assert (crawl.job.state, crawl.job.created_by.username) == (JobState.QUEUED, "gardener")
    assert LogEntry.objects.get().change_message == "Started."
    assert "is queued" in text(admin.get(answer.url))


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ({}, "Choose what to crawl."),
        ({"what": "galaxy"}, "Choose what to crawl."),
        ({"what": "top", "what_top": ""}, "needs a value"),
        ({"what": "top", "what_top": "-1"}, "between 1 and"),
        ({"what": "author", "what_author": "../etc"}, "can be no author"),
        ({"what": "family", "what_family": "<script>"}, "can be no model"),
        ({"what": "changed"}, "after a complete crawl"),
    ],
)
def test_what_makes_no_sense_is_explained(data, complaint, admin):
    answer = admin.post("/admin/crawling/crawl/add/", data)
    assert answer.status_code == 200
    assert complaint in text(answer)
    assert not Crawl.objects.exists()


def test_the_form_can_be_filled_by_a_link(admin):
    page = admin.get("/admin/crawling/crawl/add/?scope=family&argument=org/%22%3Emodel").content.decode()
    assert 'value="org/&quot;&gt;model"' in page


# --- watching -------------------------------------------------------------------------------------------------------
def test_the_list_tells_how_far_each_is(admin, crawl):
    page = text(admin.get("/admin/crawling/crawl/"))
    for words in ("The 5,000 most downloaded", "running", "40%", "50/s", "0:01:00", "At work"):
        assert words in page


def test_the_page_of_a_crawl_lives_while_it_runs(admin, crawl):
    address = f"/admin/crawling/crawl/{crawl.pk}/"
    page = admin.get(f"{address}change/").content.decode()
    assert f'hx-get="{address}live/" hx-trigger="every 1s"' in page
    live = text(admin.get(f"{address}live/"))
    for words in ("2,000 of 5,000", "50 models/s", "1 minute", "Pause", "Cancel", "input.row", "no id", "All 2"):
        assert words in live
    Job.objects.update(state=JobState.DONE, finished_at=timezone.now())
    assert "hx-get" not in admin.get(f"{address}live/").content.decode()


def test_a_page_left_open_finds_the_door_when_its_session_ends(admin, crawl):
    admin.logout()
    answer = admin.get(f"/admin/crawling/crawl/{crawl.pk}/live/", headers={"HX-Request": "true"}, follow=True)
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (204, "true")


def test_a_parked_crawl_shows_its_error_and_can_be_tried_again(admin, crawl):
    Job.objects.update(
        state=JobState.PARKED, lease_token=None, attempts=8, error_code="remote.unavailable", error="503"
    )
    for address in ("/admin/", f"/admin/crawling/crawl/{crawl.pk}/change/", f"/admin/jobs/job/{crawl.job_id}/change/"):
        assert "remote.unavailable" in text(admin.get(address))
    admin.post(f"/admin/crawling/crawl/{crawl.pk}/steer/", {"verb": "retry"})
    assert Job.objects.get().state == JobState.QUEUED


# --- steering -------------------------------------------------------------------------------------------------------
def test_each_button_does_what_it_says(admin, crawl):
    address = f"/admin/crawling/crawl/{crawl.pk}/steer/"
    for verb, wanted in (("pause", "pause"), ("cancel", "cancel"), ("resume", "")):
        assert admin.post(address, {"verb": verb}).url == f"/admin/crawling/crawl/{crawl.pk}/change/"
        assert Job.objects.get().wanted == wanted
    assert admin.post(address, {"verb": "explode"}).status_code == 403
    Job.objects.update(state=JobState.DONE)
    answer = admin.post(address, {"verb": "pause"}, follow=True)
    assert "it can't be paused" in text(answer) or "it can&#x27;t be paused" in answer.content.decode()
    history = text(admin.get(f"/admin/crawling/crawl/{crawl.pk}/history/"))
    for words in ("Paused", "Cancelled", "Resumed", "gardener"):
        assert words in history


def test_actions_on_several_at_once(admin, crawl):
    other = jobs.enqueue(kind="crawl", params={"scope": "author"})
    numbers = [crawl.job_id, other.pk]
    answer = admin.post("/admin/jobs/job/", {"action": "cancel", "_selected_action": numbers}, follow=True)
    assert "Cancelled: 2." in text(answer)
    crawl.job.refresh_from_db()
    other.refresh_from_db()
    assert (crawl.job.wanted, other.state) == ("cancel", JobState.CANCELLED)


@pytest.mark.parametrize(("verb", "approval", "follows"), [("approve", "given", 1), ("refuse", "refused", 0)])
def test_a_mass_removal_is_decided_by_a_person(verb, approval, follows, admin, crawl):
    Job.objects.update(state=JobState.DONE)
    Crawl.objects.update(scope="everything", argument="", listing=3, missing_share=0.034, approval="needed")
    assert "3.4% of the known repos are no longer listed" in text(admin.get("/admin/"))
    address = f"/admin/crawling/crawl/{crawl.pk}/"
    assert "Leave all as they are" in text(admin.get(f"{address}change/"))
    admin.post(f"{address}steer/", {"verb": verb})
    crawl.refresh_from_db()
    assert crawl.approval == approval
    assert Job.objects.filter(kind="reconcile").count() == follows
    assert "Leave all as they are" not in text(admin.get(f"{address}change/"))
    assert LogEntry.objects.filter(change_message__in=["Agreed.", "Refused."]).count() == 1
    assert "does not wait" in text(admin.post(f"{address}steer/", {"verb": verb}, follow=True))


# --- faults ---------------------------------------------------------------------------------------------------------
def test_failed_rows_are_found_by_reason_by_job_and_by_name(admin, crawl):
    other = jobs.enqueue(kind="crawl", params={"scope": "author"})
    jobs.record_fault(job=other, subject="elsewhere/model", code="input.row", message="m")
    for query, there, not_there in (
        ("", "elsewhere", "nothing"),
        ("?code=input.card", "org/other", "elsewhere"),
        (f"?job={other.pk}", "elsewhere", "org/other"),
        (f"?job={crawl.job_id}&code=input.card", "org/other", "alert"),
        ("?q=else", "elsewhere", "org/other"),
        ("?q=deep", "org/other", "elsewhere"),
    ):
        page = text(admin.get(f"/admin/jobs/fault/{query}"))
        assert there in page, query
        assert not_there not in page, query


# --- schedules ------------------------------------------------------------------------------------------------------
FORM = {"what": "top", "what_top": "1000", "enabled": "on"}


@pytest.mark.parametrize(
    ("data", "rhythm", "said"),
    [
        ({"rhythm": "hours", "rhythm_hours": "6"}, Rhythm("hours", hours=6), "every 6 hours"),
        ({"rhythm": "daily", "rhythm_daily_at": "03:30"}, Rhythm("daily", at=time(3, 30)), "each day at 03:30 UTC"),
        (
            {"rhythm": "weekly", "rhythm_day": "0", "rhythm_weekly_at": "23:05"},
            Rhythm("weekly", day=0, at=time(23, 5)),
            "each Sunday at 23:05 UTC",
        ),
    ],
)
def test_a_crawl_is_scheduled_in_words(data, rhythm, said, admin):
    assert admin.post("/admin/crawling/schedule/add/", {**FORM, **data}).status_code == 302
    row = schedules.ours().get()
    assert (row.scope, row.argument, row.enabled, row.task) == ("top", "1000", True, tasks.start_crawl.name)
    assert str(row.rhythm) == str(rhythm) == said
    assert app.tasks[row.task]  # beat's wish meets a task of ours
    page = text(admin.get("/admin/crawling/schedule/"))
    assert "The 1,000 most downloaded" in page
    assert said in page
    form = admin.get(f"/admin/crawling/schedule/{row.pk}/change/").content.decode()
    assert re.search(rf'value="{data["rhythm"]}"[^>]* checked', form)
    tasks.start_crawl(scope=row.scope, argument=row.argument)
    assert Crawl.objects.get().argument == "1000"


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"rhythm": "hours", "rhythm_hours": "0"},
        {"rhythm": "hours", "rhythm_hours": "x"},
        {"rhythm": "daily", "rhythm_daily_at": "25:00"},
        {"rhythm": "weekly", "rhythm_day": "9", "rhythm_weekly_at": "03:00"},
        {"rhythm": "moonly"},
    ],
)
def test_a_rhythm_that_is_none_is_refused(data, admin):
    answer = admin.post("/admin/crawling/schedule/add/", {**FORM, **data})
    assert "Choose how often" in text(answer)
    assert not Schedule.objects.exists()


def test_beat_hears_of_each_change(admin):
    def heard():
        row = PeriodicTasks.objects.first()
        stamp = row.last_update if row else None
        PeriodicTasks.objects.update(last_update=timezone.now() - timedelta(days=1))
        return stamp is not None and timezone.now() - stamp < timedelta(hours=1)

    daily = {"rhythm": "daily", "rhythm_daily_at": "03:30"}
    admin.post("/admin/crawling/schedule/add/", {**FORM, **daily})
    assert heard()
    row = schedules.ours().get()
    address = f"/admin/crawling/schedule/{row.pk}/"
    admin.post(f"{address}change/", {"what": "author", "what_author": "unsloth", **daily})
    row.refresh_from_db()
    assert (row.scope, row.argument, row.enabled) == ("author", "unsloth", False)
    assert heard()
    for action, on in (("turn_on", True), ("turn_off", False)):
        admin.post("/admin/crawling/schedule/", {"action": action, "_selected_action": [row.pk]})
        row.refresh_from_db()
        assert row.enabled is on
        assert heard()
    admin.post("/admin/crawling/schedule/", {"action": "run_now", "_selected_action": [row.pk]})
    assert Crawl.objects.get().argument == "unsloth"
    admin.post(f"{address}delete/", {"post": "yes"})
    assert not Schedule.objects.exists()
    assert heard()


def test_two_schedules_may_mean_the_same_and_beats_own_are_not_shown(admin):
    every, _ = IntervalSchedule.objects.get_or_create(every=15, period="seconds")
    PeriodicTask.objects.create(name="sweep", task="workers.tasks.sweep", interval=every)
    for _ in range(2):
        schedules.plan(scope="changed", argument="", rhythm=Rhythm("daily"))
    assert schedules.ours().count() == 2
    assert admin.get(f"/admin/crawling/schedule/{PeriodicTask.objects.get(name='sweep').pk}/change/").status_code == 302
    assert admin.get("/admin/django_celery_beat/periodictask/").status_code == 404
