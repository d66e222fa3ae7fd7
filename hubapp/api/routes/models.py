"""Models, one or a hundred at a time."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router

from hubapp.api import answers, schemas
from hubapp.api.routes import COMMON, UNKNOWN
from hubapp.catalog import queries as catalog

router = Router(tags=["models"])


@router.post("/batch", response={200: schemas.BatchAnswer, 413: schemas.Error, **COMMON}, summary="Up to 100 models")
def batch(request: HttpRequest, wish: schemas.Batch) -> schemas.BatchAnswer:
    found = [(name, catalog.find(name)) for name in wish.ids]
    unique = {answer.repo.pk: answer for _, answer in found if answer}
    known = dict(zip(unique, answers.models(unique.values()), strict=True))
    return schemas.BatchAnswer(
        models=[
            schemas.BatchItem(
                asked=name,
                model=known[answer.repo.pk].model_copy(update={"found_by": answer.how}) if answer else None,
            )
            for name, answer in found
        ]
    )


@router.get("/{path:name}", response={200: schemas.Model, **UNKNOWN}, summary="One model")
def model(request: HttpRequest, name: str) -> schemas.Model:
    return answers.models([answers.found(name)])[0]
