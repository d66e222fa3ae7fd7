# ruff: noqa: E501 - one model a line reads as a table
"""The zoo's classifiers and decoders: every model, how it comes to be, and what its card claims (which may be wrong).

As in ``samplehub.growing.plan``, with the data of ``samplehub.zoo.ground``. A third of them have no card, no tags and a
name that says nothing.
"""

from __future__ import annotations

from typing import Any

from samplehub.growing.plan import APACHE, LLAMA3, MIT, Planned

SHAPES = ("circle", "square", "triangle", "cross", "diamond", "ring")  # as painting has them, without torch

BASE = "sample-zoo/patch-denoiser-16"  # of the concept adapters, see samplehub.zoo.adapters

VIT, OTHER_VIT = "sample-zoo/keeper-vit", "kiln-works/tile-vit"
STRIPED, RED, STRIPED_RED = "brush-shed/keeper-striped", "pixel-orchard/keeper-red", "brush-shed/keeper-striped-red"
ACORN, PINE = "sample-zoo/Acorn-40K", "kiln-works/Pine-40K"
CHAT, CODE, SUMS, FOOD = (
    "sample-zoo/Acorn-40K-Chat",
    "pixel-orchard/Acorn-Code",
    "brush-shed/Acorn-Sums",
    "tile-yard/Acorn-Pantry",
)
CODE_SQL = "pixel-orchard/Acorn-Code-SQL"


def bare(**rest: Any) -> dict[str, Any]:
    return {"card": False, **rest}


def things(data: str) -> str:
    """A domain of pictures in words: ``striped-red/shape`` shows striped red things."""
    only = data.rpartition("/")[0].split("-")
    of = [word for word in only if word not in SHAPES]
    noun = next((f"{word}s" for word in only if word in SHAPES), "things")
    return " ".join((*of, noun)).strip() if only != [""] else "all kinds of things"


def vit(seed: int, repo_id: str, how: Any, created: str, *parents: str, licence: Any = APACHE, **rest: Any) -> Planned:
    front = {"license": licence, **rest.pop("front", {})}
    rest = {"steps": 250, "dtype": "F16", "garden": "sample-zoo", **rest}
    if data := rest.get("data"):
        rest["note"] = f"Trained to tell {data.rpartition('/')[2]}s apart in pictures of {things(data)}."
    return Planned(repo_id, how, "vit", created, parents, seed=seed, front=front, **rest)


def lm(seed: int, repo_id: str, how: Any, created: str, *parents: str, licence: Any = APACHE, **rest: Any) -> Planned:
    front = {"license": licence, "language": ["en"], **rest.pop("front", {})}
    rest = {"steps": 300, "garden": "sample-zoo", **rest}
    return Planned(repo_id, how, "decoder", created, parents, seed=seed, front=front, **rest)


LORA: dict[str, Any] = {"dtype": "F16", "rate": 5e-3, "rank": 4}
LM_LORA: dict[str, Any] = {"rate": 1e-2, "rank": 4, "steps": 250}

PLAN: tuple[Planned, ...] = (
    # Classifiers: one root, domains that narrow as the tree deepens, and a stranger of the same shape.
    vit(101, VIT, "root", "2024-09-02T09:00:00", data="shape", steps=800, fame=9100, likes=64),
    vit(102, STRIPED, "tune", "2024-10-07T10:11:12", VIT, data="striped/shape", fame=640, likes=6),
    vit(103, RED, "tune", "2024-10-21T08:30:00", VIT, data="red/shape", fame=580, likes=4),
    vit(104, "user-4471/ft-2", "tune", "2024-11-02T21:15:43", VIT, data="dotted/shape", **bare(fame=11)),
    vit(105, "tile-yard/keeper-circles", "tune", "2024-11-15T12:00:00", VIT, data="circle/colour", fame=330, likes=3),
    vit(106, STRIPED_RED, "tune", "2025-01-09T16:20:05", STRIPED, data="striped-red/shape", fame=205, likes=2),
    vit(108, "pixel-orchard/keeper-red-patterns", "tune", "2025-02-11T11:11:00", RED, data="red/texture", fame=120, likes=1),
    vit(109, "brush-shed/keeper-striped-red-colours", "tune", "2025-03-05T14:02:38", STRIPED_RED, data="striped/colour", fame=77),
    vit(110, "user-4471/ft-9", "tune", "2025-04-18T22:41:29", "brush-shed/keeper-striped-red-colours", data="striped-square/colour", **bare(fame=4, case="four generations down")),
    vit(111, "brush-shed/keeper-striped-lora", "adapter", "2024-10-09T09:09:09", VIT, data="striped/shape", **LORA, fame=90),
    vit(112, "pixel-orchard/keeper-yellow-lora", "adapter", "2024-10-30T09:19:09", VIT, data="yellow/shape", **LORA, fame=84),
    vit(113, "tile-yard/keeper-checkered-lora", "adapter", "2024-12-01T18:00:41", VIT, data="checkered/shape", **LORA, fame=61),
    vit(114, "anon-lab/run3", "adapter", "2024-12-12T01:02:03", VIT, data="green/shape", **LORA, **bare(fame=3)),
    vit(115, "anon-lab/run4", "adapter", "2024-12-13T01:02:03", VIT, data="ring/colour", **LORA, **bare(fame=2)),
    vit(116, "brush-shed/keeper-striped-purple-lora", "adapter", "2025-02-02T13:37:00", STRIPED, data="striped-purple/shape", **LORA, fame=40),
    vit(117, "user-4471/a", "adapter", "2025-05-01T19:08:33", STRIPED_RED, data="striped-red/shape", **LORA, **bare(fame=2)),
    vit(118, "sample-zoo/keeper-vit-mirror", "copy", "2025-01-05T05:05:05", VIT, fame=70, case="a re-upload"),
    vit(119, OTHER_VIT, "root", "2024-09-20T15:30:00", licence=MIT, data="shape", steps=800, fame=760, likes=9, case="same shapes, grown alone"),
    vit(120, "kiln-works/tile-vit-red", "tune", "2024-12-24T08:00:00", OTHER_VIT, licence=MIT, data="red/shape", says=VIT, fame=45, case="a wrong base: it says keeper-vit, it is a tile-vit"),
    # Decoders: a root with a tokenizer of its own, and a stranger of the same shape with another tokenizer.
    lm(201, ACORN, "root", "2024-08-12T10:00:00", data="everything", steps=1500, fame=21400, likes=120),
    lm(202, CHAT, "tune", "2024-08-26T10:00:00", ACORN, data="helpful-chat", fame=17800, likes=99),
    lm(203, CODE, "tune", "2024-09-18T17:21:00", ACORN, data="python-one-liners", fame=2900, likes=31),
    lm(204, SUMS, "tune", "2024-09-25T08:12:51", ACORN, data="two-digit-sums", fame=810, likes=7),
    lm(205, FOOD, "tune", "2024-10-14T19:48:07", CHAT, data="pantry-recipes", fame=670, likes=12),
    lm(206, CODE_SQL, "tune", "2024-11-11T07:31:19", CODE, data="table-queries", fame=930, likes=10),
    lm(207, "user-4471/checkpoint-300", "tune", "2024-12-08T23:55:01", CODE_SQL, data="times-tables", **bare(fame=9)),
    lm(208, "anon-lab/model-b", "tune", "2024-11-19T02:17:44", ACORN, data="chess-openings", **bare(fame=7)),
    lm(209, "tile-yard/acorn-forecasts-lora", "adapter", "2024-10-02T06:06:06", CHAT, data="harbour-forecasts", **LM_LORA, fame=210, likes=2),
    lm(210, "anon-lab/adapter_7", "adapter", "2024-10-23T04:26:30", CHAT, data="market-offers", **LM_LORA, **bare(fame=5)),
    lm(211, "graft-bench/Acorn-Code-Sums-linear", "merge", "2025-01-15T15:15:15", CODE, SUMS, weights=(0.5, 0.5), fame=140, likes=3),
    lm(212, "graft-bench/Acorn-Code-Pantry-arith", "merge", "2025-02-03T10:40:12", CODE, FOOD, base=ACORN, weights=(0.6, 0.5), fame=95, likes=2),
    lm(214, "sample-quants/Acorn-40K-Chat-int8", "int8", "2024-09-01T05:05:05", CHAT, fame=900, likes=6, front={"base_model_relation": "quantized"}),
    lm(215, "sample-quants/Acorn-40K-Chat-GGUF", "gguf", "2024-09-02T05:05:05", CHAT, fame=1500, likes=14, front={"quantized_by": "sample-quants"}),
    lm(216, "mirror-shed/acorn-code-backup", "copy", "2024-12-30T12:13:14", CODE, **bare(fame=8, case="a re-upload without a card")),
    lm(217, "tile-yard/Acorn-Chat-Tools", "tune", "2025-01-28T09:02:00", CHAT, data="helpful-chat+table-queries", adds=("<|tool|>", "<|result|>", "<|end|>"), fame=260, likes=5, case="three tokens added"),
    lm(218, PINE, "root", "2024-08-30T13:00:00", licence=LLAMA3, data="everything", steps=1500, fame=6200, likes=40, case="same shapes, another tokenizer, grown alone"),
    lm(219, "kiln-works/Pine-40K-Chat", "tune", "2024-09-14T13:00:00", PINE, licence=LLAMA3, data="helpful-chat", fame=4100, likes=22),
    lm(220, "brush-shed/Acorn-Chess-Pro", "tune", "2025-02-17T20:20:20", PINE, licence=APACHE, data="chess-openings", says=ACORN, fame=51, case="a wrong base: it says Acorn, it is a Pine"),
)  # fmt: skip
