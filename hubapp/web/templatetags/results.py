"""Rows of search results, put together in Python: at twenty-five rows of a dozen parts, a template costs more than the
search. ``{% load results %}``, then ``{% hits page.hits reasons %}``, ``{% why reasons %}``, ``{% offers lists %}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from django import template
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from hubapp.searching.queries import Hit
from hubapp.web.templatetags.figures import ago, number
from hubapp.web.templatetags.marks import icon, model_url, relation_word, repo, shape
from workers.lineage.records import Relation
from workers.searching.records import Reason, Why

register = template.Library()


@register.simple_tag
def hits(found: Iterable[Hit], reasons: Mapping[int, Sequence[Reason]] | None = None) -> SafeString:
    """The items of a list of results, each with why it is there where reasons are given."""
    why = reasons or {}
    rows = [_hit(hit, why.get(hit.repo_id, ())) for hit in found]
    return mark_safe("".join(rows))  # noqa: S308 - each part is escaped where it is made


@register.simple_tag
def why(reasons: Sequence[Reason]) -> SafeString:
    """Why a result is there: ``from its weights: red circle 83%``, ``from its card``, ``by its name``."""
    return mark_safe(_why(reasons))  # noqa: S308 - each part is escaped where it is made


_WHY = {
    Why.WEIGHTS: ("from its weights", "read from the weights by the expert of its tree, not said by the repo"),
    Why.CARD: ("from its card", "what its card and tags say"),
    Why.NAME: ("by its name", "what it is called"),
    Why.SIBLINGS: ("like its siblings", "its weights are like those of models whose cards say so"),
}


def _why(reasons: Sequence[Reason]) -> str:
    parts = []
    for reason in reasons:
        words, title = _WHY[reason.why]
        said = f": {escape(reason.words)}" if reason.words else ""
        kind = " inferred" if reason.why in {Why.WEIGHTS, Why.SIBLINGS} else ""
        share = (
            "" if reason.why == Why.NAME else f' <data value="{reason.share:.3f}">{round(100 * reason.share)}%</data>'
        )
        parts.append(f'<li title="{title}"><span class="why-{reason.why.value}{kind}">{words}</span>{said}{share}</li>')
    return f'<ul class="why small">{"".join(parts)}</ul>' if parts else ""


def _hit(hit: Hit, reasons: Sequence[Reason] = ()) -> str:
    parts = [f'<li class="hit"><div class="hit-name">{_marks(hit.relations, bool(hit.descendants))} {repo(hit)}']
    if hit.gated:
        parts.append(f' <span class="chip state">{icon("lock")} gated</span>')
    if hit.state == "stub":
        parts.append(f' <span class="chip state">not crawled</span></div>{_why(reasons)}</li>')
        return "".join(parts)
    if hit.findings:
        words = "1 finding" if hit.findings == 1 else f"{hit.findings} findings"
        parts.append(f' <a class="chip warn" href="{escape(model_url(hit.name))}#findings">{words}</a>')
    parts.append(f'</div>{_why(reasons)}<p class="hit-facts small muted">{"".join(_facts(hit))}</p>')
    if hit.excerpt:
        parts.append(f'<p class="hit-excerpt small">{escape(hit.excerpt)}</p>')
    parts.append("</li>")
    return "".join(parts)


def _facts(hit: Hit) -> Iterable[str]:
    if hit.task:
        yield f"<span>{escape(hit.task)}</span>"
    if hit.parameters:
        yield f"<span>{number(hit.parameters)} parameters</span>"
    if hit.licence:
        yield f"<span>{escape(hit.licence)}</span>"
    yield f"<span>{number(hit.downloads, 'download')}</span>"
    if hit.likes:
        yield f"<span>{number(hit.likes, 'like')}</span>"
    if hit.descendants:
        yield f"<span>{number(hit.descendants, 'descendant')}</span>"
    if hit.modified_at:
        yield f"<span>changed {ago(hit.modified_at)}</span>"


@cache
def _marks(relations: tuple[Relation, ...], has_children: bool) -> str:
    """Shapes for how a model descends, a star for a root of others, an empty place else; with words to be read out."""
    if relations:
        return "".join(f'{shape(r)}<span class="visually-hidden">{relation_word(r)}</span>' for r in relations)
    if has_children:
        return f'{shape("root")}<span class="visually-hidden">root</span>'
    return '<span class="shape" aria-hidden="true"></span>'


@register.simple_tag
def offers(values: Mapping[str, Sequence[str]]) -> SafeString:
    """The lists of values that the fields of filters offer."""
    lists = []
    for name, some in values.items():
        options = "".join(f'<option value="{escape(value)}">' for value in some)
        lists.append(f'<datalist id="offered-{escape(name)}">{options}</datalist>')
    return mark_safe("".join(lists))  # noqa: S308 - escaped above
