"""A hub of tiny models that can be merged, one that can't, and their base: crawled, nothing read yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import graft_faults
from hubapp.crawling import services as crawling
from hubapp.jobs.models import Job, JobState
from samplehub.running import Running, serve
from tests.weights.making import catalogue, repo
from workers.tasks import run_here


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def settle() -> None:
    while due := Job.objects.filter(state=JobState.QUEUED).order_by("id").first():
        assert (done := run_here(due.pk)).state == JobState.DONE, done.error


def made(root: Path) -> list[Any]:
    """org/base, its fine-tunes org/a and org/b, org/stranger which claims to be one, org/other of another base."""
    scene = graft_faults.scene("llama", root, seed=5)
    stranger = graft_faults.scene("llama", root, seed=50).base
    licences = {"base": "apache-2.0", "a": "apache-2.0", "b": "cc-by-nc-4.0", "stranger": "mit"}
    found = []
    for number, (name, model) in enumerate(
        (("base", scene.base), ("a", scene.a), ("b", scene.b), ("stranger", stranger)), start=1
    ):
        tags = [f"license:{licences[name]}"]
        card: dict[str, Any] = {"license": licences[name]}
        if name != "base":
            tags += ["base_model:org/base", "base_model:finetune:org/base"]
            card["base_model"] = "org/base"
        found.append(repo(f"org/{name}", files(model.write(root / name)), number=number, cardData=card, tags=tags))
    return found


@pytest.fixture
def hub(tmp_path: Path, settings: Any) -> Iterator[Running]:
    settings.HUB_CARDS = settings.HUB_READERS = 0
    with serve(catalogue=catalogue(*made(tmp_path))) as running:
        settings.HUB_ENDPOINT = running.url
        run_here(crawling.start(scope="everything", send=False).job_id)
        settle()
        yield running
