"""From a crawled tree to what the pages say of its models: trained, compared, in service, asked, shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from hubapp.catalog.models import Repo
from hubapp.crawling import services as crawling
from hubapp.jobs.models import Job, JobState
from hubapp.lineage.models import Finding
from hubapp.probing import queries, services
from hubapp.probing.models import Expert, Reading
from hubapp.weights import services as weights
from samplehub.running import Running
from tests.probing.conftest import BASE, LIAR
from workers.tasks import run_here

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods small enough for a tree of sixty small adapters."""
    from workers.probing import comparing
    from workers.probing.multiview import MultiView
    from workers.probing.probex import ProbeX

    def candidates(seed: int = 0) -> dict[str, Any]:
        peer = ProbeX(probes=8, projection=8, dim=16, epochs=8, search_epochs=2)
        return {"probex": peer, "multiview": MultiView(probes=6, dim=16, epochs=8)}

    monkeypatch.setattr(comparing, "candidates", candidates)


@pytest.fixture
def crawled(garden: Running, settings: Any, tmp_path: Path, small: None) -> Running:
    settings.HUB_CARDS = settings.HUB_READERS = 0
    settings.TEXT_ENCODER = "lexical"
    settings.VAR = tmp_path
    settings.HUB_ENDPOINT = garden.url
    run_here(crawling.start(scope="everything", send=False).job_id)
    settle()
    return garden


def settle() -> list[str]:
    """Run all that is queued; the kinds, in order."""
    ran = []
    while due := Job.objects.filter(state=JobState.QUEUED).order_by("id").first():
        done = run_here(due.pk)
        assert done.state == JobState.DONE, done.error
        ran.append(done.kind)
    return ran


def one(name: str) -> Reading:
    return Reading.objects.get(repo__name=name)


def test_from_a_crawl_to_the_page(crawled: Running, client: Client) -> None:
    page = client.get(f"/models/{LIAR}").content.decode()
    assert "Weights not read yet" in page
    weights.ask(scope="all", onward=True, send=False)
    ran = settle()
    assert [kind for kind in ran if kind in ("inspect", "verify", "train", "probe")] == [
        "inspect", "verify", "train", "probe",
    ]  # fmt: skip

    (expert,) = queries.experts_in_service()
    assert (expert.root.name, expert.form) == (BASE, "adapter")
    assert set(expert.quality) == {"probex", "multiview"}
    assert expert.quality["multiview"]["top1"] >= 0.6
    assert expert.method == "multiview" or expert.quality["probex"]["top1"] >= expert.quality["multiview"]["top1"]
    assert (queries.folder_of(expert.pk) / "method.safetensors").is_file()
    assert not list(queries.folder_of(expert.pk).parent.glob("work-*"))

    # a model without a card is told from its weights alone
    bare = [f"garden/lora-{k * 9 + 8}" for k in range(6)]
    told = [one(name).guesses[0][0] for name in bare if one(name).guesses]
    assert (
        sum(
            a == b
            for a, b in zip(
                told, ["red circle", "blue square", "green ring", "white cross", "plain star"], strict=False
            )
        )
        >= 4
    )
    assert len(bytes(one(bare[0]).embedding)) % 2 == 0

    # one whose card lies is found out, though it was among those that were learned from
    finding = Finding.objects.get(code="training_disagrees")
    assert finding.repo.name == LIAR
    assert finding.detail["guess"] == "red circle"
    page = client.get(f"/models/{LIAR}").content.decode()
    assert "Not as its card says" in page
    assert "Trained on something else" in page

    # one of another base gets no answer, and a reason
    stranger = one("garden/stranger")
    assert (stranger.state, stranger.reason) == ("abstained", "foreign")
    assert "another base" in client.get("/models/garden/stranger").content.decode()
    assert "No expert for its tree" in client.get("/models/other/lonely").content.decode()

    # asked again, nothing is done again
    before = Reading.objects.count()
    services.ask(kind="probe", scope="all", send=False)
    services.ask(kind="train", scope="all", send=False)
    settle()
    assert Reading.objects.count() == before
    assert Expert.objects.count() == 1

    answer = client.get(f"/api/v1/models/{LIAR}").json()["trained_on"]
    assert answer["state"] == "answered"
    assert answer["agrees"] is False
    experts = client.get("/api/v1/probing/experts").json()["experts"]
    assert [each["method"] for each in experts] == [expert.method]
    out = StringIO()
    call_command("probe", LIAR, "--json", stdout=out)
    assert json.loads(out.getvalue())["guesses"][0]["label"] == "red circle"


def test_too_few_labels_train_nothing(crawled: Running, settings: Any) -> None:
    Repo.objects.filter(name__startswith="garden/lora-").update(tags=[])
    from hubapp.catalog.models import RepoTerm

    RepoTerm.objects.all().delete()
    weights.ask(scope="all", send=False)
    settle()
    out = StringIO()
    call_command("trainexpert", BASE, stdout=out)
    assert "No expert was trained" in out.getvalue()
    assert not Expert.objects.exists()


def test_an_expert_that_is_retired_is_not_asked(crawled: Running) -> None:
    weights.ask(scope="all", send=False)
    settle()
    call_command("trainexpert", BASE, stdout=StringIO())
    (expert,) = queries.experts_in_service()
    services.retire(expert_id=expert.pk)
    assert queries.experts_in_service() == []
    services.serve(expert_id=expert.pk)
    assert [each.pk for each in queries.experts_in_service()] == [expert.pk]


def test_training_goes_on_where_it_was_stopped(crawled: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from workers.steps import training

    weights.ask(scope="all", send=False)
    settle()
    job = services.ask(kind="train", scope="all", send=False)
    real: Callable[..., Any] = training._STAGES["cross"]
    calls = []

    def breaks_once(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            training._tree.cache_clear()  # as in another process
            raise RuntimeError("the power went")
        return real(*arguments)

    monkeypatch.setitem(training._STAGES, "cross", breaks_once)
    monkeypatch.setattr("workers.tasks.BACKOFF", 0.01)
    assert run_here(job.pk).state == JobState.DONE
    assert len(calls) == 4
    assert Expert.objects.count() == 1
