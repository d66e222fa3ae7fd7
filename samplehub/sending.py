"""Sending a file, or the range of it that was asked for."""

from __future__ import annotations

from samplehub.files import Blob
from samplehub.http11 import Request, Response

TEXT_TYPES = {"json": "application/json", "md": "text/markdown; charset=utf-8", "txt": "text/plain; charset=utf-8"}


def content_type(path: str) -> str:
    return TEXT_TYPES.get(path.rsplit(".", 1)[-1], "text/plain; charset=utf-8")


def send_blob(request: Request, blob: Blob, headers: list[tuple[str, str]]) -> Response:
    """A file or the range of it that was asked for: 200, 206, or 416 where there are no such bytes."""
    span = byte_range(request.headers.get("range"), blob.size)
    if isinstance(span, str):
        return Response(
            416, [("Content-Range", f"bytes */{blob.size}"), ("Content-Type", "text/plain")], b"Range Not Satisfiable"
        )
    start, stop = span or (0, blob.size)
    body = blob.part(start, stop)
    if span is None:
        return Response(200, headers, body)
    return Response(206, [*headers, ("Content-Range", f"bytes {start}-{stop - 1}/{blob.size}")], body)


def byte_range(header: str | None, size: int) -> tuple[int, int] | str | None:
    """Start and end (exclusive) of a single byte range; None for no range or one to be ignored, or "unsatisfiable"."""
    if not header or not header.lower().startswith("bytes=") or "," in header:
        return None
    first, dash, last = header[6:].strip().partition("-")
    if not dash or not (first or last) or not (first + last).isdecimal():
        return None
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else "unsatisfiable"
    start, stop = int(first), min(size, int(last) + 1 if last else size)
    if start >= size:
        return "unsatisfiable"
    return (start, stop) if start < stop else None
