"""The rows of the tree's table as HTML. A page has dozens, and a tag of a template costs what a row does."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from hubapp.lineage.shapes import Brief
from hubapp.web import wording
from hubapp.web.templatetags.marks import page_url, relation_tag, repo

_ROW = (
    '<tr><th scope="row">{}</th><td>{}</td><td>{}</td><td{}>{}</td><td class="num">{}</td>'
    '<td class="num nowrap">{}</td><td class="num nowrap">{}</td><td class="nowrap">{}</td><td class="nowrap">{}</td>'
    '<td class="num">{}</td><td class="num">{}</td><td class="num">{}</td></tr>'
)
_DOUBTED = SafeString(' class="doubted"')
_NOTHING = SafeString("")


def row(
    brief: Brief, *, relation: Any, parent: Brief | None = None, loose: str = "", known: str = "", doubted: bool = False
) -> SafeString:
    """One model and one of its parents: a model, or the text that was named in vain (``loose``)."""
    total = brief.children.total
    return format_html(
        _ROW,
        repo(brief),
        relation_tag(relation),
        repo(parent) if parent else format_html('<span class="repo stub">{}</span>', loose) if loose else "",
        _DOUBTED if doubted else _NOTHING,
        known,
        str(brief.depth),
        _day(brief.created_at),
        _number(brief.parameters),
        brief.licence,
        brief.task,
        _number(brief.downloads) if brief.known else "",
        format_html('<a href="{}">{}</a>', page_url(brief, "tree"), wording.number(total)) if total else "",
        str(brief.findings) if brief.findings else "",
    )


def _number(value: int | None) -> SafeString:
    if value is None:
        return _NOTHING
    return format_html('<data value="{}">{}</data>', str(value), wording.number(value))


def _day(moment: datetime | None) -> SafeString:
    if moment is None:
        return _NOTHING
    return format_html(
        '<time datetime="{}">{} {}</time>', moment.date().isoformat(), str(moment.day), moment.strftime("%b %Y")
    )
