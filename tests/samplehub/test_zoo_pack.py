"""The zoo's pack: whole, small, true to its table of truth, served by range; the truth itself never."""

from __future__ import annotations

import gzip
import hashlib
import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import numpy as safetensors

import samplehub
from samplehub import collection
from samplehub.catalogue import Catalogue
from samplehub.content import ContentError
from samplehub.content import load as load_content
from samplehub.files import is_large
from samplehub.http11 import as_bytes
from samplehub.zoo import pack
from samplehub.zoo.plan import BASE, PLAN
from tests.samplehub.conftest import ask

MANIFEST = pack.manifest()
TRUTH = pack.truth()
ENTRIES: dict[str, dict[str, Any]] = {entry["id"]: entry for entry in MANIFEST["models"]}


@pytest.fixture(scope="module")
def weights() -> bytes:
    return (pack.FOLDER / pack.WEIGHTS).read_bytes()


@pytest.fixture(scope="module")
def zoo_hub():
    with samplehub.serve("zoo") as running:
        yield running


def tensors(weights: bytes, repo_id: str) -> dict[str, np.ndarray]:
    name = next(name for name in ENTRIES[repo_id]["files"] if name.endswith(".safetensors"))
    start, length, _ = ENTRIES[repo_id]["files"][name]
    return safetensors.load(weights[start : start + length])


def adapters() -> list[dict[str, Any]]:
    return [row for row in TRUTH.values() if "concept" in row]


def test_every_byte_of_the_pack_is_a_file_of_its_manifest(weights: bytes):
    places = {
        tuple(place) for entry in ENTRIES.values() for place in entry["files"].values() if isinstance(place, list)
    }
    end = 0
    for start, length, sha256 in sorted(places):
        assert start == end
        assert hashlib.sha256(weights[start : start + length]).hexdigest() == sha256
        end = start + length
    assert end == len(weights)
    assert sum(path.stat().st_size for path in pack.FOLDER.iterdir()) <= 9_000_000


def test_the_truth_has_a_row_for_every_model_and_none_more():
    assert set(TRUTH) == set(ENTRIES)
    assert {plan.id for plan in PLAN} | {BASE} | {row["id"] for row in adapters()} == set(ENTRIES)
    for row in TRUTH.values():
        for parent in row["parents"]:
            assert ENTRIES[parent]["created"] < ENTRIES[row["id"]]["created"]


def test_concept_adapters_are_there_as_an_expert_needs_them():
    seen = Counter(row["concept"] for row in adapters() if row["split"] != "unseen" and row["documented"])
    unseen = Counter(row["concept"] for row in adapters() if row["split"] == "unseen")
    assert len(seen) == 108
    assert len(unseen) == 36
    assert not set(seen) & set(unseen)
    assert min(seen.values()) >= 4
    assert min(unseen.values()) >= 2
    assert not any(row["documented"] for row in adapters() if row["split"] == "unseen")
    assert 1 <= sum(row["documented"] and row["says"] != row["trained_on"] for row in adapters()) <= 10


def test_about_a_third_has_no_card_and_no_telling_name():
    bare = [repo_id for repo_id, entry in ENTRIES.items() if "README.md" not in entry["files"]]
    assert 0.3 <= len(bare) / len(ENTRIES) <= 0.4
    words = {word for row in adapters() for word in row["trained_on"].split()}
    for repo_id in bare:
        assert not words & set(repo_id.replace("/", "-").split("-"))


def test_documented_adapters_say_what_they_were_trained_on(zoo_hub: samplehub.Running):
    for row in [row for row in adapters() if row["documented"]][::40]:
        text = ask(zoo_hub, f"/{row['id']}/resolve/main/README.md").body.decode()
        assert f"of a {row['says']}" in text
        assert f"a photo of a {row['says']}" in text or f"/{row['says'].replace(' ', '-')}" in text


def test_adapters_of_one_concept_are_more_alike_than_those_of_others(weights: bytes):
    rows = [row for row in adapters() if row["split"] != "unseen"][:240]
    updates = []
    for row in rows:
        found = {name: array.astype(np.float32) for name, array in tensors(weights, row["id"]).items()}
        layer = "base_model.model.blocks.1.attn.qkv"
        update = found[f"{layer}.lora_B.weight"] @ found[f"{layer}.lora_A.weight"]
        updates.append(update.ravel() / np.linalg.norm(update))
    alike = np.stack(updates) @ np.stack(updates).T
    concept = np.array([row["concept"] for row in rows])
    same = (concept[:, None] == concept) & ~np.eye(len(rows), dtype=bool)
    assert alike[same].mean() > alike[concept[:, None] != concept].mean() + 0.05


def test_fine_tunes_stand_nearer_to_their_true_parent_than_to_the_declared_one(weights: bytes):
    liars = [plan for plan in PLAN if "wrong base" in plan.case]
    assert len(liars) == 2
    for plan in liars:
        own, parent, claimed = (tensors_f32(weights, name) for name in (plan.id, plan.parents[0], plan.says))
        near = sum(np.square(own[n] - parent[n]).sum() for n in own if own[n].shape == parent[n].shape)
        far = sum(np.square(own[n] - claimed[n]).sum() for n in own if own[n].shape == claimed[n].shape)
        assert near < far / 2


def tensors_f32(weights: bytes, repo_id: str) -> dict[str, np.ndarray]:
    name = "model.safetensors"
    start, length, _ = ENTRIES[repo_id]["files"][name]
    data = weights[start : start + length]
    size = int.from_bytes(data[:8], "little")
    found = {}
    for key, tensor in json.loads(data[8 : 8 + size]).items():
        if key == "__metadata__":
            continue
        low, high = tensor["data_offsets"]
        raw = data[8 + size + low : 8 + size + high]
        if tensor["dtype"] == "BF16":
            found[key] = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4").reshape(tensor["shape"])
        else:
            kind = {"F16": "<f2", "F32": "<f4"}[tensor["dtype"]]
            found[key] = np.frombuffer(raw, kind).astype(np.float32).reshape(tensor["shape"])
    return found


def test_decoders_carry_tokenizers_that_tell_their_trees_apart(zoo_hub: samplehub.Running):
    def vocabulary(repo_id: str) -> dict[str, int]:
        found = json.loads(ask(zoo_hub, f"/{repo_id}/resolve/main/tokenizer.json").body)
        added = {token["content"]: token["id"] for token in found["added_tokens"]}
        return found["model"]["vocab"] | added

    acorn, chat, pine, tools = (
        vocabulary(name)
        for name in (
            "sample-zoo/Acorn-40K",
            "sample-zoo/Acorn-40K-Chat",
            "kiln-works/Pine-40K",
            "tile-yard/Acorn-Chat-Tools",
        )
    )
    assert acorn == chat != pine
    assert {token: tools[token] for token in acorn} == acorn
    assert len(tools) == len(acorn) + 3
    config = json.loads(ask(zoo_hub, "/tile-yard/Acorn-Chat-Tools/resolve/main/config.json").body)
    assert config["vocab_size"] == 387
    talk = json.loads(ask(zoo_hub, "/sample-zoo/Acorn-40K-Chat/resolve/main/tokenizer_config.json").body)
    assert "messages" in talk["chat_template"]


def test_ranges_of_a_packed_file_are_served_exactly(zoo_hub: samplehub.Running, weights: bytes):
    row = adapters()[7]
    start, length, sha256 = ENTRIES[row["id"]]["files"]["adapter_model.safetensors"]
    path = f"/{row['id']}/resolve/main/adapter_model.safetensors"
    moved = ask(zoo_hub, path)
    part = ask(zoo_hub, moved.headers["location"].removeprefix(zoo_hub.url), range="bytes=8-71")
    assert part.status == 206
    assert part.body == weights[start + 8 : start + 72]
    assert length > 72
    assert len(sha256) == 64


def test_truth_is_not_served(zoo_hub: samplehub.Running):
    for row in adapters()[::97]:
        for path in (f"/api/models/{row['id']}?blobs=1", f"/api/models/{row['id']}?expand=cardData&expand=config"):
            text = ask(zoo_hub, path, authorization="Bearer sample-owner").body
            for word in (b'"truth"', b"trained_on", b'"split"', b'"documented"'):
                assert word not in text


def test_the_zoo_is_the_collection_and_more(zoo_hub: samplehub.Running):
    here = len(collection.load())
    assert len(load_content("zoo")) == here + len(ENTRIES)
    assert ask(zoo_hub, "/api/models/sample-garden/Sprout-37K").status == 200


@pytest.mark.parametrize("damage", ["missing", "short", "garbled", "foreign"])
def test_a_damaged_zoo_is_one_clear_error(tmp_path: Path, damage: str):
    folder = tmp_path / "zoo"
    folder.mkdir()
    if damage != "missing":
        (folder / pack.REPOS).write_bytes((pack.FOLDER / pack.REPOS).read_bytes())
        (folder / pack.WEIGHTS).write_bytes(b"\0" * 100)
    if damage == "garbled":
        (folder / pack.REPOS).write_bytes(gzip.compress(b"[1, 2"))
    if damage == "foreign":
        (folder / pack.REPOS).write_bytes(gzip.compress(b'{"texts": {}, "models": [{"id": "a/b", "files": {}}]}'))
    with pytest.raises(ContentError, match="growzoo"):
        load_content(f"zoo:{folder}")


names = st.sampled_from(["part.safetensors", "adapter_model.safetensors", "x.gguf", "a/b.bin", "notes.txt", "LICENSE"])
contents = st.one_of(st.binary(max_size=60), st.just(b"the same in many repos"))


@given(st.lists(st.dictionaries(names, contents, max_size=4), max_size=5), st.data())
@settings(max_examples=25, deadline=None)
def test_whatever_is_packed_comes_back_byte_for_byte(repos: list[dict[str, bytes]], data: st.DataObject):
    models = []
    for number, files in enumerate(repos):
        held = {name: b if is_large(name) else b.decode("latin-1").encode() for name, b in files.items()}
        date = "2025-01-01T00:00:00.000Z"
        commits = [{"title": "all", "date": date, "files": sorted(held)}]
        told = {"id": f"some/repo-{number}", "created": date, "modified": date}
        entry = {**told, "row": {}, "state": {}, "commits": commits}
        models.append(pack.Published(entry, held, {"parents": []}))
    with tempfile.TemporaryDirectory() as folder:
        pack.write(Path(folder), models, {})
        catalogue = Catalogue()
        pack.add_to(catalogue, Path(folder))
        for model in models:
            for name, content in model.files.items():
                blob = catalogue.repos[model.id].snapshots.trees[0][name]
                start = data.draw(st.integers(0, blob.size))
                assert blob.read() == content
                assert as_bytes(blob.part(start, blob.size)) == content[start:]


def test_a_pack_of_its_own_is_grown_packed_and_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from samplehub.zoo.__main__ import main

    wish = [
        "--seed",
        "5",
        "--concepts",
        "4",
        "--steps",
        "2",
        "--base-steps",
        "5",
        "--per-concept",
        "2",
        "--unseen",
        "1",
    ]
    for name in ("one", "two"):
        assert main([*wish, "--only-concepts", "--out", str(tmp_path / name)]) == 0
    assert "models, " in capsys.readouterr().out
    for name in (pack.WEIGHTS, pack.REPOS, pack.TRUTH):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    shelf = load_content(f"zoo:{tmp_path / 'one'}")
    assert shelf.find(BASE) is not None
    assert main(["--out", str(tmp_path / "one")]) == 2
    assert "not an empty folder" in capsys.readouterr().err
