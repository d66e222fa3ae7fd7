"""Families: a root and all that follow it along primary parents."""

from __future__ import annotations

from typing import Annotated

from django.http import HttpRequest
from ninja import Query, Router

from hubapp.api import answers, schemas
from hubapp.api.routes import COMMON, UNKNOWN
from hubapp.lineage import queries as lineage
from workers.errors import UnknownModel

router = Router(tags=["families"])


@router.get("", response={200: schemas.Families, **COMMON}, summary="The largest families")
def families(request: HttpRequest, limit: Annotated[int, Query(ge=1, le=100)] = 20) -> schemas.Families:
    return schemas.Families(families=[answers.family(each) for each in lineage.largest_families(limit)])


@router.get("/{path:name}", response={200: schemas.Family, **UNKNOWN}, summary="The family of a model")
def family(request: HttpRequest, name: str) -> schemas.Family:
    repo = answers.found(name).repo
    node = lineage.briefs([repo.pk])[repo.pk]
    found = lineage.family(node.root_id or repo.pk)
    if found is None:
        raise UnknownModel(f"{repo.name} has no family here: neither parents nor children are known.")
    return answers.family(found)
