"""Processes of their own that work on the test's database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection

from tests.support.needs import ROOT
from tests.support.servers import die_with_parent, end, wait_until


@pytest.fixture
def environment(transactional_db: None) -> Iterator[dict[str, str]]:
    """The environment of processes that share the test's database and its broker of files, emptied beforehand."""
    place = Path(settings.VAR)
    for message in (place / "broker" / "messages").glob("*.msg"):
        message.unlink(missing_ok=True)
    values = {**os.environ, "ROOTSTOCK_VAR": str(place), "DJANGO_SETTINGS_MODULE": "hubapp.settings"}
    link = place / "rootstock.sqlite3"
    if connection.vendor == "sqlite":
        # SQLite resolves the link, so that both names mean one database with one log.
        link.unlink(missing_ok=True)
        link.symlink_to(connection.settings_dict["NAME"])
    else:
        told = connection.settings_dict
        values["DATABASE_URL"] = (
            f"postgresql://{quote(told['USER'])}@{told['HOST']}:{told['PORT']}/{quote(told['NAME'])}"
        )
    yield values
    link.unlink(missing_ok=True)


def python(*arguments: str, environment: dict[str, str], **options: Any) -> subprocess.Popen[str]:
    """A Python process in the checkout."""
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment, text=True, preexec_fn=die_with_parent, **options
    )


@contextmanager
def worker(
    environment: dict[str, str], log: Path, *arguments: str, name: str = "w1"
) -> Iterator[subprocess.Popen[str]]:
    """A Celery worker as in life, which also knows the counting jobs; gone at the end of the block."""
    with log.open("a") as file:
        process = python(
            *("-m", "celery", "-A", "tests.jobs.counting", "worker", "-Q", "crawl", "-n", f"{name}@test"),
            *("--pool", "prefork", "--concurrency", "1", "-l", "info"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat", *arguments),
            environment=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(
                lambda: process.poll() is not None or f"{name}@test ready" in log.read_text(),
                what=f"the worker ({log.read_text()[-2000:]})",
            )
            assert process.poll() is None, log.read_text()[-3000:]
            yield process
        finally:
            end(process)


def children(pid: int) -> list[int]:
    """The processes that ``pid`` has forked and that still live."""
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(text) for text in listing.read_text().split()] if listing.exists() else []
