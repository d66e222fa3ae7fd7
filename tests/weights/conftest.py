"""Hubs of files made for the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from samplehub.catalogue import Repo
from samplehub.running import Running, serve
from tests.weights.making import catalogue


@pytest.fixture
def hub_with() -> Iterator[Callable[..., Running]]:
    """``hub_with(repo(…), …, latency_ms=…)`` serves those repos until the test ends."""
    with ExitStack() as stack:

        def make(*repos: Repo, **options: Any) -> Running:
            return stack.enter_context(serve(catalogue=catalogue(*repos), **options))

        yield make
