"""The Hub's API, over huggingface_hub's own session: one answer at a time, checked, with every error one of ours."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urljoin, urlsplit, urlunsplit

import httpx2
from huggingface_hub.utils import http_stream_backoff

from workers.crawling import outbound, rows
from workers.crawling.answers import NoFile, date, refuse, said, span_told
from workers.crawling.gate import Gate, Unlimited
from workers.errors import (
    CursorExpired,
    HostRefused,
    RateLimited,
    RemoteError,
    RemoteGarbled,
    RemoteUnavailable,
    RepoDisabled,
    RepoGated,
    RepoMissing,
    TooLarge,
)

PAGE = 1_000  # rows of a page: the most that the Hub gives
PAGE_BYTES = 64 * 1024 * 1024  # a thousand rows with their chat templates take some 5 MB
REPO_BYTES = 4 * 1024 * 1024
ERROR_BYTES = 64 * 1024  # of an error's body: enough for its message
DEADLINE = 120.0  # seconds for one whole answer, however steadily it drips
TRIES = 3  # of one request, before the job's own back-off takes over
PAUSE = 0.25  # seconds before the second try, doubled after each further one
PATIENCE = 1.5  # seconds that a request waits for the next window by itself instead of giving the worker back
REDIRECTS = 5
TREE_PAGES = 5  # of a repo's list of files: 5,000 files

Span = tuple[int, int]  # the first byte of a file, and the one after the last

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing. ``url`` is where it came from, ``next_url`` where the next one is (None: it is the last).

    ``moment`` is the Hub's own clock (seconds since the epoch), None where it did not tell.
    """

    url: str
    rows: list[Any]
    next_url: str | None
    moment: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: its URL after redirects, headers, and body."""

    url: str
    headers: httpx2.Headers
    body: bytes


@dataclass
class Meter:
    """Counts what came over the line: bodies and headers of all answers, those of failed tries and redirects too."""

    bytes_read: int = 0
    requests: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, size: int, *, requests: int = 0) -> None:
        with self._lock:
            self.bytes_read += size
            self.requests += requests


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes of a file: where they came from (after redirects), what they are, and the whole file's size."""

    url: str
    body: bytes
    total: int


@dataclass
class HubClient:
    """Asks one endpoint. Safe from several threads.

    ``gate`` holds it to the shared rate limit: callers pay with ``pay`` before they call (the one place that touches
    the ledger), so that the requests themselves may run in any thread. ``token`` is sent over https to the endpoint's
    own host, nowhere else.
    """

    endpoint: str
    storage_hosts: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)
    gate: Gate = field(default_factory=lambda: Gate(Unlimited()))

    def __post_init__(self) -> None:
        self.endpoint = self.endpoint.rstrip("/")
        self.policy = outbound.Policy(self.endpoint, self.storage_hosts)

    # --- what can be asked ------------------------------------------------------------------------------------------
    def listing_url(self, *, limit: int = PAGE, **query: str) -> str:
        """The first page of a listing with all that a crawl stores, by ``sort``, ``author``, ``search``, ``filter``."""
        pairs = [*query.items(), ("limit", str(min(limit, PAGE))), *(("expand", name) for name in rows.EXPAND)]
        return f"{self.endpoint}/api/models?{urlencode(pairs)}"

    def page(self, url: str, *, on_link: Callable[[str | None], None] | None = None) -> Page:
        """Fetch a page (paid for). ``on_link`` is told of the next page as soon as the headers have arrived.

        Raises CursorExpired, HostRefused (also for a link to elsewhere), RateLimited, RemoteUnavailable, RemoteGarbled,
        TooLarge, BadRequest.
        """

        def headers_arrived(answer_url: str, headers: httpx2.Headers) -> None:
            if on_link is not None:
                on_link(self._next(answer_url, headers))

        def attempt() -> Page:
            answer = self._get(url, "api", PAGE_BYTES, on_headers=headers_arrived)
            found = self._json(answer)
            if not isinstance(found, list):
                raise RemoteGarbled(f"A page of the listing is no JSON list but {type(found).__name__}.")
            return Page(url, found, self._next(answer.url, answer.headers), date(answer.headers))

        return self._try(attempt, "api")

    def model(self, name: str) -> Any:
        """The row of one repo (paid for), in the form of a listing's. A renamed repo answers under its new name.

        Raises RepoMissing (or private: the Hub gives one answer for both), RepoGated, RepoDisabled, and as ``page``.
        """
        pairs = [("expand", field) for field in rows.EXPAND]
        url = f"{self.endpoint}/api/models/{quote(name, safe='/')}?{urlencode(pairs)}"

        def attempt() -> Any:
            found = self._json(self._get(url, "api", REPO_BYTES))
            if not isinstance(found, dict):
                raise RemoteGarbled(f"The answer about {name} is no JSON object.")
            return found

        return self._try(attempt, "api")

    def file(
        self, name: str, path: str, *, revision: str = "main", most: int, meter: Meter | None = None
    ) -> bytes | None:
        """A small file of a repo (paid for, bucket "resolvers"), its first ``most`` bytes; None where there is none.

        Raises RepoMissing, RepoGated, RepoDisabled, and as ``page``.
        """
        url = self.file_url(name, path, revision)

        def attempt() -> bytes | None:
            try:
                return self._get(url, "resolvers", most, cut=True, meter=meter).body
            except NoFile:
                return None

        return self._try(attempt, "resolvers")

    def tree(
        self, name: str, *, revision: str = "main", pages: int = TREE_PAGES, meter: Meter | None = None
    ) -> list[Any]:
        """The entries of all folders of a repo (the first page paid for), of at most ``pages`` pages of 1,000.

        Raises RepoMissing (also for a revision that is not there), RepoGated, RepoDisabled, and as ``page``.
        """
        url: str | None = (
            f"{self.endpoint}/api/models/{quote(name, safe='/')}/tree/{quote(revision, safe='')}?recursive=true"
        )
        found: list[Any] = []
        for number in range(pages):
            if url is None:
                break
            if number:
                self.pay("api")
            answer = self._try(lambda at=url: self._get(at, "api", REPO_BYTES, meter=meter), "api")  # type: ignore[misc]
            entries = self._json(answer)
            if not isinstance(entries, list):
                raise RemoteGarbled(f"The list of files of {name} is no JSON list.")
            found += entries
            url = self._next(answer.url, answer.headers)
        return found

    def file_url(self, name: str, path: str, revision: str) -> str:
        """Where the Hub hands out a file, or says where it is stored."""
        return f"{self.endpoint}/{quote(name, safe='/')}/resolve/{quote(revision, safe='')}/{quote(path, safe='/')}"

    def part(self, url: str, start: int, end: int, *, meter: Meter | None = None) -> Part:
        """Bytes ``start`` to ``end`` (as far as the file goes) of what lies at ``url``: a file's, or where one led.

        Paid for where ``url`` is the endpoint's. 206 is insisted on and its Content-Range checked; a try that broke
        off goes on where it did. Raises as ``file``, and RemoteGarbled for a server that ignores ranges.
        """
        got = bytearray()
        where: list[str] = [url]
        total = -1

        def attempt() -> None:
            nonlocal total
            answer = self._get(url, "resolvers", end - start, span=(start, end), meter=meter, sink=got)
            where[0] = answer.url
            total = int(answer.headers["content-range"].rpartition("/")[2])

        self._try(attempt, "resolvers" if self.policy.is_endpoint(url) else "")
        return Part(where[0], bytes(got), total)

    def pay(self, bucket: str = "api") -> None:
        """Take one request from the allowance; short waits are waited out here. Raises RateLimited."""
        while True:
            try:
                return self.gate.take(bucket)
            except RateLimited as error:
                if error.wait > PATIENCE:
                    raise
                time.sleep(max(0.01, error.wait))

    # --- how it is asked --------------------------------------------------------------------------------------------
    def _try(self, attempt: Callable[[], _T], bucket: str) -> _T:
        """Try again what may succeed at once; what the Hub asks to be left alone with is not tried again. A further try
        is paid for from ``bucket`` ("": a storage host, which counts nothing).
        """
        for left in range(TRIES - 1, -1, -1):
            try:
                return attempt()
            except (RateLimited, CursorExpired, RepoMissing, RepoGated, RepoDisabled):
                raise
            except RemoteError:
                if not left or (bucket and not self.gate.borrow(bucket)):
                    raise
            time.sleep(PAUSE * 2 ** (TRIES - 1 - left))
        raise AssertionError("unreachable")

    def _get(
        self,
        url: str,
        bucket: str,
        most: int,
        *,
        cut: bool = False,
        on_headers: Callable[[str, httpx2.Headers], None] | None = None,
        span: Span | None = None,
        meter: Meter | None = None,
        sink: bytearray | None = None,
    ) -> Answer:
        """One answer, redirects followed by hand: each one is held to the list of hosts before anything is sent.

        With ``span`` the bytes from there on that ``sink`` does not hold yet are asked for, and added to it.
        """
        for hop in range(REDIRECTS + 1):
            self.policy.check(url)
            if hop and self.policy.is_endpoint(url):
                self.gate.owe(bucket)
            answer = self._one(url, bucket, most, cut=cut, on_headers=on_headers, span=span, meter=meter, sink=sink)
            if isinstance(answer, Answer):
                return answer
            url = answer
        raise RemoteGarbled(f"More than {REDIRECTS} redirects, the last to {url[:200]}.")

    def _one(  # noqa: PLR0912 - the ways in which one request can end
        self,
        url: str,
        bucket: str,
        most: int,
        *,
        cut: bool,
        on_headers: Callable[[str, httpx2.Headers], None] | None,
        span: Span | None,
        meter: Meter | None,
        sink: bytearray | None,
    ) -> Answer | str:
        """One request: its answer, or the URL that it redirects to."""
        end = time.monotonic() + DEADLINE
        meter, sink = meter or Meter(), bytearray() if sink is None else sink
        start = span[0] + len(sink) if span else 0
        headers = {"Accept": "application/json"} if bucket == "api" else {"Accept-Encoding": "identity"}
        if self.token and self.policy.carries_token(url):
            headers["Authorization"] = f"Bearer {self.token}"
        if span:
            headers["Range"] = f"bytes={start}-{span[1] - 1}"
        counted = self.policy.is_endpoint(url)
        heard = False
        try:
            with (
                outbound.under(self.policy),
                http_stream_backoff(
                    "GET",
                    url,
                    max_retries=0,
                    retry_on_status_codes=(),
                    retry_on_exceptions=(),
                    headers=headers,
                    follow_redirects=False,
                ) as response,
            ):
                if counted:
                    self.gate.hear(bucket, response.headers, response.status_code)
                    heard = True
                meter.add(sum(len(key) + len(value) + 4 for key, value in response.headers.raw), requests=1)
                if response.has_redirect_location:
                    return urljoin(url, response.headers["Location"])
                failed = response.status_code != (206 if span else 200)
                if failed and span and response.status_code == 200:
                    raise RemoteGarbled("The Hub sent a whole file where a part was asked for; it was not read.")
                if not failed and span:
                    most = span_told(response.headers, start, span[1])
                if not failed and on_headers is not None:
                    on_headers(url, response.headers)
                into = bytearray() if failed else sink
                try:
                    self._body(response, ERROR_BYTES if failed else most, into, meter, cut=cut or failed, end=end)
                except httpx2.HTTPError as error:
                    raise RemoteUnavailable(f"The Hub's answer broke off ({said(error)}).") from None
                if failed:
                    refuse(response, bytes(into), url)
                if span and len(sink) < start - span[0] + most:
                    raise RemoteUnavailable("The Hub's answer broke off before its end.")
                return Answer(url, response.headers, b"" if span else bytes(sink))
        except httpx2.TimeoutException as error:
            raise RemoteUnavailable(f"The Hub did not answer in time ({said(error)}).") from None
        except httpx2.HTTPError as error:
            raise RemoteUnavailable(f"The Hub can't be reached ({said(error)}).") from None
        except httpx2.InvalidURL:
            raise RemoteGarbled("The Hub led to something that is no address.") from None
        finally:
            if counted and not heard:
                self.gate.hear(bucket, None)

    def _body(
        self, response: httpx2.Response, most: int, into: bytearray, meter: Meter, *, cut: bool, end: float
    ) -> None:
        """Add at most ``most`` bytes of the answer to ``into``."""
        left = most
        for chunk in response.iter_bytes():
            meter.add(len(chunk))
            into += chunk[:left]
            left -= len(chunk)
            if left < 0:
                if cut:
                    break
                raise TooLarge(f"The Hub's answer is over {most:,} bytes.")
            if time.monotonic() > end:
                raise RemoteUnavailable(f"The Hub's answer was not complete after {DEADLINE:.0f} s.")

    def _json(self, answer: Answer) -> Any:
        kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json" and not kind.endswith("+json"):
            raise RemoteGarbled(f"The Hub answered with {kind[:60] or 'no content type'!r} instead of JSON.")
        return rows.parse(answer.body)

    def _next(self, url: str, headers: httpx2.Headers) -> str | None:
        """The next page's URL by the Link header. Raises HostRefused, RemoteGarbled."""
        value = headers.get("link")
        if not value:
            return None
        found = re.search(r'<([^<>]*)>\s*;[^,]*\brel="?next\b', value)
        if found is None:
            return None
        target = urljoin(url, found.group(1))
        if len(target) > 8_000:
            raise RemoteGarbled("The link to the next page is over 8,000 characters.")
        return self.policy.check(target)


def with_limit(url: str, limit: int) -> str:
    """The same listing with pages of ``limit`` rows: for pages that are too large to be taken."""
    parts = urlsplit(url)
    query = [pair for pair in parts.query.split("&") if not pair.startswith("limit=")]
    return urlunsplit(parts._replace(query="&".join([*query, f"limit={limit}"])))


__all__ = ["PAGE", "Answer", "HostRefused", "HubClient", "Meter", "Page", "Part", "with_limit"]
