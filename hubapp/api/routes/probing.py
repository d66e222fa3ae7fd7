"""What models were trained on, read from their weights, and the experts that read them."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router

from hubapp.api import answers, schemas
from hubapp.api.routes import COMMON, UNKNOWN
from hubapp.probing import queries as probing

router = Router(tags=["probing"])


@router.get("/experts", response={200: schemas.Experts, **COMMON}, summary="All experts, the latest first")
def experts(request: HttpRequest) -> schemas.Experts:
    return schemas.Experts(experts=[answers.expert(row) for row in probing.experts()])


@router.get(
    "/trained-on/{path:name}", response={200: schemas.Training, **UNKNOWN}, summary="What a model was trained on"
)
def trained_on(request: HttpRequest, name: str) -> schemas.Training:
    repo = answers.found(name).repo
    return answers.training(repo.name, probing.training(repo))
