"""The inspect job: what it stores, what it passes over, and what it does about repos that can't be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from hubapp.catalog.models import Repo
from hubapp.crawling import services as crawling
from hubapp.jobs import kinds
from hubapp.jobs.models import Fault, Job, JobState
from hubapp.weights import queries, services
from hubapp.weights.models import Inspection
from samplehub.running import Running
from tests.weights.making import header, lora, model, repo
from workers.errors import BadRequest
from workers.tasks import run_here
from workers.weights.records import State

pytestmark = [pytest.mark.django_db(transaction=True)]
Make = Callable[..., Running]

TOKENIZER = json.dumps({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}}).encode()
BASE = {"model.safetensors": model(), "config.json": b'{"hidden_size": 16}', "tokenizer.json": TOKENIZER}


def child(name: str, parent: str, files: dict[str, bytes], number: int, relation: str = "finetune", **fields: Any):
    tags = [f"base_model:{parent}", f"base_model:{relation}:{parent}"]
    return repo(name, files, number=number, cardData={"base_model": parent}, tags=tags, **fields)


def garden() -> list[Any]:
    """A family, a stranger, and everything that can be wrong."""
    adapter = {"adapter_model.safetensors": lora(), "adapter_config.json": b'{"r": 4, "lora_alpha": 8}'}
    return [
        repo("org/base", BASE, number=1),
        child("org/child", "org/base", {**BASE, "model.safetensors": model(5)}, 2),
        child("org/lora", "org/child", adapter, 3, "adapter"),
        repo("else/pickle", {"pytorch_model.bin": b"\x80\x04."}, number=4),
        repo("else/hostile", {"model.safetensors": header(b'{"../x":{}}')}, number=5),
        repo("else/gated", BASE, number=6, gated="auto"),
        repo("else/empty", {"README.md": b"#"}, number=7),
    ]


@pytest.fixture
def hub(hub_with: Make, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Running:
    settings.HUB_CARDS = settings.HUB_READERS = 0
    monkeypatch.setattr("workers.crawling.client.PAUSE", 0.01)
    monkeypatch.setattr("workers.steps.weights.RETRY", 0.01)
    running = hub_with(*garden())
    settings.HUB_ENDPOINT = running.url
    crawl()
    return running


def crawl() -> None:
    run_here(crawling.start(scope="everything", send=False).job_id)
    settle()


def settle() -> None:
    while due := Job.objects.filter(state=JobState.QUEUED).order_by("id").first():
        assert (done := run_here(due.pk)).state == JobState.DONE, done.error


def inspect(scope: str = "all", name: str = "", **options: Any) -> Job:
    asked = services.ask(scope=scope, repo=Repo.objects.get(name=name) if name else None, send=False, **options)
    job = run_here(asked.pk)
    assert job.state == JobState.DONE, job.error
    return job


def states() -> dict[str, str]:
    return dict(Inspection.objects.values_list("repo__name", "state"))


@pytest.mark.both_databases
def test_everything_is_read_once_and_bad_repos_stop_nothing(hub: Running) -> None:
    job = inspect()
    assert states() == {
        "org/base": "read", "org/child": "read", "org/lora": "read", "else/pickle": "no_safe_weights",
        "else/hostile": "refused", "else/gated": "gated", "else/empty": "no_weights",
    }  # fmt: skip
    assert (job.progress["done"], job.progress["total"], job.progress["read"]) == (7, 7, 3)
    fault = Fault.objects.get(job=job)
    assert (fault.subject, fault.code) == ("else/hostile", "input.weights")
    base, kid = (queries.inspection(Repo.objects.get(name=name).pk) for name in ("org/base", "org/child"))
    assert base is not None
    assert kid is not None
    assert base.schema is not None
    assert kid.schema is not None
    assert base.schema.signature == kid.schema.signature
    assert base.config == {"hidden_size": 16}
    assert base.tokenizer == kid.tokenizer
    assert kid.bytes_read < base.bytes_read  # its tokenizer was known
    assert (
        queries.same_architecture(base.schema.signature) == [1, 2]
        or len(queries.same_architecture(base.schema.signature)) == 2
    )
    lora_ = queries.summary(Repo.objects.get(name="org/lora"))
    assert lora_ is not None
    assert lora_.adapter is not None
    assert (lora_.state, lora_.adapter.rank, lora_.fresh) == (State.READ, 4, True)
    # Nothing is asked of the hub for what was read.
    before = hub.state()["counts"]["requests"]
    again = inspect()
    assert again.progress["done"] == 0
    assert hub.state()["counts"]["requests"] == before


@pytest.mark.both_databases
def test_a_changed_revision_is_read_anew(hub: Running) -> None:
    inspect()
    old = Inspection.objects.get(repo__name="org/base")
    hub.change("edit", "org/base", fields={"cardData": {"license": "mit"}})
    crawl()
    stale = queries.summary(Repo.objects.get(name="org/base"))
    assert stale is not None
    assert not stale.fresh
    job = inspect()
    assert job.progress["done"] == 1
    new = Inspection.objects.get(repo__name="org/base")
    assert new.revision != old.revision
    assert new.signature == old.signature


def test_scopes(hub: Running) -> None:
    inspect("model", "org/lora")
    assert set(states()) == {"org/lora"}
    inspect("model", "org/lora", onward=True)
    assert set(states()) == {"org/lora", "org/child"}
    inspect("family", "org/lora")
    assert set(states()) == {"org/lora", "org/child", "org/base"}
    with pytest.raises(BadRequest):
        services.ask(scope="model")
    with pytest.raises(BadRequest):
        services.ask(scope="some")


def test_a_repo_that_the_hub_cannot_hand_out_is_left_for_later(hub: Running) -> None:
    hub.faults({"kind": "500", "path": "/api/models/org/base"})
    job = inspect()
    assert "org/base" not in states()
    assert len(states()) == 6
    assert Fault.objects.filter(job=job, subject="org/base", code="remote.unavailable").exists()
    hub.faults()
    assert inspect().progress["done"] == 1
    assert states()["org/base"] == "read"


def test_a_bug_in_reading_one_repo_stops_nothing(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    from workers.steps import weights as step

    real = step.inspecting.inspect

    def broken(source: Any, **options: Any) -> Any:
        if options["name"] == "org/child":
            raise ZeroDivisionError("one divided by nothing")
        return real(source, **options)

    monkeypatch.setattr(step.inspecting, "inspect", broken)
    job = inspect()
    assert len(states()) == 6
    assert Fault.objects.get(job=job, code="bug").subject == "org/child"


def test_gated_weights_are_read_where_the_settings_say_so(hub: Running, settings: Any) -> None:
    inspect()
    assert Inspection.objects.get(repo__name="else/gated").requests == 0
    settings.GATED_WEIGHTS = True
    inspect()
    assert Inspection.objects.get(repo__name="else/gated").reason.startswith("The repo's files need")  # no token here


def test_rate_limits_make_the_job_wait_and_lose_nothing(hub_with: Make, settings: Any) -> None:
    settings.HUB_CARDS = settings.HUB_READERS = 0
    running = hub_with(*garden(), rate_limit="api=100/1,resolvers=6/1")
    settings.HUB_ENDPOINT = running.url
    crawl()
    inspect()
    assert len(states()) == 7
    assert states()["org/lora"] == "read"


def test_onward_asks_for_the_next_kind_once_families_stand(hub: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "_kinds", {**kinds._kinds, "verify": kinds.Kind("verify", "analyse", "Verify")})
    inspect(onward=True)
    verify = Job.objects.get(kind="verify")
    assert (verify.params["scope"], verify.params["onward"]) == ("all", True)
    inspect()
    assert Job.objects.filter(kind="verify").count() == 1


def test_a_crawl_ends_with_reading_where_the_settings_say_so(hub: Running, settings: Any) -> None:
    settings.READ_WEIGHTS = True
    crawl()
    assert len(states()) == 7


# --- terminal and admin ---------------------------------------------------------------------------------------------
def test_the_command_reads_and_tells(hub: Running, shared_data: Any) -> None:
    out = StringIO()
    call_command("inspect", "org/lora", "else/pickle", stdout=out, stderr=StringIO())
    assert "adapter: lora rank 4 alpha 8" in out.getvalue()
    assert "no_safe_weights" in out.getvalue()
    out = StringIO()
    folder = shared_data / "adapters" / "anirudh-ak+peft-gpt2"
    call_command("inspect", file=str(folder), json=True, stdout=out)
    told = json.loads(out.getvalue())
    assert (told["adapter"]["rank"], len(told["tensors"])) == (8, 25)
    for wrong in ({"models": ["org/none"]}, {"models": []}, {"file": "/nowhere"}):
        with pytest.raises(CommandError):
            call_command("inspect", *wrong.get("models", []), file=wrong.get("file"))


def test_staff_ask_for_reading_in_the_admin(hub: Running, client: Any) -> None:
    base = Repo.objects.get(name="org/base")
    wish = {"action": "read_family_weights", "_selected_action": [base.pk]}
    client.force_login(User.objects.create_user("looker", is_staff=True))
    assert client.post("/admin/catalog/repo/", wish).status_code in (302, 403)
    assert not Job.objects.filter(kind="inspect").exists()
    client.force_login(User.objects.create_superuser("gardener"))
    assert client.post("/admin/catalog/repo/", wish, follow=True).status_code == 200
    job = Job.objects.get(kind="inspect")
    assert (job.params["scope"], job.params["repo"], job.created_by.username) == ("family", base.pk, "gardener")
    settle()
    assert client.get("/admin/weights/inspection/").status_code == 200
    assert client.get(f"/admin/weights/inspection/{base.pk}/change/").status_code == 200
    assert b"org/child" in client.get("/admin/weights/inspection/?q=org/child").content
