"""Changes while the hub runs, and the desk that makes them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from huggingface_hub import HfApi, ModelCard
from huggingface_hub.errors import DisabledRepoError, RepositoryNotFoundError

import samplehub
from samplehub.running import ControlError
from tests.samplehub.conftest import ask

INSTRUCT = "sample-garden/Sprout-37K-Instruct"


def parents(api: HfApi, repo_id: str) -> list[str]:
    base_models: Any = api.model_info(repo_id, expand=["baseModels"]).base_models
    return [model["id"] for model in (base_models or {}).get("models", ())]


def api_of(hub: samplehub.Running) -> HfApi:
    return HfApi(endpoint=hub.url, token=False)


def test_deleted(changing: samplehub.Running) -> None:
    api = api_of(changing)
    assert changing.change("delete", INSTRUCT) is None
    with pytest.raises(RepositoryNotFoundError):
        api.model_info(INSTRUCT)
    assert INSTRUCT not in [model.id for model in api.list_models()]
    assert parents(api, "moss-lab/Sprout-Verse") == []  # its card still names what is gone
    assert api.model_info("moss-lab/Sprout-Verse").card_data.base_model == INSTRUCT  # type: ignore[union-attr]


def test_renamed(changing: samplehub.Running) -> None:
    api = api_of(changing)
    before = changing.hub.catalogue.find(INSTRUCT).row["_id"]  # type: ignore[union-attr]
    changing.change("rename", INSTRUCT, to="moss-lab/Sprig")
    changing.change("rename", "moss-lab/Sprig", to="moss-lab/Sprig-2")
    info = api.model_info(INSTRUCT)
    assert (info.id, info.author) == ("moss-lab/Sprig-2", "moss-lab")
    assert ask(changing, "/api/models/moss-lab/Sprig-2").json()["_id"] == before
    assert parents(api, "moss-lab/Sprout-Verse") == ["moss-lab/Sprig-2"]
    assert "base_model:finetune:moss-lab/Sprig-2" in api.model_info("moss-lab/Sprout-Verse").tags  # type: ignore[operator]
    assert {model.id for model in api.list_models(filter="base_model:moss-lab/Sprig-2")} >= {"moss-lab/Sprout-Verse"}
    changing.change("add", INSTRUCT)  # the old name is given to another
    assert api.model_info(INSTRUCT).id == INSTRUCT


def test_private_gated_disabled_and_back(changing: samplehub.Running) -> None:
    api = api_of(changing)
    changing.change("make_private", "seedling")
    assert not api.repo_exists("seedling")
    assert parents(api, "moss-lab/seedling-leaves") == []
    changing.change("make_public", "seedling")
    assert parents(api, "moss-lab/seedling-leaves") == ["seedling"]
    changing.change("gate", "seedling", how="manual")
    assert api.model_info("seedling").gated == "manual"
    changing.change("ungate", "seedling")
    assert api.model_info("seedling").gated is False
    changing.change("disable", "seedling")
    with pytest.raises(DisabledRepoError):
        api.model_info("seedling")
    changing.change("enable", "seedling")
    assert api.model_info("seedling").id == "seedling"


def test_edited_repos_come_first_by_last_modified(changing: samplehub.Running) -> None:
    api = api_of(changing)
    before = api.model_info("seedling")
    changing.change("edit", "seedling", fields={"cardData": {"license": "apache-2.0", "base_model": INSTRUCT}})
    after = api.model_info("seedling")
    assert after.sha != before.sha
    assert next(iter(api.list_models(sort="last_modified", limit=1))).id == "seedling"
    assert "license:apache-2.0" in (after.tags or ())
    assert parents(api, "seedling") == [INSTRUCT]
    path = api.hf_hub_download("seedling", "README.md", revision=after.sha)
    assert ModelCard.load(path).data.license == "apache-2.0"
    changing.change("edit", "seedling", fields={"likes": 1000}, touch=False)
    assert api.model_info("seedling").last_modified == after.last_modified


def test_added(changing: samplehub.Running) -> None:
    api = api_of(changing)
    row = changing.change("add", "moss-lab/newcomer", row={"likes": 3, "cardData": {"base_model": "seedling"}})
    assert len(row["_id"]) == 24
    assert next(iter(api.list_models(sort="created_at", limit=1))).id == "moss-lab/newcomer"
    assert parents(api, "moss-lab/newcomer") == ["seedling"]
    assert parents(api, "moss-lab/seedling-leaves") == ["seedling"]


@pytest.mark.parametrize(
    ("action", "repo_id", "arguments"),
    [
        ("explode", "seedling", {}),
        ("delete", "no/such", {}),
        ("rename", "seedling", {}),
        ("rename", "seedling", {"to": INSTRUCT}),
        ("add", "seedling", {}),
        ("edit", "seedling", {"fields": {"_id": "0"}}),
    ],
)
@pytest.mark.parametrize("process", [False, True])
def test_a_change_that_cannot_be_is_refused_and_changes_nothing(
    hub: samplehub.Running, action: str, repo_id: str, arguments: dict[str, Any], process: bool
) -> None:
    running = samplehub.Running(hub.url) if process else hub
    with pytest.raises(ControlError):
        running.change(action, repo_id, **arguments)
    assert hub.state()["repos"] == 55


def test_a_hub_in_its_own_process_takes_the_same_commands() -> None:
    with samplehub.serve("generated:300:5", process=True, faults="500:1;times=1") as hub:
        assert hub.hub is None
        assert ask(hub, "/api/models").status == 500
        assert ask(hub, "/api/models").status == 200
        first = ask(hub, "/api/models?sort=createdAt&limit=1").json()[0]["id"]
        hub.change("delete", first)
        assert hub.state()["repos"] == 299
        hub.faults("503")
        assert ask(hub, "/api/models").status == 503
        hub.control("reset")
        assert hub.state()["counts"] == {}
        assert ask(hub, "/api/models").status == 200
        hub.control("limits", rate_limit="api=1/1000")
        assert [ask(hub, "/api/models").status for _ in range(2)] == [200, 429]


def test_the_desk_takes_json_from_loopback_alone(hub: samplehub.Running) -> None:
    body = json.dumps({"rules": ["500"]})
    assert ask(hub, "/_control/faults", "POST", body).status == 415  # what a web page could send unasked
    assert ask(hub, "/_control/faults", "POST", body, content_type="text/plain").status == 415
    assert ask(hub, "/_control/faults", "DELETE").status == 405
    assert ask(hub, "/_control/nothing", "POST", "{}", content_type="application/json").status == 400
    assert ask(hub, "/_control/faults", "POST", "{", content_type="application/json").status == 400
    assert ask(hub, "/_control/state").json()["faults"] == []
    assert hub.hub is not None
    request = samplehub.http11.Request("GET", "/_control/state", {}, b"", "192.0.2.7")  # type: ignore[attr-defined]
    assert hub.hub(request).status == 403


def test_changes_of_replayed_rows_reach_their_children() -> None:
    rows = [
        {"id": "a/root", "createdAt": "2024-01-01T00:00:00.000Z", "tags": []},
        {
            "id": "a/child", "createdAt": "2024-01-02T00:00:00.000Z",
            "tags": ["base_model:a/root", "base_model:merge:a/root", 7],
            "baseModels": {"relation": "merge", "models": [{"_id": "1", "id": "a/root"}, "dirt"]},
        },
        {"id": "a/odd", "baseModels": "text", "tags": None},
    ]  # fmt: skip
    with samplehub.serve(catalogue=samplehub.Catalogue.of_rows(rows)) as hub:
        hub.change("rename", "a/root", to="b/root")
        child = ask(hub, "/api/models?expand=baseModels&expand=tags&filter=base_model:b/root").json()[0]
        assert child["baseModels"]["models"] == [{"_id": "1", "id": "b/root"}, "dirt"]
        assert child["tags"] == ["base_model:b/root", "base_model:merge:b/root", 7]
        assert (
            ask(hub, "/api/models?expand=childrenModelCount&search=root").json()[0]["childrenModelCount"]["merge"] == 1
        )
