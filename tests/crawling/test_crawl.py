"""Whole crawls over HTTP: scopes, what follows from them, and being run again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from hubapp.catalog.models import Alias, Repo, RepoState
from hubapp.crawling import queries, services
from hubapp.crawling.management.commands.dumpcanonical import lines
from hubapp.crawling.models import Crawl, Watermark
from hubapp.jobs.models import Fault, Job, JobState
from hubapp.lineage.models import Edge, Evidence, Node
from hubapp.searching.models import Entry
from samplehub.running import Running
from tests.crawling.conftest import child_of, row
from workers.errors import BadRequest
from workers.tasks import run_here

pytestmark = [pytest.mark.django_db(transaction=True)]
Make = Callable[..., Running]


@pytest.fixture
def hub_of(make_hub: Make, settings: Any) -> Callable[..., Running]:
    """A hub of these rows, which the settings name."""
    settings.HUB_CARDS = 0
    settings.HUB_READERS = 0  # where a test narrows the client's limits, it does so in this process

    def make(rows: list[dict[str, Any]] | None = None, **options: Any) -> Running:
        hub = make_hub(rows, **options)
        settings.HUB_ENDPOINT = hub.url
        return hub

    return make


def run(scope: str, argument: str = "", *, follow: bool = True) -> Crawl:
    crawl = services.start(scope=scope, argument=argument, send=False)
    job = run_here(crawl.job_id)
    assert job.state == JobState.DONE, job.error
    while follow and (due := Job.objects.filter(state=JobState.QUEUED).order_by("id").first()):
        assert (done := run_here(due.pk)).state == JobState.DONE, done.error
    return Crawl.objects.select_related("job").get(pk=crawl.pk)


FAMILY = [
    row("org/base", 1, downloads=1000),
    child_of("org/child", "org/base", 2, downloads=500),
    child_of("org/quant", "org/child", 3, "quantized", downloads=10),
    child_of("else/adapter", "org/base", 4, "adapter", downloads=5),
    row("else/stranger", 5, downloads=300),
    child_of("else/orphan", "gone/parent", 6, downloads=1),
]


@pytest.mark.both_databases
def test_everything_is_crawled_placed_and_findable(hub_of: Callable[..., Running]) -> None:
    hub_of([dict(r) for r in FAMILY])
    crawl = run("everything")
    assert crawl.job.progress["models"] == 6
    assert {r.name for r in Repo.objects.filter(state="listed")} == {r["id"] for r in FAMILY}
    assert set(Edge.objects.values_list("parent__name", "child__name")) == {
        ("org/base", "org/child"),
        ("org/child", "org/quant"),
        ("org/base", "else/adapter"),
        ("gone/parent", "else/orphan"),
    }
    assert Node.objects.get(repo__name="org/quant").root.name == "org/base"
    stub = Repo.objects.get(name="gone/parent")
    assert (stub.state, stub.lookup_answer) == (RepoState.STUB, "remote.repo_missing")
    assert stub.looked_up_at is not None
    assert Entry.objects.count() == 7
    assert Watermark.objects.exists()
    assert (crawl.missing_share, crawl.approval) == (0.0, "")


def test_pages_are_read_in_other_processes(hub_of: Callable[..., Running], settings: Any) -> None:
    hub = hub_of(many(2500))
    run("everything")
    here = list(lines())
    Repo.objects.all().delete()
    settings.HUB_READERS = 1
    hub.faults("500;times=1", "truncate;times=1")
    run("everything")
    assert list(lines()) == here


@pytest.mark.both_databases
def test_running_twice_changes_nothing(hub_of: Callable[..., Running]) -> None:
    hub = hub_of([dict(r) for r in FAMILY])
    run("everything")
    before = list(lines())
    asked = hub.state()["counts"]["requests"]
    run("everything")
    assert list(lines()) == before
    assert hub.state()["counts"]["requests"] == asked + 1  # nobody asks for the missing parent again


def test_what_changed_since(hub_of: Callable[..., Running]) -> None:
    hub = hub_of([dict(r) for r in FAMILY])
    with pytest.raises(BadRequest, match="complete crawl"):
        services.start(scope="changed")
    run("everything")
    began = hub.state()["counts"]["pages"]
    first = Watermark.objects.get().value
    hub.change("edit", "org/base", fields={"likes": 77})
    hub.change("add", "new/model")
    run("changed")
    assert Repo.objects.get(name="org/base").likes == 77
    assert Repo.objects.get(name="new/model").state == RepoState.LISTED
    assert Watermark.objects.get().value >= first
    assert hub.state()["counts"]["pages"] == began + 1
    crawl = Crawl.objects.order_by("-pk")[0]
    assert crawl.job.progress["models"] == 2  # the others are older than the watermark


def test_the_most_downloaded_with_their_ancestors(hub_of: Callable[..., Running]) -> None:
    rows = [dict(r) for r in FAMILY]
    rows += [child_of("top/model", "mid/model", 7, downloads=9999), child_of("mid/model", "low/model", 8, downloads=0)]
    rows += [row("low/model", 9, downloads=0)]
    hub_of(rows)
    run("top", "2")
    assert set(Repo.objects.values_list("name", flat=True)) == {"top/model", "org/base", "mid/model", "low/model"}
    assert Node.objects.get(repo__name="top/model").root.name == "low/model"


def test_an_author_and_a_search(hub_of: Callable[..., Running]) -> None:
    hub_of([dict(r) for r in FAMILY])
    run("author", "else")
    listed = Repo.objects.filter(state="listed")
    assert set(listed.values_list("author", flat=True)) >= {"else"}
    assert not listed.filter(name="org/quant").exists()
    run("search", "quant")
    assert listed.filter(name="org/quant").exists()


def test_one_model_with_its_whole_family(hub_of: Callable[..., Running]) -> None:
    hub_of([dict(r) for r in FAMILY])
    run("family", "org/child")
    assert set(Repo.objects.filter(state="listed").values_list("name", flat=True)) == {
        "org/base", "org/child", "org/quant",
    }  # fmt: skip
    run("family", "org/base")
    assert Repo.objects.filter(name="else/adapter").exists()
    assert not Repo.objects.filter(name="else/stranger").exists()


def test_a_family_of_a_model_that_is_not_there(hub_of: Callable[..., Running]) -> None:
    hub_of([dict(r) for r in FAMILY])
    crawl = services.start(scope="family", argument="no/such-model", send=False)
    job = run_here(crawl.job_id)
    assert (job.state, job.error_code) == (JobState.FAILED, "remote.repo_missing")


def test_renamed_parents_are_followed(hub_of: Callable[..., Running]) -> None:
    hub = hub_of([dict(r) for r in FAMILY])
    hub.change("rename", "org/base", to="org/renamed")
    run("everything")
    assert Repo.objects.get(name="org/base").state == RepoState.RENAMED
    assert Repo.objects.get(name="org/base").moved_to.name == "org/renamed"
    assert set(Alias.objects.values_list("name", "repo__name")) == {("org/base", "org/renamed")}
    assert Edge.objects.filter(parent__name="org/renamed", child__name="org/child").exists()


# --- reconciliation -------------------------------------------------------------------------------------------------
def many(count: int) -> list[dict[str, Any]]:
    return [row(f"org/model-{n}", n) for n in range(1, count + 1)]


def test_what_is_gone_is_found_out(hub_of: Callable[..., Running]) -> None:
    hub = hub_of(many(300))
    run("everything")
    hub.change("delete", "org/model-1")
    hub.change("rename", "org/model-2", to="org/other-name")
    hub.change("make_private", "org/model-3")
    hub.change("disable", "org/model-4")
    crawl = run("everything")
    assert crawl.approval == ""
    assert crawl.missing_share == pytest.approx(2 / 300, abs=0.001)
    states = dict(Repo.objects.values_list("name", "state"))
    assert states["org/model-1"] == states["org/model-3"] == RepoState.GONE
    assert states["org/other-name"] == RepoState.LISTED
    assert states["org/model-4"] == RepoState.DISABLED
    assert set(Alias.objects.values_list("name", flat=True)) == {"org/model-2"}
    assert Repo.objects.filter(state=RepoState.LISTED).count() == 297
    hub.change("make_public", "org/model-3")
    run("everything")
    assert Repo.objects.get(name="org/model-3").state == RepoState.LISTED


def test_many_gone_at_once_wait_for_staff(hub_of: Callable[..., Running], django_user_model: Any) -> None:
    hub = hub_of(many(100))
    run("everything")
    for n in range(1, 6):
        hub.change("delete", f"org/model-{n}")
    crawl = run("everything")
    assert crawl.approval == "needed"
    assert crawl.missing_share == pytest.approx(0.05)
    assert not Repo.objects.filter(state=RepoState.GONE).exists()
    assert list(queries.waiting_for_approval()) == [crawl]
    staff = django_user_model.objects.create_user("staff", is_staff=True)
    job = services.approve(crawl_id=crawl.pk, by=staff)
    assert run_here(job.pk).state == JobState.DONE
    assert Repo.objects.filter(state=RepoState.GONE).count() == 5
    with pytest.raises(BadRequest):
        services.refuse(crawl_id=crawl.pk, by=staff)


def test_a_refusal_leaves_everything(hub_of: Callable[..., Running]) -> None:
    hub = hub_of(many(20))
    run("everything")
    hub.change("delete", "org/model-1")
    crawl = run("everything")
    services.refuse(crawl_id=crawl.pk)
    assert Repo.objects.filter(state=RepoState.LISTED).count() == 20


def test_a_partial_crawl_marks_nothing(hub_of: Callable[..., Running]) -> None:
    hub = hub_of([dict(r) for r in FAMILY])
    run("everything")
    hub.change("delete", "org/quant")
    run("author", "org")
    assert Repo.objects.get(name="org/quant").state == RepoState.LISTED


# --- faults of rows and hubs ----------------------------------------------------------------------------------------
def test_bad_rows_are_recorded_and_the_rest_is_kept(hub_of: Callable[..., Running]) -> None:
    rows = [dict(r) for r in FAMILY]
    rows[0] |= {"downloads": "many", "tags": "none"}
    hub_of([*rows, {**row("bad id/with space", 8)}, {**row("x/y", 9), "cardData": [1]}])
    crawl = run("everything")
    faults = dict(Fault.objects.filter(job=crawl.job).values_list("code", "subject"))
    assert faults["row.downloads"] == "org/base"
    assert "bad id/with space" in faults["input.row"]
    assert faults["row.cardData"] == "x/y"
    assert Repo.objects.filter(state="listed").count() == 7
    assert crawl.job.progress["errors"] == len(faults)


def test_an_expired_cursor_begins_anew_and_loses_nothing(
    hub_of: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.steps.crawling.PAGE", 10)
    monkeypatch.setattr("workers.crawling.client.PAGE", 10)
    hub = hub_of(many(95))
    hub.faults({"kind": "expired_cursor", "after": 5, "times": 1})
    crawl = run("everything")
    assert Repo.objects.count() == 95
    assert crawl.job.progress["models"] == 95
    assert hub.state()["counts"]["fault expired_cursor"] == 1


def test_pages_that_are_too_large_are_asked_for_in_smaller_ones(
    hub_of: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.crawling.client.PAGE_BYTES", 60_000)
    hub_of(many(300))
    run("everything")
    assert Repo.objects.count() == 300


def test_a_link_to_elsewhere_fails_the_crawl_and_can_be_retried(hub_of: Callable[..., Running]) -> None:
    from hubapp.jobs import services as jobs

    hub = hub_of(many(1500))
    hub.faults("foreign_link")
    crawl = services.start(scope="everything", send=False)
    job = run_here(crawl.job_id)
    assert (job.state, job.error_code) == (JobState.FAILED, "remote.host_refused")
    assert hub.state()["foreign"] == []
    hub.faults()
    jobs.retry(job_id=job.pk)
    assert run_here(job.pk).state == JobState.DONE
    assert Repo.objects.count() == 1500


def test_a_job_for_another_hub_is_refused(hub_of: Callable[..., Running], settings: Any) -> None:
    hub_of([dict(r) for r in FAMILY])
    crawl = services.start(scope="everything", send=False)
    settings.HUB_ENDPOINT = "http://127.0.0.1:9"
    job = run_here(crawl.job_id)
    assert (job.state, job.error_code) == (JobState.FAILED, "input.request")
    with pytest.raises(BadRequest):
        services.start(scope="everything", endpoint="http://127.0.0.1:10")


@pytest.mark.parametrize(
    ("scope", "argument"),
    [
        ("everything", "x"), ("top", ""), ("top", "0"), ("top", "many"), ("author", "a/b"), ("author", ""),
        ("family", "not an id"), ("search", ""), ("nonsense", ""), ("search", "x" * 200), ("top", "-3"),
    ],
)  # fmt: skip
def test_wishes_that_make_no_sense(scope: str, argument: str) -> None:
    with pytest.raises(BadRequest):
        services.start(scope=scope, argument=argument)


def test_asking_twice_gives_the_same_crawl() -> None:
    first = services.start(scope="author", argument="org", send=False)
    assert services.start(scope="author", argument=" org ", send=False) == first


# --- cards ----------------------------------------------------------------------------------------------------------
def test_cards_are_read_after_a_crawl_of_the_collection(hub_of: Callable[..., Running], settings: Any) -> None:
    hub_of(content="collection")
    settings.HUB_CARDS = 100
    run("everything")
    read = Repo.objects.exclude(card_sha="")
    assert read.filter(card_length__gt=0).exclude(card_excerpt="").count() > 20
    assert Evidence.objects.filter(source__in=(3, 4)).exists()  # adapter configurations, mergekit
    cards = Job.objects.get(kind="cards")
    assert cards.state == JobState.DONE
    again = services.read_cards()
    done = run_here(again.pk)
    assert done.progress["done"] == 0  # nothing has changed since


# --- the terminal ---------------------------------------------------------------------------------------------------
def test_the_command_crawls_here_with_all_that_follows(hub_of: Callable[..., Running]) -> None:
    hub_of([dict(r) for r in FAMILY])
    out = StringIO()
    call_command("crawl", "everything", "--here", stdout=out, stderr=StringIO())
    said = out.getvalue()
    assert "crawl: 1 pages, 6 models" in said
    assert "lineage:" in said
    dump = StringIO()
    call_command("dumpcanonical", stdout=dump)
    assert '["edge","org/base","org/child"' in dump.getvalue()
    summary = StringIO()
    call_command("dumpcanonical", "--summary", stdout=summary)
    assert "4 edge" in summary.getvalue()


def test_times_are_kept_in_utc(hub_of: Callable[..., Running]) -> None:
    hub_of([dict(r) for r in FAMILY])
    run("everything")
    repo = Repo.objects.get(name="org/base")
    assert repo.created_at == datetime.fromisoformat(FAMILY[0]["createdAt"])
