"""Faults on demand: each kind alone, with a probability, drawn from a seed.

A rule says what goes wrong (``kind``), how often (``p``), for which paths (``path``, a prefix), from which
matching request on (``after``), and how many times (``times``); each kind has figures of its own, listed in ``KINDS``.
"""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from samplehub.http11 import Delivery, Request, Response, as_bytes, json_bytes

#: kind → (what happens, {figure: default}).
KINDS: dict[str, tuple[str, dict[str, float]]] = {
    "429": ("rate limit reached, with the seconds to its reset", {"reset": 2}),
    "500": ("internal server error", {}),
    "502": ("bad gateway, as HTML from a proxy", {}),
    "503": ("service unavailable", {}),
    "504": ("gateway time-out", {}),
    "hang": ("no answer for some seconds, then the connection closes", {"seconds": 30}),
    "reset": ("the connection is reset in the middle of the body", {"share": 0.5}),
    "cut": ("the connection closes before the declared length is sent", {"share": 0.5}),
    "truncate": ("JSON cut off, of a length that is declared truly", {"share": 0.7}),
    "invalid_json": ("200 with a body that is no JSON, declared as JSON", {}),
    "wrong_type": ("200 with an HTML page instead of JSON", {}),
    "foreign_link": ("the next page's link leads to another host", {}),
    "foreign_redirect": ("a redirect to another host", {"status": 302}),
    "expired_cursor": ("a request with a cursor is refused", {"status": 400}),
    "loop_link": ("the next page's link leads to this page again", {}),
    "empty_page": ("a page without rows, its link to the next kept", {}),
    "repeat_row": ("a page's first row stands in it twice", {}),
    "huge_row": ("one row's card is very long", {"bytes": 5_000_000}),
    "deep_row": ("one row's card is nested very deep", {"depth": 5_000}),
    "bad_row": ("one row of a page has values of the wrong types", {"row": -1}),
    "ignore_range": ("200 with the whole file instead of 206", {}),
    "latency": ("the answer starts late", {"seconds": 0.2}),
    "bandwidth": ("the body comes slowly", {"bytes_per_s": 100_000}),
}
#: These shape an answer's way and go together with any other; of all others at most one happens to a request.
COMBINE = ("latency", "bandwidth")
#: These happen to pages of the listing alone.
LISTING = ("foreign_link", "loop_link", "empty_page", "repeat_row", "huge_row", "deep_row", "bad_row")


class FaultError(ValueError):
    """A rule that cannot be: unknown kind or figure, probability outside 0 to 1."""


@dataclass
class Fault:
    kind: str
    p: float = 1.0
    path: str = "/"
    times: int | None = None
    after: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    seen: int = 0
    fired: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise FaultError(f"unknown fault {self.kind!r}; there are {', '.join(KINDS)}")
        known = KINDS[self.kind][1]
        if wrong := set(self.figures) - set(known):
            raise FaultError(f"fault {self.kind} has no figure {', '.join(sorted(wrong))}")
        if not 0 <= self.p <= 1:
            raise FaultError(f"fault {self.kind}: a probability lies between 0 and 1, not {self.p}")
        self.figures = {**known, **self.figures}

    @classmethod
    def read(cls, value: Mapping[str, Any] | str) -> Fault:
        """A rule from JSON, ``{"kind": "429", "p": 0.1, "reset": 3}``, or from text, ``429:0.1;reset=3``."""
        if isinstance(value, str):
            head, *settings = value.strip().split(";")
            kind, _, p = head.partition(":")
            pairs: dict[str, Any] = dict(s.partition("=")[::2] for s in settings)
            value = {"kind": kind.strip(), "p": p or 1, **pairs}
        try:
            settings_ = dict(value)
            return cls(
                kind=str(settings_.pop("kind")),
                p=float(settings_.pop("p", 1)),
                path=str(settings_.pop("path", "/")),
                times=None if settings_.get("times") is None else int(settings_["times"]),
                after=int(settings_.pop("after", 0)),
                figures={name: float(figure) for name, figure in settings_.items() if name != "times"},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise (
                error if isinstance(error, FaultError) else FaultError(f"cannot read the fault {value!r}: {error}")
            ) from None


def parse(text: str) -> list[Fault]:
    """Rules from the command line, separated by commas."""
    return [Fault.read(part) for part in text.split(",") if part.strip()]


class Faults:
    """The rules in force. Safe to change from another thread than the one that serves."""

    def __init__(self, rules: Iterable[Fault] = (), seed: int = 0) -> None:
        self._lock = threading.Lock()
        self.set(rules, seed)

    def set(self, rules: Iterable[Fault | Mapping[str, Any] | str], seed: int | None = None) -> None:
        """Replaces all rules (none: everything works again) and starts the dice anew."""
        new = [rule if isinstance(rule, Fault) else Fault.read(rule) for rule in rules]
        with self._lock:
            self.rules = new
            if seed is not None:
                self.seed = seed
            self._dice = random.Random(self.seed)

    def describe(self) -> list[dict[str, Any]]:
        return [asdict(rule) for rule in self.rules]

    def draw(self, request: Request) -> list[Fault]:
        """The faults that happen to a request."""
        with self._lock:
            if not self.rules:
                return []
            drawn: list[Fault] = []
            for rule in self.rules:
                if not request.path.startswith(rule.path) or not _concerns(rule, request):
                    continue
                rule.seen += 1
                if rule.seen <= rule.after or (rule.times is not None and rule.fired >= rule.times):
                    continue
                if self._dice.random() >= rule.p or (
                    rule.kind not in COMBINE and any(d.kind not in COMBINE for d in drawn)
                ):
                    continue
                rule.fired += 1
                drawn.append(rule)
            return drawn

    def chance(self) -> float:
        with self._lock:
            return self._dice.random()


def _concerns(rule: Fault, request: Request) -> bool:
    if rule.kind == "expired_cursor":
        return "cursor" in request.query
    if rule.kind == "ignore_range":
        return "range" in request.headers
    if rule.kind in LISTING:
        return request.path.rstrip("/") == "/api/models"
    return True


def instead(fault: Fault, elsewhere: str, request: Request) -> Response | None:  # noqa: PLR0911 - one for each kind
    """The answer that a fault puts in the place of the right one; None where the right one is needed first."""
    kind, figures = fault.kind, fault.figures
    text = ("Content-Type", "text/plain; charset=utf-8")
    as_json = ("Content-Type", "application/json; charset=utf-8")
    if kind == "429":
        bucket = "api" if request.path.startswith("/api/") else "resolvers"
        headers = [
            text,
            ("RateLimit", f'"{bucket}";r=0;t={int(figures["reset"])}'),
            ("RateLimit-Policy", f'"fixed window";"{bucket}";q=500;w=300'),
        ]
        return Response(429, headers, b"We had to rate limit you. Wait for the window to reset.")
    if kind in ("500", "503"):
        words = {
            "500": "Internal Error - We're working hard to fix this as soon as possible!",
            "503": "Service Unavailable",
        }
        return Response(int(kind), [as_json], json_bytes({"error": words[kind]}))
    if kind in ("502", "504"):
        title = {"502": "502 Bad Gateway", "504": "504 Gateway Time-out"}[kind]
        return Response(
            int(kind), [("Content-Type", "text/html")], f"<html><head><title>{title}</title></head></html>".encode()
        )
    if kind == "hang":
        return Response(delivery=Delivery(hang=figures["seconds"]))
    if kind == "invalid_json":
        return Response(200, [as_json], b"[{'id': 'single/quotes', NaN,}]\x00")
    if kind == "wrong_type":
        return Response(
            200,
            [("Content-Type", "text/html; charset=utf-8")],
            b"<!doctype html><title>Maintenance</title><p>Back soon.</p>",
        )
    if kind == "foreign_redirect":
        return Response(int(figures["status"]), [text, ("Location", elsewhere + request.target)], b"Found")
    if kind == "expired_cursor":
        return Response(
            int(figures["status"]),
            [as_json, ("X-Error-Message", "Invalid cursor")],
            json_bytes({"error": "Invalid cursor"}),
        )
    return None


def spoil(fault: Fault, response: Response, request: Request, lead: tuple[str, str], chance: float) -> Response:
    """The right answer, spoilt as the fault says. ``lead`` are the hub's own origin and the other host's."""
    kind, figures = fault.kind, fault.figures
    if kind in LISTING:
        return _spoil_page(fault, response, request, lead, chance) if response.status == 200 else response
    delivery = response.delivery or Delivery()
    size = response.length
    if kind == "reset":
        delivery.reset_after = int(size * figures["share"])
    elif kind == "cut":
        delivery.cut_after = int(size * figures["share"])
    elif kind == "truncate":
        delivery.truncate_to = max(0, min(size - 1, int(size * figures["share"])))
    elif kind == "latency":
        delivery.latency += figures["seconds"]
    elif kind == "bandwidth":
        delivery.bandwidth = figures["bytes_per_s"]
    response.delivery = delivery
    return response


def _spoil_page(fault: Fault, response: Response, request: Request, lead: tuple[str, str], chance: float) -> Response:
    kind, (origin, elsewhere) = fault.kind, lead
    if kind in ("foreign_link", "loop_link"):
        there = {"foreign_link": f"<{elsewhere}", "loop_link": f"<{origin}{request.target}>"}[kind]
        pattern = {"foreign_link": f"<{re.escape(origin)}", "loop_link": "<[^>]*>"}[kind]
        response.headers = [
            (name, re.sub(pattern, lambda _: there, value, count=1) if name == "Link" else value)
            for name, value in response.headers
        ]
        return response
    rows = json.loads(as_bytes(response.body))
    if not rows:
        return response
    if kind == "empty_page":
        response.body = b"[]"
    elif kind == "repeat_row":
        response.body = json_bytes([*rows, rows[0]])
    elif kind == "huge_row":
        response.body = json_bytes([{**rows[0], "cardData": {"text": "x" * int(fault.figures["bytes"])}}, *rows[1:]])
    elif kind == "deep_row":
        depth = int(fault.figures["depth"])
        marked = json_bytes([{**rows[0], "cardData": "DEEP"}, *rows[1:]])
        response.body = marked.replace(b'"DEEP"', b'{"a":' * depth + b"1" + b"}" * depth, 1)
    else:
        response.body = json_bytes(_with_bad_row(rows, int(fault.figures["row"]), chance))
    return response


def _with_bad_row(rows: list[dict[str, Any]], position: int, chance: float) -> list[dict[str, Any]]:
    """One row's values turned into such as no reader expects; its id stays, so that it can be named."""
    position = int(chance * len(rows)) if position < 0 else min(position, len(rows) - 1)
    wrong: dict[str, Any] = {
        "tags": "not-a-list", "downloads": "many", "likes": None, "createdAt": 17, "lastModified": "yesterday",
        "cardData": ["not", "a", "mapping"], "safetensors": "F32", "baseModels": [1, 2], "gated": "perhaps",
        "pipeline_tag": {"a": 1}, "library_name": 3.5,
    }  # fmt: skip
    row = rows[position]
    bad = {**row, **{name: value for name, value in wrong.items() if name in row}}
    return [*rows[:position], bad, *rows[position + 1 :]]
