"""Crawls: what ran is open to all, as on the pages; staff start and steer them with a token."""

from __future__ import annotations

from typing import Annotated, Literal, cast

from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja import Path, Query, Router, Status

from hubapp.api import schemas
from hubapp.api.auth import StaffToken
from hubapp.api.routes import COMMON, UNKNOWN
from hubapp.crawling import queries, services
from hubapp.crawling.models import Crawl
from hubapp.jobs import services as jobs
from workers.errors import UnknownModel

router = Router(tags=["crawls"])
token = StaffToken()
STAFF = {401: schemas.Error}
Number = Annotated[int, Path(ge=1, le=2**62)]


@router.get("", response={200: schemas.Crawls, **COMMON}, summary="Crawls, the latest first")
def crawls(
    request: HttpRequest,
    after: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> schemas.Crawls:
    found = list(queries.recent(limit=limit + 1, before=after))
    more = len(found) > limit
    return schemas.Crawls(
        crawls=[_answer(each) for each in found[:limit]], after=str(found[limit - 1].pk) if more else None
    )


@router.get("/{int:number}", response={200: schemas.Crawl, **UNKNOWN}, summary="One crawl")
def crawl(request: HttpRequest, number: Number) -> schemas.Crawl:
    return _answer(_known(number))


@router.post(
    "", auth=token, response={202: schemas.Crawl, 413: schemas.Error, **STAFF, **COMMON}, summary="Ask for a crawl"
)
def start(request: HttpRequest, wish: schemas.CrawlWish) -> Status[schemas.Crawl]:
    found = services.start(scope=wish.scope, argument=wish.argument, by=_caller(request))
    return Status(202, _answer(_known(found.pk)))


@router.post(
    "/{int:number}/{action}", auth=token, response={200: schemas.Crawl, 409: schemas.Error, **STAFF, **UNKNOWN}
)
def steer(request: HttpRequest, number: Number, action: Literal["pause", "resume", "cancel", "retry"]) -> schemas.Crawl:
    """Pause, resume, cancel or retry a crawl."""
    found = _known(number)
    getattr(jobs, action)(job_id=found.job_id, by=_caller(request))
    return _answer(_known(number))


def _caller(request: HttpRequest) -> User:
    """Whom the token stands for."""
    return cast(User, request.user)


def _known(number: int) -> Crawl:
    found = queries.one(number)
    if found is None:
        raise UnknownModel(f"There is no crawl {number}.")
    return found


def _answer(found: Crawl) -> schemas.Crawl:
    job = found.job
    return schemas.Crawl(
        id=found.pk,
        scope=found.scope,
        argument=found.argument,
        endpoint=found.endpoint,
        state=job.state,
        progress=job.progress,
        faults=job.faults.count(),
        error_code=job.error_code,
        error=job.error,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )
