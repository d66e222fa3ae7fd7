"""The hub as an application: routes, behind rate limits and faults, with a control desk for tests."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from samplehub import faults as fault_kinds
from samplehub import prerender
from samplehub.callers import Refusal, bucket_of, caller_of
from samplehub.catalogue import CatalogueError
from samplehub.faults import FaultError, Faults
from samplehub.http11 import JSON, Delivery, FileSlice, Line, Request, Response, json_bytes
from samplehub.limits import RateLimits
from samplehub.listing import Shelf
from samplehub.query import PAGE_MAX
from samplehub.routes import Routes

HOST = re.compile(r"[A-Za-z0-9.\-]+:\d+|\[[0-9A-Fa-f:]+\]:\d+")
LOOPBACK = ("127.", "::1", "::ffff:127.")


@dataclass
class Hub:
    """Answers every request of one hub. ``elsewhere`` is the origin that foreign links and redirects lead to."""

    catalogue: Shelf
    limits: RateLimits = field(default_factory=RateLimits)
    faults: Faults = field(default_factory=Faults)
    latency: float = 0.0
    bandwidth: float | None = None
    line: Line | None = None
    origin: str = ""
    elsewhere: str = "http://127.0.0.2:9"
    about: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    foreign: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.routes = Routes(self.catalogue)
        self._number = 0
        self._lock = threading.RLock()  # changes come from another thread than answers

    def __call__(self, request: Request) -> Response:
        """The answer to a request at the hub's own address."""
        with self._lock:
            if request.path.startswith("/_control"):
                return self._control(request)
            response = self._answer(request)
            self._number += 1
            response.headers.append(("X-Request-Id", f"sample-{self._number}"))
            self.counts["requests"] += 1
            self.counts[f"status {response.status}"] += 1
            if request.path == "/api/models":
                self.counts["pages"] += 1
                self.counts["pages from a file"] += isinstance(response.body, FileSlice)
            return response

    def _answer(self, request: Request) -> Response:
        drawn = self.faults.draw(request)
        for fault in drawn:
            self.counts[f"fault {fault.kind}"] += 1
            if (replaced := fault_kinds.instead(fault, self.elsewhere, request)) is not None:
                return replaced
            if fault.kind == "ignore_range":
                request.headers.pop("range", None)
        origin = self._origin_of(request)
        response = self._limited(request, origin)
        if self.latency or self.bandwidth or self.line:
            response.delivery = Delivery(latency=self.latency, bandwidth=self.bandwidth, line=self.line)
        for fault in drawn:
            response = fault_kinds.spoil(fault, response, request, (origin, self.elsewhere), self.faults.chance())
        return response

    def _origin_of(self, request: Request) -> str:
        """The origin that links begin with: by the name that the caller knows the hub by (localhost, say)."""
        host, port = request.headers.get("host", ""), self.origin.rpartition(":")[2]
        return f"http://{host}" if host.endswith(f":{port}") and HOST.fullmatch(host) else self.origin

    def _limited(self, request: Request, origin: str) -> Response:
        bucket = bucket_of(request)
        headers: list[tuple[str, str]] = []
        if bucket and self.limits.allowances:
            try:
                caller = caller_of(request)
            except Refusal as refusal:
                return refusal.response()
            allowed, headers = self.limits.take(bucket, caller.tier, caller.key)
            if not allowed:
                self.counts["rate limited"] += 1
                words = "We had to rate limit you. To continue, wait for the window to reset."
                return Response(429, [("Content-Type", "text/plain; charset=utf-8"), *headers], words.encode())
        response = self.routes.answer(request, origin)
        response.headers += headers
        return response

    def storage(self, request: Request) -> Response:
        """The storage host, where there is one of its own: signed links only; tokens that come are noted."""
        with self._lock:
            self.counts["storage requests"] += 1
            self.counts["tokens at storage"] += "authorization" in request.headers
            if not request.path.startswith("/storage/"):
                return Response(404, [JSON], b"{}")
            return self._answer(request)

    def astray(self, request: Request) -> Response:
        """The other host that foreign links and redirects lead to: it notes who came, and with what."""
        with self._lock:
            self.counts["foreign requests"] += 1
            self.foreign.append({"target": request.target, "token": "authorization" in request.headers})
            return Response(200, [JSON, ("Link", "")], b"[]")

    # Control desk ----------------------------------------------------------------------------

    def _control(self, request: Request) -> Response:
        """``/_control/…``: loopback only, changes only as JSON (so that no web page can send one)."""
        if not request.peer.startswith(LOOPBACK):
            return Response(403, [JSON], json_bytes({"error": "control is for loopback only"}))
        verb = request.path.removeprefix("/_control").strip("/")
        try:
            if request.method == "GET" and verb in ("", "state"):
                return Response(200, [JSON], json_bytes(self.state()))
            if request.method != "POST":
                return Response(
                    405, [JSON, ("Allow", "GET, POST")], json_bytes({"error": "GET state or POST a change"})
                )
            if not request.headers.get("content-type", "").startswith("application/json"):
                return Response(415, [JSON], json_bytes({"error": "send application/json"}))
            body = json.loads(request.body or b"{}")
            return Response(200, [JSON], json_bytes(self.control(verb, body)))
        except (FaultError, CatalogueError, ValueError, TypeError, KeyError, AttributeError) as error:
            return Response(400, [JSON], json_bytes({"error": f"{type(error).__name__}: {error}"}))

    def control(self, verb: str, body: Any) -> Any:
        """Makes a change at run time, as docs/samplehub.md lists them; gives the state, or the changed row."""
        with self._lock:
            if verb == "faults":
                rules = body.get("rules", []) if isinstance(body, dict) else body
                self.faults.set(
                    fault_kinds.parse(rules) if isinstance(rules, str) else rules,
                    body.get("seed") if isinstance(body, dict) else None,
                )
            elif verb == "limits":
                self.limits = RateLimits.parse(body["rate_limit"])
            elif verb == "line":
                self.latency = float(body.get("latency_ms", 0)) / 1000
                self.bandwidth = float(body["bandwidth"]) if body.get("bandwidth") else None
            elif verb == "change":
                return {"row": self.catalogue.change(body.pop("action"), body.pop("id"), **body)}
            elif verb == "prerender":
                self.prerender(**body)
            elif verb == "reset":
                self.counts.clear()
                self.foreign.clear()
                self.faults.set([])
                self.latency, self.bandwidth = 0.0, None
            else:
                raise ValueError(
                    f"no control {verb!r}; there are faults, limits, line, change, prerender, reset, state"
                )
            return self.state()

    def prerender(self, expand: Iterable[str] = (), sort: str = "createdAt", limit: int = PAGE_MAX) -> None:
        """Makes all pages of one listing beforehand (default: that of a full crawl)."""
        fields = tuple(expand) or prerender.USUAL_FIELDS
        pages = prerender.make(self.catalogue, self.about, expand=fields, sort=sort, limit=limit)
        self.drop_pages()
        self.routes.pages = pages

    def drop_pages(self) -> None:
        """Forgets the pages made beforehand; files that no later run can use are removed."""
        if self.routes.pages is not None and self.routes.pages.path.name.startswith("pages-once"):
            self.routes.pages.path.unlink(missing_ok=True)
        self.routes.pages = None

    def state(self) -> dict[str, Any]:
        with self._lock:
            return {
                "content": self.about, "repos": len(self.catalogue), "origin": self.origin, "elsewhere": self.elsewhere,
                "counts": dict(self.counts), "foreign": list(self.foreign), "faults": self.faults.describe(),
                "latency_ms": self.latency * 1000, "bandwidth": self.bandwidth,
                "window_s": self.limits.window if self.limits.allowances else None,
            }  # fmt: skip
