# ruff: noqa: E501 - one model a line reads as a table
"""What the collection holds: every model, how it comes to be, and what its card claims (which may be wrong).

Order is the order of growing: a parent stands before its children. ``parents`` is the truth; ``says`` replaces what the
card would truly declare, where the case is that it doesn't.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

How = Literal["root", "tune", "adapter", "cast", "int8", "gguf", "merge", "copy", "shard", "card", "pickle"]
Net = Literal["decoder", "vit", "conv"]


@dataclass(frozen=True)
class Planned:
    id: str
    how: How
    net: Net
    created: str
    parents: tuple[str, ...] = ()
    data: str | None = None  # a domain or data set of soil.py
    steps: int = 0
    rate: float = 2e-3
    dtype: Literal["F32", "F16", "BF16"] = "BF16"
    seed: int = 0
    rank: int = 4
    says: Any = None  # base_model as the card has it; () for none
    card: bool = True
    front: dict[str, Any] = field(default_factory=dict)  # further front matter; None removes a key
    note: str = ""  # a sentence of its own for the card's text
    config_says: str | None = None  # base_model_name_or_path, where it isn't the parent's id
    weights: tuple[float, ...] = ()  # of a merge: one for each parent
    base: str | None = None  # of a task-arithmetic merge
    garden: str = "sample-garden"  # whose data sets
    adds: tuple[str, ...] = ()  # tokens that a decoder has over its parent
    fame: int = 0  # downloads of the last month
    likes: int = 0
    state: dict[str, Any] = field(default_factory=dict)  # private, gated, disabled, renamed_from, deleted
    case: str = ""  # what the model is an example of


APACHE, MIT, LLAMA3, NC = "apache-2.0", "mit", "llama3", "cc-by-nc-4.0"
GATE = {
    "extra_gated_prompt": "This is a sample of a gated model. Nothing is asked of you.",
    "extra_gated_fields": {"I have read this": "checkbox"},
}


def lm(repo_id: str, how: How, created: str, *parents: str, licence: Any = APACHE, **rest: Any) -> Planned:
    front = {"license": licence, "language": ["en"], **rest.pop("front", {})}
    return Planned(repo_id, how, "decoder", created, parents, front=front, **rest)


def vit(repo_id: str, how: How, created: str, *parents: str, licence: Any = APACHE, **rest: Any) -> Planned:
    return Planned(repo_id, how, "vit", created, parents, front={"license": licence, **rest.pop("front", {})}, **rest)


def conv(repo_id: str, how: How, created: str, *parents: str, licence: Any = MIT, **rest: Any) -> Planned:
    return Planned(repo_id, how, "conv", created, parents, front={"license": licence, **rest.pop("front", {})}, **rest)


SPROUT, INSTRUCT = "sample-garden/Sprout-37K", "sample-garden/Sprout-37K-Instruct"
VERSE, NIGHT, DEUTSCH = "moss-lab/Sprout-Verse", "moss-lab/Sprout-Verse-Night", "fern-collective/Sprout-Verse-Nacht"
TERN, CHAT, TERN_V0 = "tidepool-works/Tern-37K", "tidepool-works/Tern-37K-Chat", "tidepool-works/Tern-37K-v0"
MIRROR = "mirror-shed/Sprout-37K-Instruct"
PETAL, PETAL_MOSS, PETAL_FERN = (
    "sample-garden/petal-vit",
    "moss-lab/petal-vit-textures",
    "fern-collective/petal-vit-shapes",
)
SEEDLING = "seedling"

COLLECTION: tuple[Planned, ...] = (
    # A convolutional tree, from the days before namespaces and creation dates.
    conv(SEEDLING, "root", "2022-03-02T23:29:04", data="petals-12", steps=500, dtype="F32", seed=11, fame=18400, likes=96, case="an id without a namespace"),
    conv("moss-lab/seedling-leaves", "tune", "2022-03-02T23:29:04", SEEDLING, data="leaves-or-not", steps=200, dtype="F32", seed=12, fame=1210, likes=11, case="as old as creation dates"),
    conv("sample-quants/seedling-leaves-fp16", "cast", "2022-11-19T08:14:55", "moss-lab/seedling-leaves", dtype="F16", fame=88, likes=1),
    conv("fern-collective/seedling-bark", "tune", "2023-01-30T17:02:12", SEEDLING, data="moss-textures", steps=200, dtype="F32", seed=13, says="seedling/", fame=61, likes=2, case="a trailing slash"),
    conv("fern-collective/seedling-moths", "tune", "2023-03-08T09:41:37", SEEDLING, data="dusk-colours", steps=200, dtype="F32", seed=14, front={"license": None, "License": "mit", "Base_model": SEEDLING}, says=(), fame=24, case="keys in the wrong case"),
    conv("graft-bench/seedling-mean", "merge", "2024-01-16T20:11:03", "moss-lab/seedling-leaves", "fern-collective/seedling-moths", dtype="F32", weights=(0.5, 0.5), says=["moss-lab/seedling-leaves", "fern-collective/seedling-moths", "moss-lab/seedling-leaves"], fame=15, case="an entry twice in the list"),
    conv("fern-collective/echo-a", "tune", "2024-02-11T12:00:09", SEEDLING, data="striped-or-not", steps=150, dtype="F32", seed=15, says="fern-collective/echo-b", fame=7, case="a cycle of two"),
    conv("fern-collective/echo-b", "tune", "2024-02-11T12:34:50", SEEDLING, data="dotted-or-not", steps=150, dtype="F32", seed=16, says="fern-collective/echo-a", fame=6, case="a cycle of two"),
    conv("moss-lab/old-habits", "pickle", "2022-09-05T14:20:31", SEEDLING, data="fern-shapes", steps=150, dtype="F32", seed=17, fame=130, likes=3, case="no safe weights"),
    conv("fern-collective/bramble", "tune", "2025-04-01T00:00:01", SEEDLING, data="fern-shapes", steps=150, dtype="F32", seed=18, fame=9,
         note='<script>alert("thorns")</script><img src=x onerror=alert(1)> =HYPERLINK("http://127.0.0.1/","=1+1") \x1b[31m\u202ered\u202c [link](javascript:alert(2))', front={"tags": ["<b>bold</b>", "=1+1", "\"quoted\""]}, case="hostile text"),
    # A language-model tree under Apache 2.0.
    lm(SPROUT, "root", "2024-03-04T10:15:00", data="mixed", steps=1500, dtype="F32", seed=1, fame=52300, likes=214, state={"renamed_from": "sample-garden/Sprout-tiny"}, front={"new_version": INSTRUCT}, case="a root, renamed"),
    lm("moss-lab/sprout-weather-lora", "adapter", "2024-03-03T22:40:18", SPROUT, data="pond-weather", steps=250, rate=1e-2, seed=2, rank=2, fame=410, likes=4, case="older than its parent"),
    lm(INSTRUCT, "tune", "2024-03-11T09:00:27", SPROUT, data="garden-questions", steps=300, seed=3, fame=40100, likes=187),
    lm("fern-collective/Sprout-unlabelled", "tune", "2024-03-29T19:22:46", SPROUT, data="hedge-stories", steps=300, seed=4, card=False, fame=37, case="no card"),
    lm("moss-lab/Sprout-Letters", "tune", "2024-04-02T07:45:13", SPROUT, data="mole-letters", steps=300, seed=5, says="sample-garden/Sprout-tiny", fame=96, likes=2, case="names its parent by an old name"),
    lm(MIRROR, "copy", "2024-03-12T03:10:59", INSTRUCT, fame=9200, likes=35, front={"tags": ["mirror"]}, case="a mirror"),
    lm("fern-collective/sprout-copy", "copy", "2024-05-20T11:31:02", INSTRUCT, card=False, fame=12, case="an exact re-upload without a card"),
    lm("mirror-shed/Sprout-37K-Instruct-sharded", "shard", "2024-05-21T15:08:40", INSTRUCT, fame=140, case="the same weights in two shards"),
    lm("moss-lab/Sprout-Stories", "tune", "2024-06-06T16:57:21", MIRROR, data="hedge-stories", steps=250, seed=6, fame=510, likes=6, case="a child of a mirror"),
    lm("moss-lab/sprout-recipes-lora", "adapter", "2024-06-17T13:13:13", INSTRUCT, data="herb-recipes", steps=250, rate=1e-2, seed=7, fame=700, likes=9),
    lm("fern-collective/sprout-sums-lora", "adapter", "2024-07-01T18:25:33", INSTRUCT, data="small-sums", steps=250, rate=1e-2, seed=8, says="./checkpoints/Sprout-37K-Instruct", config_says="./checkpoints/Sprout-37K-Instruct", fame=55, case="a local path"),
    lm("fern-collective/sprout-silent-lora", "adapter", "2024-07-09T21:50:05", SPROUT, data="mole-letters", steps=250, rate=1e-2, seed=9, says=(), fame=18, case="only adapter_config.json names the parent"),
    lm("sample-quants/Sprout-37K-Instruct-int8", "int8", "2024-04-15T05:05:05", INSTRUCT, fame=2300, likes=12, front={"base_model_relation": "quantized"}),
    lm("sample-quants/Sprout-37K-fp16", "cast", "2024-03-20T05:05:05", SPROUT, dtype="F16", fame=310, front={"base_model_relation": "quantized"}),
    lm(VERSE, "tune", "2024-08-08T08:08:08", INSTRUCT, licence=MIT, data="moss-verse", steps=300, seed=21, fame=8800, likes=61),
    lm(NIGHT, "tune", "2024-09-14T22:22:22", VERSE, licence=MIT, data="night-notes", steps=250, seed=22, fame=1900, likes=17),
    lm(DEUTSCH, "tune", "2024-11-02T06:30:11", NIGHT, licence="cc-by-sa-4.0", data="garten-notizen", steps=300, seed=23, fame=860, likes=8, front={"language": "de"}),
    lm("sample-quants/Sprout-Verse-Nacht-GGUF", "gguf", "2024-11-05T04:00:44", DEUTSCH, licence="cc-by-sa-4.0", fame=640, likes=5, front={"language": "de", "quantized_by": "sample-quants"}, case="five generations down"),
    lm("graft-bench/Sprout-Verse-Instruct-linear", "merge", "2024-10-10T10:10:10", INSTRUCT, VERSE, weights=(0.6, 0.4), fame=330, likes=4),
    lm("graft-bench/Sprout-Trio", "merge", "2025-01-09T12:47:00", VERSE, "moss-lab/Sprout-Stories", "moss-lab/Sprout-Letters", base=SPROUT, weights=(0.5, 0.5, 0.4), fame=270, likes=7, case="task arithmetic over three"),
    lm("graft-bench/Sprout-Night-soup", "merge", "2025-02-20T23:01:16", NIGHT, VERSE, weights=(0.5, 0.5), says=[NIGHT, "moss-lab/internal-draft"], fame=44, case="tagged merge, typed finetune: one of its parents is private"),
    lm("moss-lab/Sprout-Trio-stories", "tune", "2025-03-15T14:14:14", "graft-bench/Sprout-Trio", data="hedge-stories", steps=200, seed=24, fame=73, case="a child of a merge"),
    lm("moss-lab/internal-draft", "tune", "2025-02-01T01:02:03", NIGHT, data="moss-verse", steps=150, seed=25, state={"private": True}, case="private"),
    # A second tree of the same shape, grown alone, under a licence that passes terms down.
    lm(TERN_V0, "root", "2024-04-30T09:09:09", licence=LLAMA3, data="mixed", steps=1500, dtype="F32", seed=31, state={"deleted": True}, case="deleted"),
    lm(TERN, "root", "2024-05-14T09:09:09", licence=LLAMA3, data="mixed", steps=1500, dtype="F32", seed=32, fame=21700, likes=133, case="a root of the same shape as another"),
    lm(CHAT, "tune", "2024-05-28T10:20:30", TERN, licence=LLAMA3, data="garden-questions", steps=300, seed=33, fame=16400, likes=90),
    lm("tidepool-works/Tern-37K-Plus", "tune", "2024-12-12T12:12:12", CHAT, licence=LLAMA3, data="hedge-stories", steps=250, seed=34, fame=5200, likes=48, front=GATE, state={"gated": "manual"}, case="gated"),
    lm("moss-lab/Tern-Chat-Open", "tune", "2024-07-22T20:00:00", CHAT, licence=APACHE, data="herb-recipes", steps=250, seed=35, fame=930, likes=10, case="a licence more open than its ancestor's"),
    lm("fern-collective/Tern-Letters", "tune", "2024-08-19T17:17:17", CHAT, licence=[LLAMA3], data="mole-letters", steps=250, seed=36, says="tidepool-works/tern-37k-chat", fame=64, likes=1, case="wrong case"),
    lm("fern-collective/Tern-Ouroboros", "tune", "2024-09-30T03:33:33", CHAT, licence=LLAMA3, data="moss-verse", steps=200, seed=37, says="fern-collective/Tern-Ouroboros", fame=13, case="names itself"),
    lm("fern-collective/Tern-Orphan", "tune", "2024-06-03T11:11:11", TERN_V0, licence=LLAMA3, data="pond-weather", steps=250, seed=38, fame=82, likes=2, case="its parent was deleted"),
    lm("graft-bench/Sprout-Tern-claims", "tune", "2024-10-25T15:45:00", TERN, licence=APACHE, data="moss-verse", steps=250, seed=39, says=SPROUT, fame=190, likes=3, case="a wrong base: it says Sprout, it is a Tern"),
    lm("sample-quants/Tern-37K-Chat-int8", "int8", "2024-06-10T05:05:05", CHAT, licence=LLAMA3, fame=1200, likes=7, front={"base_model_relation": "quantized"}),
    lm("sample-quants/Tern-37K-Chat-int8-GGUF", "gguf", "2024-06-11T05:05:05", "sample-quants/Tern-37K-Chat-int8", licence=LLAMA3, fame=480, likes=2, case="quantized from a quantized model"),
    lm("moss-lab/tern-sums-lora", "adapter", "2024-10-01T08:08:08", CHAT, licence="other", data="small-sums", steps=250, rate=1e-2, seed=40, fame=150, front={"license_name": "sample-garden-licence", "license_link": "LICENSE"}),
    lm("fern-collective/withdrawn", "tune", "2024-11-30T18:18:18", CHAT, licence=LLAMA3, data="night-notes", steps=150, seed=41, fame=20, state={"disabled": True}, case="disabled"),
    lm("sample-garden/reading-list", "card", "2025-05-05T05:55:55", licence="cc-by-4.0", note="A list of what to read next to these models; there are no weights in this repo.", fame=3, case="a card without weights"),
    # A vision tree.
    vit(PETAL, "root", "2023-05-17T13:00:00", data="petals-12", steps=800, dtype="F32", seed=51, fame=30900, likes=150),
    vit(PETAL_MOSS, "tune", "2023-07-07T07:07:07", PETAL, data="moss-textures", steps=300, dtype="F16", seed=52, fame=2600, likes=19),
    vit(PETAL_FERN, "tune", "2023-08-24T16:40:40", PETAL, data="fern-shapes", steps=300, dtype="F16", seed=53, fame=3100, likes=22),
    vit("fern-collective/petal-vit-shapes-dusk", "tune", "2023-11-11T11:11:11", PETAL_FERN, licence=NC, data="dusk-colours", steps=250, dtype="F16", seed=54, fame=220, likes=3),
    vit("moss-lab/petal-vit-striped-lora", "adapter", "2024-02-02T02:02:02", PETAL, data="striped-or-not", steps=250, rate=5e-3, seed=55, dtype="F32", fame=170, likes=2),
    vit("moss-lab/petal-vit-dotted-lora", "adapter", "2024-02-03T02:02:02", PETAL, data="dotted-or-not", steps=250, rate=5e-3, seed=56, dtype="F32", fame=140),
    vit("sample-quants/petal-vit-fp16", "cast", "2023-06-01T05:05:05", PETAL, dtype="F16", fame=410, likes=3, front={"base_model_relation": "quantized"}),
    vit("graft-bench/petal-vit-soup", "merge", "2024-04-18T19:19:19", PETAL_MOSS, PETAL_FERN, dtype="F16", weights=(0.5, 0.5), fame=105, likes=1),
    vit("tidepool-works/shell-vit", "root", "2024-01-25T10:00:00", licence="openrail", data="fern-shapes", steps=500, dtype="F16", seed=57, fame=350, likes=5, case="a root of the same shape as another"),
)  # fmt: skip
