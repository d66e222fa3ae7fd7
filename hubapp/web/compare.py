"""Two models beside each other: where their lines meet, and what differs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from hubapp.catalog import queries as catalog
from hubapp.catalog.models import Repo
from hubapp.lineage import queries as lineage
from hubapp.lineage.shapes import Path
from hubapp.searching import queries as searching
from hubapp.web.strips import Stop, run, strip
from workers.errors import TooLarge


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """``/compare?a=&b=``: the picker alone while one of the two is missing or unknown."""
    asked = {side: request.GET.get(side, "").strip()[:300] for side in "ab"}
    found = {side: _find(text) for side, text in asked.items()}
    context: dict[str, Any] = {
        "section": "compare",
        "asked": asked,
        "unknown": [text for side, text in asked.items() if text and found[side] is None],
    }
    a, b = found["a"], found["b"]
    if a is None or b is None:
        status = 404 if context["unknown"] else 200
        return render(request, "compare/pick.html", context, status=status)
    if (a.name, b.name) != (asked["a"], asked["b"]):
        return redirect(f"{reverse('web:compare')}?{urlencode({'a': a.name, 'b': b.name})}")
    context |= {"a": a, "b": b, "asked": {"a": a.name, "b": b.name}, "same": a.pk == b.pk}
    if a.pk != b.pk:
        context |= _descent(a, b)
    facts = differences(a, b, catalog.terms(a), catalog.terms(b))
    context |= {"facts": facts, "differing": sum(not fact.same for fact in facts)}
    context["share"] = request.build_absolute_uri()
    return render(request, "compare/compare.html", context)


@require_safe
def names(request: HttpRequest) -> HttpResponse:
    """Names of models that hold what is typed in a picker, as options of its list; ``for`` says which picker."""
    text = request.GET.get(request.GET.get("for", "a"), "").strip()[:200]
    hits = searching.suggest(text, limit=8) if len(text) > 1 else ()
    return render(request, "compare/_names.html", {"hits": hits})


def _find(text: str) -> Repo | None:
    """A model by its id in any case, an old name, or a pasted address."""
    found = catalog.find(text)
    if found is not None:
        return found.repo
    located = searching.locate(text) if text else None
    if located is None:
        return None
    again = catalog.find(located.name)
    return again.repo if again else None


def _descent(a: Repo, b: Repo) -> dict[str, object]:
    """Where the two lines meet; both lines to their roots where they don't."""
    briefs = lineage.briefs([a.pk, b.pk])
    context: dict[str, object] = {"brief_a": briefs[a.pk], "brief_b": briefs[b.pk]}
    try:
        common = lineage.common_ancestor(a, b)
        path = lineage.path(a, b) if common else None
    except TooLarge:
        context["too_large"] = True
        common = path = None
    if common is None or path is None:
        context["line_a"], context["line_b"] = strip(lineage.line(a)), strip(lineage.line(b))
        return context
    up, down = branches(path)
    return context | {
        "common": common,
        "trunk": strip(lineage.line(path.members[path.top].id)),
        "branch_a": up,
        "branch_b": down,
        "steps": len(path.links),
    }


def branches(path: Path) -> tuple[list[Stop], list[Stop]]:
    """The way from the common ancestor to each of the two, the ancestor itself left out: parents first."""
    up = run(path.members[: path.top + 1][::-1], path.links[: path.top][::-1])
    down = run(path.members[path.top :], path.links[path.top :])
    return up[1:], down[1:]


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of the comparison. ``kind`` says how the template shows the two values: "text", "number", "day" or
    "set"; of a set ``shared`` holds what both have, and each side what it alone has.
    """

    label: str
    kind: str
    a: object
    b: object
    same: bool
    shared: tuple[str, ...] = ()


def differences(a: Repo, b: Repo, terms_a: dict[str, list[str]], terms_b: dict[str, list[str]]) -> list[Fact]:
    """The facts of two repos, row by row; rows where neither has a value are left out."""
    facts = [
        _plain("Licence", _licence(a), _licence(b)),
        _plain("Task", a.task and a.task.value, b.task and b.task.value),
        _plain("Library", a.library and a.library.value, b.library and b.library.value),
        _plain("Architecture", a.architecture and a.architecture.value, b.architecture and b.architecture.value),
        _plain("Model type", a.model_type and a.model_type.value, b.model_type and b.model_type.value),
        _plain("Parameters", a.parameters, b.parameters, kind="number"),
        _plain("Stored as", ", ".join(sorted(a.dtypes)), ", ".join(sorted(b.dtypes))),
        _sets("Datasets", terms_a["dataset"], terms_b["dataset"]),
        _sets("Languages", terms_a["language"], terms_b["language"]),
        _plain("Access", "gated" if a.gated else "open", "gated" if b.gated else "open"),
        _plain("State", a.state, b.state),
        _plain("Created", a.created_at, b.created_at, kind="day"),
        _plain("Changed", a.modified_at, b.modified_at, kind="day"),
        _plain("Downloads in 30 days", a.downloads, b.downloads, kind="number"),
        _plain("Likes", a.likes, b.likes, kind="number"),
        _sets("Tags", a.tags, b.tags),
    ]
    return [fact for fact in facts if fact.a or fact.b or fact.shared]


def _licence(repo: Repo) -> str:
    return repo.licence_name or (repo.licence.value if repo.licence else "")


def _plain(label: str, a: object, b: object, *, kind: str = "text") -> Fact:
    return Fact(label, kind, a, b, same=(a or None) == (b or None))


def _sets(label: str, a: Iterable[str], b: Iterable[str]) -> Fact:
    left, right = set(a), set(b)
    return Fact(
        label, "set", sorted(left - right), sorted(right - left), same=left == right, shared=tuple(sorted(left & right))
    )
