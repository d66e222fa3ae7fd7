"""Who asks, and how a caller is refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from samplehub.catalogue import Repo
from samplehub.http11 import JSON, Request, Response, json_bytes

#: Tokens that the hub knows: token → (user, kind of account). No secrets: they open invented repos on loopback.
TOKENS = {
    "sample-free": ("sample-reader", "free"),
    "sample-pro": ("sample-reader-pro", "pro"),
    "sample-owner": ("sample-owner", "pro"),  # may read every private and gated repo
}


@dataclass(frozen=True)
class Caller:
    user: str | None
    tier: str
    key: str

    def may_read(self, repo: Repo) -> bool:
        return repo.admits(self.user)


class Refusal(Exception):
    """An error answer in the Hub's way: status, X-Error-Code, X-Error-Message and a JSON body."""

    def __init__(
        self, status: int, message: str, code: str | None = None, headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, list(headers)

    def response(self) -> Response:
        headers = [JSON, *self.headers, ("X-Error-Message", self.message)]
        if self.code:
            headers.append(("X-Error-Code", self.code))
        return Response(self.status, headers, json_bytes({"error": self.message}))


def caller_of(request: Request) -> Caller:
    """Who asks. Raises Refusal for a token that the hub does not know."""
    header = request.headers.get("authorization", "")
    if not header:
        return Caller(None, "anonymous", f"ip:{request.peer}")
    scheme, _, token = header.partition(" ")
    known = TOKENS.get(token.strip()) if scheme.lower() == "bearer" else None
    if known is None:
        raise Refusal(401, "Invalid credentials in Authorization header")
    return Caller(known[0], known[1], f"token:{token.strip()}")


def bucket_of(request: Request) -> str | None:
    """The rate-limit bucket that a request counts in."""
    parts = request.segments
    if parts[0] == "api":
        return "api"
    return "resolvers" if "resolve" in parts or "raw" in parts else None
