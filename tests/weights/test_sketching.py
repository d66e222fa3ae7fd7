"""Sketches: what is sampled, what it costs, and that the stored form gives the same again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import models
from workers.weights.naming import Role, matched, place, spelt
from workers.weights.records import Tensor
from workers.weights.sketches import Piece, Sketch, SketchGarbled, loads, measured
from workers.weights.sketching import Arrays, directions, plan, sketch


def llama(
    *, hidden: int, layers: int, inner: int, vocabulary: int, dtype: str = "BF16", prefix: str = "model."
) -> list[Tensor]:
    shapes: dict[str, tuple[int, ...]] = {f"{prefix}embed_tokens.weight": (vocabulary, hidden)}
    for i in range(layers):
        at = f"{prefix}layers.{i}."
        shapes |= {f"{at}self_attn.{n}_proj.weight": (hidden if n in "qo" else hidden // 4, hidden) for n in "qkvo"}
        shapes |= {f"{at}mlp.{n}_proj.weight": (inner, hidden) for n in ("up", "gate")}
        shapes[f"{at}mlp.down_proj.weight"] = (hidden, inner)
        shapes[f"{at}input_layernorm.weight"] = (hidden,)
    shapes["lm_head.weight"] = (vocabulary, hidden)
    return [Tensor(n, dtype, s, "model.safetensors", 0, 0) for n, s in shapes.items()]


@pytest.mark.parametrize(
    ("hidden", "layers", "inner", "vocabulary", "dtype"),
    [(2048, 22, 5632, 32_000, "BF16"), (4096, 32, 11_008, 32_000, "F16"), (8192, 80, 28_672, 128_256, "F32")],
)
def test_a_plan_stays_within_its_budget_whatever_the_size(
    hidden: int, layers: int, inner: int, vocabulary: int, dtype: str
) -> None:
    takes = plan(llama(hidden=hidden, layers=layers, inner=inner, vocabulary=vocabulary, dtype=dtype))
    width = 4 if dtype == "F32" else 2
    cost = sum(width * int(np.prod(t.shape[1:]) * (t.rows or t.shape[0])) for t in takes)
    assert cost < 6_000_000
    assert len(takes) < 150  # each may be a request
    assert {place(t.name, t.shape).layer for t in takes} >= {0, layers - 1}


def test_the_same_rows_are_taken_whatever_the_prefix_the_dtype_and_the_vocabulary() -> None:
    plain = {t.name: t for t in plan(llama(hidden=2048, layers=22, inner=5632, vocabulary=32_000))}
    other = {
        t.name.removeprefix("language_model."): t
        for t in plan(
            llama(hidden=2048, layers=22, inner=5632, vocabulary=32_768, dtype="F32", prefix="language_model.model.")
        )
    }
    assert plain.keys() == other.keys()
    assert all((plain[name].start, plain[name].rows) == (other[name].start, other[name].rows) for name in plain)


def test_tensors_alike_in_strangers_are_told_by_their_names() -> None:
    roles = {
        "bert.embeddings.position_embeddings.weight": Role.TABLE,
        "transformer.wpe.weight": Role.TABLE,
        "transformer.wte.weight": Role.EMBEDDING,
        "bert.embeddings.word_embeddings.weight": Role.EMBEDDING,
        "classifier.weight": Role.HEAD,
        "lm_head.weight": Role.HEAD,
        "h.0.attn.c_attn.weight": Role.MATRIX,
        "vit.encoder.layer.3.output.dense.weight": Role.MATRIX,
        "resnet.encoder.stages.0.layers.1.layer.0.convolution.weight": Role.MATRIX,
    }
    assert {name: place(name, (640, 64)).role for name in roles} == roles
    assert place("model.layers.7.input_layernorm.weight", (64,)).role is Role.VECTOR
    assert place("h.0.attn.bias", (1, 1, 1024, 1024)).role is Role.TABLE


def test_names_meet_though_wrappers_differ() -> None:
    bert = {
        "embeddings.word_embeddings.weight": (90, 8),
        "encoder.layer.0.output.dense.weight": (8, 8),
        "pooler.x": (8,),
    }
    inside = {f"bert.{name}": shape for name, shape in bert.items()} | {"classifier.weight": (3, 8)}
    found = matched(inside, bert)
    assert found == {f"bert.{name}": name for name in bert}
    assert matched(bert, inside) == {name: f"bert.{name}" for name in bert}


def test_names_of_gguf_meet_those_of_transformers() -> None:
    assert spelt("blk.3.ffn_down.weight") == "model.layers.3.mlp.down_proj.weight"
    assert spelt("token_embd.weight") == "model.embed_tokens.weight"
    assert spelt("output_norm.weight") == "model.norm.weight"
    assert spelt("blk.0.attn_q.weight") == ""
    assert spelt("blk.0.ssm_a") == "blk.0.ssm_a"


@st.composite
def pieces(draw: Any) -> Piece:
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    dtype = draw(st.sampled_from(["F32", "F16", "BF16", "I8", "Q4_K"]))
    values = (rng.standard_normal((rows, columns)) * 10.0 ** draw(st.integers(-6, 6))).astype(np.float32)
    values = models.bf16(values) if dtype == "BF16" else values
    values = np.clip(values, -6e4, 6e4).astype(np.float16).astype(np.float32) if dtype == "F16" else values
    start = draw(st.integers(0, 100))
    return measured(Piece(f"layers.{draw(st.integers(0, 9))}.w.weight", (start + rows, columns), dtype, start, values))


@settings(max_examples=60)
@given(st.lists(pieces(), max_size=6), st.booleans())
def test_the_stored_form_gives_the_same_again(some: list[Piece], large: bool) -> None:
    filler = [Piece("big.weight", (400, 400), "F32", 0, np.zeros((400, 400), np.float32))] if large else []
    drawn = Sketch("model", "safetensors", (*some, *filler), {p.name: p.shape for p in some}, 123)
    again = loads(drawn.dumps())
    assert (again.kind, again.tensors, again.bytes_read) == (drawn.kind, drawn.tensors, 123)
    for ours, theirs in zip(drawn.pieces, again.pieces, strict=True):
        assert (ours.name, ours.shape, ours.dtype, ours.start, ours.digest) == (
            theirs.name, theirs.shape, theirs.dtype, theirs.start, theirs.digest,
        )  # fmt: skip
        top = np.abs(ours.values).max(initial=0)
        exact = ours.dtype in {"BF16", "F16"} or not large
        assert np.allclose(ours.values, theirs.values, rtol=0 if exact else 2**-10, atol=0 if exact else top * 2**-14)


@settings(max_examples=40)
@given(st.integers(0, 2_000), st.binary(max_size=8))
def test_a_damaged_sketch_is_refused_with_a_clear_error(at: int, noise: bytes) -> None:
    whole = sketch(Arrays({"layers.0.w.weight": np.eye(20, dtype=np.float32)})).dumps()
    damaged = whole[: at % len(whole)] + noise
    with pytest.raises(SketchGarbled):
        loads(damaged)


def test_a_fingerprint_is_near_a_relatives_and_far_from_a_strangers() -> None:
    base = models.grow(1)
    prints = [sketch(Arrays(m)).fingerprint() for m in (base, models.tune(base, 2), models.grow(3))]
    assert prints[0] @ prints[1] > 0.8
    assert abs(prints[0] @ prints[2]) < 0.3


def test_architectures_have_a_body_of_their_own_whatever_the_head() -> None:
    assert sketch(Arrays(models.grow(1))).body == sketch(Arrays(models.grow(2, labels=7, vocabulary=99))).body
    assert sketch(Arrays(models.grow(1))).body != sketch(Arrays(models.grow(1, layers=4))).body


def test_an_adapters_directions_are_those_of_its_update() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((3, 30)), rng.standard_normal((20, 3))
    left, right = directions(a, b)
    u, s, vt = np.linalg.svd(b @ a)
    assert np.allclose(np.abs(left[:3] @ u[:, :3]), np.diag(s[:3]), atol=1e-4)
    assert np.allclose(np.abs(right[:3] @ vt[:3].T), np.diag(s[:3]), atol=1e-4)
    drawn = sketch(Arrays(models.lean(models.grow(1), 5)))
    assert drawn.kind == "adapter"
    assert {p.name for p in drawn.pieces} >= {"model.layers.0.self_attn.q_proj"}
