"""The page of a merge: which models, whether it can be done, what stands in the way, how it is done."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.views.decorators import staff_member_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from hubapp.catalog import queries as catalog
from hubapp.catalog.models import Repo
from hubapp.jobs import audit
from hubapp.merging import queries, services
from hubapp.searching import queries as searching
from hubapp.web import heat
from hubapp.web.errors import error_page
from workers.errors import RootstockError
from workers.merging import rules
from workers.merging.records import FEWEST, MOST, Fault, Level, Verdict

LOOKS = {
    Verdict.MERGEABLE: "confirmed",
    Verdict.AFTER: "mended",
    Verdict.NOT: "contradicted",
    Verdict.UNKNOWN: "cannot-tell",
}
GROUPS = (
    (Level.STOP, "What rules a merge out"),
    (Level.UNKNOWN, "What isn't known yet"),
    (Level.MEND, "What has to be mended"),
    (Level.NOTE, "Worth knowing"),
)
MERGEKIT = {"silent": "mergekit lets it through in silence", "error": "mergekit stops with an error"}


@require_safe
def merge(request: HttpRequest) -> HttpResponse:
    """``/merge?models=a,b,…``: the judgement; the picker alone while fewer than two are named, or one is unknown."""
    asked = _asked(request)
    found = {name: _find(name) for name in asked}
    repos = list({repo.pk: repo for repo in found.values() if repo is not None}.values())
    unknown = [name for name, repo in found.items() if repo is None]
    context: dict[str, Any] = {"section": "merge", "unknown": unknown, **_fields(asked)}
    if unknown or not FEWEST <= len(repos) <= MOST:
        context |= {"recent": queries.recent(), "one": len(repos) == 1 and bool(asked), "many": len(repos) > MOST}
        return render(request, "merge/pick.html", context, status=404 if unknown else 200)
    method = request.GET.get("method", "")
    method = method if method in rules.OFFERED else ""
    names = [repo.name for repo in repos]
    if request.GET.get("models") != ",".join(names):
        return redirect(_address(names, method))
    judged = queries.judged(repos, method=method)
    report = judged.report
    sampling = report.sampling
    context |= {
        **_fields(names),
        "judged": judged,
        "report": report,
        "repos": repos,
        "look": LOOKS[report.verdict],
        "groups": [(words, level.value, _told(report.of_level(level))) for level, words in GROUPS],
        "duties": [*judged.obligations.duties, *judged.obligations.limits],
        "least": min((p.weights for p in sampling.pairs if p.weights is not None), default=None) if sampling else None,
        "map": heat.conflict_map(sampling) if sampling else None,
        "matrix": heat.matrix(sampling) if sampling and len(repos) > FEWEST else None,
        "share": request.build_absolute_uri(),
        "models": ",".join(names),
        "method": method,
    }
    return render(request, "merge/merge.html", context)


@require_safe
def recipe(request: HttpRequest) -> HttpResponse:
    """``/merge/recipe?models=a,b,…``: the configuration for mergekit, to keep."""
    try:
        repos = queries.find(_asked(request))
        judged = queries.judged(repos, method=request.GET.get("method", ""))
    except RootstockError as error:
        return error_page(
            request, 404 if error.code == "input.unknown_model" else 400, text=str(error), code=error.code
        )
    if judged.report.recipe is None:
        return error_page(request, 404, text=f"There is no recipe. {judged.report.headline}", code="merge.no_recipe")
    answer = HttpResponse(judged.report.recipe.yaml, content_type="application/yaml; charset=utf-8")
    answer.headers["Content-Disposition"] = 'attachment; filename="merge.yml"'
    return answer


@require_POST
@staff_member_required(login_url="admin:login")
def compare(request: HttpRequest) -> HttpResponse:
    """Staff ask for the models' weights to be compared."""
    names = [name for name in request.POST.get("models", "").split(",") if name]
    try:
        repos = queries.find(names)
        job = services.ask(repos=repos, full=bool(request.POST.get("full")), by=request.user)  # type: ignore[arg-type]
    except RootstockError as error:
        return error_page(request, 400, text=str(error), code=error.code)
    audit.record(by=request.user, target=job, what=f"Weights of {', '.join(names)} compared.", added=True)  # type: ignore[arg-type]
    messages.success(request, f"Comparing the weights is queued as job {job.pk}: this page shows it when it is done.")
    return redirect(_address([repo.name for repo in repos]))


def _asked(request: HttpRequest) -> list[str]:
    """The names in the address: ``models`` with commas, or a field ``m`` for each, as the picker's form sends them."""
    named = [*request.GET.get("models", "")[:3000].split(","), *request.GET.getlist("m")[: 2 * MOST]]
    return list(dict.fromkeys(name.strip()[:300] for name in named if name.strip()))


def _find(text: str) -> Repo | None:
    """A model by its id in any case, an old name, or a pasted address."""
    found = catalog.find(text)
    if found is not None:
        return found.repo
    located = searching.locate(text)
    again = catalog.find(located.name) if located is not None else None
    return again.repo if again is not None else None


def _fields(names: list[str]) -> dict[str, Any]:
    """The picker's fields: those that are filled and one more, two at least."""
    shown = names[:MOST]
    empty = max(FEWEST - len(shown), 1 if len(shown) < MOST else 0)
    values = [*shown, *[""] * empty]
    return {"fields": [(i + 1, value, i < FEWEST) for i, value in enumerate(values)]}


def _address(names: list[str], method: str = "") -> str:
    told = {"models": ",".join(names), **({"method": method} if method else {})}
    return f"{reverse('web:merge')}?{urlencode(told, safe='/,')}"


def _told(faults: tuple[Fault, ...]) -> list[tuple[Fault, str, str]]:
    """(fault, its title, what mergekit does with it)."""
    return [(fault, rules.title(fault.code), MERGEKIT.get(fault.mergekit, "")) for fault in faults]
