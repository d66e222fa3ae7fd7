"""Search: results as one types, filters, counts; all models of a dataset or an author; suggestions for search boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_safe

from hubapp.searching import meaning, queries
from hubapp.searching.facetting import FEW
from hubapp.searching.query import GATED, STATES, Query, Sort
from hubapp.web.errors import error_page
from hubapp.web.memory import remembered
from hubapp.web.templatetags.marks import model_url, relation_word
from hubapp.web.templatetags.results import offers
from workers.errors import BadRequest
from workers.lineage.records import Relation
from workers.lineage.rules import is_repo_id

SUGGESTIONS = 8
OFFERED = 40  # values that a filter's field offers
_DATASET_URL = "https://huggingface.co/datasets/"

LABELS = {
    "relation": "Relation",
    "task": "Task",
    "library": "Library",
    "licence": "Licence",
    "language": "Language",
    "dataset": "Trained on",
    "architecture": "Architecture",
    "model_type": "Model type",
    "author": "Author",
    "min_parameters": "Parameters from",
    "max_parameters": "Parameters to",
    "created_after": "Created since",
    "created_before": "Created until",
    "no_parent": "Without a parent",
    "has_findings": "With findings",
    "finding": "Finding",
    "gated": "Gated",
    "state": "State",
}
_LISTS = ("task", "library", "licence", "language", "dataset", "architecture")
_STATE_WORDS = {"listed": "open", "gated": "gated", "stub": "not crawled", "disabled": "disabled"}


@remembered(60)
def _offered() -> SafeString:
    """What the fields of filters offer, as HTML: the same for everybody."""
    found = queries.offered(limit=OFFERED)
    return offers({name: [value.value for value in found.get(name, ())] for name in _LISTS})


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """Models by name and filters. To htmx: the results alone, the next page alone, or the count alone."""
    query, problems = Query.read(request.GET)
    if not request.htmx:  # type: ignore[attr-defined]
        if elsewhere := _meant_page(query):
            return HttpResponseRedirect(elsewhere)
        if "" in request.GET.values():  # an empty field of a form says nothing: a short address can be passed on
            kept = query.to_params() | {name: "1" for name in ("count",) if request.GET.get(name)}
            if not problems:
                return HttpResponseRedirect(f"{reverse('web:search')}?{urlencode(kept)}")
    return _answer(request, query, problems=problems)


@require_safe
def dataset(request: HttpRequest, name: str) -> HttpResponse:
    """All models that say they were trained on a dataset."""
    query, problems = Query.read(request.GET)
    return _answer(request, query.but(dataset=name, after=query.after), problems=problems, of="dataset")


@require_safe
def author(request: HttpRequest, name: str) -> HttpResponse:
    """All models of an author."""
    query, problems = Query.read(request.GET)
    return _answer(request, query.but(author=name, after=query.after), problems=problems, of="author")


@require_safe
def suggest(request: HttpRequest) -> HttpResponse:
    """The most popular models for what was typed so far: hangs below search boxes."""
    text = request.GET.get("q", "").replace("\0", "").strip()
    hits = queries.suggest(text, limit=SUGGESTIONS) if text else ()
    return render(request, "search/_suggestions.html", {"hits": hits, "text": text})


def _answer(request: HttpRequest, query: Query, *, problems: list[str], of: str = "") -> HttpResponse:
    if request.htmx and request.htmx.target == "search-count":  # type: ignore[attr-defined]
        return render(request, "search/_counted.html", _counted(query))
    try:
        page, meant = _found(query, of=of)
    except BadRequest as error:
        return error_page(request, 400, text=str(error), code=error.code)
    by_meaning = meant is not None and page.hits is meant.hits
    if of and not page.hits and not query.after and not query.text:
        raise Http404(f"No {of} of that name.")
    shown = query.but(text=page.corrected, after=query.after) if page.corrected else query
    context = {
        "section": "search",
        "query": query,
        "shown": shown,
        "page": page,
        "meant": meant,
        "by_meaning": by_meaning,
        "reasons": meant.reasons if by_meaning and meant is not None else None,
        "as_names": _address(query.but(by="names")),
        "as_meaning": _address(query.but(by="meaning", sort=Sort.POPULARITY, literal=False)),
        "of": of,
        "of_name": getattr(query, of) if of else "",
        "problems": problems,
        "exact": _exact(query),
        "next": _address(shown.but(after=page.next, **({"by": "meaning"} if by_meaning else {}))) if page.next else "",
        "first": _address(query.but()) if query.after else "",
        "literal": _address(query.but(literal=True)) if page.corrected else "",
        "suggested": _address(query.but(text=page.suggestion)) if page.suggestion else "",
        "counting": _address(shown.but(), count="1"),
        "chosen": _chosen(query),
    }
    if request.htmx:  # type: ignore[attr-defined]
        more = request.htmx.target == "more-hits"  # type: ignore[attr-defined]
        response = render(request, "search/_hits.html" if more else "search/_results.html", context)
        if not more:
            _remember_address(request, response, query)
        return response
    if page.total is None and request.GET.get("count"):
        context |= _counted(shown)
    return render(request, "search/search.html", context | _form(query))


def _found(query: Query, *, of: str) -> tuple[queries.Page, meaning.Meant | None]:
    """The page of results, and what search by meaning said where it was asked. Its own hits are then the page's."""
    if of or not query.text:
        return queries.search(query), None
    page = None
    if query.by != "meaning":
        page = queries.search(query)
        if not meaning.is_meant(query, by_name=len(page.hits), is_all=not page.next, is_corrected=bool(page.corrected)):
            return page, None
    meant = meaning.search(query)
    if page is not None and page.hits and meant.state != "ready":
        return page, meant
    return queries.Page(hits=meant.hits, total=meant.total, next=meant.next), meant


def _counted(query: Query) -> dict[str, Any]:
    """How many match, and how they divide where they are few enough to be looked at one by one."""
    total = queries.count(query)
    divided = queries.facets(query) if 1 < total <= FEW else {}
    return {"total": total, "most": queries.MOST, "few": FEW, "divided": _divisions(query, divided)}


# --- where else a text may lead -------------------------------------------------------------------------------------
def _meant_page(query: Query) -> str:
    """The page that a pasted address stands for, "" where the text is none."""
    text = query.text
    if "://" not in text and not text.lower().startswith(("huggingface.co/", "hf.co/")):
        return ""
    if text.startswith(_DATASET_URL):
        name = urlsplit(text).path.removeprefix("/datasets/").strip("/")
        return reverse("web:dataset", args=["/".join(name.split("/")[:2])]) if name else ""
    found = queries.locate(text)
    return model_url(found.name) if found else ""


def _exact(query: Query) -> dict[str, str] | None:
    """The model whose id was typed: it comes first, whatever its popularity."""
    text = query.text
    if not text or query.after or query.filters or " " in text:
        return None
    found = queries.locate(text)
    if found is not None:
        return {"name": found.name, "how": found.how}
    return {"name": text, "how": "unknown"} if "/" in text and is_repo_id(text) else None


# --- addresses ------------------------------------------------------------------------------------------------------
def _address(query: Query, **more: str) -> str:
    params = urlencode(query.to_params() | more)
    return f"{reverse('web:search')}?{params}" if params else reverse("web:search")


def _remember_address(request: HttpRequest, response: HttpResponse, query: Query) -> None:
    """The address bar follows: a new entry in the history for a filter or an order, none for each letter typed."""
    before = Query.read(dict(parse_qsl(urlsplit(request.htmx.current_url or "").query)))[0]  # type: ignore[attr-defined]
    header = "HX-Replace-Url" if before.but(text=query.text) == query.but() else "HX-Push-Url"
    response.headers[header] = _address(query)


# --- what the page shows around the results -------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Choice:
    """A value of a filter: its words, how many hold it (None: not counted), and where choosing it leads."""

    value: str
    words: str
    count: int | None = None
    address: str = ""
    is_chosen: bool = False


def _chosen(query: Query) -> list[Choice]:
    """The filters that hold, each with the address of the search without it."""
    found = []
    for name, value in query.filters.items():
        empty = getattr(Query(), name)
        words = LABELS[name] if value is True else f"{LABELS[name]}: {_words(name, value)}"
        found.append(Choice(name, words, address=_address(query.but(**{name: empty}))))
    return found


def _words(name: str, value: Any) -> str:
    if isinstance(value, Relation):
        return relation_word(value)
    if name == "state":
        return _STATE_WORDS.get(value, value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def _divisions(query: Query, counts: dict[str, tuple[queries.Value, ...]]) -> list[tuple[str, str, list[Choice]]]:
    """By filter: its name, label and values with counts, for those that would narrow the search."""
    found = []
    for name in ("relation", *_LISTS):
        if getattr(query, name):
            continue
        choices = []
        for value in counts.get(name, ())[:8]:
            wish = Relation[value.value.upper()] if name == "relation" else value.value
            words = relation_word(wish) if name == "relation" else value.value
            choices.append(Choice(value.value, words, value.count, _address(query.but(**{name: wish}))))
        if choices:
            found.append((name, LABELS[name], choices))
    return found


def _form(query: Query) -> dict[str, Any]:
    """What the form of filters offers."""
    return {
        "offers": _offered(),
        "lists": [{"name": name, "label": LABELS[name], "value": getattr(query, name)} for name in _LISTS],
        "relations": [
            Choice(relation.name.lower(), relation_word(relation), is_chosen=query.relation is relation)
            for relation in Relation
        ],
        "sorts": Sort.choices,
        "gates": [(value, {"no": "no", "yes": "yes"}.get(value, value)) for value in GATED],
        "states": [(value, _STATE_WORDS[value]) for value in STATES],
        "is_filtered": bool(query.filters),
    }
