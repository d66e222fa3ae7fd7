"""A model card as far as it is kept: how long it is, how its prose begins, and what it says of descent."""

from __future__ import annotations

import html
import re

from workers.crawling import rows
from workers.crawling.records import CardFacts
from workers.errors import RemoteGarbled
from workers.lineage.declarations import from_adapter_config, from_card, split_card
from workers.lineage.records import Source

CARD_BYTES = 512 * 1024  # of a card that are read
CONFIG_BYTES = 256 * 1024
EXCERPT = 600  # characters
SOURCES = (Source.ADAPTER_CONFIG, Source.MERGEKIT)
"""What files speak for; the front matter of a card is the listing's to tell."""

_COMMENT = re.compile(r"<!--.*?-->", re.S)
_FENCE = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[ \t]*$|\Z)", re.S | re.M)
_DROPPED = re.compile(r"<(script|style|table|svg)\b.*?(?:</\1\s*>|\Z)", re.S | re.I)
_TAG = re.compile(r"<[^<>]*>")
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)|!\[[^\]]*\]\[[^\]]*\]")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)|\[([^\]]+)\]\[[^\]]*\]")
_MARKS = re.compile(r"(?m)^[ \t]*(?:#{1,6}[ \t]+|>+[ \t]?|[-*+][ \t]+|\d+[.)][ \t]+|\|.*$|[-=*_]{3,}[ \t]*$)")
_EMPHASIS = re.compile(r"(\*\*|__|\*|`|~~)(?=\S)(.+?)(?<=\S)\1")
_BLANK = re.compile(r"\s+")


def card_of(repo_id: int, sha: str, card: bytes | None, adapter_config: bytes | None) -> CardFacts:
    """Facts of a repo's card and adapter configuration (None: it has no such file). Never raises."""
    text = _text(card) if card is not None else ""
    declared = [d for d in from_card(text) if d.source in SOURCES] if text else []
    odd: list[tuple[str, str]] = []
    if adapter_config is not None:
        try:
            config = rows.parse(adapter_config)
            if not isinstance(config, dict):
                raise RemoteGarbled("it holds no JSON object")
            declared += from_adapter_config(config)
        except RemoteGarbled as error:
            odd.append(("file.adapter_config", f"adapter_config.json can't be read: {error}"))
    return CardFacts(repo_id, sha, None if card is None else len(text), excerpt(text), tuple(declared), tuple(odd))


def _text(card: bytes) -> str:
    return card.decode("utf-8", "replace").replace("\x00", "\ufffd")


def excerpt(text: str) -> str:
    """The first prose of a card as plain text, at most ``EXCERPT`` characters: no front matter, code, tables or marks.

    It is text and no HTML: whoever shows it escapes it.
    """
    body = split_card(text)[1][:50_000]
    for pattern in (_COMMENT, _FENCE, _DROPPED, _IMAGE):
        body = pattern.sub(" ", body)
    body = html.unescape(_TAG.sub(" ", _LINK.sub(r"\1\2", body)))
    body = _EMPHASIS.sub(r"\2", _MARKS.sub(" ", body))
    words = _BLANK.sub(" ", "".join(c if c.isprintable() else " " for c in body)).strip()
    if len(words) <= EXCERPT:
        return words
    cut = words[: EXCERPT - 1]
    return f"{cut[: cut.rfind(' ')] if ' ' in cut[-60:] else cut}…"
