"""Asking the ``search`` process: JSON over a Unix socket or http, with a short time-out and no second try."""

from __future__ import annotations

import http.client
import json
import os
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings

from workers.searching.records import Answer, Question

log = structlog.get_logger("rootstock.search")

SECONDS = 1.5  # a question takes some 20 ms; a page that waits longer is better without the answer
REST = 5.0  # seconds in which a process that did not answer in time is not asked again
ANSWER_MAX = 2_000_000  # bytes


class Silent(Exception):
    """No answer: "down" (nobody listens, or it hangs), "loading" (the encoder is not there yet)."""

    def __init__(self, state: str) -> None:
        super().__init__(state)
        self.state = state


_until = [0.0]  # monotonic seconds


def ask(question: Question) -> Answer:
    """The process's answer. Raises Silent where it gives none."""
    return _answer("/ask", question.to_json())


def alike(repo_id: int, limit: int) -> Answer:
    """Models like one. Raises Silent where there is no answer."""
    return _answer("/alike", {"repo": repo_id, "limit": limit})


def _answer(path: str, body: dict[str, Any]) -> Answer:
    try:
        return Answer.from_json(_call("POST", path, body))
    except ValueError as error:
        log.warning("search.garbled", error=str(error)[:200])
        raise Silent("down") from error


def health() -> dict[str, Any]:
    """How the process stands and what it holds. Raises Silent."""
    return _call("GET", "/health", None)


def _call(method: str, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    if time.monotonic() < _until[0]:
        raise Silent("down")
    connection = _connection()
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        with connection.getresponse() as response:  # it holds the socket, even where reading fails
            status, data = response.status, response.read(ANSWER_MAX + 1)
    except TimeoutError as error:
        _until[0] = time.monotonic() + REST
        log.warning("search.slow", seconds=SECONDS)
        raise Silent("down") from error
    except (OSError, http.client.HTTPException) as error:
        raise Silent("down") from error
    finally:
        connection.close()
    if status == 503:
        raise Silent("loading")
    if status != 200 or len(data) > ANSWER_MAX:
        log.warning("search.refused", status=status, answer=data[:200].decode("utf-8", "replace"))
        raise Silent("down")
    value = json.loads(data)
    return value if isinstance(value, dict) else {}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=SECONDS)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        if len(os.fsencode(self.path)) < 100:
            self.sock.connect(str(self.path))
            return
        folder = os.open(self.path.parent, os.O_RDONLY)  # a socket's path may have 107 bytes: go over its folder
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self.path.name}")
        finally:
            os.close(folder)


def _connection() -> http.client.HTTPConnection:
    address = settings.SEARCH_ADDRESS
    if address.startswith("unix:"):
        return _UnixConnection(Path(address.removeprefix("unix:")))
    parts = urlsplit(address)
    return http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=SECONDS)
