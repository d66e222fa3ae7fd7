"""Every dtype becomes the float32 that torch (or the gguf package) makes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from workers.errors import BadWeights
from workers.weights.dtypes import BITS, as_float32, nbytes
from workers.weights.opening import open_weights
from workers.weights.reading import LocalSource


def test_all_codes_of_small_floats_are_torchs() -> None:
    import torch

    codes = torch.arange(256, dtype=torch.uint8)
    for name, dtype in (
        ("F8_E4M3", torch.float8_e4m3fn),
        ("F8_E5M2", torch.float8_e5m2),
        ("F8_E4M3FNUZ", torch.float8_e4m3fnuz),
        ("F8_E5M2FNUZ", torch.float8_e5m2fnuz),
        ("F8_E8M0", torch.float8_e8m0fnu),
    ):
        expected = codes.view(dtype).float().numpy()
        np.testing.assert_array_equal(as_float32(name, codes.numpy().tobytes()), expected, err_msg=name)
    every = torch.arange(65_536, dtype=torch.int32).to(torch.uint16)
    for name, dtype in (("F16", torch.float16), ("BF16", torch.bfloat16)):
        np.testing.assert_array_equal(
            as_float32(name, every.numpy().tobytes()), every.view(dtype).float().numpy(), err_msg=name
        )


def test_numbers_within_bytes() -> None:
    """By the tables of the Microscaling specification: E2M1 has 0 to 6, E2M3 up to 7.5, E3M2 up to 28."""
    assert as_float32("F4", bytes([0x10, 0x72, 0x9F])).tolist() == [0.0, 0.5, 1.0, 6.0, -6.0, -0.5]
    ones = 0b111111 | 0b011111 << 6 | 0b000001 << 12 | 0b001000 << 18
    assert as_float32("F6_E2M3", ones.to_bytes(3, "little")).tolist() == [-7.5, 7.5, 0.125, 1.0]
    assert as_float32("F6_E3M2", ones.to_bytes(3, "little")).tolist() == [-28.0, 28.0, 0.0625, 0.5]
    with pytest.raises(BadWeights, match="within a byte"):
        nbytes("F4", 3)
    with pytest.raises(BadWeights, match="can't be read"):
        as_float32("C64", bytes(8))


def test_files_of_every_dtype_are_read(tmp_path: Path) -> None:
    import torch

    rng = torch.Generator().manual_seed(1)
    floats = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2)
    whole = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.bool)
    kinds = (*floats, *whole)
    truth = {str(kind): (torch.randn(6, 4, generator=rng).abs() * 20).to(kind) for kind in kinds}
    save_file(truth, tmp_path / "model.safetensors")
    weights = open_weights(LocalSource(tmp_path))
    for name, each in truth.items():
        expected = each.float().numpy()
        np.testing.assert_array_equal(weights.tensor(name), expected, err_msg=name)
        np.testing.assert_array_equal(weights.rows(name, [4, 1]), expected[[4, 1]], err_msg=name)
    assert set(weights.schema.dtypes) <= set(BITS)


KINDS = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K", "Q2_K", "Q3_K", "IQ4_XS", "TQ2_0", "F16")


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    """A GGUF file with a tensor of each kind, and the numbers that the package reads out of it."""
    import gguf

    path = tmp_path_factory.mktemp("gguf") / "model-Q4_K_M.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["<s>", "</s>", *(f"token{i}" for i in range(500))])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    rng = np.random.default_rng(1)
    truth = {}
    for name in KINDS:
        kind = gguf.GGMLQuantizationType[name]
        if name in ("F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ2_0"):
            packed = gguf.quants.quantize(rng.normal(size=(8, 512)).astype(np.float32), kind)
        else:  # any bytes are blocks of these kinds; the scales are kept from being NaN
            packed = rng.integers(0, 60, size=gguf.quants.quant_shape_to_byte_shape((8, 512), kind), dtype=np.uint8)
        truth[f"blk.0.{name}"] = gguf.quants.dequantize(packed, kind).reshape(8, 512)
        writer.add_tensor(f"blk.0.{name}", packed, raw_dtype=kind)
    writer.add_tensor("norm", np.arange(5, dtype=np.float32))
    truth["norm"] = np.arange(5, dtype=np.float32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path, truth


def test_every_kind_of_the_package_is_known() -> None:
    from gguf import GGML_QUANT_SIZES

    from workers.weights.gguf import KINDS

    assert {int(kind): (kind.name, *sizes) for kind, sizes in GGML_QUANT_SIZES.items()} == KINDS


def test_gguf_is_read_as_its_own_package_reads_it(gguf_file) -> None:
    path, truth = gguf_file
    weights = open_weights(LocalSource(path))
    assert {t.name for t in weights.schema.tensors} == set(truth)
    for name, expected in truth.items():
        np.testing.assert_array_equal(weights.tensor(name), expected, err_msg=name)
        if expected.ndim == 2:
            np.testing.assert_array_equal(weights.rows(name, [7, 2]), expected[[7, 2]], err_msg=name)
    assert weights.schema.metadata["general.architecture"] == "llama"


@given(st.data())
def test_a_changed_gguf_is_read_or_refused(gguf_file, data) -> None:
    """Never another error than ours, and no tensor beyond the file's end."""
    from workers.weights import gguf

    raw = bytearray(gguf_file[0].read_bytes()[: 14_000 if data.draw(st.booleans()) else None])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, 60) | st.integers(0, 13_000))
        raw[at : at + data.draw(st.sampled_from([1, 4, 8]))] = data.draw(
            st.sampled_from([b"\xff", b"\xff" * 8, b"\0\0\0\0", b"\x01", b"\0\0\0\0\0\0\0\x7f", b"\x09\0\0\0"])
        )
    try:
        found = gguf.read_header("m", len(raw), bytes(raw[:100]), lambda start, end: bytes(raw[start:end]))
    except BadWeights:
        return
    assert all(0 <= t.start <= t.end <= len(raw) for t in found.tensors)
