"""Pages fetched and read in processes of their own, so that a crawl uses a second core while it stores.

A reader gets a page's URL on its standard input and answers on its standard output: first the link to the next page,
as soon as the headers have arrived, then the page as facts, or an error. Frames are a length and a ``marshal`` of plain
values. It ends when its input does, however the worker ended.
"""

from __future__ import annotations

import atexit
import contextlib
import marshal
import os
import queue
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, cast

from workers import errors
from workers.crawling.client import TRIES, HubClient
from workers.crawling.gate import Gate, Unlimited
from workers.crawling.listing import ReadPage, children_in
from workers.crawling.records import Rejected, RepoFacts
from workers.crawling.rows import read
from workers.errors import RateLimited, RemoteUnavailable, RootstockError
from workers.lineage.records import Declared, Relation, Source

ROOT = Path(__file__).resolve().parents[2]
TOLD = ("ratelimit", "ratelimit-policy", "retry-after")  # headers that the worker's gate wants to hear of
_LENGTH = struct.Struct("<I")


# --- facts as plain values ------------------------------------------------------------------------------------------
_NAMES = tuple(field.name for field in fields(RepoFacts))
_values = attrgetter(*_NAMES)
_CREATED, _DECLARED = _NAMES.index("created_at"), _NAMES.index("declared")
_SOURCES = {source.value: source for source in Source}
_RELATIONS = {relation.value: relation for relation in Relation} | {0: None}


def packed(fact: RepoFacts) -> tuple[Any, ...]:
    """Facts as plain values: times as seconds since 1970, statements as tuples."""
    values = _values(fact)
    created, modified = values[_CREATED], values[_CREATED + 1]
    return (
        *values[:_CREATED],
        None if created is None else created.timestamp(),
        None if modified is None else modified.timestamp(),
        *values[_CREATED + 2 : _DECLARED],
        tuple((int(d.source), d.text, int(d.relation or 0), d.hub_id) for d in values[_DECLARED]),
        *values[_DECLARED + 1 :],
    )


def unpacked(values: tuple[Any, ...]) -> RepoFacts:
    """The inverse of ``packed``."""
    created, modified, declared = values[_CREATED], values[_CREATED + 1], values[_DECLARED]
    return RepoFacts(  # type: ignore[call-arg]
        *values[:_CREATED],
        None if created is None else datetime.fromtimestamp(created, UTC),
        None if modified is None else datetime.fromtimestamp(modified, UTC),
        *values[_CREATED + 2 : _DECLARED],
        tuple([Declared(_SOURCES[source], text, _RELATIONS[kind], hub_id) for source, text, kind, hub_id in declared])
        if declared
        else (),
        *values[_DECLARED + 1 :],
    )


# --- frames ---------------------------------------------------------------------------------------------------------
def _send(pipe: IO[bytes], value: Any) -> None:
    data = marshal.dumps(value)
    pipe.write(_LENGTH.pack(len(data)) + data)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    """The next frame. Raises EOFError at the end."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    size = _LENGTH.unpack(head)[0]
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return marshal.loads(data)  # noqa: S302 (from a process that this one started)


# --- the worker's side ----------------------------------------------------------------------------------------------
class Reader:
    """One reading process. Used by one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "workers.crawling.reader"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )
        self._in = cast(IO[bytes], self._process.stdin)
        self._out = cast(IO[bytes], self._process.stdout)

    def page(self, client: HubClient, url: str, on_link: Callable[[str | None], None]) -> ReadPage:
        """Fetch and read a page (paid for). Raises what ``HubClient.page`` raises."""
        may_retry = client.gate.can_lend("api", TRIES - 1)
        try:
            _send(self._in, (client.endpoint, client.storage_hosts, client.token, url, may_retry))
            while True:
                kind, *rest = _receive(self._out)
                if kind == "link":
                    on_link(rest[0])
                    continue
                heard, borrowed, found = rest
                for _ in range(borrowed):
                    client.gate.owe("api")
                for bucket, headers, status in heard:
                    client.gate.hear(bucket, headers, status)
                if kind == "error":
                    raise _error(*found)
                next_url, facts, rejected, private, moment, children = found
                return ReadPage(
                    url,
                    next_url,
                    [unpacked(values) for values in facts],
                    [Rejected(*values) for values in rejected],
                    private,
                    moment,
                    children,
                )
        except (EOFError, OSError, ValueError) as error:
            self.end()
            client.gate.hear("api", None)
            raise RemoteUnavailable(f"The process that read the page ended ({type(error).__name__}).") from None

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """Let the process go."""
        for pipe in (self._in, self._out):
            with contextlib.suppress(OSError):
                pipe.close()
        self._process.kill()
        self._process.wait()


_idle: queue.LifoQueue[Reader] = queue.LifoQueue()


def read_page(client: HubClient, url: str, on_link: Callable[[str | None], None]) -> ReadPage:
    """Fetch and read a page in a process that is idle, or in a new one."""
    while True:
        try:
            reader = _idle.get_nowait()
        except queue.Empty:
            reader = Reader()
        if reader.lives:
            break
        reader.end()
    try:
        return reader.page(client, url, on_link)
    finally:
        if reader.lives:
            _idle.put(reader)


@atexit.register
def end_idle() -> None:
    """Let all idle readers go."""
    with contextlib.suppress(queue.Empty):
        while True:
            _idle.get_nowait().end()


def _forget() -> None:
    """In a forked child: the readers belong to the parent."""
    global _idle  # noqa: PLW0603 (a queue that was locked at the fork would stay locked)
    _idle = queue.LifoQueue()


os.register_at_fork(after_in_child=_forget)


def _error(name: str, message: str, wait: float) -> RootstockError:
    kind = getattr(errors, name, RemoteUnavailable)
    return RateLimited(message, wait=wait) if kind is RateLimited else kind(message)


# --- the reader's side ----------------------------------------------------------------------------------------------
class _Notes(Gate):
    """Stands for the worker's gate: notes what is heard, and lends as much as the worker allowed."""

    def __init__(self, lent: int) -> None:
        super().__init__(Unlimited())
        self.lent = lent
        self.borrowed = 0
        self.heard: list[tuple[str, dict[str, str] | None, int]] = []

    def hear(self, bucket: str, headers: Mapping[str, str] | None, status: int = 0) -> None:
        told = None if headers is None else {name: headers[name] for name in TOLD if name in headers}
        self.heard.append((bucket, told, status))

    def owe(self, bucket: str) -> None:
        self.borrowed += 1

    def borrow(self, bucket: str) -> bool:
        if self.lent <= 0:
            return False
        self.lent -= 1
        self.borrowed += 1
        return True


def _answer(request: tuple[Any, ...], out: IO[bytes]) -> None:
    endpoint, hosts, token, url, may_retry = request
    notes = _Notes(TRIES - 1 if may_retry else 0)
    client = HubClient(endpoint, tuple(hosts), token, notes)
    try:
        page = client.page(url, on_link=lambda link: _send(out, ("link", link)))
        facts, rejected, private = read(page.rows)
    except RootstockError as error:
        found = (type(error).__name__, str(error), getattr(error, "wait", 0.0))
        _send(out, ("error", notes.heard, notes.borrowed, found))
        return
    rows = [packed(fact) for fact in facts]
    rejects = [tuple(reject) for reject in rejected]
    answer = (page.next_url, rows, rejects, private, page.moment, children_in(page))
    _send(out, ("page", notes.heard, notes.borrowed, answer))


def main() -> None:
    """Answer requests until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the worker, and its end ends this
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what anything prints must not get between the frames
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            _answer(_receive(stdin), stdout)
    os._exit(0)  # no flushing of pipes that nobody reads


if __name__ == "__main__":
    main()
