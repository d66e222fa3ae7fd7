"""Where bytes of weights come from: a folder or file on this machine, or a repo on the Hub, by one interface.

Of a hub only ranges are asked for: near ones as one request, several under way at once. The address that a file's
redirect led to is kept, so that further ranges of the file cost one round trip instead of two.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from workers.crawling.client import HubClient, Meter, Part
from workers.errors import (
    BadRequest,
    BadWeights,
    HostRefused,
    NoWeights,
    RemoteGarbled,
    RepoGated,
    RepoMissing,
    TooLarge,
)

SPECULATIVE = 128 * 1024  # bytes read of a large file at once, in the hope that its header is in there
GAP = 32 * 1024  # bytes between two ranges that are rather read along than asked for apart
PART = 8 * 1024 * 1024  # bytes of one request; more is asked for in several
AT_ONCE = 16  # requests under way: hides the latency of 150 ranges, within the session's 24 connections
READ_BYTES = 4 * 1024 * 1024 * 1024  # of one call of read_many; what does not fit in memory is asked for in pieces
FILES = 10_000
FRESH = 60.0  # seconds within which a signed address can't have expired
KEPT = 8 * 1024 * 1024  # bytes of beginnings of files that are kept, so that a header's surplus is not read again


class Span(NamedTuple):
    """Bytes ``start`` to ``end`` of a file."""

    file: str
    start: int
    end: int


class Source(Protocol):
    """The files of one model. ``bytes_read`` and ``requests`` count all that was read, overhead included."""

    def files(self) -> dict[str, int]:
        """Every file, by its path within the model, and its size in bytes."""

    def digest(self, file: str) -> str:
        """A name of the file's content, "sha256:…" or "git:…"; "" where none is known without reading it."""

    def read(self, file: str, start: int, end: int) -> bytes:
        """Exactly the bytes ``start`` to ``end``."""

    def read_many(self, spans: Sequence[Span]) -> list[bytes]:
        """The same for many ranges at once, in their order."""

    def head(self, file: str, size: int) -> bytes:
        """The first ``size`` bytes, or all where the file is shorter."""

    def small(self, file: str, limit: int) -> bytes:
        """A whole file of at most ``limit`` bytes. Raises TooLarge where it has more."""

    @property
    def bytes_read(self) -> int: ...

    @property
    def requests(self) -> int: ...


class _Counted(ABC):
    """What both sources have in common."""

    def __init__(self) -> None:
        self.meter = Meter()

    @property
    def bytes_read(self) -> int:
        return self.meter.bytes_read

    @property
    def requests(self) -> int:
        return self.meter.requests

    @abstractmethod
    def files(self) -> dict[str, int]: ...

    @abstractmethod
    def read_many(self, spans: Sequence[Span]) -> list[bytes]: ...

    def read(self, file: str, start: int, end: int) -> bytes:
        return self.read_many([Span(file, start, end)])[0]

    def head(self, file: str, size: int) -> bytes:
        return self.read(file, 0, min(size, self._size(file)))

    def _size(self, file: str) -> int:
        try:
            return self.files()[file]
        except KeyError:
            raise NoWeights(f"There is no file {file[:200]!r}.") from None

    def _check(self, spans: Iterable[Span]) -> None:
        total = 0
        for span in spans:
            if not 0 <= span.start <= span.end <= self._size(span.file):
                raise BadWeights(f"{span.file} has no bytes {span.start:,} to {span.end:,}.")
            total += span.end - span.start
        if total > READ_BYTES:
            raise TooLarge(f"{total:,} bytes were asked for at once; at most {READ_BYTES:,} are read.")


# --- this machine ---------------------------------------------------------------------------------------------------
class LocalSource(_Counted):
    """A folder with a model's files, or one file."""

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)
        if not self.path.exists():
            raise NoWeights(f"There is no folder or file {str(path)[:300]!r}.")
        self._files: dict[str, int] | None = None

    def __repr__(self) -> str:
        return f"LocalSource({str(self.path)!r})"

    def files(self) -> dict[str, int]:
        if self._files is None:
            if self.path.is_file():
                self._files = {self.path.name: self.path.stat().st_size}
            else:
                found: dict[str, int] = {}
                for folder, below, names in os.walk(self.path):
                    below[:] = sorted(name for name in below if not name.startswith("."))
                    for name in sorted(names):
                        file = Path(folder, name)
                        if file.is_file():
                            found[file.relative_to(self.path).as_posix()] = file.stat().st_size
                        if len(found) > FILES:
                            raise TooLarge(f"{self.path} holds over {FILES:,} files: give a model's own folder.")
                self._files = found
        return self._files

    def digest(self, file: str) -> str:
        return ""

    def read_many(self, spans: Sequence[Span]) -> list[bytes]:
        self._check(spans)
        order = sorted(range(len(spans)), key=lambda i: spans[i])
        found: list[bytes] = [b""] * len(spans)
        opened: tuple[str, int] | None = None
        try:
            for i in order:
                span = spans[i]
                if opened is None or opened[0] != span.file:
                    if opened is not None:
                        os.close(opened[1])
                        opened = None
                    opened = (span.file, os.open(self._where(span.file), os.O_RDONLY))
                found[i] = self._exactly(opened[1], span)
        finally:
            if opened is not None:
                os.close(opened[1])
        return found

    def _exactly(self, descriptor: int, span: Span) -> bytes:
        parts: list[bytes] = []
        at = span.start
        while at < span.end:
            part = os.pread(descriptor, span.end - at, at)
            if not part:
                raise BadWeights(f"{span.file} ended at byte {at:,}: it changed while it was read.")
            self.meter.add(len(part), requests=1)
            parts.append(part)
            at += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def small(self, file: str, limit: int) -> bytes:
        size = self._size(file)
        if size > limit:
            raise TooLarge(f"{file} has {size:,} bytes; at most {limit:,} are read.")
        return self.read(file, 0, size)

    def _where(self, file: str) -> Path:
        return self.path if self.path.is_file() else self.path / file


# --- the Hub --------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Listed:
    size: int
    digest: str


class HubSource(_Counted):
    """A repo at one revision. Requests run in threads; only the caller's own thread touches the rate limit's ledger.

    ``sizes`` spares the list of files where those of the weights are known already (from a stored schema).
    """

    def __init__(
        self,
        client: HubClient,
        repo: str,
        revision: str = "main",
        *,
        sizes: dict[str, int] | None = None,
        at_once: int = AT_ONCE,
        gap: int = GAP,
    ) -> None:
        super().__init__()
        self.client, self.repo, self.revision = client, repo, revision
        self.at_once, self.gap = at_once, gap
        self._listed = {name: _Listed(size, "") for name, size in sizes.items()} if sizes is not None else None
        self._in_part = sizes is not None
        self._located: dict[str, tuple[str, float]] = {}  # where each file's redirect led, and when
        self._each_anew: set[str] = set()  # files whose addresses serve for one range only
        self._begun: dict[str, bytes] = {}  # beginnings of files, as far as they were read

    def __repr__(self) -> str:
        return f"HubSource({self.repo!r}, {self.revision!r})"

    def files(self) -> dict[str, int]:
        """As Source. Raises RepoMissing, RepoGated, RepoDisabled, RateLimited, RemoteUnavailable, RemoteGarbled."""
        return {name: listed.size for name, listed in self._list().items()}

    def _list(self) -> dict[str, _Listed]:
        if self._listed is None:
            self.client.pay("api")
            entries = self.client.tree(self.repo, revision=self.revision, meter=self.meter)
            self._listed = dict(filter(None, map(_listed, entries)))
        return self._listed

    def list_all(self) -> None:
        """Ask for the list of files where only those of a stored schema are known."""
        if self._in_part:
            self._listed, self._in_part = None, False

    def digest(self, file: str) -> str:
        listed = self._list().get(file)
        return listed.digest if listed is not None else ""

    def _size(self, file: str) -> int:
        listed = self._list().get(file)
        if listed is None:
            raise NoWeights(f"{self.repo} has no file {file[:200]!r}.")
        return listed.size

    def small(self, file: str, limit: int) -> bytes:
        size = self._size(file)
        if size > limit:
            raise TooLarge(f"{file} of {self.repo} has {size:,} bytes; at most {limit:,} are read.")
        self.client.pay("resolvers")
        found = self.client.file(self.repo, file, revision=self.revision, most=limit, meter=self.meter)
        if found is None:
            raise RepoMissing(f"{self.repo} no longer has {file} at {self.revision[:40]}.")
        return found

    def read_many(self, spans: Sequence[Span]) -> list[bytes]:
        self._check(spans)
        found: list[bytes] = [b""] * len(spans)
        left: list[int] = []
        for i, span in enumerate(spans):
            begun = self._begun.get(span.file, b"")
            if span.end <= len(begun):
                found[i] = begun[span.start : span.end]
            elif span.end > span.start:
                left.append(i)
        asked = coalesced([spans[i] for i in left], gap=self.gap)
        bodies = dict(zip(asked, self._fetch(asked), strict=True))
        by_file: dict[str, list[Span]] = {}
        for part in asked:
            by_file.setdefault(part.file, []).append(part)
        for i in left:
            found[i] = _cut(spans[i], by_file[spans[i].file], bodies)
        for part, body in bodies.items():
            self._keep(part, body)
        return found

    def _keep(self, part: Span, body: bytes) -> None:
        kept = sum(len(begun) for begun in self._begun.values())
        longer = part.start == 0 and len(body) > len(self._begun.get(part.file, b""))
        if longer and len(body) <= 4 * SPECULATIVE and kept + len(body) <= KEPT:
            self._begun[part.file] = body

    def _fetch(self, parts: Sequence[Span]) -> list[bytes]:
        if not parts:
            return []
        # A file's first range tells where the file is kept; the others then go there at once.
        first: dict[str, int] = {}
        for i, part in enumerate(parts):
            if part.file not in self._located and part.file not in self._each_anew:
                first.setdefault(part.file, i)
        found: list[bytes] = [b""] * len(parts)
        early = sorted(first.values())
        late = sorted(set(range(len(parts))) - set(early))
        for batch in (early, late):
            for i, body in zip(batch, self._at_once([parts[i] for i in batch]), strict=True):
                found[i] = body
        return found

    def _at_once(self, parts: Sequence[Span]) -> list[bytes]:
        """Each part; some under way at once. Payment first, here: threads have no database."""
        calls: list[Callable[[], bytes]] = [self._call(part) for part in parts]
        if len(calls) < 2:
            return [call() for call in calls]
        with ThreadPoolExecutor(min(self.at_once, len(calls)), thread_name_prefix="range") as pool:
            running = [pool.submit(call) for call in calls]
            try:
                return [future.result() for future in running]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _call(self, part: Span) -> Callable[[], bytes]:
        home = self.client.file_url(self.repo, part.file, self.revision)
        url, _ = self._located.get(part.file, (home, 0.0))
        if url == home:
            self.client.pay("resolvers")
        elif self.client.policy.is_endpoint(url):
            self.client.gate.owe("resolvers")
        return lambda: self._part(part, url, home)

    def _part(self, part: Span, url: str, home: str) -> bytes:
        try:
            got = self.client.part(url, part.start, part.end, meter=self.meter)
        except (RepoMissing, RepoGated, BadRequest, HostRefused):
            if url == home:
                raise
            # A signed address serves for some time only, or for its own range: ask for a new one.
            if time.monotonic() - self._located.get(part.file, ("", 0.0))[1] < FRESH:
                self._each_anew.add(part.file)
            self.client.gate.owe("resolvers")
            got = self.client.part(home, part.start, part.end, meter=self.meter)
        return self._checked(part, got)

    def _checked(self, part: Span, got: Part) -> bytes:
        size = self._size(part.file)
        if got.total != size:
            raise RemoteGarbled(
                f"{part.file} of {self.repo} was listed with {size:,} bytes, and is stored with {got.total:,}."
            )
        if part.file in self._each_anew:
            self._located.pop(part.file, None)
        elif "range=" not in got.url.lower():
            self._located[part.file] = (got.url, time.monotonic())
        return got.body


def _listed(entry: object) -> tuple[str, _Listed] | None:
    """A file from an entry of the list of files; None for folders and for what is no such entry."""
    if not isinstance(entry, dict) or entry.get("type") != "file":
        return None
    path, size, oid, lfs = entry.get("path"), entry.get("size"), entry.get("oid"), entry.get("lfs")
    if not isinstance(path, str) or not isinstance(size, int) or not 0 <= size < 2**60 or len(path) > 1_000:
        return None
    if isinstance(lfs, dict) and isinstance(lfs.get("oid"), str):
        stored = lfs.get("size")
        return path, _Listed(
            stored if isinstance(stored, int) else size, f"sha256:{lfs['oid'].removeprefix('sha256:')}"
        )
    return path, _Listed(size, f"git:{oid}" if isinstance(oid, str) else "")


def coalesced(spans: Iterable[Span], *, gap: int = GAP, part: int = PART) -> list[Span]:
    """The requests that bring all of ``spans``: near ones as one, none over ``part`` bytes; sorted, without overlap."""
    merged: list[Span] = []
    for span in sorted(spans):
        last = merged[-1] if merged else None
        if last is not None and last.file == span.file and span.start - last.end <= gap:
            merged[-1] = Span(last.file, last.start, max(last.end, span.end))
        else:
            merged.append(span)
    return [
        Span(whole.file, start, min(start + part, whole.end))
        for whole in merged
        for start in range(whole.start, whole.end, part)
    ]


def _cut(span: Span, parts: Sequence[Span], bodies: dict[Span, bytes]) -> bytes:
    """The bytes of ``span`` out of the parts of its file."""
    low, high = 0, len(parts)
    while low < high:  # the first part that ends behind the span's start
        middle = (low + high) // 2
        if parts[middle].end <= span.start:
            low = middle + 1
        else:
            high = middle
    pieces = []
    for part in parts[low:]:
        if part.start >= span.end:
            break
        pieces.append(bodies[part][max(0, span.start - part.start) : span.end - part.start])
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


__all__ = ["SPECULATIVE", "HubSource", "LocalSource", "Source", "Span", "coalesced"]
