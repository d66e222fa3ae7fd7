"""Merges over a crawled hub: the job, the command, the pages, the API."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
import yaml
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.test import Client

from hubapp.jobs.models import Job, JobState
from hubapp.merging import queries, services
from hubapp.merging.models import Comparison
from samplehub.running import Running
from tests.merging.conftest import settle
from workers.merging.records import Verdict
from workers.tasks import run_here

pytestmark = [pytest.mark.django_db(transaction=True)]
PAIR = "org/a,org/b"


def compared(*names: str) -> Job:
    job = run_here(services.ask(repos=queries.find(names), send=False).pk)
    assert job.state == JobState.DONE, job.error
    return job


@pytest.mark.both_databases
def test_a_job_reads_what_is_missing_and_the_comparison_is_kept(hub: Running) -> None:
    before = queries.judged(queries.find(["org/a", "org/b"]))
    assert before.report.verdict is Verdict.UNKNOWN
    assert set(before.unread) == {"org/a", "org/b"}
    compared("org/b", "org/a")
    after = queries.judged(queries.find(["org/a", "org/b"]))
    assert after.report.verdict is Verdict.MERGEABLE
    assert after.report.ancestor.name == "org/base"
    assert after.report.ancestor.how == "both"
    assert after.report.sampling is not None
    assert after.report.sampling.base == "org/base"
    assert after.report.sampling.pairs[0].tasks == pytest.approx(0, abs=0.05)
    compared("org/a", "org/b")
    assert Comparison.objects.count() == 1


def test_a_stranger_of_the_same_shape_is_told_whatever_its_card_claims(hub: Running) -> None:
    compared("org/a", "org/stranger")
    found = queries.judged(queries.find(["org/a", "org/stranger"])).report
    assert found.verdict is Verdict.NOT
    assert found.has("weights.unrelated")
    assert "org/base" in found.faults[0].cause  # what the cards claim
    assert found.recipe is None
    assert found.instead


def test_licences_of_all_ancestors_bind_the_merge(hub: Running) -> None:
    compared("org/a", "org/b")
    found = queries.judged(queries.find(["org/a", "org/b"])).obligations
    assert {source.model for source in found.sources} == {"org/a", "org/b", "org/base"}
    assert found.fits == ("cc-by-nc-4.0",)
    assert any("commercial" in limit.text.lower() for limit in found.limits)


def test_the_command_tells_writes_and_judges_a_configuration(hub: Running, tmp_path: Path) -> None:
    out = StringIO()
    call_command("mergehint", "org/a", "org/b", write=str(tmp_path / "merge.yml"), stdout=out)
    assert "Mergeable" in out.getvalue()
    recipe = yaml.safe_load((tmp_path / "merge.yml").read_text())
    assert (recipe["merge_method"], recipe["base_model"]) == ("task_arithmetic", "org/base")
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("merge_method: ties\nmodels:\n  - model: org/a\n  - model: org/b\n")
    out = StringIO()
    call_command("mergehint", config=str(wrong), stored=True, json=True, stdout=out)
    told = json.loads(out.getvalue())
    assert told["verdict"] == "mergeable after"
    assert {"config.base_missing", "config.parameter_missing", "config.density"} <= {f["code"] for f in told["faults"]}
    assert told["recipe"]["method"] == "task_arithmetic"
    with pytest.raises(CommandError, match="is stored here"):
        call_command("mergehint", "org/a", "org/nothing", stdout=StringIO())
    with pytest.raises(CommandError, match="2 to 8"):
        call_command("mergehint", "org/a", stdout=StringIO())


def test_the_command_judges_folders(tmp_path: Path) -> None:
    from bench import graft_faults

    scene = graft_faults.scene("gpt2", tmp_path, seed=1)
    a, b, base = (str(m.write(tmp_path / n)) for m, n in ((scene.a, "a"), (scene.b, "b"), (scene.base, "base")))
    out = StringIO()
    call_command("mergehint", a, b, base=base, full=True, json=True, stdout=out)
    told = json.loads(out.getvalue())
    assert told["verdict"] == "mergeable"
    assert told["weights"]["share"] == 1.0
    assert told["ancestor"] == {
        "name": base, "by": "both", "sentence": told["ancestor"]["sentence"], "steps": {a: 1, b: 1},
    }  # fmt: skip


def test_the_page_shows_what_is_stored_and_staff_ask_for_more(hub: Running, client: Client) -> None:
    assert "Can these be merged?" in client.get("/merge").content.decode()
    assert client.get("/merge?m=org/a&m=ORG/B").headers["Location"] == f"/merge?models={PAIR}"
    page = client.get(f"/merge?models={PAIR}").content.decode()
    assert "not been read yet" in page
    assert "Compare their weights" not in page
    assert client.post("/merge/compare", {"models": PAIR}).status_code == 302
    assert not Job.objects.filter(kind="merge").exists()
    client.force_login(User.objects.create_superuser("keeper", password="a long pass phrase"))
    client.post("/merge/compare", {"models": PAIR})
    settle()
    page = client.get(f"/merge?models={PAIR}").content.decode()
    for words in ("Where changes oppose each other", "<svg", "task_arithmetic", "every number read", "Licences of all"):
        assert words in page
    assert "style=" not in page
    recipe = client.get(f"/merge/recipe?models={PAIR}&method=ties")
    assert yaml.safe_load(recipe.content)["models"][0]["parameters"] == {"weight": 1.0, "density": 0.2}
    assert client.get("/merge?models=org/a,org/nothing").status_code == 404


def test_the_api_answers_for_models_and_for_configurations(hub: Running, client: Client) -> None:
    compared("org/a", "org/b")
    told = client.get(f"/api/v1/merges?models={PAIR}").json()
    assert told["verdict"] == "mergeable"
    assert told["weights"]["pairs"][0]["weights"] > 0.99
    text = told["recipe"]["yaml"]
    again = client.post("/api/v1/merges", {"config": text}, content_type="application/json").json()
    assert [f["code"] for f in again["faults"]] == []
    assert again["verdict"] == "mergeable"
    bad = client.post("/api/v1/merges", {"config": "a: [1, *b]"}, content_type="application/json")
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "input.request")
    assert client.get("/api/v1/merges?models=org/a").status_code == 400
    assert client.get("/api/v1/merges?models=org/a,org/nothing").status_code == 404
