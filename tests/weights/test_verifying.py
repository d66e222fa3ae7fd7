"""The verify job: what it reads, what it says of each edge, where that shows, and what it leaves alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client
from safetensors.numpy import save

from hubapp.catalog.models import Repo
from hubapp.crawling import services as crawling
from hubapp.crawling.management.commands.dumpcanonical import lines as dump
from hubapp.jobs.models import Fault, Job, JobState
from hubapp.lineage import queries as lineage
from hubapp.lineage.models import Edge, Evidence, Finding, Verdict
from hubapp.weights import services, sketches
from hubapp.weights.models import Sketch
from samplehub.running import Running
from tests.support import models
from tests.weights.making import repo
from workers.errors import BadRequest
from workers.lineage.records import Source
from workers.tasks import run_here

pytestmark = [pytest.mark.django_db(transaction=True)]
Make = Callable[..., Running]
BASE = models.grow(1)
TUNED = models.tune(BASE, 2)


def made(number: int, name: str, model: models.Model, parents: str | list[str] = "", relation: str = "finetune") -> Any:
    """A repo that was made on day ``number`` and declares these parents."""
    file = "adapter_model.safetensors" if relation == "adapter" else "model.safetensors"
    files = {file: save({k: np.ascontiguousarray(v) for k, v in model.items()})}
    if relation == "adapter":
        files["adapter_config.json"] = json.dumps({"r": 4, "base_model_name_or_path": parents}).encode()
    named = [parents] if isinstance(parents, str) and parents else list(parents)
    tags = [t for p in named for t in (f"base_model:{p}", f"base_model:{relation}:{p}")]
    fields: dict[str, Any] = {"cardData": {"base_model": named}, "tags": tags} if named else {}
    return repo(name, files, number=number, createdAt=f"2024-05-{number:02d}T00:00:00.000Z", **fields)


def garden() -> list[Any]:
    sibling = models.tune(BASE, 3)
    mix = models.mixed({"a": 0.5, "b": 0.5}, {"a": TUNED, "b": sibling})
    return [
        made(1, "org/base", BASE),
        made(2, "else/stranger", models.grow(9)),
        made(3, "org/tuned", TUNED, "org/base"),
        made(4, "org/sibling", sibling, "org/base"),
        made(5, "org/deep", models.tune(TUNED, 5), "org/tuned"),
        made(6, "org/lora", models.lean(BASE, 6), "org/base", "adapter"),
        made(7, "org/mix", mix, ["org/tuned", "org/sibling"], "merge"),
        made(8, "lies/stranger", models.tune(BASE, 8), "else/stranger"),
        made(9, "lies/sibling", models.tune(BASE, 9), "org/sibling"),
        repo("org/pickle", {"pytorch_model.bin": b"\x80\x04."}, number=10, tags=["base_model:org/base"]),
    ]  # fmt: skip


@pytest.fixture
def hub(hub_with: Make, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Running:
    settings.HUB_CARDS = settings.HUB_READERS = 0
    monkeypatch.setattr("workers.crawling.client.PAUSE", 0.01)
    monkeypatch.setattr("workers.steps.verifying.RETRY", 0.01)
    running = hub_with(*garden())
    settings.HUB_ENDPOINT = running.url
    run_here(crawling.start(scope="everything", send=False).job_id)
    settle()
    return running


def settle() -> None:
    while due := Job.objects.filter(state=JobState.QUEUED).order_by("id").first():
        assert (done := run_here(due.pk)).state == JobState.DONE, done.error


def verify(scope: str = "all", name: str = "", **options: Any) -> Job:
    found = Repo.objects.get(name=name) if name else None
    job = run_here(sketches.ask_to_verify(scope=scope, repo=found, send=False, **options).pk)
    assert job.state == JobState.DONE, job.error
    return job


def verdicts() -> dict[tuple[str, str], str]:
    return {(p, c): v for p, c, v in Verdict.objects.values_list("parent__name", "child__name", "verdict")}


def edges() -> list[Any]:
    fields = ("parent__name", "child__name", "relation", "sources", "place", "primary")
    return list(Edge.objects.order_by("parent__name", "child__name").values_list(*fields))


@pytest.mark.both_databases
def test_every_edge_is_held_against_the_weights_once(hub: Running) -> None:
    before, learned = edges(), list(dump())
    job = verify()
    assert verdicts() == {
        ("org/base", "org/tuned"): "confirmed",
        ("org/base", "org/sibling"): "confirmed",
        ("org/tuned", "org/deep"): "confirmed",
        ("org/base", "org/lora"): "confirmed",
        ("org/tuned", "org/mix"): "confirmed",
        ("org/sibling", "org/mix"): "confirmed",
        ("else/stranger", "lies/stranger"): "contradicted",
        ("org/sibling", "lies/sibling"): "contradicted",
    }
    assert (job.progress["confirmed"], job.progress["contradicted"], job.progress["sketches"]) == (6, 2, 9)
    kinship = dict(Verdict.objects.values_list("child__name", "kinship"))
    assert {kinship[n] for n in ("org/tuned", "org/lora", "org/mix")} == {"finetune", "adapter", "merge"}
    likelier = dict(Verdict.objects.filter(verdict="contradicted").values_list("child__name", "likelier__name"))
    assert likelier == {"lies/stranger": "org/base", "lies/sibling": "org/base"}
    # Nothing is asked of the hub again, and nothing is written again.
    asked, judged = (
        hub.state()["counts"]["requests"],
        Verdict.objects.order_by("pk").values_list("judged_at", flat=True),
    )
    moments = list(judged)
    again = verify()
    assert (again.progress["sketches"], again.progress["confirmed"]) == (0, 0)
    assert hub.state()["counts"]["requests"] == asked
    assert list(judged) == moments
    # What is declared stays as it is, and so does what a crawl learns.
    assert (edges(), list(dump())) == (before, learned)
    lineage_job()
    assert (edges(), list(dump())) == (before, learned)
    assert len(verdicts()) == 8


def lineage_job() -> None:
    from hubapp.lineage import services as descent

    descent.mark_everything()
    descent.want_whole()
    descent.wake()
    settle()


def test_evidence_and_findings_follow(hub: Running) -> None:
    verify()
    said = Evidence.objects.filter(source=Source.WEIGHTS, withdrawn_at=None).values_list("child__name", "text")
    assert ("org/tuned", "org/base") in set(said)
    assert not {name for name, _ in said if name.startswith("lies/")}
    found = {f.repo.name: f for f in Finding.objects.filter(code="weights_contradict")}
    assert found.keys() == {"lies/stranger", "lies/sibling"}
    assert found["lies/stranger"].detail == {"reason": "unrelated", "likelier": "org/base"}
    # A model that is mended is judged anew: its finding goes, its evidence comes.
    parents = lineage.parents(Repo.objects.get(name="org/tuned"))
    assert parents.items[0].weighed is not None
    assert parents.items[0].link.standing == "confirmed"
    lineage_job()
    assert Finding.objects.filter(code="weights_contradict").count() == 2


def test_an_edge_that_is_no_longer_declared_takes_its_verdict_along(hub: Running) -> None:
    verify()
    hub.change("edit", "lies/stranger", fields={"cardData": {}, "tags": []})
    run_here(crawling.start(scope="everything", send=False).job_id)
    settle()
    assert ("else/stranger", "lies/stranger") not in verdicts()
    assert not Finding.objects.filter(repo__name="lies/stranger", code="weights_contradict").exists()


def test_scopes_read_what_they_need_and_no_more(hub: Running) -> None:
    verify("model", "org/deep")
    assert set(Sketch.objects.values_list("repo__name", flat=True)) == {"org/deep", "org/tuned", "org/base"}
    assert verdicts() == {("org/tuned", "org/deep"): "confirmed"}
    verify("family", "org/deep")
    assert ("org/base", "org/lora") in verdicts()
    assert ("else/stranger", "lies/stranger") not in verdicts()
    with pytest.raises(BadRequest):
        sketches.ask_to_verify(scope="model")


def test_onward_goes_on_where_there_is_more_to_do(hub: Running) -> None:
    job = services.ask(scope="family", repo=Repo.objects.get(name="org/base"), onward=True, send=False)
    assert run_here(job.pk).state == JobState.DONE
    asked = Job.objects.get(kind="verify")
    assert asked.params["scope"] == "family"
    assert run_here(asked.pk).state == JobState.DONE
    assert len(verdicts()) == 7  # all but the one that is said to come from a stranger


def test_a_file_that_breaks_off_is_a_fault_and_stops_nothing(hub: Running) -> None:
    hub.faults({"kind": "500", "path": "/org/sibling/resolve"})
    job = verify()
    assert Fault.objects.filter(job=job, subject="org/sibling").exists()
    assert ("org/base", "org/tuned") in verdicts()
    assert ("org/base", "org/sibling") not in verdicts()
    hub.faults()
    verify()
    assert verdicts()["org/base", "org/sibling"] == "confirmed"


def test_the_command_prints_verdict_figures_and_bytes(hub: Running) -> None:
    out = StringIO()
    call_command("verify", "org/tuned", stdout=out, stderr=StringIO())
    assert "org/base → org/tuned: Confirmed, trained on from it." in out.getvalue()
    assert "similarity .99" in out.getvalue()
    assert "bytes of org/tuned" in out.getvalue()
    out = StringIO()
    call_command("verify", "org/deep", "--base", "org/sibling", "--json", stdout=out, stderr=StringIO())
    told = json.loads(out.getvalue())[0]
    assert (told["verdict"], told["likelier"]) == ("contradicted", "org/tuned")
    assert not Verdict.objects.filter(child__name="org/deep", parent__name="org/sibling").exists()
    for wrong in (["org/none"], [], ["org/tuned", "--base", "org/tuned"], ["org/tuned", "--base", "org/pickle"]):
        with pytest.raises(CommandError):
            call_command("verify", *wrong, stdout=StringIO(), stderr=StringIO())


def test_pages_and_api_show_what_the_weights_say(hub: Running, client: Client) -> None:
    verify()
    page = client.get("/models/org/tuned").content.decode()
    assert 'class="verdict confirmed"' in page
    assert "Layer by layer" in page
    wrong = client.get("/models/lies/stranger").content.decode()
    assert 'class="verdict contradicted"' in wrong
    assert "Likelier" in wrong
    assert "Weights contradict the parent" in wrong
    told = client.get("/api/v1/lineage/parents/lies/stranger").json()["parents"][0]
    assert (told["link"]["standing"], told["weights"]["verdict"]) == ("contradicted", "contradicted")
    assert told["weights"]["likelier"] == "org/base"
    opened = client.get("/tree-data/open/org/tuned").json()
    kinds = {(e["p"], e["c"]): e["k"] for e in opened["edges"]}
    assert "confirmed" in kinds.values()
    assert "confirmed by weights" in client.get("/tree/org/tuned?view=table").content.decode()


def test_staff_ask_for_it_in_the_admin(hub: Running, client: Client) -> None:
    User.objects.create_superuser("keeper", "keeper@example.org", "a long secret")
    client.login(username="keeper", password="a long secret")
    chosen = [Repo.objects.get(name="org/tuned").pk]
    client.post("/admin/catalog/repo/", {"action": "verify_descent", "_selected_action": chosen})
    assert Job.objects.filter(kind="verify", state="queued").count() == 1
    assert client.get("/admin/weights/sketch/").status_code == 200
    assert client.get("/admin/lineage/verdict/").status_code == 200
