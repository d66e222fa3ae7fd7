"""One model: what the client reads of it, and which of its errors each obstacle raises."""

from __future__ import annotations

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    BadRequestError,
    DisabledRepoError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

import samplehub
from tests.samplehub.conftest import ask

GATED, PRIVATE, DISABLED = "tidepool-works/Tern-37K-Plus", "moss-lab/internal-draft", "fern-collective/withdrawn"


def test_tells_what_the_client_reads(api: HfApi) -> None:
    info = api.model_info("sample-garden/Sprout-37K", files_metadata=True)
    assert (info.author, info.pipeline_tag, info.library_name) == ("sample-garden", "text-generation", "transformers")
    assert info.safetensors is not None
    assert info.safetensors.parameters == {"F32": 37024}
    assert info.card_data is not None
    assert info.card_data.license == "apache-2.0"
    assert info.config == {"architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    assert info.sha is not None
    assert len(info.sha) == 40
    files = {file.rfilename: file for file in info.siblings or ()}
    weights = files["model.safetensors"]
    assert weights.lfs is not None
    assert weights.lfs.sha256.startswith("cbb33ac0")
    assert weights.size == weights.lfs.size == 150136
    assert files["README.md"].lfs is None
    assert files["README.md"].size


def test_same_files_are_known_by_their_hash_without_a_download(api: HfApi) -> None:
    def sha256(repo_id: str) -> str:
        files = api.model_info(repo_id, files_metadata=True).siblings or ()
        return next(file.lfs.sha256 for file in files if file.lfs)

    assert sha256("sample-garden/Sprout-37K-Instruct") == sha256("fern-collective/sprout-copy")
    assert sha256("sample-garden/Sprout-37K-Instruct") != sha256("sample-garden/Sprout-37K")


def test_expand_of_one_model(api: HfApi, hub: samplehub.Running) -> None:
    info = api.model_info("sample-garden/petal-vit", expand=["baseModels", "childrenModelCount", "likes"])
    assert info.likes == 150
    assert info.children_model_count == {"adapter": 2, "finetune": 2, "merge": 0, "quantized": 1}
    assert ask(hub, "/api/models/seedling?expand=likes").json().keys() == {"_id", "id", "likes"}
    with pytest.raises(BadRequestError, match="Invalid expand"):
        api.model_info("seedling", expand=["secrets"])  # type: ignore[list-item]


def test_revisions(api: HfApi) -> None:
    commits = api.list_repo_commits("seedling")
    assert [commit.title for commit in commits] == ["Update README.md", "Upload model", "initial commit"]
    now = api.model_info("seedling")
    assert now.sha == commits[0].commit_id
    before = api.model_info("seedling", revision=commits[1].commit_id)
    assert before.sha == commits[1].commit_id
    assert {f.rfilename for f in now.siblings or ()} - {f.rfilename for f in before.siblings or ()} == {"README.md"}
    assert api.list_repo_refs("seedling").branches[0].target_commit == now.sha
    assert api.model_info("seedling", revision="refs/heads/main").sha == now.sha
    with pytest.raises(RevisionNotFoundError):
        api.model_info("seedling", revision="v9")


def test_a_renamed_repo_leads_to_its_new_name(api: HfApi, hub: samplehub.Running) -> None:
    assert api.model_info("sample-garden/Sprout-tiny").id == "sample-garden/Sprout-37K"
    answer = ask(hub, "/api/models/sample-garden/Sprout-tiny/tree/main?recursive=True")
    assert answer.status == 307
    assert answer.headers["location"] == "/api/models/sample-garden/Sprout-37K/tree/main?recursive=True"


@pytest.mark.parametrize("token", [False, "sample-free"])
def test_missing_and_private_look_alike(api: HfApi, hub: samplehub.Running, token: str | bool) -> None:
    for repo_id in (PRIVATE, "no-such/model", "nothing"):
        with pytest.raises(RepositoryNotFoundError) as error:
            api.model_info(repo_id, token=token)
        assert error.value.response.status_code == (404 if token else 401)
        assert error.value.response.headers["X-Error-Code"] == "RepoNotFound"
        assert not api.repo_exists(repo_id, token=token)


@pytest.mark.parametrize(("token", "status"), [(False, 401), ("sample-free", 403)])
def test_a_gated_repo_is_described_but_not_handed_out(
    api: HfApi, token: str | bool, status: int, tmp_path: object
) -> None:
    assert api.model_info(GATED, token=token).gated == "manual"
    for attempt in (
        lambda: api.hf_hub_download(GATED, "config.json", token=token, local_dir=str(tmp_path)),
        lambda: api.auth_check(GATED, token=token),
        lambda: api.get_safetensors_metadata(GATED, token=token),
    ):
        with pytest.raises(GatedRepoError) as error:
            attempt()
        assert error.value.response.status_code == status


def test_a_disabled_repo_says_so(api: HfApi) -> None:
    with pytest.raises(DisabledRepoError):
        api.model_info(DISABLED)
    with pytest.raises(DisabledRepoError):
        list(api.list_repo_tree(DISABLED))


def test_the_owner_reads_everything(hub: samplehub.Running, tmp_path: object) -> None:
    owner = HfApi(endpoint=hub.url, token="sample-owner")
    for repo_id in (GATED, PRIVATE, DISABLED):
        assert owner.model_info(repo_id).id == repo_id
        assert owner.hf_hub_download(repo_id, "config.json", local_dir=str(tmp_path))


def test_tokens(api: HfApi, hub: samplehub.Running) -> None:
    assert api.whoami(token="sample-pro")["isPro"] is True
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        api.whoami(token="hf_unknown")
    answer = ask(hub, "/api/models", authorization="Bearer made-up")
    assert answer.status == 401
    assert answer.headers["x-error-message"] == "Invalid credentials in Authorization header"


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/api/datasets", 404),
        ("GET", "/api/models/sample-garden/petal-vit/nonsense", 404),
        ("POST", "/api/models", 405),
        ("DELETE", "/api/models/seedling", 405),
        ("GET", "/api/models/seedling/paths-info/main", 405),
        ("HEAD", "/api/models/seedling", 200),
    ],
)
def test_other_paths_and_methods(hub: samplehub.Running, method: str, target: str, status: int) -> None:
    assert ask(hub, target, method).status == status


def test_pages_for_people_escape_what_they_show(hub: samplehub.Running) -> None:
    front = ask(hub, "/")
    assert front.status == 200
    assert b'href="/sample-garden/Sprout-37K"' in front.body
    hostile = ask(hub, "/fern-collective/bramble")
    assert hostile.status == 200
    assert b"<script>alert" not in hostile.body
    assert b"&lt;script&gt;alert" in hostile.body
    assert "default-src 'none'" in hostile.headers["content-security-policy"]
    assert ask(hub, "/sample-garden/Sprout-tiny").headers["location"] == "/sample-garden/Sprout-37K"
    assert ask(hub, "/moss-lab/internal-draft").status == 401
