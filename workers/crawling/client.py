"""The Hub's API, over huggingface_hub's own session: one answer at a time, checked, with every error one of ours."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qs, quote, urlencode, urljoin, urlsplit, urlunsplit

import httpx2
from huggingface_hub.errors import DisabledRepoError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import hf_raise_for_status, http_stream_backoff

from workers.crawling import outbound, rows
from workers.crawling.gate import Gate, Unlimited, heard_in
from workers.errors import (
    BadRequest,
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

_CURSOR_REFUSED = (400, 404, 410, 422)
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
            return Page(url, found, self._next(answer.url, answer.headers), _date(answer.headers))

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

    def file(self, name: str, path: str, *, revision: str = "main", most: int) -> bytes | None:
        """A small file of a repo (paid for, bucket "resolvers"), its first ``most`` bytes; None where there is none.

        Raises RepoMissing, RepoGated, RepoDisabled, and as ``page``.
        """
        url = f"{self.endpoint}/{quote(name, safe='/')}/resolve/{quote(revision, safe='')}/{quote(path, safe='/')}"

        def attempt() -> bytes | None:
            try:
                return self._get(url, "resolvers", most, cut=True).body
            except _NoFile:
                return None

        return self._try(attempt, "resolvers")

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
        """Try again what may succeed at once; what the Hub asks to be left alone with is not tried again."""
        for left in range(TRIES - 1, -1, -1):
            try:
                return attempt()
            except (RateLimited, CursorExpired, RepoMissing, RepoGated, RepoDisabled):
                raise
            except RemoteError:
                if not left or not self.gate.borrow(bucket):
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
    ) -> Answer:
        """One answer, redirects followed by hand: each one is held to the list of hosts before anything is sent."""
        for hop in range(REDIRECTS + 1):
            self.policy.check(url)
            if hop and self.policy.is_endpoint(url):
                self.gate.owe(bucket)
            answer = self._one(url, bucket, most, cut=cut, on_headers=on_headers)
            if isinstance(answer, Answer):
                return answer
            url = answer
        raise RemoteGarbled(f"More than {REDIRECTS} redirects, the last to {url[:200]}.")

    def _one(
        self,
        url: str,
        bucket: str,
        most: int,
        *,
        cut: bool,
        on_headers: Callable[[str, httpx2.Headers], None] | None,
    ) -> Answer | str:
        """One request: its answer, or the URL that it redirects to."""
        end = time.monotonic() + DEADLINE
        headers = {"Accept": "application/json"} if bucket == "api" else {"Accept-Encoding": "identity"}
        if self.token and self.policy.carries_token(url):
            headers["Authorization"] = f"Bearer {self.token}"
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
                if response.has_redirect_location:
                    return urljoin(url, response.headers["Location"])
                failed = response.status_code != 200
                if not failed and on_headers is not None:
                    on_headers(url, response.headers)
                try:
                    body = self._body(response, ERROR_BYTES if failed else most, cut=cut or failed, end=end)
                except httpx2.HTTPError as error:
                    raise RemoteUnavailable(f"The Hub's answer broke off ({_said(error)}).") from None
                if failed:
                    _refuse(response, body, url)
                return Answer(url, response.headers, body)
        except httpx2.TimeoutException as error:
            raise RemoteUnavailable(f"The Hub did not answer in time ({_said(error)}).") from None
        except httpx2.HTTPError as error:
            raise RemoteUnavailable(f"The Hub can't be reached ({_said(error)}).") from None
        except httpx2.InvalidURL:
            raise RemoteGarbled("The Hub led to something that is no address.") from None
        finally:
            if counted and not heard:
                self.gate.hear(bucket, None)

    def _body(self, response: httpx2.Response, most: int, *, cut: bool, end: float) -> bytes:
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_bytes():
            chunks.append(chunk)
            size += len(chunk)
            if size > most:
                if cut:
                    break
                raise TooLarge(f"The Hub's answer is over {most:,} bytes.")
            if time.monotonic() > end:
                raise RemoteUnavailable(f"The Hub's answer was not complete after {DEADLINE:.0f} s.")
        return b"".join(chunks)[:most]

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


class _NoFile(RepoMissing):
    """The repo is there, the file is not."""


def _refuse(response: httpx2.Response, body: bytes, url: str) -> NoReturn:
    """Turn an error answer into one of our errors, by way of the client library's own reading of it."""
    status = response.status_code
    code = response.headers.get("x-error-code", "")
    said = _message(response, body)
    if status == 429:
        found = heard_in(response.headers, status)
        wait = found[1].reset if found else 10.0
        raise RateLimited(f"The Hub asks to wait {wait:.0f} s.", wait=wait + 1.0)  # its seconds are whole ones
    if status == 408 or status >= 500:
        raise RemoteUnavailable(f"The Hub answered {status}{said}.")
    if "cursor" in parse_qs(urlsplit(url).query) and status in _CURSOR_REFUSED:
        raise CursorExpired(f"The Hub no longer knows the cursor ({status}{said}).")
    try:
        hf_raise_for_status(response)
    except GatedRepoError:
        raise RepoGated(f"The repo's files need an accepted agreement{said}.") from None
    except DisabledRepoError:
        raise RepoDisabled("The Hub has disabled the repo.") from None
    except RepositoryNotFoundError:
        raise RepoMissing("There is no such repo, or it is private.") from None
    except HfHubHTTPError:
        pass
    if "disabled" in said.lower() and status == 403:
        raise RepoDisabled("The Hub has disabled the repo.")
    if code in ("EntryNotFound", "RevisionNotFound"):
        raise _NoFile(f"There is no such file{said}.")
    path = urlsplit(url).path.rstrip("/")
    if status in (401, 403) and "credentials" in said.lower():
        raise BadRequest("The Hub does not accept the token in HF_TOKEN.")
    if status in (401, 403, 404) and not path.endswith("/api/models"):
        raise RepoMissing(f"There is no such repo, or it is private ({status}).")
    if 400 <= status < 500:
        raise BadRequest(f"The Hub refused the request ({status}{said}).")
    raise RemoteGarbled(f"The Hub answered {status}, which means nothing here.")


def _message(response: httpx2.Response, body: bytes) -> str:
    text = response.headers.get("x-error-message", "")
    if not text and "json" in response.headers.get("content-type", ""):
        try:
            found = rows.parse(body)
        except RemoteGarbled:
            found = None
        if isinstance(found, dict) and isinstance(found.get("error"), str):
            text = found["error"]
    text = "".join(c if c.isprintable() else " " for c in text)[:200].strip()
    return f": {text}" if text else ""


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200] if str(error) else type(error).__name__


def _date(headers: httpx2.Headers) -> float | None:
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def with_limit(url: str, limit: int) -> str:
    """The same listing with pages of ``limit`` rows: for pages that are too large to be taken."""
    parts = urlsplit(url)
    query = [pair for pair in parts.query.split("&") if not pair.startswith("limit=")]
    return urlunsplit(parts._replace(query="&".join([*query, f"limit={limit}"])))


__all__ = ["PAGE", "Answer", "HostRefused", "HubClient", "Page", "with_limit"]
