"""A small HTTP/1.1 server on asyncio: keep-alive, HEAD, exact lengths, files sent by the kernel.

It knows nothing of hubs. A ``Request`` comes in, an application callable gives back a ``Response``;
a response may carry a ``Delivery`` that says how it is to be ill-treated on its way out (a delay,
a slow line, a connection cut in the middle).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

MAX_HEAD = 64 * 1024  # request line and headers; the longest real ones carry a cursor of a few kB
MAX_BODY = 8 * 1024 * 1024  # paths-info of a large repo is the largest body that is sent to us
SEND_BUFFER = 4 * 1024 * 1024  # a whole page of 1,000 rows leaves in one system call
IDLE_S = 120.0  # an idle kept-alive connection is closed after this
STEP_S = 0.05  # a slow line is fed in steps of this length
LINE_STEP = 256 * 1024  # bytes that an answer sends on a shared line before others have their turn

Headers = list[tuple[str, str]]
JSON = ("Content-Type", "application/json; charset=utf-8")


@dataclass(slots=True)
class Request:
    """One request; ``segments`` are the path's parts, each unquoted after the split (a part may hold a slash)."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    peer: str = ""

    @property
    def path(self) -> str:
        return self.target.split("?", 1)[0]

    @property
    def segments(self) -> list[str]:
        return [unquote(part) for part in self.path.split("/")[1:]]

    @property
    def query(self) -> dict[str, list[str]]:
        """Query values by name; ``expand[]=a`` is read as ``expand=a``."""
        values: dict[str, list[str]] = {}
        _, _, text = self.target.partition("?")
        for name, value in parse_qsl(text, keep_blank_values=True):
            values.setdefault(name.removesuffix("[]"), []).append(value)
        return values


@dataclass(slots=True)
class FileSlice:
    """Bytes ``start`` to ``start + length`` of a file on disk, sent without passing through Python."""

    path: Path
    start: int
    length: int


@dataclass(slots=True)
class Made:
    """Bytes ``start`` to ``start + length`` of what is made when it is sent: ``make(start, stop)`` gives them."""

    make: Callable[[int, int], bytes]
    start: int
    length: int


@dataclass(slots=True)
class Line:
    """A line that all connections share: so many bytes per second in all."""

    rate: float
    free_at: float = 0.0

    async def carry(self, size: int) -> None:
        """Wait until ``size`` bytes have gone through, after all that were given before them."""
        now = asyncio.get_running_loop().time()
        self.free_at = max(now, self.free_at) + size / self.rate
        await asyncio.sleep(self.free_at - now)


Body = bytes | memoryview | FileSlice | Made


@dataclass(slots=True)
class Delivery:
    """How an answer travels. Times in seconds, rates in bytes per second; None means undisturbed."""

    latency: float = 0.0
    bandwidth: float | None = None
    line: Line | None = None
    hang: float | None = None  # say nothing for so long, then close
    reset_after: int | None = None  # send so many bytes of the body, then reset the connection
    cut_after: int | None = None  # send so many bytes of the body, then close as if all were well
    truncate_to: int | None = None  # declare and send only so many bytes of the body

    @property
    def undisturbed_body(self) -> bool:
        return all(
            figure is None for figure in (self.bandwidth, self.line, self.reset_after, self.cut_after, self.truncate_to)
        )


@dataclass(slots=True)
class Response:
    status: int = 200
    headers: Headers = field(default_factory=list)
    body: Body = b""
    delivery: Delivery | None = None

    @property
    def length(self) -> int:
        return length_of(self.body)


class BadRequest(Exception):
    """The bytes that came in are no HTTP request that we take; the connection is closed after the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read_request(reader: asyncio.StreamReader, peer: str) -> Request | None:
    """The next request of a connection; None when it was closed or stayed idle."""
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), IDLE_S)
    except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
        return None
    except asyncio.LimitOverrunError:
        raise BadRequest(431, "request head is too large") from None
    lines = head.decode("latin-1").split("\r\n")
    try:
        method, target, version = lines[0].split(" ")
    except ValueError:
        raise BadRequest(400, "malformed request line") from None
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest(505, "HTTP/1.1 only")
    if not target.startswith("/"):
        raise BadRequest(400, "the request target must be a path")
    headers: dict[str, str] = {}
    for line in lines[1:-2]:
        name, colon, value = line.partition(":")
        if not colon or name != name.strip():
            raise BadRequest(400, "malformed header")
        headers[name.lower()] = value.strip()
    if version == "HTTP/1.0":
        headers.setdefault("connection", "close")
    body = b""
    if "transfer-encoding" in headers:
        raise BadRequest(411, "send a Content-Length")
    if length := headers.get("content-length"):
        if not length.isdecimal() or int(length) > MAX_BODY:
            raise BadRequest(413, "request body is too large")
        try:
            body = await asyncio.wait_for(reader.readexactly(int(length)), IDLE_S)
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            return None
    return Request(method, target, headers, body, peer)


def head_bytes(response: Response, length: int, *, close: bool) -> bytes:
    try:
        reason = HTTPStatus(response.status).phrase
    except ValueError:
        reason = "Unknown"
    lines = [f"HTTP/1.1 {response.status} {reason}", f"Date: {formatdate(usegmt=True)}"]
    lines += [f"{name}: {value}" for name, value in response.headers]
    if response.status not in (204, 304):
        lines.append(f"Content-Length: {length}")
    lines.append(f"Connection: {'close' if close else 'keep-alive'}")
    # One header holds one line, whatever a row's id or an error's text may contain.
    return ("\r\n".join(line.replace("\r", " ").replace("\n", " ") for line in lines) + "\r\n\r\n").encode(
        "latin-1", "replace"
    )


class Server:
    """Serves one application on any number of sockets, in the running event loop."""

    def __init__(self, application: Callable[[Request], Response]) -> None:
        self._application = application
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int) -> int:
        """Starts listening; the port that was given (0 asks the system for a free one)."""
        server = await asyncio.start_server(self._connected, host, port, limit=MAX_HEAD, backlog=256)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stops listening and cuts what is still under way."""
        await _turns()  # a connection accepted just now needs some turns before it can be cut
        for server in self._servers:
            server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await _turns()  # and some more until its socket is closed
        self._servers.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:  # never: a coroutine that runs has one
            return
        self._connections.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await self._converse(reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        peer = (writer.get_extra_info("peername") or ("",))[0]
        while True:
            try:
                request = await read_request(reader, peer)
            except BadRequest as error:
                response = Response(error.status, [("Content-Type", "text/plain")], str(error).encode())
                await self._send(writer, response, head_only=False, close=True)
                return
            if request is None:
                return
            try:
                response = self._application(request)
            except Exception:  # our own bug: said in the answer and on stderr, and the server goes on
                traceback.print_exc()
                response = Response(500, [JSON], json_bytes({"error": "the sample hub has a bug; see its stderr"}))
            close = request.headers.get("connection", "").lower() == "close"
            alive = await self._send(writer, response, head_only=request.method == "HEAD", close=close)
            if close or not alive:
                return

    async def _send(self, writer: asyncio.StreamWriter, response: Response, *, head_only: bool, close: bool) -> bool:  # noqa: PLR0912
        """Sends an answer as its delivery says; False when the connection is not to be used again."""
        delivery = response.delivery
        if delivery is None:
            writer.write(head_bytes(response, response.length, close=close))
            if not head_only:
                await self._send_body(writer, response.body)
            await writer.drain()
            return True
        if delivery.hang is not None:
            await asyncio.sleep(delivery.hang)
            return False
        if delivery.latency:
            await asyncio.sleep(delivery.latency)
        body = response.body
        if not (head_only or delivery.undisturbed_body or isinstance(body, Made)):
            body = as_bytes(body)
        if delivery.truncate_to is not None and not head_only:
            body = as_bytes(body)[: delivery.truncate_to]
        length = length_of(body)
        writer.write(head_bytes(response, length, close=close))
        if head_only:
            await writer.drain()
            return True
        if delivery.reset_after is not None:
            writer.write(as_bytes(body)[: delivery.reset_after])
            await writer.drain()
            await asyncio.sleep(0.01)  # let the bytes leave before the reset overtakes them
            sock: socket.socket = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
            writer.transport.abort()
            return False
        if delivery.cut_after is not None:
            writer.write(as_bytes(body)[: delivery.cut_after])
            await writer.drain()
            return False
        if delivery.line is not None:
            await self._send_in_turn(writer, body, delivery.line)
        elif delivery.bandwidth is not None:
            view, step = memoryview(as_bytes(body)), max(1, int(delivery.bandwidth * STEP_S))
            for start in range(0, len(view), step):
                writer.write(view[start : start + step])
                await writer.drain()
                await asyncio.sleep(len(view[start : start + step]) / delivery.bandwidth)
        else:
            await self._send_body(writer, body)
            await writer.drain()
        return True

    async def _send_in_turn(self, writer: asyncio.StreamWriter, body: Body, line: Line) -> None:
        """Sends a body over a line that others use too, a piece at a time."""
        for start in range(0, length_of(body), LINE_STEP):
            piece = piece_of(body, start, min(length_of(body), start + LINE_STEP))
            writer.write(piece)
            await writer.drain()
            await line.carry(len(piece))

    async def _send_body(self, writer: asyncio.StreamWriter, body: Body) -> None:
        if isinstance(body, Made):
            for start in range(0, body.length, SEND_BUFFER):
                writer.write(piece_of(body, start, min(body.length, start + SEND_BUFFER)))
                await writer.drain()
        elif not isinstance(body, FileSlice):
            writer.write(body)
        elif body.length:
            await writer.drain()
            with body.path.open("rb") as file:
                await asyncio.get_running_loop().sendfile(writer.transport, file, body.start, body.length)


async def _turns(count: int = 8) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def length_of(body: Body) -> int:
    return body.length if isinstance(body, FileSlice | Made) else len(body)


def piece_of(body: Body, start: int, stop: int) -> bytes:
    """Bytes ``start`` to ``stop`` of a body."""
    if isinstance(body, Made):
        return body.make(body.start + start, body.start + stop)
    if isinstance(body, FileSlice):
        return as_bytes(FileSlice(body.path, body.start + start, stop - start))
    return bytes(memoryview(body)[start:stop])


def as_bytes(body: Body) -> bytes:
    if isinstance(body, Made):
        return body.make(body.start, body.start + body.length)
    if isinstance(body, FileSlice):
        with body.path.open("rb") as file:
            file.seek(body.start)
            return file.read(body.length)
    return bytes(body)


def json_bytes(value: Any) -> bytes:
    """Compact JSON in UTF-8; what orjson has no words for (lone surrogates, huge integers) json has."""
    try:
        return orjson.dumps(value, default=str)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), default=str).encode()
