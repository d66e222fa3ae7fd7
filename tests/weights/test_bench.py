"""What the bench of this room stands on: files made when they are asked for, and changed headers."""

from __future__ import annotations

import random

from bench._madeup import Model
from bench.weights import changed_headers
from workers.weights import headers


def test_made_up_models_are_whole_files_from_any_side() -> None:
    base, child = Model(5, 0, 1), Model(5, 6, 1)
    found, _ = headers.parse(base.header[8:], file="m", size=base.size)
    assert sum(tensor.numel for tensor in found) > 170_000_000
    dice = random.Random(1)
    for _ in range(20):
        start = dice.randrange(base.size - 200_000)
        middle, stop = start + dice.randrange(100_000), start + 200_000
        assert base.make(start, stop) == base.make(start, middle) + base.make(middle, stop)
    last = found[-1]
    assert base.make(last.start, last.start + 4_096) != child.make(last.start, last.start + 4_096)


def test_changed_headers_end_well() -> None:
    told = changed_headers(400)
    assert (told["crashes"], told["wrongly"], told["refused"] + told["taken"]) == (0, 0, 400)
    assert told["gguf"] > 40
