"""The collection: real files, true to the manifest; each hard case is there; the truth about it is never served."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import numpy as safetensors

import samplehub
from samplehub import collection
from samplehub.growing.plan import COLLECTION
from tests.samplehub.conftest import ask, follow

MANIFEST = collection.manifest()
PUBLIC = [entry["id"] for entry in MANIFEST if not entry["state"].get("deleted")]


@pytest.fixture(scope="module")
def rows(hub: samplehub.Running) -> dict[str, dict[str, Any]]:
    fields = "".join(f"&expand={name}" for name in ("cardData", "baseModels", "tags", "createdAt", "gated", "config"))
    return {row["id"]: row for row in follow(hub, "/api/models?sort=createdAt" + fields)}


def test_the_plan_is_what_was_grown() -> None:
    assert {entry["id"] for entry in MANIFEST} == {plan.id for plan in COLLECTION}
    truth = collection.truth()
    for plan in COLLECTION:
        assert truth[plan.id]["parents"] == list(plan.parents)
        assert truth[plan.id]["case"] == plan.case


def test_files_are_those_of_the_manifest_and_small() -> None:
    heavy = {}
    for entry in MANIFEST:
        if entry["state"].get("deleted"):
            continue
        folder = collection.FOLDER / "repos" / collection.folder_name(entry["id"])
        assert {path.name for path in folder.iterdir()} == set(entry["sizes"])
        for name, (size, sha256) in entry["sizes"].items():
            data = (folder / name).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (size, sha256)
            if collection.is_large(name):
                heavy[sha256] = size
    assert sum(heavy.values()) <= 3_000_000


def test_truth_is_not_served(hub: samplehub.Running) -> None:
    for repo_id in PUBLIC:
        text = ask(hub, f"/api/models/{repo_id}?blobs=1", authorization="Bearer sample-owner").body
        for word in (b'"truth"', b'"case"', b'"measured"'):
            assert word not in text


def test_every_case_is_there(rows: dict[str, dict[str, Any]]) -> None:
    def resolved(repo_id: str) -> list[str]:
        return [model["id"] for model in rows[repo_id].get("baseModels", {}).get("models", [])]

    def declared(repo_id: str) -> Any:
        return rows[repo_id].get("cardData", {}).get("base_model")

    truth = collection.truth()
    assert declared("graft-bench/Sprout-Tern-claims") == resolved("graft-bench/Sprout-Tern-claims")[0]
    assert declared("graft-bench/Sprout-Tern-claims") not in truth["graft-bench/Sprout-Tern-claims"]["parents"]
    assert declared("fern-collective/Tern-Letters") == "tidepool-works/tern-37k-chat"
    assert resolved("fern-collective/Tern-Letters") == []
    assert declared("fern-collective/Tern-Ouroboros") == "fern-collective/Tern-Ouroboros"
    assert resolved("fern-collective/Tern-Ouroboros") == []
    assert declared("fern-collective/Tern-Orphan") == "tidepool-works/Tern-37K-v0"
    assert "tidepool-works/Tern-37K-v0" not in rows
    assert declared("fern-collective/sprout-sums-lora").startswith("./")
    assert resolved("moss-lab/Sprout-Letters") == ["sample-garden/Sprout-37K"]
    assert declared("moss-lab/Sprout-Letters") == "sample-garden/Sprout-tiny"
    assert rows["graft-bench/Sprout-Night-soup"]["baseModels"]["relation"] == "finetune"
    assert "merge" in rows["graft-bench/Sprout-Night-soup"]["tags"]
    assert len(declared("graft-bench/seedling-mean")) > len(set(declared("graft-bench/seedling-mean")))
    assert rows["fern-collective/seedling-moths"]["cardData"]["Base_model"] == "seedling"
    assert resolved("fern-collective/echo-a") == ["fern-collective/echo-b"]
    assert resolved("fern-collective/echo-b") == ["fern-collective/echo-a"]
    assert rows["moss-lab/sprout-weather-lora"]["createdAt"] < rows["sample-garden/Sprout-37K"]["createdAt"]
    assert [repo_id for repo_id in rows if "cardData" not in rows[repo_id]] == [
        "fern-collective/sprout-copy",
        "fern-collective/Sprout-unlabelled",
    ]
    assert (
        rows["fern-collective/sprout-silent-lora"]["config"]["peft"]["base_model_name_or_path"]
        == "sample-garden/Sprout-37K"
    )
    relations = {row["baseModels"]["relation"] for row in rows.values() if "baseModels" in row}
    assert relations == {"adapter", "finetune", "merge", "quantized"}


def test_a_line_of_five_generations(rows: dict[str, dict[str, Any]]) -> None:
    line = ["sample-quants/Sprout-Verse-Nacht-GGUF"]
    while parents := rows[line[-1]].get("baseModels", {}).get("models"):
        line.append(parents[0]["id"])
    assert len(line) == 6
    assert line[-1] == "sample-garden/Sprout-37K"


def test_a_licence_conflict_along_a_line(rows: dict[str, dict[str, Any]]) -> None:
    assert "license:apache-2.0" in rows["moss-lab/Tern-Chat-Open"]["tags"]
    assert "license:llama3" in rows["tidepool-works/Tern-37K-Chat"]["tags"]


# The weights are what the truth says ------------------------------------------------------------


def weights(repo_id: str) -> dict[str, Any]:
    return load_file(collection.FOLDER / "repos" / collection.folder_name(repo_id) / "model.safetensors")


def load_file(path: Path) -> dict[str, Any]:
    """Tensors as float32; bfloat16 is read as the upper half of a float."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    tensors: dict[str, Any] = {}
    for name, about in json.loads(data[8 : 8 + length]).items():
        if name == "__metadata__":
            continue
        start, stop = (8 + length + offset for offset in about["data_offsets"])
        if about["dtype"] == "BF16":
            flat = (np.frombuffer(data[start:stop], np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            kinds = {"F32": np.float32, "F16": np.float16, "I8": np.int8, "U8": np.uint8}
            flat = np.frombuffer(data[start:stop], kinds[about["dtype"]]).astype(np.float32)
        tensors[name] = flat.reshape(about["shape"])
    return tensors


def distance(a: dict[str, Any], b: dict[str, Any]) -> float:
    shared = [name for name in a if name in b and a[name].shape == b[name].shape]
    return float(np.sqrt(sum(((a[n] - b[n]) ** 2).sum() for n in shared) / sum((a[n] ** 2).sum() for n in shared)))


def test_fine_tunes_lie_near_their_true_parent() -> None:
    claims, tern, sprout = (
        weights(name)
        for name in ("graft-bench/Sprout-Tern-claims", "tidepool-works/Tern-37K", "sample-garden/Sprout-37K")
    )
    assert 0.01 < distance(claims, tern) < 0.6 < distance(claims, sprout)
    assert distance(weights("tidepool-works/shell-vit"), weights("sample-garden/petal-vit")) > 0.6


def test_copies_casts_and_merges_are_exact() -> None:
    instruct, verse = weights("sample-garden/Sprout-37K-Instruct"), weights("moss-lab/Sprout-Verse")
    assert distance(weights("fern-collective/sprout-copy"), instruct) == 0
    assert distance(weights("sample-quants/Sprout-37K-fp16"), weights("sample-garden/Sprout-37K")) < 1e-3
    merge = weights("graft-bench/Sprout-Verse-Instruct-linear")
    expected = {name: 0.6 * instruct[name] + 0.4 * verse[name] for name in instruct}
    assert distance(merge, expected) < 5e-3  # bfloat16
    folder = collection.FOLDER / "repos" / "mirror-shed--Sprout-37K-Instruct-sharded"
    shards: dict[str, Any] = {}
    for path in folder.glob("model-*.safetensors"):
        shards |= load_file(path)
    assert distance(shards, instruct) == 0
    assert shards.keys() == instruct.keys()


def test_int8_and_gguf_stand_for_their_parents() -> None:
    import gguf

    chat, int8 = weights("tidepool-works/Tern-37K-Chat"), weights("sample-quants/Tern-37K-Chat-int8")
    name = "model.layers.0.mlp.up_proj"
    restored = int8[f"{name}.weight"] * int8[f"{name}.SCB"][:, None] / 127
    assert np.abs(restored - chat[f"{name}.weight"]).max() <= np.abs(chat[f"{name}.weight"]).max() / 127
    path = next((collection.FOLDER / "repos" / "sample-quants--Sprout-Verse-Nacht-GGUF").glob("*.gguf"))
    reader = gguf.GGUFReader(path)
    tensor = next(t for t in reader.tensors if t.name == "blk.1.ffn_up.weight")
    values = gguf.dequantize(tensor.data, tensor.tensor_type)
    parent = weights("fern-collective/Sprout-Verse-Nacht")["model.layers.1.mlp.up_proj.weight"]
    assert np.abs(values - parent).max() < np.abs(parent).max() / 100


def test_adapters_are_in_the_published_layout() -> None:
    folder = collection.FOLDER / "repos" / "moss-lab--sprout-recipes-lora"
    config = json.loads((folder / "adapter_config.json").read_text())
    tensors = safetensors.load_file(folder / "adapter_model.safetensors")
    assert config["peft_type"] == "LORA"
    a = tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"]
    b = tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight"]
    assert a.shape == (config["r"], 32)
    assert b.shape == (32, config["r"])
    assert np.abs(b).max() > 0


@pytest.mark.slow
def test_growing_again_gives_the_same_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch", reason="growing needs torch: pip install torch")
    from samplehub import grow

    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    try:
        assert grow.main(["--out", str(tmp_path), "--only", "seedling"]) == 0
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
    # Another processor sums in another order: training then ends near the same model, not at the same bytes.
    accuracy = re.search(r"accuracy 0\.090 → (\d\.\d+)", capsys.readouterr().out)
    assert accuracy
    assert float(accuracy[1]) == pytest.approx(0.99, abs=0.01)
    grown = load_file(tmp_path / "repos" / "seedling" / "model.safetensors")
    assert distance(grown, weights("seedling")) < 0.1
    assert grow.main(["--out", str(tmp_path)]) == 2  # never over what is there
    with pytest.raises(SystemExit, match="not in the plan"):
        grow.needed(["no/such"])
