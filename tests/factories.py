"""Models as the Hub lists them, and how they come into the database: served over HTTP, crawled, grown into trees."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.test import override_settings

import samplehub
from hubapp.crawling import services as crawling
from hubapp.crawling.models import Crawl
from hubapp.jobs import services as jobs
from samplehub.shape import commit_id, object_id
from workers.tasks import run_here

_MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def row(name: str, *bases: str, relation: str = "finetune", **more: Any) -> dict[str, Any]:
    """One model as the Hub's list endpoint gives it with ``expand``; ``bases`` are resolved by the Hub, in its order.

    ``card`` adds to the card's front matter; ``base_model`` there may say what the Hub does not resolve. Other
    keywords are fields of the row in the API's spelling.
    """
    created = more.pop("created", "2024-03-01T10:00:00.000Z")
    card = {"base_model": list(bases)} if bases else {}
    card |= more.pop("card", {})
    tags = [f"base_model:{base}" for base in bases] + [f"base_model:{relation}:{base}" for base in bases]
    if "license" in card:
        tags.append(f"license:{card['license']}")
    listed = {
        "_id": object_id(name, created),
        "id": name,
        "modelId": name,
        "author": name.partition("/")[0] if "/" in name else None,
        "sha": commit_id(name),
        "createdAt": created,
        "lastModified": created,
        "downloads": 100,
        "downloadsAllTime": 1000,
        "likes": 3,
        "private": False,
        "gated": False,
        "disabled": False,
        "tags": tags,
        "cardData": card,
        "pipeline_tag": "text-generation",
        "library_name": "transformers",
        "config": {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"},
        "safetensors": {"parameters": {"F32": 124_439_808}, "total": 124_439_808},
    }
    if bases:
        listed["baseModels"] = {
            "relation": relation,
            "models": [{"_id": object_id(base), "id": base} for base in bases],
        }
    listed["tags"] += more.pop("tags", [])
    return listed | more


def family_rows() -> list[dict[str, Any]]:
    """A family around ``gpt2`` with all relations, the Hub's usual dirt, every state, and markup where text may be."""
    rows = [
        row("gpt2", card={"license": "mit"}, created="2022-03-02T23:29:04.000Z", downloads=9_000_000, likes=2500),
        row(
            "acme/gpt2-chat",
            "gpt2",
            card={"license": "apache-2.0", "datasets": ["acme/dialogues", "wikitext"], "language": ["en", "cy"]},
            downloads=52_000,
            created="2023-01-10T10:00:00.000Z",
        ),
        row(
            "acme/gpt2-medical",
            "gpt2",
            card={"license": "cc-by-nc-4.0"},
            downloads=800,
            created="2023-06-01T10:00:00.000Z",
        ),
        row("acme/gpt2-chat-lora", "acme/gpt2-chat", relation="adapter", card={"license": "mit"}, library_name="peft"),
        row("press/gpt2-chat-GGUF", "acme/gpt2-chat", relation="quantized", downloads=4_000, library_name="gguf"),
        row(
            "mixer/gpt2-chat-medical",
            "acme/gpt2-chat",
            "acme/gpt2-medical",
            relation="merge",
            tags=["merge", "mergekit"],
            created="2024-05-01T10:00:00.000Z",
            card={"license": "apache-2.0"},
        ),
        row("mixer/called-merge", "acme/gpt2-chat", tags=["merge"]),
        row("dirty/wrong-case", card={"base_model": "Acme/GPT2-Chat"}),
        row("dirty/local-path", card={"base_model": "./out/checkpoint-500"}),
        row("dirty/itself", card={"base_model": "dirty/itself"}),
        row("dirty/orphan", card={"base_model": "lost/base-of-old"}),
        row(
            "dirty/markup",
            "gpt2",
            card={"license": "other", "license_name": _MARKUP, "license_link": "javascript:alert(3)"},
            tags=[_MARKUP, "=cmd|' /C calc'!A0"],
        ),
        row("acme/gpt2-gated", "gpt2", gated="manual", card={"license": "mit"}),
        row("lone/model", card={"license": "mit"}),
    ]
    parent = "acme/gpt2-medical"
    for step in range(1, 9):  # a chain of ten
        rows.append(row(f"chain/step-{step}", parent, created=f"2024-0{step}-02T10:00:00.000Z"))
        parent = f"chain/step-{step}"
    rows += [row(f"many/child-{i:02d}", "acme/gpt2-chat", relation="adapter", downloads=i) for i in range(14)]
    return rows


def crawl_rows(rows: Iterable[dict[str, Any]], *, scope: str = "everything", argument: str = "") -> Crawl:
    """Serve rows as a hub on loopback, crawl it through the real client, and grow the trees, all in this process."""
    catalogue = samplehub.Catalogue.of_rows(rows)
    with samplehub.serve(catalogue=catalogue) as hub, override_settings(HUB_ENDPOINT=hub.url):
        crawl = crawling.start(scope=scope, argument=argument, send=False)
        run_here(crawl.job_id)
    grow()
    crawl.refresh_from_db()
    return crawl


def grow() -> None:
    """Let lineage and search catch up with what was stored."""
    job = jobs.enqueue(kind="lineage", params={}, send=False)
    run_here(job.pk)
