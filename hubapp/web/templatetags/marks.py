"""Template tags for what carries a meaning by its look: shapes of relations, names of repos, icons.

``{% load marks %}``, then ``{% shape "adapter" %}``, ``{% relation "adapter" %}``, ``{% relation "adapter" n %}``,
``{% repo repo %}``, ``{% icon "search" %}``. Relations are given by name or as ``workers.lineage.records.Relation``.
"""

from __future__ import annotations

from functools import cache
from typing import Any
from urllib.parse import quote, urlsplit

from django import template
from django.conf import settings
from django.urls import get_script_prefix
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from hubapp.web import wording
from workers.lineage.records import Relation

register = template.Library()

WORDS = {
    "finetune": ("fine-tune", "fine-tunes"),
    "adapter": ("adapter", "adapters"),
    "quantized": ("quantized", "quantized"),
    "merge": ("merge", "merges"),
    "unknown": ("relation not said", "relation not said"),
    "root": ("root", "roots"),
    "contradicted": ("contradicted", "contradicted"),
}
DEAD = {"gone", "private", "disabled"}


def relation_name(value: Any) -> str:
    """``Relation.ADAPTER``, ``2`` or ``"adapter"`` → ``"adapter"``; what is none of the relations → ``"unknown"``."""
    if isinstance(value, str):
        return value if value in WORDS else "unknown"
    try:
        return Relation(int(value)).name.lower()
    except (TypeError, ValueError):
        return "unknown"


@cache
def _shape(name: str, hollow: bool) -> SafeString:
    drawn = "unknown" if name == "contradicted" else name
    classes = f"shape r-{name}{' hollow' if hollow else ''}"
    return format_html('<svg class="{}" aria-hidden="true"><use href="#s-{}"/></svg>', classes, drawn)


@register.simple_tag
def shape(relation: Any, hollow: bool = False) -> SafeString:
    """The shape of a relation alone, for beside words that name it; hollow for a parent that is not resolved."""
    return _shape(relation_name(relation), hollow)


@register.simple_tag(name="relation")
def relation_tag(relation: Any, count: int | None = None, hollow: bool = False) -> SafeString:
    """A relation's shape and word; with a count, the figure before it: ``◆ 1,204 adapters``."""
    name = relation_name(relation)
    one, many = WORDS[name]
    words: str | SafeString = one
    if count is not None:
        words = format_html(
            '<span><data value="{}" title="{}">{}</data> {}</span>',
            count,
            wording.exact(count),
            wording.number(count),
            one if count == 1 else many,
        )
    return format_html('<span class="relation">{}{}</span>', _shape(name, hollow), words)


@register.filter
def relation_word(relation: Any) -> str:
    """``fine-tune`` for finetune, …"""
    return WORDS[relation_name(relation)][0]


@register.filter
def relation_words(relation: Any) -> str:
    """``fine-tunes`` for finetune, …"""
    return WORDS[relation_name(relation)][1]


def model_url(name: str) -> str:
    """Address of a model's page."""
    return f"{get_script_prefix()}models/{quote(name)}"


@register.filter
def page_url(repo: Any, page: str) -> str:
    """Address of another page of a model: ``{{ repo|page_url:"tree" }}``, "children" or "families"."""
    return f"{get_script_prefix()}{page}/{quote(repo if isinstance(repo, str) else repo.name)}"


@register.filter(name="model_url")
def model_url_filter(repo: Any) -> str:
    """Address of a model's page, of a repo or a name."""
    return model_url(repo if isinstance(repo, str) else repo.name)


@register.simple_tag
def repo(repo: Any, link: bool = True) -> SafeString:
    """A repo's name, in the type of names, leading to its page; its state shows where it is not simply there.

    ``repo`` is a name or anything with ``name`` and, if it has one, ``state``.
    """
    name = repo if isinstance(repo, str) else repo.name
    state = "" if isinstance(repo, str) else str(getattr(repo, "state", "") or "")
    owner, slash, rest = escape(name).rpartition("/")
    inner = f'<span class="owner">{owner}{slash}</span>{rest}' if owner else f"{slash}{rest}"
    classes = "repo dead" if state in DEAD else "repo stub" if state == "stub" else "repo"
    title = f' title="{STATE_TITLES[state]}"' if state in STATE_TITLES else ""
    if link:
        return mark_safe(f'<a class="{classes}" href="{escape(model_url(name))}"{title}>{inner}</a>')  # noqa: S308 - escaped
    return mark_safe(f'<span class="{classes}"{title}>{inner}</span>')  # noqa: S308 - escaped above


STATE_TITLES = {
    "stub": "named as a parent, not crawled",
    "renamed": "an old name",
    "gated": "gated on the Hub",
    "disabled": "disabled by the Hub",
    "private": "no longer public",
    "gone": "deleted from the Hub",
}


@register.simple_tag
@cache
def icon(name: str) -> SafeString:
    """A line icon of the sprite, for beside words."""
    return format_html('<svg class="icon" aria-hidden="true"><use href="#i-{}"/></svg>', name)


@register.filter
def hub_url(repo: Any) -> str:
    """Where the repo lives on the Hub that was crawled."""
    return f"{settings.HUB_ENDPOINT}/{quote(repo if isinstance(repo, str) else repo.name)}"


@register.filter
def safe_link(url: str) -> str:
    """``url`` if it is an http(s) address with a host, else "": what others wrote may be any scheme."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ""
    return url.strip() if parts.scheme in {"http", "https"} and parts.netloc else ""
