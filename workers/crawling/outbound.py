"""Where this program may send requests, and with what.

Every request of the shared ``huggingface_hub`` session passes ``_guard``: the first one, each redirect, each page link.
A request that no ``Policy`` speaks for is refused, so a call that forgets to name one reaches nobody.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import __version__ as hub_version
from huggingface_hub import constants
from huggingface_hub.utils import set_client_factory

from workers.errors import HostRefused

# No token from a file on this machine, no other protocol for storage, no reports to anybody. The library reads these
# at each call.
constants.HF_HUB_DISABLE_IMPLICIT_TOKEN = True
constants.HF_HUB_DISABLE_XET = True
constants.HF_HUB_DISABLE_TELEMETRY = True

TIMEOUT = httpx2.Timeout(30.0, connect=10.0)  # seconds of silence; a whole answer has a deadline of its own
USER_AGENT = f"rootstock/0.1; hf_hub/{hub_version}"
_PORTS = {"http": 80, "https": 443}

Origin = tuple[str, str, int]


def origin_of(url: str) -> Origin | None:
    """(scheme, host, port) of a URL; None where it has none that can be called."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    return (parts.scheme, (parts.hostname or "").lower(), port) if parts.hostname else None


@dataclass(frozen=True, slots=True)
class Policy:
    """Whom to talk to: the endpoint's own origin, and its storage hosts ("host" or "host:port").

    Storage is called over https, or over http where the endpoint itself is (a hub on loopback).
    """

    endpoint: str
    storage_hosts: tuple[str, ...] = ()

    def is_endpoint(self, url: str) -> bool:
        """Whether the URL lies on the endpoint's own origin."""
        origin = origin_of(url)
        return origin is not None and origin == origin_of(self.endpoint)

    def admits(self, url: str) -> bool:
        """Whether a request may be sent to this URL at all."""
        origin = origin_of(url)
        if origin is None:
            return False
        if origin == origin_of(self.endpoint):
            return True
        scheme, host, port = origin
        if scheme != "https" and not self.endpoint.startswith("http://"):
            return False
        return f"{host}:{port}" in self.storage_hosts or (host in self.storage_hosts and port == _PORTS[scheme])

    def check(self, url: str) -> str:
        """``url`` itself. Raises HostRefused where it may not be called."""
        if not self.admits(url):
            origin = origin_of(url)
            named = "a place that is no address" if origin is None else f"{origin[0]}://{origin[1]}:{origin[2]}"
            raise HostRefused(f"The Hub led to {named}, which is not on the list of hosts; nothing was sent there.")
        return url

    def carries_token(self, url: str) -> bool:
        """Whether a token may go along: to the endpoint's own origin alone, over https alone."""
        return url.startswith("https://") and self.is_endpoint(url)


_policy: ContextVar[Policy | None] = ContextVar("policy", default=None)


@contextlib.contextmanager
def under(policy: Policy) -> Iterator[None]:
    """Requests of the shared session inside the block are held to ``policy``."""
    token = _policy.set(policy)
    try:
        yield
    finally:
        _policy.reset(token)


def _guard(request: httpx2.Request) -> None:
    policy = _policy.get()
    url = str(request.url)
    if policy is None:
        raise HostRefused("A request was about to be sent that no list of hosts allows.")
    policy.check(url)
    if not policy.carries_token(url):
        request.headers.pop("Authorization", None)


def _client() -> httpx2.Client:
    return httpx2.Client(
        event_hooks={"request": [_guard]},
        follow_redirects=True,
        max_redirects=5,
        timeout=TIMEOUT,
        headers={"User-Agent": USER_AGENT},
        limits=httpx2.Limits(max_connections=24, max_keepalive_connections=20),
    )


def token() -> str | None:
    """The token, from ``HF_TOKEN`` alone."""
    return os.environ.get("HF_TOKEN", "").strip() or None


def install() -> None:
    """Make the shared session of huggingface_hub a guarded one. To be called once in each process."""
    set_client_factory(_client)


install()
