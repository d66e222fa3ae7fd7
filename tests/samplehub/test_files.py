"""Files: listed, described, downloaded whole and by range, through the real client."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
from huggingface_hub import HfApi, HfFileSystem
from huggingface_hub.errors import RemoteEntryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile, RepoFolder
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

import samplehub
from samplehub.files import Blob, Commit, Snapshots, Tree, tree_entries
from samplehub.sending import byte_range
from tests.samplehub.conftest import ask

WEIGHTS = "/sample-garden/Sprout-37K/resolve/main/model.safetensors"


def test_tree_with_and_without_commits(api: HfApi) -> None:
    plain = {entry.path: entry for entry in api.list_repo_tree("sample-garden/petal-vit", recursive=True)}
    weights = plain["model.safetensors"]
    assert isinstance(weights, RepoFile)
    assert weights.lfs is not None
    assert weights.lfs.size == weights.size
    assert weights.last_commit is None
    full = {entry.path: entry for entry in api.list_repo_tree("sample-garden/petal-vit", expand=True)}
    assert full["model.safetensors"].last_commit.title == "Upload model"
    assert full["README.md"].last_commit.title == "Update README.md"
    assert full["README.md"].security.safe


def test_paths_info_tells_of_what_is_there(api: HfApi, hub: samplehub.Running) -> None:
    found = api.get_paths_info("seedling", ["config.json", "missing.txt"], expand=True)
    assert [entry.path for entry in found] == ["config.json"]
    body = '{"paths": ["README.md"], "expand": false}'
    answer = ask(hub, "/api/models/seedling/paths-info/main", "POST", body, content_type="application/json")
    assert [entry["path"] for entry in answer.json()] == ["README.md"]
    bad = ask(hub, "/api/models/seedling/paths-info/main", "POST", "[]", content_type="application/json")
    assert bad.status == 400


def test_folders_are_listed_level_by_level() -> None:
    blob = Blob.of_bytes(b"x")
    tree = Tree(dict.fromkeys(("a.txt", "one/b.txt", "one/two/c.txt", "onetwo.txt"), blob))

    def listed(folder: str, recursive: bool) -> list[tuple[str, str]]:
        return [(e["type"][0], e["path"]) for e in tree_entries(tree, folder, recursive=recursive) or ()]

    assert listed("", False) == [("d", "one"), ("f", "a.txt"), ("f", "onetwo.txt")]
    assert listed("one", False) == [("d", "one/two"), ("f", "one/b.txt")]
    assert listed("one", True) == [("d", "one/two"), ("f", "one/b.txt"), ("f", "one/two/c.txt")]
    assert len(listed("", True)) == 6
    assert tree_entries(tree, "three", recursive=False) is None


def test_names_of_content_are_gits_own(tmp_path: Path) -> None:
    files = {"a.txt": b"one", "b/c.txt": b"two", "b/d/e.txt": b"three", "b.txt": b"four", "b-1/f": b""}
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", ".")
    root = git("write-tree")
    tree = Tree({name: Blob.of_bytes(data) for name, data in files.items()})
    assert {name: git("rev-parse", f"{root}:{name}") for name in ("b", "b/d", "b-1")} == tree.folders
    assert git("rev-parse", f"{root}:b/c.txt") == tree.oid("b/c.txt")


def test_a_large_tree_is_paged(tmp_path: Path) -> None:
    tree = Tree({f"part-{n:04}/data.txt": Blob.of_bytes(b"%d" % n) for n in range(1300)})
    snapshots = Snapshots([Commit("c" * 40, "all", "2024-01-01T00:00:00.000Z")], [tree])
    catalogue = samplehub.Catalogue.of_rows([{"id": "a/wide", "createdAt": "2024-01-01T00:00:00.000Z"}])
    catalogue.repos["a/wide"].files = snapshots
    with samplehub.serve(catalogue=catalogue) as hub:
        api = HfApi(endpoint=hub.url, token=False)
        assert len(list(api.list_repo_tree("a/wide", recursive=True))) == 2600
        folders = list(api.list_repo_tree("a/wide", expand=True))
        assert len(folders) == 1300
        assert all(isinstance(folder, RepoFolder) and folder.last_commit for folder in folders)
        assert hub.state()["counts"]["requests"] == 3 + 26


def test_downloads_text_and_weights(api: HfApi, tmp_path: Path) -> None:
    card = Path(api.hf_hub_download("sample-garden/Sprout-37K", "README.md", cache_dir=tmp_path))
    assert card.read_text().startswith("---\n")
    path = Path(api.hf_hub_download("sample-garden/Sprout-37K", "model.safetensors", cache_dir=tmp_path))
    info = api.model_info("sample-garden/Sprout-37K", files_metadata=True)
    lfs = next(file.lfs for file in info.siblings or () if file.lfs)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == lfs.sha256
    with safe_open(path, framework="numpy") as tensors:
        assert tensors.metadata() == {"format": "pt"}
        assert "model.embed_tokens.weight" in tensors.keys()  # noqa: SIM118 - not a dict
    renamed = api.hf_hub_download("sample-garden/Sprout-tiny", "model.safetensors", cache_dir=tmp_path)
    assert Path(renamed).read_bytes() == path.read_bytes()


def test_snapshot_of_an_old_revision(api: HfApi, tmp_path: Path) -> None:
    old = api.list_repo_commits("seedling")[1].commit_id
    folder = Path(api.snapshot_download("seedling", revision=old, cache_dir=tmp_path))
    assert {path.name for path in folder.iterdir()} == {".gitattributes", "config.json", "model.safetensors"}


def test_headers_only(api: HfApi) -> None:
    metadata = api.get_safetensors_metadata("mirror-shed/Sprout-37K-Instruct-sharded")
    assert metadata.sharded
    assert metadata.parameter_count == {"BF16": 37024}
    assert len(set(metadata.weight_map.values())) == 2
    int8 = api.get_safetensors_metadata("sample-quants/Tern-37K-Chat-int8").parameter_count
    assert set(int8) == {"I8", "F16", "F32", "U8"}


def test_what_is_missing_says_what(api: HfApi, hub: samplehub.Running) -> None:
    with pytest.raises(RemoteEntryNotFoundError):
        api.hf_hub_download("seedling", "missing.bin")
    with pytest.raises(RevisionNotFoundError):
        api.hf_hub_download("seedling", "config.json", revision="v2")
    assert not api.file_exists("seedling", "missing.bin")
    assert api.file_exists("seedling", "model.safetensors")
    answer = ask(hub, "/seedling/resolve/main/missing.bin", "HEAD")
    assert (answer.status, answer.headers["x-error-code"]) == (404, "EntryNotFound")
    assert len(answer.headers["x-repo-commit"]) == 40  # what lets the client remember that there is none


def test_file_system_reads_a_part(hub: samplehub.Running) -> None:
    files = HfFileSystem(endpoint=hub.url, token=False, skip_instance_cache=True)
    assert "sample-garden/petal-vit/model.safetensors" in files.ls("sample-garden/petal-vit", detail=False)
    whole = files.read_bytes("sample-garden/petal-vit/model.safetensors")
    with files.open("sample-garden/petal-vit/model.safetensors", block_size=1000) as file:
        file.seek(5000)
        assert file.read(300) == whole[5000:5300]


def test_head_of_a_large_file_tells_size_hash_and_commit(hub: samplehub.Running) -> None:
    head = ask(hub, WEIGHTS, "HEAD")
    assert head.status == 302
    assert head.headers["x-linked-size"] == "150136"
    assert len(head.headers["x-linked-etag"].strip('"')) == 64
    stored = ask(hub, head.headers["location"], "HEAD")
    assert (stored.status, stored.headers["content-length"]) == (200, "150136")
    unsigned = head.headers["location"].split("?")[0]
    assert ask(hub, unsigned).status == 403
    assert ask(hub, "/storage/seedling").status == 404


def test_ranges(hub: samplehub.Running) -> None:
    stored = ask(hub, WEIGHTS).headers["location"]
    whole = ask(hub, stored).body
    assert len(whole) == 150136

    def part(header: str) -> tuple[int, bytes, str | None]:
        answer = ask(hub, stored, range=header)
        assert int(answer.headers["content-length"]) == len(answer.body)
        return answer.status, answer.body, answer.headers.get("content-range")

    assert part("bytes=0-7") == (206, whole[:8], "bytes 0-7/150136")
    assert part("bytes=100-") == (206, whole[100:], "bytes 100-150135/150136")
    assert part("bytes=-20") == (206, whole[-20:], "bytes 150116-150135/150136")
    assert part("bytes=150000-999999") == (206, whole[150000:], "bytes 150000-150135/150136")
    assert part("bytes=150136-")[::2] == (416, "bytes */150136")
    assert part("bytes=5-2")[0] == 200
    assert part("bytes=0-1,5-6")[0] == 200
    text = ask(hub, "/seedling/resolve/main/config.json", range="bytes=0-3")
    assert (text.status, len(text.body)) == (206, 4)


@given(st.text(max_size=12).map(lambda text: "bytes=" + text) | st.from_regex(r"bytes=\d{0,3}-\d{0,3}", fullmatch=True))
@settings(max_examples=200)
def test_a_range_is_within_the_file_or_none(header: str) -> None:
    span = byte_range(header, 100)
    if isinstance(span, tuple):
        assert 0 <= span[0] < span[1] <= 100


def test_raw_shows_the_pointer(hub: samplehub.Running) -> None:
    pointer = ask(hub, "/seedling/raw/main/model.safetensors").body.decode()
    assert pointer.startswith("version https://git-lfs.github.com/spec/v1\noid sha256:")


def test_a_storage_host_of_its_own_gets_no_token(tmp_path: Path) -> None:
    with samplehub.serve(storage="other") as hub:
        api = HfApi(endpoint=hub.url, token="sample-free")
        path = api.hf_hub_download("sample-garden/petal-vit", "model.safetensors", cache_dir=tmp_path)
        assert Path(path).stat().st_size > 50_000
        assert api.get_safetensors_metadata("sample-garden/petal-vit").parameter_count
        counts = hub.state()["counts"]
        assert counts["storage requests"] >= 2
        location = ask(hub, WEIGHTS).headers["location"]
        assert location.split("/")[2] != hub.url.split("/")[2]
        assert counts["tokens at storage"] == 0
