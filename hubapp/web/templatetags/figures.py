"""Template tags for figures: rounded as a person says them, exact on hover and for machines.

``{% load figures %}``, then ``{% number n %}``, ``{% size bytes %}``, ``{% ago moment %}``, ``{% day moment %}``,
``{% share part whole %}``, ``{{ seconds|duration }}``, ``{{ n|exact }}``. What is not known shows as a dash.
"""

from __future__ import annotations

from datetime import datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from hubapp.web import wording

register = template.Library()
NOTHING = format_html('<span class="muted" title="not known">{}</span>', wording.DASH)


@register.simple_tag
def number(value: int | str | None, one: str = "", many: str = "") -> SafeString:
    """A count, with its noun where one is given: ``{% number n "model" %}`` → 1.2 M models."""
    if value is None or value == "":
        return NOTHING
    value = int(value)
    said, exact = wording.number(value), wording.exact(value)
    noun = (" " + (one if value == 1 else many or one + "s")) if one else ""
    title = "" if said == exact else f' title="{exact}"'
    return mark_safe(f'<data value="{value}"{title}>{said}</data>{noun}')  # noqa: S308 - figures and our own words


@register.simple_tag
def size(value: int | None) -> SafeString:
    """Bytes."""
    if value is None:
        return NOTHING
    return format_html('<data value="{}" title="{} bytes">{}</data>', value, wording.exact(value), wording.size(value))


@register.simple_tag
def ago(moment: datetime | None) -> SafeString:
    """How long ago."""
    if moment is None:
        return NOTHING
    return _time(moment, wording.ago(moment))


@register.simple_tag
def day(moment: datetime | None) -> SafeString:
    """A date, as 3 Mar 2024."""
    if moment is None:
        return NOTHING
    return _time(moment, f"{moment.day} {moment:%b %Y}")


def _time(moment: datetime, said: str) -> SafeString:
    exact = moment.isoformat(sep=" ", timespec="seconds")[:19]
    return mark_safe(  # noqa: S308 - digits and our own words
        f'<time datetime="{moment.isoformat(timespec="seconds")}" title="{exact} UTC">{said}</time>'
    )


@register.simple_tag
def share(part: float | None, whole: float | None) -> str:
    """Per cent of a whole."""
    return wording.share(part or 0, whole or 0)


@register.filter
def duration(seconds: float | None) -> str:
    """Seconds as a span of time."""
    return wording.DASH if seconds is None else wording.duration(seconds)


@register.filter
def exact(value: int | None) -> str:
    """A count in full."""
    return wording.DASH if value is None else wording.exact(value)
