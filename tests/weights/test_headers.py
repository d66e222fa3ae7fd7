"""Headers of safetensors: read as the library reads them, refused where it (or we) must not trust them."""

from __future__ import annotations

import contextlib
import json
import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

from tests.weights.making import header, model
from workers.errors import BadWeights
from workers.weights import headers

ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def read(data: bytes) -> tuple[list, dict[str, str]]:
    length = headers.header_length(data[:8], file="m", size=len(data))
    return headers.parse(data[8 : 8 + length], file="m", size=len(data))


shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)
names = st.text(st.characters(codec="utf-8", exclude_characters="/\\~"), min_size=1, max_size=20).filter(
    lambda text: text.isprintable() and text != "__metadata__" and text not in (".", "..")
)
metadata = st.none() | st.dictionaries(st.text(max_size=8), st.text(max_size=30), min_size=1, max_size=4)


@given(st.dictionaries(names, shapes, max_size=8), metadata)
def test_what_the_library_writes_is_read_as_the_library_reads_it(wanted, told) -> None:
    data = save({name: np.zeros(shape, np.float16) for name, shape in wanted.items()}, told)
    found, kept = read(data)
    expected = dict(deserialize(data))
    assert {t.name: (t.dtype, list(t.shape)) for t in found} == {
        name: (each["dtype"], each["shape"]) for name, each in expected.items()
    }
    assert all(data[t.start : t.end] == bytes(expected[t.name]["data"]) for t in found)
    assert len(kept) == len(told or {})


@given(st.data())
def test_a_changed_header_is_read_as_the_library_does_or_refused(data) -> None:
    """Whatever is changed: never another error than ours, and nothing is taken that the library refuses."""
    good = bytearray(model())
    length = int.from_bytes(good[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, 8 + length - 1))
        how = data.draw(st.sampled_from(["byte", "cut", "insert", "number"]))
        if how == "byte":
            good[at] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del good[at : at + data.draw(st.integers(1, 20))]
        elif how == "insert":
            good[at:at] = data.draw(st.sampled_from([b"{", b"[", b'"', b",", b"NaN", b"1e999", b"\xff", b"-", b"null"]))
        else:
            good[at : at + 1] = data.draw(st.sampled_from([b"9" * 30, b"-1", b"0", b"18446744073709551615"]))
    try:
        found, _ = read(bytes(good))
    except BadWeights:
        return
    assert {t.name for t in found} == {name for name, _ in deserialize(bytes(good))}


DUPLICATE = (
    b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "too short"),
        (b"\xff" * 8 + b"{}", "at most"),
        ((93_000_000).to_bytes(8, "little") + b"{" * 100, "at most"),
        ((50).to_bytes(8, "little") + b"{}", "in a file of 10"),
        (header(b" " + json.dumps({"a": ENTRY}).encode(), body=8), "does not begin"),
        (header(b"\xff\xfe{}"), "no UTF-8"),
        (header(b"[]"), "does not begin"),
        (header(b"{" * 1000), "a name is missing"),
        (header(b'{"a":' * 2000 + b"1" + b"}" * 2000), "something else"),
        (header(DUPLICATE, body=8), "twice"),
        (header(b'{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', body=8), "twice"),
        (header({"a": {**ENTRY, "extra": 1}}, body=8), "something else"),
        (header({"a": {**ENTRY, "dtype": "F31"}}, body=8), "unknown dtype"),
        (header({"a": {"dtype": "F32", "shape": [2]}}, body=8), "no data_offsets"),
        (header({"a": {**ENTRY, "data_offsets": [0]}}, body=8), "1 data_offsets"),
        (header(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}', body=8), "can't be read"),
        (header(b'{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}', body=8), "can't be read"),
        (header(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,' + b"8" * 5000 + b"]}}", body=8), "can't be read"),
        (header({"a": {"dtype": "F32", "shape": [1] * 5000, "data_offsets": [0, 4]}}, body=4), "can't be read"),
        (header({"a": {"dtype": "F32", "shape": [1] * 40, "data_offsets": [0, 4]}}, body=4), "rank 40"),
        (header({"a": {"dtype": "F32", "shape": [0, 2**50], "data_offsets": [0, 0]}}), "beyond all bounds"),
        (header({"a": {**ENTRY, "data_offsets": [8, 0]}}, body=8), "before it begins"),
        (header({"a": {**ENTRY, "data_offsets": [0, 4]}}, body=8), "takes 8"),
        (header({"a": ENTRY, "b": {**ENTRY, "data_offsets": [4, 12]}}, body=12), "overlaps"),
        (header({"a": ENTRY, "b": {**ENTRY, "data_offsets": [12, 20]}}, body=20), "hole of 4"),
        (header({"a": ENTRY}, body=4), "missing"),
        (header({"a": ENTRY}, body=9), "belong to no tensor"),
        (header({"../../x": ENTRY}, body=8), "is a path"),
        (header({"/etc/passwd": ENTRY}, body=8), "is a path"),
        (header({"a\u202eb": ENTRY}, body=8), "printed"),
        (header({"a\ud800": ENTRY}, body=8), "printed"),
        (header({"a" * 600: ENTRY}, body=8), "600 characters"),
        (header({"__metadata__": {"a": 1}}), "a value of __metadata__ is missing"),
        (header({"__metadata__": {"a": {"b": "c"}}}), "missing"),
        (header(b'{"__metadata__":{},"__metadata__":{}}'), "twice"),
        (header(b'{"__metadata__":{"a":"b","a":"c"}}'), "twice"),
        (header(b"{}   x"), "goes on"),
        (header({"a": {"dtype": "F4", "shape": [3], "data_offsets": [0, 2]}}, body=2), "within a byte"),
    ],
)
def test_hostile_headers_are_refused_with_their_reason(data: bytes, said: str) -> None:
    with pytest.raises(BadWeights, match=said.replace("(", r"\(")):
        read(data)


def test_padding_and_unusual_order_are_taken() -> None:
    data = header(b'{ "a" :\n{"data_offsets": [0, 8], "shape" : [ 2 ], "dtype":"F32"} }', body=8, pad=b"    ")
    (found,), told = read(data)
    assert (found.name, found.shape, found.size, told) == ("a", (2,), 8, {})


def test_long_metadata_is_kept_short() -> None:
    _, told = read(header({"__metadata__": {"tags": "x" * 100_000, "nul": "a\0b"}}))
    assert (len(told["tags"]), told["nul"]) == (headers.METADATA_KEPT, "a\ufffdb")


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":' + b"[" * 4_000_000,
        b'{"__metadata__":{"a":"' + b"\\u0041" * 600_000 + b'"}}',
        b'{"' + b"a" * 4_000_000,
        b"{" + b" " * 4_000_000 + b"}",
        b'{"a":{"dtype":"F32","shape":[' + b"1," * 2_000_000 + b"1]",
        b"{" + b",".join(b'"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}' % i for i in range(4_500)) + b"}",
    ],
    ids=["nesting", "escapes", "endless name", "blanks", "endless shape", "too many"],
)
def test_large_hostile_headers_cost_little(text: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headers, "TENSORS", 4_000)
    began = time.process_time()
    tracemalloc.start()
    with contextlib.suppress(BadWeights):
        read(header(text))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 150_000_000
    assert time.process_time() - began < 20


def test_what_the_library_refuses_and_we_do_too() -> None:
    for data in (header({"a": {**ENTRY, "data_offsets": [4, 12]}}, body=12), header({"a": ENTRY}, body=100)):
        with pytest.raises(SafetensorError):
            deserialize(data)
        with pytest.raises(BadWeights):
            read(data)
