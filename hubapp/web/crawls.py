"""Crawls: what is being read from the Hub, what was read before, and what could not be."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from hubapp.crawling import queries as crawling
from hubapp.crawling.models import Crawl, Scope
from hubapp.jobs import queries as jobs
from hubapp.web import fragments, wording
from hubapp.web.work import Work, work_of

RECENT = 50
EXAMPLES = 20


def title_of(crawl: Crawl) -> str:
    """What a crawl reads, in words."""
    match crawl.scope:
        case Scope.EVERYTHING:
            return "Every model"
        case Scope.CHANGED:
            return "What changed"
        case Scope.TOP:
            return f"The {wording.number(int(crawl.argument))} most downloaded"
        case Scope.AUTHOR:
            return f"Models of {crawl.argument}"
        case Scope.SEARCH:
            return f"Models named like “{crawl.argument}”"
        case _:
            return f"{crawl.argument} and its family"


def under_way() -> list[Work]:
    """Crawls that are not finished, and the growing of trees where that is under way."""
    working = [work_of(crawl.job, title=title_of(crawl)) for crawl in crawling.active()]
    return working + [work_of(job, title="Growing the trees") for job in jobs.active(kind="lineage")]


@require_safe
def crawls(request: HttpRequest) -> HttpResponse:
    """What is under way, and the history; the part that is under way renews itself."""
    context = {"section": "crawls", "working": under_way()}
    if fragments.target(request) == "working":
        return render(request, "crawls/_working.html", context)
    recent = list(crawling.recent(limit=RECENT))
    faults = jobs.faults_count(jobs=[crawl.job_id for crawl in recent])
    context["history"] = [
        (crawl, work_of(crawl.job, title=title_of(crawl)), faults.get(crawl.job_id, 0)) for crawl in recent
    ]
    return render(request, "crawls/crawls.html", context)


@require_safe
def crawl(request: HttpRequest, pk: int) -> HttpResponse:
    """One crawl: how far it is, and the rows it could not read, by reason."""
    found = crawling.one(pk)
    if found is None:
        raise Http404
    context = {
        "section": "crawls",
        "crawl": found,
        "work": work_of(found.job, title=title_of(found)),
        "reasons": jobs.faults_by_code(jobs=[found.job_id]),
        "examples": jobs.faults_of(job=found.job, limit=EXAMPLES),
    }
    template = "crawls/_crawl.html" if fragments.is_wanted(request) else "crawls/crawl.html"
    return render(request, template, context)
