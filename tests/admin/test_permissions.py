"""Nobody but staff with the permission sees or does anything."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry

from hubapp.crawling.models import Crawl
from hubapp.crawling.schedules import Schedule
from hubapp.jobs.models import Job
from tests.admin.conftest import person

VIEWS = ["crawling.view_crawl", "jobs.view_job", "jobs.view_fault", "crawling.view_schedule"]
LOOKS = [
    "/admin/crawling/crawl/",
    "/admin/crawling/crawl/active/",
    "/admin/crawling/crawl/{crawl}/change/",
    "/admin/crawling/crawl/{crawl}/live/",
    "/admin/crawling/crawl/{crawl}/history/",
    "/admin/jobs/job/",
    "/admin/jobs/job/{job}/change/",
    "/admin/jobs/job/{job}/live/",
    "/admin/jobs/fault/",
    "/admin/catalog/repo/",
    "/admin/lineage/evidence/",
    "/admin/lineage/edge/",
]
WHAT = {"what": "top", "what_top": "10", "rhythm": "daily", "rhythm_daily_at": "03:00", "enabled": "on"}
DEEDS = [
    ("/admin/crawling/crawl/add/", WHAT),
    ("/admin/crawling/schedule/add/", WHAT),
    ("/admin/crawling/crawl/{crawl}/steer/", {"verb": "cancel"}),
    ("/admin/crawling/crawl/{crawl}/steer/", {"verb": "approve"}),
    ("/admin/jobs/job/{job}/steer/", {"verb": "cancel"}),
    ("/admin/crawling/crawl/", {"action": "cancel", "_selected_action": ["{crawl}"]}),
    ("/admin/jobs/job/", {"action": "cancel", "_selected_action": ["{job}"]}),
    ("/admin/crawling/crawl/{crawl}/delete/", {"post": "yes"}),
    ("/admin/jobs/job/{job}/delete/", {"post": "yes"}),
    ("/admin/jobs/job/{job}/change/", {"state": "done"}),
]


@pytest.fixture
def places(crawl):
    return {"crawl": crawl.pk, "job": crawl.job_id}


def untouched() -> bool:
    job = Job.objects.get()
    return (job.state, job.wanted) == ("running", "") and not Schedule.objects.exists() and Crawl.objects.count() == 1


def do(client, places):
    for address, data in DEEDS:
        filled = {
            name: [one.format(**places) for one in value] if isinstance(value, list) else value
            for name, value in data.items()
        }
        yield client.post(address.format(**places), filled)


@pytest.mark.parametrize("who", ["nobody", "visitor"])
def test_strangers_are_sent_to_the_door(who, client, places):
    if who == "visitor":
        client.force_login(person("visitor", *VIEWS, "crawling.add_crawl", "crawling.change_crawl", "jobs.change_job"))
    for address in LOOKS:
        answer = client.get(address.format(**places))
        assert (answer.status_code, answer.url.split("?")[0]) == (302, "/admin/login/")
    for answer in do(client, places):
        assert (answer.status_code, answer.url.split("?")[0]) == (302, "/admin/login/")
    assert untouched()


def test_staff_without_permission_see_and_do_nothing(client, places):
    client.force_login(person("intern", is_staff=True))
    assert client.get("/admin/").status_code == 200
    assert b"5000" not in client.get("/admin/").content
    for address in LOOKS:
        assert client.get(address.format(**places)).status_code == 403, address
    for answer in do(client, places):
        assert answer.status_code == 403
    assert untouched()


def test_staff_who_may_look_may_not_touch(client, places):
    client.force_login(person("watcher", *VIEWS, is_staff=True))
    page = client.get(f"/admin/crawling/crawl/{places['crawl']}/change/")
    assert page.status_code == 200
    assert b'name="verb"' not in page.content
    assert b"Start a crawl" not in client.get("/admin/crawling/crawl/").content
    for answer in do(client, places):
        assert answer.status_code in (200, 302, 403)  # 200: the list again, without the action
    assert untouched()
    assert not LogEntry.objects.exists()


def test_who_may_steer_needs_no_more(client, places):
    client.force_login(person("hand", *VIEWS, "crawling.change_crawl", is_staff=True))
    answer = client.post(f"/admin/crawling/crawl/{places['crawl']}/steer/", {"verb": "pause"})
    assert answer.status_code == 302
    assert Job.objects.get().wanted == "pause"
    assert client.post(f"/admin/jobs/job/{places['job']}/steer/", {"verb": "cancel"}).status_code == 403
    assert client.get("/admin/crawling/crawl/add/").status_code == 403


def test_a_button_is_pressed_by_post_from_our_own_page(places, client):
    from django.test import Client

    hand = person("hand", *VIEWS, "crawling.change_crawl", is_staff=True)
    client.force_login(hand)
    assert client.get(f"/admin/crawling/crawl/{places['crawl']}/steer/?verb=cancel").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(hand)
    assert strict.post(f"/admin/crawling/crawl/{places['crawl']}/steer/", {"verb": "cancel"}).status_code == 403
    assert untouched()
