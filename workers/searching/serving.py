"""The ``search`` process to the outside: JSON over HTTP on a Unix socket or a TCP port, every part of it bounded.

``POST /ask`` a question, ``POST /alike`` a repo, ``GET /health``. It is reached by the web processes alone: at home by
a socket that only the site's own user may open, on a server over the network that is inside.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import numpy as np
import structlog

from workers.searching.answering import Library
from workers.searching.records import RESULTS_MAX, Question

log = structlog.get_logger("rootstock.search")

BODY_MAX = 64 * 1024  # bytes of a question: its text, filters and a few hundred ids
AT_ONCE = 16  # questions at a time: one takes some 10 ms, so more than these are better told to come again
PATIENCE = 5.0  # seconds for a caller to send its question
REFRESH = 2.0  # seconds between looks at what is stored

Allowed = Callable[[Mapping[str, str]], "np.ndarray | None"]


class Service:
    """What the process holds. ``library`` is None until the encoder is loaded; ``state`` says how it stands."""

    def __init__(self, allowed: Allowed) -> None:
        self.library: Library | None = None
        self.state = "loading"
        self.allowed = allowed
        self.places = threading.BoundedSemaphore(AT_ONCE)

    def ask(self, value: Any) -> dict[str, Any]:
        """The answer to a question. Raises ValueError where it is none."""
        question = Question.from_json(value)
        return self._library().answer(question, self.allowed(question.filters)).to_json()

    def alike(self, value: Any) -> dict[str, Any]:
        """Models like one. Raises ValueError where none is named."""
        try:
            repo_id, limit = int(value["repo"]), int(value.get("limit", 8))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no repo: {error}") from error
        return self._library().alike(repo_id, max(1, min(limit, RESULTS_MAX))).to_json()

    def health(self) -> dict[str, Any]:
        """How it stands, and what it holds."""
        library = self.library
        if library is None:
            return {"state": self.state}
        return {
            "state": self.state,
            "encoder": library.encoder.name,
            "cards": len(library.cards),
            "names": len(library.names),
            "spaces": len(library.spaces),
            "weights": sum(len(space.index) for space in list(library.spaces.values())),
        }

    def _library(self) -> Library:
        if self.library is None:
            raise NotReady(self.state)
        return self.library


class NotReady(Exception):
    """The encoder is still being loaded."""


class Handler(BaseHTTPRequestHandler):
    """One request. Errors are told in a line and logged; nothing of a question is: what people look for is theirs."""

    timeout = PATIENCE
    server: Server
    server_version, sys_version = "rootstock-search", ""

    def do_GET(self) -> None:
        if self.path != "/health":
            self._send(404, {"error": "no such address"})
            return
        health = self.server.service.health()
        self._send(200 if health["state"] == "ready" else 503, health)

    def do_POST(self) -> None:
        service = self.server.service
        deed = {"/ask": service.ask, "/alike": service.alike}.get(self.path)
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > BODY_MAX:
            self._send(413, {"error": f"a body of at most {BODY_MAX} bytes, with its length, is needed"})
            return
        try:
            body = self.rfile.read(int(length))  # in any case: what is left unread resets the caller's connection
        except OSError:
            self.close_connection = True  # the caller has gone, or never sent it
            return
        if deed is None:
            self._send(404, {"error": "no such address"})
        elif not service.places.acquire(blocking=False):
            self._send(503, {"error": f"{AT_ONCE} questions are being answered: come again"})
        else:
            try:
                self._send(200, deed(json.loads(body)))
            except ValueError as error:
                self._send(400, {"error": str(error)[:200]})
            except NotReady as error:
                self._send(503, {"error": str(error)})
            except Exception as error:
                log.exception("search.bug", error=str(error))
                self._send(500, {"error": type(error).__name__})
            finally:
                service.places.release()

    def _send(self, status: int, value: Mapping[str, Any]) -> None:
        body = json.dumps(value).encode()
        with contextlib.suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's own name
        """No line for each request: the site logs them."""

    def address_string(self) -> str:
        return "socket"


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Threads that end with their request; on ``address``: unix:/path or http://host:port."""

    daemon_threads = True
    request_queue_size = 64
    allow_reuse_address = True

    def __init__(self, address: str, service: Service) -> None:
        self.service = service
        self.path = socket_path(address)
        if self.path is not None:
            self.address_family = socket.AF_UNIX
            _make_room(self.path)
            with short(self.path) as name:
                super().__init__(name, Handler)  # type: ignore[arg-type]
            self.path.chmod(0o600)
        else:
            parts = urlsplit(address)
            super().__init__((parts.hostname or "127.0.0.1", parts.port or 8002), Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """A Unix socket's peer has no address; the handler wants one."""
        request, peer = super().get_request()
        return request, peer or ("", 0)

    def server_close(self) -> None:
        super().server_close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


@contextlib.contextmanager
def short(path: Path) -> Iterator[str]:
    """A name for a socket's path that fits the 107 bytes the system gives it: over its folder, where it is long."""
    if len(os.fsencode(path)) < 100:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def socket_path(address: str) -> Path | None:
    """The path of ``unix:/path``; None for another address."""
    return Path(address.removeprefix("unix:")) if address.startswith("unix:") else None


def _make_room(path: Path) -> None:
    """Take a dead process's socket away. One that answers stays: binding to it then fails."""
    if not path.exists():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            with short(path) as name:
                probe.connect(name)
        except OSError:
            path.unlink(missing_ok=True)


class Feed(Protocol):
    """Where what the process holds comes from."""

    def load(self) -> Library:
        """A library with the encoder of this installation. Raises a RootstockError while there is none."""
        ...

    def refresh(self, library: Library) -> Library:
        """The library brought up to date: the same, or another one where the encoder has changed."""
        ...

    def allowed(self, filters: Mapping[str, str]) -> np.ndarray | None:
        """The sorted ids that filters leave; None where there are none."""
        ...


def serve(address: str, feed: Feed, stopping: threading.Event) -> None:
    """Answer until ``stopping`` is set; look every two seconds for what is new.

    The address is taken first, so that health checks and callers get an answer while the encoder loads. Raises OSError
    where another process has it.
    """
    service = Service(feed.allowed)
    server = Server(address, service)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True).start()
    log.info("search.listening", address=address)
    told = ""
    try:
        while not stopping.is_set():
            try:
                _renew(service, feed)
                told = ""
            except Exception as error:  # the database may be away for a while: what is held still answers
                words = f"{type(error).__name__}: {error}"[:300]
                if service.library is None:
                    service.state = f"loading: {words}"
                if words != told:
                    log.warning("search.refresh", error=words)
                told = words
            stopping.wait(REFRESH)
    finally:
        server.shutdown()
        server.server_close()


def _renew(service: Service, feed: Feed) -> None:
    if service.library is not None:
        service.library = feed.refresh(service.library)
        return
    started = time.monotonic()
    service.library = feed.refresh(feed.load())
    service.state = "ready"
    log.info("search.ready", seconds=round(time.monotonic() - started, 2), **service.health())
