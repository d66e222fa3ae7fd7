"""Reading by range, from folders and over HTTP: the right bytes, few requests, nothing that was not asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from samplehub.running import Running
from tests.weights.making import lora, model, repo, tensors
from workers.crawling.client import HubClient
from workers.errors import (
    BadRequest,
    BadWeights,
    HostRefused,
    NoWeights,
    RemoteGarbled,
    RemoteUnavailable,
    RepoGated,
    RepoMissing,
    TooLarge,
)
from workers.weights.opening import open_weights
from workers.weights.reading import HubSource, LocalSource, Span, coalesced

Make = Callable[..., Running]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 500), st.integers(0, 200)), max_size=12))
def test_joined_ranges_cover_what_was_asked_and_no_wide_gap(wanted) -> None:
    spans = [Span(file, start, start + size) for file, start, size in wanted if size]
    parts = coalesced(spans, gap=10, part=64)
    assert all(0 < part.end - part.start <= 64 for part in parts)
    covered = {(p.file, i) for p in parts for i in range(p.start, p.end)}
    asked = {(s.file, i) for s in spans for i in range(s.start, s.end)}
    assert asked <= covered
    assert sum(p.end - p.start for p in parts) == len(covered)  # nothing twice
    beside = covered - asked
    assert all(any((f, i + d) in asked for d in range(-10, 11)) for f, i in beside)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(model())
    return tmp_path


def test_a_folder_and_a_file_read_alike(folder: Path) -> None:
    truth = load(model())
    for path in (folder, folder / "model.safetensors"):
        weights = open_weights(LocalSource(path))
        assert set(weights.schema.by_name) == set(truth)
        for name, each in truth.items():
            assert np.array_equal(weights.tensor(name), each)
    with pytest.raises(NoWeights, match="no folder or file"):
        LocalSource(folder / "absent")


@given(st.lists(st.integers(0, 31), max_size=10))
def test_rows_come_in_the_order_they_were_asked_for(rows) -> None:
    folder = Path(__file__).parent
    truth = load(model())["embed.weight"]

    class Memory(LocalSource):
        def files(self):
            return {"model.safetensors": len(model())}

        def read_many(self, spans):
            return [model()[s.start : s.end] for s in spans]

    weights = open_weights(Memory(folder))
    assert np.array_equal(weights.rows("embed.weight", rows), truth[rows].reshape(len(rows), 16))


@pytest.mark.parametrize("storage", ["same", "other"])
def test_a_repo_is_read_by_range_and_every_byte_is_counted(hub_with: Make, storage: str) -> None:
    data = save(tensors(1, big=(4_000, 256), small=(8, 256), one=(3,)))
    hub = hub_with(repo("org/m", {"model.safetensors": data, "config.json": b"{}"}), storage=storage)
    client = HubClient(hub.url, (hub.hub.routes.storage.removeprefix("http://"),) if storage == "other" else ())
    source = HubSource(client, "org/m")
    weights = open_weights(source)
    truth = load(data)
    picked = weights.many([("big", range(2_000, 2_004)), ("small", None), ("one", None), ("big", [3_999, 0])])
    assert np.array_equal(picked[0], truth["big"][2_000:2_004])
    assert np.array_equal(picked[1], truth["small"])
    assert np.array_equal(picked[2].reshape(-1), truth["one"])
    assert np.array_equal(picked[3], truth["big"][[3_999, 0]])
    assert 131_072 < source.bytes_read < 131_072 + 40_000 < len(data) / 20
    # A list of files, the redirect, the header, then one request for each far range: the redirect's target is kept.
    assert source.requests <= 7
    assert hub.state()["counts"]["status 200"] == 1
    if storage == "other":
        assert hub.state()["counts"]["tokens at storage"] == 0


def test_a_stored_schema_spares_list_and_headers(hub_with: Make) -> None:
    data = model(side=128, layers=8)
    hub = hub_with(repo("org/m", {"model.safetensors": data}))
    schema = open_weights(HubSource(HubClient(hub.url), "org/m")).schema
    source = HubSource(HubClient(hub.url), "org/m", sizes={file.name: file.size for file in schema.files})
    weights = open_weights(source, schema=schema)
    assert np.array_equal(weights.rows("layers.7.proj.weight", [5])[0], load(data)["layers.7.proj.weight"][5])
    assert source.requests == 2
    assert source.bytes_read < 3_000


def test_an_adapter_with_a_stored_schema_keeps_its_scale(hub_with: Make) -> None:
    config = json.dumps({"r": 4, "lora_alpha": 20}).encode()
    hub = hub_with(repo("org/a", {"adapter_model.safetensors": lora(), "adapter_config.json": config}))
    schema = open_weights(HubSource(HubClient(hub.url), "org/a")).schema
    source = HubSource(HubClient(hub.url), "org/a", sizes={file.name: file.size for file in schema.files})
    assert {update.scale for update in open_weights(source, schema=schema).updates().values()} == {5.0}


def test_shards_are_one_model(hub_with: Make) -> None:
    parts = [tensors(i, **{f"layers.{i}.weight": (16, 16)}) for i in range(3)]
    files = {f"model-0000{i + 1}-of-00003.safetensors": save(part) for i, part in enumerate(parts)}
    index = {"weight_map": {name: file for file, part in zip(files, parts, strict=True) for name in part}}
    indexed = {**files, "model.safetensors.index.json": json.dumps(index).encode()}
    hub = hub_with(repo("org/plain", files), repo("org/indexed", indexed, number=2))
    for name in ("org/plain", "org/indexed"):
        weights = open_weights(HubSource(HubClient(hub.url), name))
        assert len(weights.schema.files) == 3
        for part in parts:
            for tensor, truth in part.items():
                assert np.array_equal(weights.tensor(tensor), truth)
    left = {"model-00001-of-00009.safetensors": save(parts[0]), **indexed}  # of an earlier upload
    hub = hub_with(repo("org/left", left))
    assert len(open_weights(HubSource(HubClient(hub.url), "org/left")).schema.files) == 3
    broken = dict(list(files.items())[:2])
    lying = {"model.safetensors.index.json": b'{"weight_map":{"a":"../../secret.safetensors"}}', **files}
    hub = hub_with(repo("org/broken", broken), repo("org/lying", lying, number=2))
    with pytest.raises(BadWeights, match="number 3 is missing"):
        open_weights(HubSource(HubClient(hub.url), "org/broken"))
    with pytest.raises(BadWeights, match="not there"):
        open_weights(HubSource(HubClient(hub.url), "org/lying"))


# --- what goes wrong ------------------------------------------------------------------------------------------------
@pytest.fixture
def hub(hub_with: Make) -> Running:
    return hub_with(repo("org/m", {"model.safetensors": model(side=128, layers=8)}))


STORED = "/storage/"


def read_row(hub: Running) -> HubSource:
    source = HubSource(HubClient(hub.url), "org/m")
    weights = open_weights(source)
    row = weights.rows("layers.7.proj.weight", [5])
    assert np.array_equal(row[0], load(model(side=128, layers=8))["layers.7.proj.weight"][5])
    return source


def test_a_server_that_ignores_ranges_is_not_read(hub: Running) -> None:
    hub.faults({"kind": "ignore_range", "path": STORED})
    source = HubSource(HubClient(hub.url), "org/m")
    with pytest.raises(RemoteGarbled, match="whole file"):
        open_weights(source)
    assert source.bytes_read < 10_000


@pytest.mark.parametrize("fault", ["500", "reset", "cut", "503"])
def test_what_breaks_off_is_tried_again_and_goes_on(hub: Running, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.crawling.client.PAUSE", 0.01)
    hub.faults({"kind": fault, "path": STORED, "times": 2})
    source = read_row(hub)
    if fault in ("reset", "cut"):  # the second half of each try is asked for, not the whole again
        assert source.bytes_read < 1.2 * 131_072
    hub.faults({"kind": fault, "path": STORED})
    with pytest.raises(RemoteUnavailable):
        open_weights(HubSource(HubClient(hub.url), "org/m"))


def test_a_stored_address_that_expired_is_asked_for_anew(hub: Running) -> None:
    source = HubSource(HubClient(hub.url), "org/m")
    weights = open_weights(source)
    file = weights.schema.files[0].name
    url, when = source._located[file]
    source._located[file] = (url.replace("X-Signature=", "X-Signature=old"), when - 3_600)
    row = weights.rows("layers.7.proj.weight", [5])
    assert np.array_equal(row[0], load(model(side=128, layers=8))["layers.7.proj.weight"][5])


def test_addresses_that_serve_for_one_range_are_not_kept(hub: Running) -> None:
    source = HubSource(HubClient(hub.url), "org/m")
    weights = open_weights(source)
    file = weights.schema.files[0].name
    source._located[file] = (source._located[file][0].replace("X-Signature=", "X-Signature=old"), time.monotonic())
    truth = load(model(side=128, layers=8))
    before = source.requests
    for i in range(5, 8):
        row = weights.rows(f"layers.{i}.proj.weight", [i * 10])
        assert np.array_equal(row[0], truth[f"layers.{i}.proj.weight"][i * 10])
    assert source.requests - before <= 1 + 3 * 2  # the refused one, then each by way of its redirect


def test_redirects_elsewhere_are_refused(hub: Running) -> None:
    hub.faults({"kind": "foreign_redirect", "path": "/org/m/resolve"})
    with pytest.raises(HostRefused):
        open_weights(HubSource(HubClient(hub.url), "org/m"))
    assert hub.state()["foreign"] == []


def test_gated_and_missing_repos_say_so(hub_with: Make) -> None:
    hub = hub_with(repo("org/gated", {"model.safetensors": model()}, gated="manual"))
    with pytest.raises(RepoGated):
        open_weights(HubSource(HubClient(hub.url), "org/gated"))
    with pytest.raises(RepoMissing):
        open_weights(HubSource(HubClient(hub.url), "org/none"))
    with pytest.raises(RepoMissing):
        open_weights(HubSource(HubClient(hub.url), "org/gated", "0" * 40))


def test_limits_on_what_is_asked_for(hub: Running, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = open_weights(HubSource(HubClient(hub.url), "org/m"))
    with pytest.raises(BadRequest, match="no tensor"):
        weights.tensor("absent")
    with pytest.raises(BadRequest, match="there is no row 128"):
        weights.rows("layers.0.proj.weight", [128])
    with pytest.raises(TooLarge):
        weights.source.small("model.safetensors", 100)
    with pytest.raises(BadWeights, match="no bytes"):
        weights.source.read("model.safetensors", 0, 10**12)
    monkeypatch.setattr("workers.weights.opening.ROWS_BYTES", 1_000)
    with pytest.raises(TooLarge):
        weights.tensor("embed.weight")


def test_the_signature_is_the_architectures(tmp_path: Path) -> None:
    def signature(data: bytes) -> str:
        (tmp_path / "x.safetensors").write_bytes(data)
        return open_weights(LocalSource(tmp_path / "x.safetensors")).schema.signature

    assert signature(model(1)) == signature(model(2, dtype=np.float16)) != signature(model(layers=3))
    assert signature(lora(1, rank=4)) == signature(lora(2, rank=8)) != signature(lora(side=32))
