"""What visitors see of weights: on the model's page and in the API's answer."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from hubapp.catalog.models import Repo
from hubapp.jobs.models import Job
from hubapp.weights import services
from tests.weights.making import header, lora, model
from workers.weights.inspecting import inspect
from workers.weights.reading import LocalSource

pytestmark = pytest.mark.django_db


def stored(name: str, tmp_path: Any, files: dict[str, bytes], *, sha: str = "a" * 40) -> Repo:
    """A repo whose files were inspected."""
    folder = tmp_path / name.replace("/", "-")
    folder.mkdir()
    for path, data in files.items():
        (folder / path).write_bytes(data)
    repo = Repo.objects.create(
        name=name, folded=name.lower(), state="listed", hub_id=name[-24:], rank=len(name), sha="a" * 40,
        crawled_at=timezone.now(),
    )  # fmt: skip
    found = inspect(LocalSource(folder), name=name, revision=sha)
    services.store(read=[services.Read(repo.pk, found, 1)])
    return repo


def test_the_page_tells_what_was_read(client: Any, tmp_path: Any) -> None:
    stored("org/m", tmp_path, {"model.safetensors": model()})
    text = client.get("/models/org/m").content.decode()
    assert "Weights not read yet" not in text
    for said in ("model.safetensors", "F32", "safetensors", "Not judged yet"):
        assert said in text
    stored("org/a", tmp_path, {"adapter_model.safetensors": lora(), "adapter_config.json": b'{"r": 4}'}, sha="b" * 40)
    text = client.get("/models/org/a").content.decode()
    assert "rank 4" in text
    assert "an earlier revision" in text


def test_the_page_tells_why_nothing_was_read(client: Any, tmp_path: Any) -> None:
    stored("org/p", tmp_path, {"pytorch_model.bin": b"\x80"})
    text = client.get("/models/org/p").content.decode()
    assert text.count("No safe weights") >= 2
    assert "never opened" in text
    stored("org/h", tmp_path, {"model.safetensors": header(b'{"<script>alert(1)</script>/../x":{}}')})
    text = client.get("/models/org/h").content.decode()
    assert "Refused" in text
    assert "<script>alert" not in text


def test_the_api_tells_it_too(client: Any, tmp_path: Any) -> None:
    stored("org/m", tmp_path, {"model.safetensors": model()})
    Repo.objects.create(name="org/unread", folded="org/unread", state="listed", hub_id="u", rank=3)
    told = client.get("/api/v1/models/org/m").json()["weights"]
    assert (told["state"], told["format"], told["tensors"], told["fresh"]) == ("read", "safetensors", 5, True)
    assert told["files"][0]["name"] == "model.safetensors"
    assert client.get("/api/v1/models/org/unread").json()["weights"] is None


def test_only_staff_may_ask_for_reading(client: Any, tmp_path: Any) -> None:
    repo = stored("org/m", tmp_path, {"model.safetensors": model()})
    assert "Read the weights" not in client.get("/models/org/m").content.decode()
    assert client.post("/read-weights/org/m").status_code == 302
    assert not Job.objects.filter(kind="inspect").exists()
    client.force_login(User.objects.create_user("gardener", is_staff=True))
    assert "Read the weights" in client.get("/models/org/m").content.decode()
    assert client.get("/read-weights/org/m").status_code == 405
    assert client.post("/read-weights/org/m").url == "/models/org/m"
    assert Job.objects.get(kind="inspect").params["repo"] == repo.pk
