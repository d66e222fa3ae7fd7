"""A hub with the collection, and ways to ask it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from huggingface_hub import HfApi, set_client_factory
from huggingface_hub.utils._http import default_client_factory

import samplehub


@pytest.fixture(scope="package", autouse=True)
def _a_client_of_anybody() -> Iterator[None]:
    """These tests ask as any program would: without the guarded session that the crawler gives huggingface_hub."""
    set_client_factory(default_client_factory)
    yield
    from workers.crawling import outbound

    outbound.install()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


Ask = Callable[..., Answer]


def ask(
    hub: samplehub.Running | str, target: str, method: str = "GET", body: str | bytes | None = None, **headers: str
) -> Answer:
    """One request on a connection of its own, without any client's help."""
    address = (hub if isinstance(hub, str) else hub.url).removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def follow(hub: samplehub.Running, target: str, limit: int = 1000) -> list[dict[str, Any]]:
    """All rows of a listing, page after page."""
    rows: list[dict[str, Any]] = []
    for _ in range(limit):
        answer = ask(hub, target)
        assert answer.status == 200, answer.body
        rows += answer.json()
        link = answer.headers.get("link")
        if link is None:
            return rows
        assert link.endswith('>; rel="next"')
        target = link[1 : link.index(">")].removeprefix(hub.url)
    raise AssertionError("the listing does not end")


@pytest.fixture(scope="module")
def hub() -> Iterator[samplehub.Running]:
    """The collection; not to be changed."""
    with samplehub.serve() as running:
        yield running


@pytest.fixture
def changing() -> Iterator[samplehub.Running]:
    """The collection, to be changed or ill-treated."""
    with samplehub.serve() as running:
        yield running


@pytest.fixture
def api(hub: samplehub.Running) -> HfApi:
    return HfApi(endpoint=hub.url, token=False)
