"""Template filters that put lineage's values into words: who says it, how sure it is, what was mended."""

from __future__ import annotations

from collections.abc import Iterable

from django import template
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from hubapp.licences.shapes import Ancestor
from hubapp.lineage.shapes import Parent, Statement
from hubapp.lineage.weighed import KINSHIPS, WORDS
from hubapp.web import wording
from hubapp.web.likeness import likeness
from hubapp.web.templatetags.figures import ago
from hubapp.web.templatetags.marks import relation_tag, safe_link
from hubapp.web.templatetags.marks import repo as repo_tag
from workers.lineage.records import Source

register = template.Library()
register.filter("likeness", likeness)

SOURCES = {
    Source.WEIGHTS: "the weights",
    Source.HUB: "the Hub",
    Source.ADAPTER_CONFIG: "adapter_config.json",
    Source.MERGEKIT: "merge configuration",
    Source.CARD: "the card",
    Source.TAG: "a tag",
}
STANDINGS = {
    "declared": "Declared, not checked",
    "unresolved": "Declared, parent not crawled",
    "confirmed": "Confirmed by weights",
    "recovered": "Recovered from weights",
    "contradicted": "Contradicted",
}
REPAIRS = {
    "case": "mended: written in another case",
    "text": "mended: read out of a longer text",
    "renamed": "mended: an old name",
    "relation": "relation concluded",
}


@register.filter
def source_word(source: Source) -> str:
    """Who makes a statement."""
    return SOURCES.get(source, str(source))


@register.filter
def source_words(sources: Iterable[Source]) -> str:
    """``the Hub, the card and a tag``."""
    return wording.listed([source_word(source) for source in sources])


@register.filter
def standing_word(standing: str) -> str:
    """How much is known of an edge."""
    return STANDINGS.get(standing, standing)


@register.filter
def is_unresolved(standing: str) -> bool:
    """Whether the parent is only a name: its shape is drawn hollow."""
    return standing == "unresolved"


@register.filter
def verdict_kind(verdict: str) -> str:
    """The class of a verdict's look."""
    return verdict.replace("_", "-")


@register.filter
def verdict_word(verdict: str) -> str:
    """A verdict of the weights in a word or two."""
    return WORDS.get(verdict, verdict)


@register.filter
def kinship_words(kinship: str) -> str:
    """How the weights say that two are related."""
    return KINSHIPS.get(kinship, kinship)


@register.filter
def repaired_words(repaired: str) -> str:
    """What was mended in a declared parent."""
    return REPAIRS.get(repaired, "mended")


@register.filter
def after_slash(name: str) -> str:
    """The part of a repo's id after its owner."""
    return name.rpartition("/")[2]


@register.simple_tag
def statement_rows(statements: Iterable[Statement], withdrawn: bool = False) -> SafeString:
    """Rows of evidence: source, its words, the relation it names, first seen, last seen or withdrawn.

    Written out here since a page of a large merge has hundreds, and each tag of a template costs as much as a row.
    """
    rows = []
    for each in statements:
        ended = each.withdrawn_at if withdrawn else each.last_seen
        times = f' <span class="muted small">{each.times} times</span>' if each.times > 1 else ""
        said = relation_tag(each.relation) if each.relation else '<span class="muted">not said</span>'
        rows.append(
            f'<tr><th scope="row" class="nowrap">{source_word(each.source)}</th>'
            f'<td><code class="verbatim">{escape(each.text)}</code>{times}</td><td class="nowrap">{said}</td>'
            f'<td class="nowrap">{ago(each.first_seen)}</td><td class="nowrap">{ago(ended)}</td></tr>'
        )
    return mark_safe("\n".join(rows))  # noqa: S308 - what others wrote is escaped above


@register.simple_tag
def parent_rows(parents: Iterable[Parent]) -> SafeString:
    """Parents in short, a list item each: the relation, the name, what was mended."""
    rows = []
    for each in parents:
        said = relation_tag(each.link.relation, hollow=is_unresolved(each.link.standing))
        mended = f' <span class="muted small">{repaired_words(each.link.repaired)}</span>' if each.link.repaired else ""
        rows.append(f"<li>{said} of {repo_tag(each.repo)}{mended}</li>")
    return mark_safe("\n".join(rows))  # noqa: S308 - names are escaped by the tag that writes them


@register.simple_tag
def ancestor_rows(ancestors: Iterable[Ancestor]) -> SafeString:
    """Rows of licences upstream: ancestor, licence, verdict, steps away."""
    rows = []
    for each in ancestors:
        label, source = escape(each.licence.label), safe_link(each.licence.source)
        licence = f'<a href="{escape(source)}" rel="noopener external">{label}</a>' if source else label
        rows.append(
            f'<tr><th scope="row">{repo_tag(each.repo)}</th><td>{licence}</td>'
            f'<td class="nowrap" title="{escape(each.sentence)}">{licence_verdict(each)}</td>'
            f'<td class="num wide-only">{each.distance}</td></tr>'
        )
    return mark_safe("\n".join(rows))  # noqa: S308 - what others wrote is escaped above


@register.filter
def licence_verdict(ancestor: Ancestor) -> SafeString:
    """The verdict on an ancestor's licence, in the look of verdicts."""
    kind, word = _LICENCE_VERDICTS.get(ancestor.verdict, ("cannot-tell", "Not judged"))
    return format_html('<span class="verdict {}"><strong>{}</strong></span>', kind, word)


_LICENCE_VERDICTS = {"fine": ("confirmed", "Compatible"), "conflict": ("contradicted", "Conflict")}
