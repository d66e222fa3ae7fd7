"""What the Hub's answers say beside their bodies: errors, dates, which part of a file."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import NoReturn
from urllib.parse import parse_qs, urlsplit

import httpx2
from huggingface_hub.errors import DisabledRepoError, GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from huggingface_hub.utils import hf_raise_for_status

from workers.crawling import rows
from workers.crawling.gate import heard_in
from workers.errors import (
    BadRequest,
    CursorExpired,
    RateLimited,
    RemoteGarbled,
    RemoteUnavailable,
    RepoDisabled,
    RepoGated,
    RepoMissing,
)

_CURSOR_REFUSED = (400, 404, 410, 422)


class NoFile(RepoMissing):
    """The repo is there, the file is not."""


def span_told(headers: httpx2.Headers, start: int, end: int) -> int:
    """How many bytes a 206 brings, which must be those that were asked for, or as many of them as the file has."""
    told = re.fullmatch(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", headers.get("content-range", ""))
    if told is None or headers.get("content-encoding", "identity") != "identity":
        raise RemoteGarbled("The Hub sent a part of a file without saying which, or in another form.")
    first, last, total = map(int, told.groups())
    if first != start or last != min(end, total) - 1:
        raise RemoteGarbled(f"The Hub sent bytes {first}-{last} where {start}-{end - 1} were asked for.")
    return last + 1 - first


def refuse(response: httpx2.Response, body: bytes, url: str) -> NoReturn:
    """Turn an error answer into one of our errors, by way of the client library's own reading of it."""
    status = response.status_code
    code = response.headers.get("x-error-code", "")
    told = message(response, body)
    if status == 429:
        found = heard_in(response.headers, status)
        wait = found[1].reset if found else 10.0
        raise RateLimited(f"The Hub asks to wait {wait:.0f} s.", wait=wait + 1.0)  # its seconds are whole ones
    if status == 408 or status >= 500:
        raise RemoteUnavailable(f"The Hub answered {status}{told}.")
    if "cursor" in parse_qs(urlsplit(url).query) and status in _CURSOR_REFUSED:
        raise CursorExpired(f"The Hub no longer knows the cursor ({status}{told}).")
    try:
        hf_raise_for_status(response)
    except GatedRepoError:
        raise RepoGated(f"The repo's files need an accepted agreement{told}.") from None
    except DisabledRepoError:
        raise RepoDisabled("The Hub has disabled the repo.") from None
    except RepositoryNotFoundError:
        raise RepoMissing("There is no such repo, or it is private.") from None
    except HfHubHTTPError:
        pass
    if "disabled" in told.lower() and status == 403:
        raise RepoDisabled("The Hub has disabled the repo.")
    if code in ("EntryNotFound", "RevisionNotFound"):
        raise NoFile(f"There is no such file{told}.")
    path = urlsplit(url).path.rstrip("/")
    if status in (401, 403) and "credentials" in told.lower():
        raise BadRequest("The Hub does not accept the token in HF_TOKEN.")
    if status in (401, 403, 404) and not path.endswith("/api/models"):
        raise RepoMissing(f"There is no such repo, or it is private ({status}).")
    if 400 <= status < 500:
        raise BadRequest(f"The Hub refused the request ({status}{told}).")
    raise RemoteGarbled(f"The Hub answered {status}, which means nothing here.")


def message(response: httpx2.Response, body: bytes) -> str:
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


def said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200] if str(error) else type(error).__name__


def date(headers: httpx2.Headers) -> float | None:
    try:
        return parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
