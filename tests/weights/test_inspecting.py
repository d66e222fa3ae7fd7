"""What small files and headers tell: configuration, tokenizer, adapter, quantization, or why nothing was read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from samplehub.running import Running
from tests.weights.making import header, lora, model, repo, tensors
from workers.crawling.client import HubClient
from workers.weights.inspecting import inspect
from workers.weights.opening import open_weights
from workers.weights.reading import HubSource, LocalSource
from workers.weights.records import AdapterFacts, Inspection, Schema, State, TokenizerFacts, as_json

Make = Callable[..., Running]


def folder_of(path: Path, **files: Any) -> Path:
    """A folder with files; ``__`` in a keyword stands for a point."""
    path.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        raw = data if isinstance(data, bytes) else json.dumps(data).encode()
        (path / name.replace("__", ".")).write_bytes(raw)
    return path


def seen(path: Path, **files: Any) -> Inspection:
    return inspect(LocalSource(folder_of(path, **files)), name="it")


# --- states ---------------------------------------------------------------------------------------------------------
def test_pickles_are_never_opened(tmp_path: Path) -> None:
    found = seen(tmp_path, pytorch_model__bin=b"\x80\x04cos\nsystem\n", config__json={"hidden_size": 8})
    assert (found.state, found.code, found.config) == (
        State.NO_SAFE_WEIGHTS,
        "input.no_safe_weights",
        {"hidden_size": 8},
    )
    assert found.bytes_read < 100


def test_states_of_what_is_not_read(tmp_path: Path, hub_with: Make) -> None:
    assert seen(tmp_path / "a", README__md=b"#").state == State.NO_WEIGHTS
    found = seen(tmp_path / "b", model__safetensors=header(b" {}"))
    assert (found.state, found.code) == (State.REFUSED, "input.weights")
    assert "model.safetensors" in found.reason
    hub = hub_with(repo("org/gated", {"model.safetensors": model(), "config.json": b"{}"}, gated="auto"))
    client = HubClient(hub.url)
    assert inspect(HubSource(client, "org/gated")).state == State.GATED
    assert inspect(HubSource(client, "org/none")).state == State.MISSING


def test_what_is_wrong_beside_the_weights_does_not_hide_them(tmp_path: Path) -> None:
    deep = json.dumps({"a": 1}).encode().replace(b"1", b'{"a":' * 500 + b"1" + b"}" * 500)
    found = seen(tmp_path, model__safetensors=model(), config__json=deep, tokenizer__json=b"[[[")
    assert found.state == State.READ
    assert any("config.json was cut" in each for each in found.oddities)
    assert any("tokenizer.json is no JSON" in each for each in found.oddities)
    json.dumps(found.config)


def test_configurations_with_numbers_that_are_no_json_are_read(tmp_path: Path) -> None:
    raw = b'{"time_step_limit": [0.0, Infinity], "x": NaN, "y": 1e999, "z": ' + b"9" * 5_000 + b', "hidden_size": 8}'
    found = seen(tmp_path, model__safetensors=model(), config__json=raw)
    assert found.config["time_step_limit"] == [0.0, "Infinity"]
    assert found.config["hidden_size"] == 8
    json.dumps(found.config, allow_nan=False)
    assert found.oddities == ()


def test_large_configurations_are_cut(tmp_path: Path) -> None:
    found = seen(
        tmp_path, model__safetensors=model(), config__json={"labels": list(range(30_000)), "text": "x" * 9_000}
    )
    assert len(found.config["labels"]) < 20_001
    assert len(found.oddities) == 1


# --- tokenizers -----------------------------------------------------------------------------------------------------
VOCABULARY = {"<s>": 0, "</s>": 1, **{f"t{i}": i + 2 for i in range(400)}}


def tokenizer_json(vocabulary: dict[str, int], **fields: Any) -> dict[str, Any]:
    return {
        "added_tokens": [{"id": 0, "content": "<s>", "special": True}],
        "model": {"type": "BPE", "vocab": vocabulary, "merges": ["t 1", "t 2"]},
        "normalizer": None,
        **fields,
    }


def test_tokenizers_with_the_same_tokens_under_other_ids_are_told_apart(tmp_path: Path) -> None:
    def facts(name: str, vocabulary: dict[str, int], **files: Any) -> TokenizerFacts:
        found = seen(tmp_path / name, tokenizer__json=tokenizer_json(vocabulary), **files).tokenizer
        assert found is not None
        return found

    config = {"bos_token": {"content": "<s>"}, "eos_token": "</s>", "chat_template": "{{ messages }}\n"}
    plain = facts("plain", VOCABULARY, tokenizer_config__json=config)
    swapped = facts("swapped", {**VOCABULARY, "t0": 3, "t1": 2})
    bigger = facts("bigger", {**VOCABULARY, "new": 402})
    other = facts("other", {f"o{i}": i for i in range(402)})
    assert plain.special_ids == {"bos_token": 0, "eos_token": 1}
    assert (plain.kind, plain.size, plain.largest_id) == ("BPE", 402, 401)
    assert plain.tokens_hash == swapped.tokens_hash != bigger.tokens_hash
    assert plain.vocabulary_hash != swapped.vocabulary_hash
    assert plain.merges_hash == swapped.merges_hash
    jinja = facts("jinja", VOCABULARY, chat_template__jinja=b"{{ messages }}")
    assert plain.chat_template_hash == jinja.chat_template_hash != swapped.chat_template_hash == ""
    share = [len(set(plain.tokens) & set(each.tokens)) / 128 for each in (swapped, bigger, other)]
    assert share[0] == 1.0
    assert share[1] > 0.95
    assert share[2] < 0.05


def test_the_same_vocabulary_in_every_form_has_one_digest(tmp_path: Path) -> None:
    words = sorted(VOCABULARY, key=VOCABULARY.__getitem__)
    pieces = b"".join(b"\x0a" + bytes([len(w) + 2]) + b"\x0a" + bytes([len(w)]) + w.encode() for w in words)
    forms = [
        seen(tmp_path / "a", tokenizer__json=tokenizer_json(VOCABULARY)),
        seen(tmp_path / "b", vocab__json=VOCABULARY, merges__txt=b"#version: 0.2\nt 1\nt 2\n"),
        seen(tmp_path / "c", vocab__txt="\n".join(words).encode()),
        seen(tmp_path / "d", tokenizer__model=pieces + b"\x12\x02\x08\x01"),
        seen(tmp_path / "e", tokenizer__json=tokenizer_json([[word, 0.0] for word in words])),  # type: ignore[arg-type]
    ]
    assert len({each.tokenizer.vocabulary_hash for each in forms if each.tokenizer}) == 1
    assert [each.tokenizer.kind for each in forms if each.tokenizer] == [
        "BPE",
        "BPE",
        "WordPiece",
        "sentencepiece",
        "BPE",
    ]
    assert forms[0].tokenizer.merges_hash == forms[1].tokenizer.merges_hash
    stored = json.loads(json.dumps(as_json(forms[0].tokenizer)))
    assert TokenizerFacts.of(stored) == forms[0].tokenizer


def test_a_tokenizer_that_is_known_is_not_read_again(hub_with: Make) -> None:
    files = {"model.safetensors": model(), "tokenizer.json": json.dumps(tokenizer_json(VOCABULARY)).encode()}
    hub = hub_with(repo("org/one", files), repo("org/two", {**files, "config.json": b"{}"}, number=2))
    client = HubClient(hub.url)
    first = inspect(HubSource(client, "org/one"))
    known = {first.tokenizer_print: first.tokenizer}
    second = inspect(HubSource(client, "org/two"), known=known.get)
    assert second.tokenizer == first.tokenizer
    assert first.bytes_read - second.bytes_read > len(files["tokenizer.json"]) - 500


# --- adapters -------------------------------------------------------------------------------------------------------
CONFIG = {
    "peft_type": "LORA",
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["proj"],
    "base_model_name_or_path": "org/base",
}


def test_an_adapters_updates_are_scaled_as_peft_does(tmp_path: Path) -> None:
    raw = load(lora())
    a, b = (raw[f"base_model.model.layers.1.proj.lora_{x}.weight"] for x in "AB")
    for number, (fields, scale) in enumerate(
        [
            ({}, 2.0),
            ({"use_rslora": True}, 4.0),
            ({"alpha_pattern": {"layers.1.proj": 2}}, 0.5),
            ({"alpha_pattern": {"^1.proj": 2}, "rank_pattern": {"1.proj": 8}}, 1.0),
        ]
    ):
        path = folder_of(
            tmp_path / str(number), adapter_model__safetensors=lora(), adapter_config__json={**CONFIG, **fields}
        )
        updates = open_weights(LocalSource(path)).updates()
        assert set(updates) == {"layers.0.proj", "layers.1.proj"}
        np.testing.assert_allclose(updates["layers.1.proj"].dense(), scale * (b @ a), rtol=1e-5)
        assert inspect(LocalSource(path)).adapter == AdapterFacts.of(as_json(inspect(LocalSource(path)).adapter))


def test_other_spellings_of_adapters(tmp_path: Path) -> None:
    parts = tensors(3, down=(2, 6, 3, 3), up=(5, 2, 1, 1), ea=(2, 9), eb=(7, 2), mag=(5,))
    kohya = {
        "lora_unet_conv.lora_down.weight": parts["down"],
        "lora_unet_conv.lora_up.weight": parts["up"],
        "lora_unet_conv.alpha": np.array(1.0, np.float32),
    }
    path = folder_of(tmp_path / "kohya", x__safetensors=save(kohya))
    (layer, update), *_ = open_weights(LocalSource(path)).updates().items()
    assert layer == "lora_unet_conv"
    np.testing.assert_allclose(
        update.dense(), 0.5 * parts["up"].reshape(5, 2) @ parts["down"].reshape(2, -1), rtol=1e-5
    )
    peft = {
        "base_model.model.embed.lora_embedding_A": parts["ea"],
        "base_model.model.embed.lora_embedding_B": parts["eb"],
        "base_model.model.q.lora_magnitude_vector.weight": parts["mag"],
    }
    path = folder_of(tmp_path / "peft", adapter_model__safetensors=save(peft), adapter_config__json={**CONFIG, "r": 2})
    weights = open_weights(LocalSource(path))
    np.testing.assert_allclose(weights.updates()["embed"].dense(), 4 * parts["ea"].T @ parts["eb"].T, rtol=1e-5)
    bare = inspect(LocalSource(folder_of(tmp_path / "bare", adapter_model__safetensors=save(peft)))).adapter
    assert bare is not None
    assert (bare.declared, bare.dora, bare.rank) == (False, True, 2)


def test_factors_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    wrong = tensors(**{"q.lora_A.weight": (4, 8), "q.lora_B.weight": (8, 3)})
    found = open_weights(LocalSource(folder_of(tmp_path, adapter_model__safetensors=save(wrong))))
    with pytest.raises(Exception, match="don't fit together") as caught:
        found.updates()
    assert type(caught.value).__name__ == "BadWeights"


@pytest.mark.parametrize(
    ("name", "layers", "scale"),
    [
        ("Tashu014+lora-imdb-distilbert", 12, 2.0),
        ("abrhaleyarefaine1997+gpt2-tigrinya-lora", 36, 4.0),
        ("anirudh-ak+peft-gpt2", 12, 1.0),
        ("dayanidhi04+emotion-classification-distilbert-lora", 12, 2.0),
    ],
)
def test_real_adapters(shared_data: Path, name: str, layers: int, scale: float) -> None:
    folder = shared_data / "adapters" / name
    found = inspect(LocalSource(folder))
    assert (found.state, found.oddities) == (State.READ, ())
    assert found.adapter is not None
    assert found.adapter.base in ("distilbert-base-uncased", "gpt2")
    weights = open_weights(LocalSource(folder), schema=found.schema, adapter=found.adapter)
    updates = weights.updates()
    assert len(updates) == layers
    raw = load((folder / "adapter_model.safetensors").read_bytes())
    for layer, update in updates.items():
        a, b = (raw[f"base_model.model.{layer}.lora_{x}.weight"] for x in "AB")
        assert np.array_equal(update.a, a)
        assert np.array_equal(update.b, b)
        assert update.scale == scale
        assert update.transposed == found.adapter.fan_in_fan_out


# --- quantization ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("config", "shapes", "expected"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}, {}, ("gptq", 4.0)),
        ({"quantization_config": {"quant_method": "awq", "bits": 4}}, {}, ("awq", 4.0)),
        ({"quantization_config": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}}, {}, ("bitsandbytes", 4.0)),
        ({"quantization_config": {"quant_method": "fp8", "fmt": "e4m3"}}, {}, ("fp8", 8.0)),
        ({}, {"q.qweight": (2, 16), "q.scales": (1, 16), "q.g_idx": (16,)}, ("gptq", 0.0)),
        ({}, {"q.qweight": (16, 2), "q.scales": (1, 16)}, ("awq", 4.0)),
        ({}, {"q.weight": (16, 2), "q.weight.quant_state.bitsandbytes__nf4": (9,)}, ("bitsandbytes", 4.0)),
        ({}, {"q.weight": (16, 2)}, None),
    ],
)
def test_quantization_is_recognised(tmp_path: Path, config: Any, shapes: Any, expected: Any) -> None:
    data = save(tensors(**(shapes or {"w": (4, 4)})))
    found = seen(tmp_path, model__safetensors=data, config__json=config).quantization
    assert (found and (found.method, found.bits)) == expected


def test_a_schema_survives_its_packing(tmp_path: Path) -> None:
    schema = seen(tmp_path, model__safetensors=model(layers=40)).schema
    assert schema is not None
    assert Schema.unpack(schema.pack()) == schema
    assert len(schema.pack()) < 40 * len(schema.tensors)
    with pytest.raises(ValueError, match="damaged"):
        Schema.unpack(b"nothing")
