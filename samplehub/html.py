"""The two pages for people: links to the hub lead somewhere. No script, no style from elsewhere, all text escaped."""

from __future__ import annotations

import json
from html import escape
from urllib.parse import quote

from samplehub.catalogue import Repo
from samplehub.files import Tree
from samplehub.http11 import Response
from samplehub.shape import Row

HEADERS = [
    ("Content-Type", "text/html; charset=utf-8"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("X-Content-Type-Options", "nosniff"),
]
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}pre{white-space:pre-wrap}"
)
CARD_MAX = 200_000  # characters of a card that are shown


def _page(title: str, body: str) -> Response:
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return Response(200, list(HEADERS), f"{head}<body><h1>{escape(title)}</h1>{body}".encode("utf-8", "replace"))


def front(rows: list[Row], count: int) -> Response:
    """The most downloaded models, as links."""
    items = "".join(f'<li><a href="/{escape(quote(str(row["id"])))}">{escape(str(row["id"]))}</a>' for row in rows)
    return _page("Sample hub", f"<p>{count:,} models. The most downloaded:<ol>{items}</ol>")


def model(repo: Repo) -> Response:
    """One model: its card as text, its files, its row."""
    snapshots = repo.snapshots
    tree = snapshots.trees[0] if snapshots is not None and snapshots.trees else Tree()
    card = tree["README.md"].read().decode("utf-8", "replace")[:CARD_MAX] if "README.md" in tree else "No model card."
    files = "".join(f"<li>{escape(name)} ({blob.size:,} bytes)" for name, blob in sorted(tree.items()))
    row = json.dumps(repo.row, indent=1, ensure_ascii=False, default=str)
    body = f"<pre>{escape(card)}</pre><h2>Files</h2><ul>{files}</ul><h2>Row</h2><pre>{escape(row)}</pre>"
    return _page(repo.id, body)
